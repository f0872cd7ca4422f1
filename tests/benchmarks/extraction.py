"""Extractors side by side on pages with human gold text: agreement, and time against trafilatura.

    python -m tests.benchmarks.extraction --data ../shared/data --trafilatura PYTHON [--pages 757] [--rounds 3]

PYTHON is an interpreter with trafilatura 2 installed (a virtual environment of its own). Each extractor is one
process that reads the same bytes; processes take turns, batch by batch, so that all see the same machine. Times are
CPU seconds of the extraction alone. The shipped model saw these pages, so for `blocks` the honest agreement is the one
out of fold, which `python -m scripts.extraction_model.train` prints.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.extraction_model.score import Agreement, agreement, mean_agreement, words_of

BATCH = 32
WORKER = Path(__file__).with_name("extraction_worker.py")


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


def run(rows: list[dict[str, Any]], workers: list[Worker], rounds: int) -> None:
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


def agreements(rows: list[dict[str, Any]], worker: Worker) -> Agreement:
    """Mean agreement of an extractor's texts with the gold."""
    pairs = zip(worker.texts, rows, strict=True)
    return mean_agreement([agreement(words_of(text), words_of(row["gold"])) for text, row in pairs])


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trafilatura", required=True)
    parser.add_argument("--pages", type=int, default=757)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    rows = pq.read_table(arguments.data / "extraction/dev.parquet").to_pylist()
    rows = rows[:: max(1, len(rows) // arguments.pages)]
    workers = [Worker("blocks", sys.executable), Worker("resiliparse", sys.executable),
               Worker("trafilatura", arguments.trafilatura), Worker("trafilatura-fast", arguments.trafilatura)]
    run(rows, workers, arguments.rounds)
    slowest = workers[2].seconds
    print(f"{len(rows)} pages, {arguments.rounds} rounds, CPU seconds, extractors in turn by batches of {BATCH}")
    print(f"{'extractor':<18}{'F1':>8}{'P':>8}{'R':>8}{'pages/s':>10}{'x trafilatura':>15}")
    for worker in workers:
        mean = agreements(rows, worker)
        print(f"{worker.name:<18}{mean.f1:>8.3f}{mean.precision:>8.3f}{mean.recall:>8.3f}"
              f"{len(rows) * arguments.rounds / worker.seconds:>10.0f}{slowest / worker.seconds:>15.1f}")
        worker.close()
    print("blocks was trained on these pages: see its agreement out of fold")


if __name__ == "__main__":
    main()
