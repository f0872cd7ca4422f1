"""Accuracy of language identification on labelled sentences, by language: `make bench-language`."""

from __future__ import annotations

import argparse
import gzip
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa

from curate.language.codes import language_code
from curate.language.identify import identify
from tests.benchmarks.noisy_lines import SAME, tables


def read(path: Path) -> list[tuple[str, str]]:
    """(language code, sentence) of a file of tab-separated lines."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [(code, text) for code, _, text in (line.rstrip("\n").partition("\t") for line in stream)]


def page(rows: list[tuple[str, str]], model: str | None) -> str:
    """Precision and recall of every language in Markdown, and what its sentences are taken for instead."""
    found = identify(pa.array([text for _, text in rows], pa.large_string()), model).labels.to_pylist()
    found = [label and language_code(label) for label in found]
    pairs = [(code, answer or "none") for (code, _), answer in zip(rows, found, strict=True)]
    folded = [(SAME.get(a, a), SAME.get(b, b)) for a, b in pairs]
    known = {answer for _, answer in folded}
    told = [pair for pair in folded if pair[0] in known]
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    answers = Counter(answer for _, answer in pairs)
    for code, answer in pairs:
        taken[code][answer] += 1
    lines = [f"{len(pairs):,} sentences in {len(taken)} languages: {share(pairs):.1%} right; {share(folded):.1%} with "
             f"`nb`, `nn` as `no` and `bs`, `hr`, `sr` as `sh`.",
             f"Of the {len(told):,} sentences in languages that the model ever names: {share(told):.1%}.", "",
             "| language | recall | precision | taken for instead |", "|---|---|---|---|"]
    for code in sorted(taken, key=lambda c: (-taken[c][c] / taken[c].total(), c)):
        right, others = taken[code][code], [(c, n) for c, n in taken[code].most_common() if c != code][:4]
        precision = f"{right / answers[code]:.2f}" if answers[code] else "-"
        lines.append(f"| {code} | {right / taken[code].total():.2f} | {precision} | "
                     f"{', '.join(f'{c} {n}' for c, n in others)} |")
    return "\n".join(lines)


def share(pairs: list[tuple[str, str]]) -> float:
    return sum(a == b for a, b in pairs) / max(1, len(pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", help="a fastText model; lid.176 by default")
    arguments = parser.parse_args()
    rows = read(arguments.data / "langid/sentences.tsv.gz")
    print("\n".join([*tables(rows, arguments.model), "", page(rows, arguments.model)]))


if __name__ == "__main__":
    main()
