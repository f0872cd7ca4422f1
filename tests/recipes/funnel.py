"""What became of a run's documents, step by step, as the pages in docs/recipes show it.

    python -m tests.recipes.funnel RUN
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq


@dataclass(frozen=True, slots=True)
class Step:
    """documents, megabytes: that are left after it. dropped: the most frequent reasons of the others."""

    name: str
    documents: int
    megabytes: float
    dropped: tuple[tuple[str, int], ...]


def funnel(run: Path) -> list[Step]:
    """The steps of a finished run."""
    documents = _read(run, "extract/*/*/part-*.parquet", ["doc_id", "n_bytes"])
    excluded = _read(run, "extract/*/exclusions/*/part-*.parquet", ["doc_id", "reason"])
    steps = [Step("records that may be documents", len(documents) + len(excluded), 0.0, ()),
             Step("extracted, in the languages wanted", len(documents), _megabytes(documents), _reasons(excluded))]
    sizes = documents
    for name, pattern in (("rules and scores", "select/*/*/part-*.parquet"),
                          ("copies", "dedup/decisions/*/*/part-*.parquet"),
                          ("repeated passages", "dedup/passage_decisions/*/*/part-*.parquet"),
                          ("repeated substrings", "dedup/substrings/*/*/part-*.parquet"),
                          ("benchmarks", "decontaminate/*/*/part-*.parquet")):
        decisions = _read(run, pattern, ["doc_id", "keep", "reason"])
        if not len(decisions):
            continue
        dropped = decisions.filter(~pl.col("keep") & pl.col("doc_id").is_in(sizes["doc_id"].implode()))
        sizes = sizes.join(decisions.filter(pl.col("keep")).select("doc_id"), on="doc_id")
        if len(dropped) or name in ("rules and scores", "copies"):
            steps.append(Step(name, len(sizes), _megabytes(sizes), _reasons(dropped)))
    clean = _read(run, "clean/*/*/part-*.parquet", ["doc_id", "n_bytes"])
    steps.append(Step("clean text", len(clean), _megabytes(clean), ()))
    mixed = [_read(run, f"clean/{name}/*/part-*.parquet", ["doc_id", "n_bytes"]) for name in sources(run)["name"]]
    if (n_mixed := sum(map(len, mixed))) < len(clean):
        steps.append(Step("of it, of sources in the mixture", n_mixed, sum(map(_megabytes, mixed)), ()))
    return steps


def sources(run: Path) -> pl.DataFrame:
    """What the mixture made of each source."""
    return pl.read_parquet(run / "packed" / "sources.parquet")


def markdown(run: Path) -> str:
    """Both as tables of a page."""
    lines = ["| step | documents left | MB of text | dropped |", "|---|---|---|---|"]
    for step in funnel(run):
        why = ", ".join(f"{reason} {n:,}" for reason, n in step.dropped)
        lines.append(f"| {step.name} | {step.documents:,} | {step.megabytes:.1f} | {why} |".replace("| 0.0 |", "| |"))
    lines += ["", "| source | target | actual | available tokens | selected tokens | epochs |",
              "|---|---|---|---|---|---|"]
    for row in sources(run).to_dicts():
        lines.append(f"| {row['name']} | {row['requested_weight']:.3f} | {row['realised_share']:.3f} | "
                     f"{row['available_tokens']:,} | {row['selected_tokens']:,} | {row['epochs']:.2f} |")
    return "\n".join(lines) + "\n"


def _read(run: Path, pattern: str, columns: list[str]) -> pl.DataFrame:
    frames = []
    for path in sorted(run.glob(pattern)):
        there = pq.read_schema(path).names
        if set(columns) <= set(there):
            frames.append(pl.DataFrame(pq.read_table(path, columns=columns)))
    return pl.concat(frames) if frames else pl.DataFrame(schema={
        name: _KINDS.get(name, pl.String()) for name in columns})


_KINDS: dict[str, pl.DataType] = {"doc_id": pl.Binary(), "n_bytes": pl.Int64(), "keep": pl.Boolean()}


def _megabytes(documents: pl.DataFrame) -> float:
    return float(documents["n_bytes"].sum() or 0) / 1e6


def _reasons(dropped: pl.DataFrame) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(_named(dropped["reason"])).most_common(5))


def _named(reasons: pl.Series) -> Iterator[str]:
    return (reason for reason in reasons.to_list() if reason is not None)


if __name__ == "__main__":
    print(markdown(Path(sys.argv[1])))
