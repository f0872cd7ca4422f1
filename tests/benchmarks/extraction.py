"""Extractors side by side on pages with human gold text: agreement by kind of page, and time against Trafilatura.

    python -m tests.benchmarks.extraction --data ../shared/data --trafilatura PYTHON
        [--every 5] [--rounds 1] [--judged build/extraction/pages.tsv]

PYTHON is an interpreter with trafilatura 2 installed (a virtual environment of its own). Each extractor is one
process that reads the same bytes; processes take turns, batch by batch, so that all see the same machine. Times are
CPU seconds of the extraction alone. The shipped model saw these pages, so the agreement of `blocks` is read from what
`python -m scripts.extraction_model.train` left (`--judged`): that of every page out of fold.

WCXB's pages are judged by words and its peers keep comments, as its authors do; the others by word 4-grams, without.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from curate.extraction.extracted import PAGE_TYPES
from scripts.extraction_model.score import GRAM_WORDS, agreement, words_of

BATCH: Final = 32
WORKER: Final = Path(__file__).with_name("extraction_worker.py")
OWN: Final = "blocks"
Judged = Mapping[tuple[str, str], float]


class Worker:
    """An extractor in a process of its own."""

    def __init__(self, name: str, python: str) -> None:
        self.name, self.seconds, self.texts = name, 0.0, list[str]()
        self._process = subprocess.Popen([python, str(WORKER), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, pages: list[bytes]) -> dict[str, Any]:
        """The answer for some pages: their texts, and the seconds they took."""
        assert self._process.stdin
        assert self._process.stdout
        head = json.dumps([len(p) for p in pages]).encode() + b"\n"
        self._process.stdin.write(head + b"".join(pages))
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def run(rows: Sequence[Mapping[str, Any]], workers: Sequence[Worker], rounds: int) -> None:
    """Give every batch to every extractor in turn; the texts of the last round are kept."""
    for worker in workers:
        worker.ask([rows[0]["html"]])  # imports and compiled kernels are not timed
    for _ in range(rounds):
        for worker in workers:
            worker.texts = []
        for start in range(0, len(rows), BATCH):
            pages = [r["html"] for r in rows[start : start + BATCH]]
            for worker in workers:
                answer = worker.ask(pages)
                worker.seconds += answer["seconds"]
                worker.texts += answer["texts"]


def scores(rows: Sequence[Mapping[str, Any]], worker: Worker, judged: Judged) -> list[float]:
    """The F1 of every page."""
    if worker.name == OWN and judged:
        return [judged[set_of(row), row["id"]] for row in rows]
    size = 1 if "page_type" in rows[0] else GRAM_WORDS
    return [agreement(words_of(text), words_of(row["gold"]), size).f1
            for text, row in zip(worker.texts, rows, strict=True)]


def set_of(row: Mapping[str, Any]) -> str:
    """The set that a page is from, as training names it."""
    return str(row.get("dataset", "wcxb")).split("-")[0]


def read_judged(path: Path | None) -> dict[tuple[str, str], float]:
    """The F1 of every page out of fold, by set and id; nothing without a file."""
    if path is None:
        return {}
    with path.open(encoding="utf-8") as file:
        return {(row["set"], row["id"]): float(row["f1"]) for row in csv.DictReader(file, delimiter="\t")}


def table(name: str, rows: Sequence[Mapping[str, Any]], workers: Sequence[Worker], judged: Judged, rounds: int) -> str:
    """What extractors made of a set."""
    kinds = [k for k in PAGE_TYPES if any(row.get("page_type") == k for row in rows)]
    lines = [f"{name}: {len(rows)} pages, {rounds} rounds, CPU seconds, extractors in turn by batches of {BATCH}",
             f"{'extractor':<22}{'F1':>7}{'pages/s':>9}{'ratio':>7}" + "".join(f"{k[:10]:>12}" for k in kinds)]
    slowest = max(worker.seconds for worker in workers)
    for worker in workers:
        found = scores(rows, worker, judged)
        by_kind = [[f for f, row in zip(found, rows, strict=True) if row.get("page_type") == k] for k in kinds]
        lines.append(f"{worker.name:<22}{sum(found) / len(found):>7.3f}{len(rows) * rounds / worker.seconds:>9.0f}"
                     f"{slowest / worker.seconds:>7.1f}" + "".join(f"{sum(f) / len(f):>12.3f}" for f in by_kind))
    return "\n".join(lines)


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trafilatura", required=True)
    parser.add_argument("--every", type=int, default=5, help="every so many-th page")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--judged", type=Path, help="pages.tsv of the training")
    arguments = parser.parse_args()
    judged = read_judged(arguments.judged)
    for name, file, suffix in (("WCXB, words", "wcxb-dev.parquet", "-comments"),
                               ("dragnet and CleanEval, 4-grams", "dev.parquet", "")):
        rows = pq.read_table(arguments.data / "extraction" / file).to_pylist()[:: arguments.every]
        workers = [Worker(OWN, sys.executable), Worker(f"resiliparse{suffix}", sys.executable),
                   Worker(f"trafilatura{suffix}", arguments.trafilatura),
                   Worker("trafilatura-fast", arguments.trafilatura)]
        run(rows, workers, arguments.rounds)
        print(table(name, rows, workers, judged, arguments.rounds), flush=True)
        for worker in workers:
            worker.close()
    print(f"{OWN}: out of fold, by site" if judged else f"{OWN} was trained on these pages: its agreement here is none")


if __name__ == "__main__":
    main()
