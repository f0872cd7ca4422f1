"""Repeated passages on the texts of a run: speed, memory, disk, what is found; and the same by a suffix array.

    python -m tests.benchmarks.substrings RUN [--peer PYTHON]

The run's extracted texts are deduplicated as a recipe's defaults have it; what is left is searched for runs of 100
bytes that stand twice, in two worker processes. Speed is text over the CPU time of all five steps, reading and writing
files included, the better of two rounds; memory is the most a worker held, from its start. PYTHON has pydivsufsort: a
suffix array and its longest common prefixes then say, independently, which bytes lie in such runs, and every cut must
agree.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupRecipe, SurvivorKey
from curate.dedup.standalone import Stages, Texts
from curate.dedup.substrings.substring_config import Occurrences, SubstringConfig
from curate.sources.columns import TextRows
from manifests.tables import read_row_groups, read_table

_STEPS = ("dedup/anchors", "dedup/repeated", "dedup/contexts", "dedup/repeats", "dedup/substrings")
_KEPT_FILES = _STEPS[:-1]
_SIZE = 100
_ROUNDS = 2


def _rows(path: str) -> Iterator[TextRows]:
    first = 0
    for table in read_row_groups(path, ["text"]):
        text = pa.concat_arrays(table["text"].chunks).cast(pa.large_string())
        ids = pa.array([f"{first + i}" for i in range(len(text))])
        yield TextRows(first, text, ids, pa.nulls(len(text), pa.string()))
        first += len(text)


def _search(paths: list[str], folder: str, cut: Occurrences) -> tuple[Stages, list[str]]:
    recipe = DedupRecipe(survivor_order=(SurvivorKey.SOURCE,), max_removed_fraction=1.0,
                         substrings=SubstringConfig(min_bytes=_SIZE, cut=cut))
    with Stages(folder, recipe, 2) as work:
        shards = [work.part(n, Texts(p, "", "id", lambda p=p: _rows(p))) for n, p in enumerate(paths)]  # type: ignore[misc]
        work.all(shards, {p: n for n, p in enumerate(paths)})
    return work, shards


def _kept(folder: str, shards: list[str]) -> tuple[list[str], list[list[tuple[int, int]]]]:
    """(texts that deduplication left, what is cut of each)."""
    texts: list[str] = []
    cuts: list[list[tuple[int, int]]] = []
    for shard in shards:
        keep = read_table(f"{folder}/dedup/decisions/{shard}.parquet", ["keep"])["keep"]
        repeats = read_table(f"{folder}/dedup/substrings/{shard}.parquet", ["repeats"])["repeats"]
        texts += read_table(f"{folder}/extract/{shard}.parquet", ["text"])["text"].filter(keep).to_pylist()
        cuts += [[(r["start"], r["end"]) for r in found or []] for found in repeats.filter(keep).to_pylist()]
    return texts, cuts


def _disk(folder: str) -> int:
    """Bytes of what the steps hand to each other."""
    paths = [p for step in _KEPT_FILES for p in glob.glob(f"{folder}/{step}/**/*.parquet", recursive=True)]
    return sum(os.path.getsize(p) for p in paths)


def _whole_characters(text: bytes, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] & 0xC0 == 0x80:
        start += 1
    while start < end < len(text) and text[end] & 0xC0 == 0x80:
        end -= 1
    return start, end


def _peer(python: str, texts: list[str], folder: str) -> tuple[list[list[tuple[int, int]]], dict[str, float]]:
    """What a suffix array finds: spans of each text, in whole characters, and what it took."""
    data = b"\xff".join(t.encode() for t in texts)
    Path(folder, "texts.bin").write_bytes(data)
    worker = Path(__file__).with_name("substrings_peer.py")
    facts = json.loads(subprocess.run([python, str(worker), folder, str(_SIZE)], check=True, capture_output=True,
                                      text=True).stdout)
    spans = np.load(Path(folder, "spans.npy"))
    sizes = np.array([len(t.encode()) for t in texts])
    firsts = np.concatenate(([0], np.cumsum(sizes + 1)[:-1]))
    found: list[list[tuple[int, int]]] = [[] for _ in texts]
    for start, end in spans.tolist():
        owner = int(np.searchsorted(firsts, start, "right")) - 1
        base = int(firsts[owner])
        a, b = _whole_characters(data[base : base + int(sizes[owner])], start - base, end - base)
        if b > a:
            found[owner].append((a, b))
    return found, facts


def _measure(paths: list[str]) -> float:
    """Print what a search takes; returns MB/s."""
    seconds = {step: float("inf") for step in _STEPS}
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            work, shards = _search(paths, folder, Occurrences.REPEATS)
            texts, _ = _kept(folder, shards)
            disk = _disk(folder)
        seconds = {step: min(s, work.costs[step].cpu_seconds) for step, s in seconds.items()}
    n_bytes = sum(len(t.encode()) for t in texts)
    told = work.counters
    print(f"{n_bytes / 1e6:.1f} MB in {len(texts):,} documents left by exact and near-duplicate removal, "
          f"runs of {_SIZE} bytes, 16 partitions")
    for step, s in seconds.items():
        print(f"  {step:<18}{s:>7.2f} CPU s   largest worker so far {work.costs[step].peak_bytes / 1e6:>6,.0f} MB")
    print(f"  cut: {told['cuts']:,} passages of {told['documents_cut']:,} documents, {told['bytes_cut']:,} bytes, "
          f"{told['bytes_cut'] / n_bytes:.2%} of the text")
    print(f"  on disk between the steps: {disk / 1e6:.1f} MB, {disk / n_bytes:.2f} bytes a byte of text")
    return n_bytes / 1e6 / sum(seconds.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--at-least", type=float, default=8.0, metavar="MB/S")
    arguments = parser.parse_args()
    paths = sorted(glob.glob(f"{arguments.run}/extract/*/*.parquet"))
    paths = [p for p in paths if len(read_table(p, ["doc_id"]))]
    speed, agrees = _measure(paths), True
    print(f"  {speed:.1f} MB/s on one core")
    if arguments.peer:
        with tempfile.TemporaryDirectory() as folder:
            _, shards = _search(paths, folder, Occurrences.ALL)
            texts, cuts = _kept(folder, shards)
            found, facts = _peer(arguments.peer, texts, folder)
        agrees = cuts == found
        ours, theirs = (sum(b - a for spans in every for a, b in spans) for every in (cuts, found))
        print(f"every occurrence: {ours:,} bytes; by a suffix array {theirs:,} bytes, "
              f"{facts['megabytes'] / facts['seconds']:.1f} MB/s, {facts['peak'] / facts['megabytes'] / 1e6:.0f} bytes "
              f"of memory a byte of text; {'the same spans' if agrees else 'OTHER SPANS'}")
    passed = speed >= arguments.at_least and agrees
    print(f"{'PASS' if passed else 'FAIL'}: at least {arguments.at_least:.0f} MB/s, and the spans of a suffix array")
    raise SystemExit(not passed)


if __name__ == "__main__":
    main()
