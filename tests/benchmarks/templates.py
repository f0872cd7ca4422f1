"""Resolution of many pages of one template: CPU seconds and memory of the task of `dedup/resolve` that has them all.

    python -m tests.benchmarks.templates [--pages 50000] [--folder DIR]

A page is the template's 700 words and 20 to 400 of its own, so that two pages are alike by 0.45 to 0.95: some are
removed, many are kept, and buckets are full of kept pages, which is the worst case for a greedy search. Words are made
as hashes; signatures, bands and shingles are made of them as in a run. The task runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig
from curate.dedup.kernels.minhash import band_keys, shingle_sets, sign
from curate.dedup.layout import SHINGLES
from curate.dedup.resolve import resolve_stage
from manifests.hashing import UInt64, ids_array, keyed_hash
from manifests.partitioned import write_partitions
from manifests.storage import Storage, digest_file
from manifests.tasks import InputRef, StageTask, execute, peak_memory_bytes

_TEMPLATE: Final = 700
_TOGETHER: Final = 10_000


def words_of(first: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(words, uint64; offsets, int64 [n + 1]) of n pages: the template's first half, own words, its second half."""
    pages = np.stack([np.arange(first, first + n)] * 2, 1).astype(np.uint64)
    own = 20 + (keyed_hash(0, "own", pages) % np.uint64(381)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(own + _TEMPLATE)]).astype(np.int64)
    page = np.repeat(np.arange(n), own + _TEMPLATE)
    position = np.arange(offsets[-1]) - offsets[page]
    half = _TEMPLATE // 2
    is_own = (position >= half) & (position < half + own[page])
    position = np.where(position >= half + own[page], position - own[page], position)
    own_words = np.where(is_own, page + first + 1, 0), np.where(is_own, position + 10**6, position)
    return keyed_hash(0, "word", np.stack(own_words, 1).astype(np.uint64)), offsets


def keys_of(pages: int, config: DedupConfig) -> UInt64:
    """uint64 [pages, bands]: the keys of their bands."""
    keys = []
    for first in range(0, pages, _TOGETHER):
        words, offsets = words_of(first, min(_TOGETHER, pages - first))
        minima, _ = sign(words, offsets, config.ngram, config.n_permutations, config.seed)
        keys.append(band_keys(minima, *bands_of(config)))
    return np.concatenate(keys)


def shingles_of(pages: int, config: DedupConfig) -> Iterator[pa.Table]:
    """SHINGLES of pages, a batch at a time, those alone that share a band."""
    keys = keys_of(pages, config)
    several, counts = np.unique(keys, return_counts=True)
    several = several[counts > 1]
    for first in range(0, pages, _TOGETHER):
        n = min(_TOGETHER, pages - first)
        words, offsets = words_of(first, n)
        values, ends = shingle_sets(words, offsets, config.ngram)
        own = keys[first : first + n]
        shared = several[np.minimum(np.searchsorted(several, own), len(several) - 1)] == own
        rows = np.arange(first, first + n)
        kind, none = SHINGLES.field("keys").type, np.zeros(n, np.uint64)
        key_ends = np.concatenate([[0], np.cumsum(shared.sum(axis=1))])
        columns = [none, rows, none, rows.astype(np.uint64) | np.uint64(1 << 63), none,
                   ids_array(np.stack([rows, rows], 1).astype(np.uint64)),
                   pa.LargeListArray.from_arrays(pa.array(key_ends), pa.array(own[shared]), type=kind),
                   pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values), type=kind)]
        yield pa.table(columns, schema=SHINGLES).filter(pa.array(shared.any(axis=1)))


def resolved(folder: str) -> dict[str, object]:
    """What the task did with the pages in a folder: its counters, CPU seconds, peak of memory and digest."""
    spent = []
    for name in ("few", "pages"):  # the first loads the kernels
        storage, config = Storage(f"{folder}/run"), DedupConfig()
        variables = {"partition": 0, "partitions": 1, "routes": 1}
        task = StageTask("dedup/resolve", 1, name, config, {}, {
            "shingles": InputRef((f"{folder}/{name}.shuffle",), "")}, variables)
        before = resource.getrusage(resource.RUSAGE_SELF)
        record = execute(storage, task, resolve_stage)
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    digest = digest_file(f"{folder}/run/{record.output('removals').path}")
    return {**record.counters, "cpu_seconds": spent[-1], "peak": peak_memory_bytes(), "digest": digest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pages", type=int, default=50_000)
    parser.add_argument("--folder")
    parser.add_argument("--resolve", metavar="FOLDER", help="run the task over the pages that lie there")
    args = parser.parse_args()
    if args.resolve:
        print(json.dumps(resolved(args.resolve)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name, n in (("few", 200), ("pages", args.pages)):
            write_partitions(f"{folder}/{name}.shuffle", SHINGLES, shingles_of(n, DedupConfig()), "component_key")
        words = [sys.executable, "-m", "tests.benchmarks.templates", "--resolve", folder]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    print(f"{args.pages:,} pages, {found['documents']:,} with a candidate: {found['near_duplicates']:,} removed, "
          f"{found['pairs_checked']:,} pairs checked, {found['pairs_accepted']:,} accepted, "
          f"{found['pairs_left_out']:,} left out: {found['cpu_seconds']:.2f} CPU s, {found['rounds']} rounds, "
          f"{found['peak'] / 1e6:,.0f} MB at most; outcome {found['digest']}")
    goals = [("50,000 pages in at most 5 CPU s", found["cpu_seconds"] * 50_000 / args.pages <= 5),
             ("less than 1 GB", found["peak"] < 1e9)]
    for goal, met in goals:
        print(f"{'pass' if met else 'FAIL'}  {goal}")
    raise SystemExit(0 if all(met for _, met in goals) else 1)


if __name__ == "__main__":
    main()
