"""Repeated passages on the texts of a run: speed, memory, disk, what is found; and the same by a suffix array.

    python -m tests.benchmarks.substrings RUN [--peer PYTHON]

The run's extracted texts are deduplicated as a recipe's defaults have it; what is left is searched for runs of 100
bytes that occur twice, in this process. Speed is text over the time of all five steps, reading and writing files
included, the better of two rounds; memory is the most that the process held, from its start. PYTHON has pydivsufsort:
a suffix array and its longest common prefixes then say, independently, which bytes lie in such runs, and every removed
span must agree.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from manifests.tables import read_table
from pipelines.verbs import SOURCE, VerbRun, files_source, verb_run

_STEPS = ("dedup/anchors", "dedup/repeated", "dedup/contexts", "dedup/repeats", "dedup/substrings")
_KEPT_FILES = _STEPS[:-1]
_SIZE = 100
_ROUNDS = 2


@contextmanager
def _search(paths: list[str], folder: str, cut: str) -> Iterator[VerbRun]:
    settings = {"survivor_order": ["position"], "max_removed_fraction": 1.0,
                "substrings": {"min_bytes": _SIZE, "cut": cut}}
    recipe = {"dedup": settings, "sources": {SOURCE: files_source(paths)}}
    with verb_run("dedup", f"{folder}/out", paths, recipe, ["extract", "select", "dedup"]) as done:
        yield done


def _kept(done: VerbRun) -> tuple[list[str], list[list[tuple[int, int]]]]:
    """(texts that deduplication left, what is removed of each)."""
    texts: list[str] = []
    removed: list[list[tuple[int, int]]] = []
    documents, searched = (dict(done.outputs(*names)) for names in (
        ("extract", "documents"), ("dedup/substrings", "decisions")))
    for file, path in done.outputs("dedup/decisions", "decisions"):
        keep = read_table(path, ["keep"])["keep"]
        spans = read_table(searched[file], ["removed_spans"])["removed_spans"]
        texts += read_table(documents[file], ["text"])["text"].filter(keep).to_pylist()
        removed += [[(s["start"], s["end"]) for s in some or []] for some in spans.filter(keep).to_pylist()]
    return texts, removed


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
        with tempfile.TemporaryDirectory() as folder, _search(paths, folder, "repeats") as done:
            texts, _ = _kept(done)
            disk = _disk(done.storage.root)
            records = {step: done.view.tasks(step) for step in _STEPS}
            counters = done.view.counters("dedup/substrings")
        seconds = {step: min(s, sum(r.seconds for r in records[step])) for step, s in seconds.items()}
    n_bytes = sum(len(t.encode()) for t in texts)
    print(f"{n_bytes / 1e6:.1f} MB in {len(texts):,} documents left by exact and near-duplicate removal, "
          f"runs of {_SIZE} bytes, 16 partitions")
    for step, s in seconds.items():
        peak = max(r.peak_memory_bytes for r in records[step])
        print(f"  {step:<18}{s:>7.2f} s   most memory so far {peak / 1e6:>6,.0f} MB")
    print(f"  removed: {counters['removed_spans']:,} passages of {counters['documents_cut']:,} documents, "
          f"{counters['bytes_cut']:,} bytes, {counters['bytes_cut'] / n_bytes:.2%} of the text")
    print(f"  on disk between the steps: {disk / 1e6:.1f} MB, {disk / n_bytes:.2f} bytes a byte of text")
    return n_bytes / 1e6 / sum(seconds.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--at-least", type=float, default=8.0, metavar="MB/S")
    arguments = parser.parse_args()
    paths = sorted(glob.glob(f"{arguments.run}/extract/*/*/part-*.parquet"))
    paths = [p for p in paths if len(read_table(p, ["doc_id"]))]
    speed, agrees = _measure(paths), True
    print(f"  {speed:.1f} MB/s on one core")
    if arguments.peer:
        with tempfile.TemporaryDirectory() as folder, _search(paths, folder, "all") as done:
            texts, removed = _kept(done)
            found, facts = _peer(arguments.peer, texts, folder)
        agrees = removed == found
        ours, theirs = (sum(b - a for spans in every for a, b in spans) for every in (removed, found))
        print(f"every occurrence: {ours:,} bytes; by a suffix array {theirs:,} bytes, "
              f"{facts['megabytes'] / facts['seconds']:.1f} MB/s, {facts['peak'] / facts['megabytes'] / 1e6:.0f} bytes "
              f"of memory a byte of text; {'the same spans' if agrees else 'OTHER SPANS'}")
    passed = speed >= arguments.at_least and agrees
    print(f"{'PASS' if passed else 'FAIL'}: at least {arguments.at_least:.0f} MB/s, and the spans of a suffix array")
    raise SystemExit(not passed)


if __name__ == "__main__":
    main()
