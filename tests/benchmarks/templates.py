"""Resolution of many pages of one template: CPU seconds and memory of the task of `dedup/resolve` that has them all, or
of the tasks that compare slices of them.

    python -m tests.benchmarks.templates [--pages 50000] [--split] [--folder DIR]

A page is the template's 700 words and 20 to 400 of its own, so that two pages are alike by 0.45 to 0.95: some are
removed, many are kept, and buckets are full of kept pages, which is the worst case for a greedy search. Words are made
as hashes; signatures, bands and shingles are made of them as in a run. Tasks run one after another in a process of
their own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from curate.dedup.bands import bands_of
from curate.dedup.components import SLICE_DOCUMENTS
from curate.dedup.config import DedupConfig
from curate.dedup.kernels.minhash import band_keys, shingle_sets, sign
from curate.dedup.layout import SHINGLES
from curate.dedup.resolve import resolve_stage
from curate.dedup.splitting import compared_stage, heads_stage, pivots_stage
from manifests.hashing import UInt64, ids_array, keyed_hash
from manifests.partitioned import write_partitions
from manifests.records import TaskRecord
from manifests.storage import Storage, digest_file
from manifests.tasks import InputRef, StageFunction, StageTask, execute, peak_memory_bytes

_TEMPLATE: Final = 700
_TOGETHER: Final = 2_000  # a block of 14 MB: as large as a part's row group of texts makes them
_PARTITIONS: Final = 4


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
    several, n_slices = several[counts > 1], -(-pages // SLICE_DOCUMENTS)
    for first in range(0, pages, _TOGETHER):
        n = min(_TOGETHER, pages - first)
        words, offsets = words_of(first, n)
        values, ends = shingle_sets(words, offsets, config.ngram)
        own = keys[first : first + n]
        shared = several[np.minimum(np.searchsorted(several, own), len(several) - 1)] == own
        rows = np.arange(first, first + n)
        kind, ids = SHINGLES.field("keys").type, ids_array(np.stack([rows, rows], 1).astype(np.uint64))
        key_ends = np.concatenate([[0], np.cumsum(shared.sum(axis=1))])
        columns = {
            "row": rows, "slice_key": keyed_hash(0, "slice", np.stack([rows % n_slices] * 2, 1).astype(np.uint64)),
            "order": rows.astype(np.uint64) | np.uint64(1 << 63), "doc_id": ids, "like": ids, "likeness": np.zeros(n),
            "known": np.zeros(n, np.uint8),
            "keys": pa.LargeListArray.from_arrays(pa.array(key_ends), pa.array(own[shared]), type=kind),
            "shingles": pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values), type=kind)}
        none = np.zeros(n, np.uint64)
        table = pa.table([columns.get(name, none) for name in SHINGLES.names], schema=SHINGLES)
        yield table.filter(pa.array(shared.any(axis=1)))


Steps = tuple[tuple[str, StageFunction, dict[str, list[str]]], ...]  # stage, function, inputs by name
WHOLE: Final[Steps] = (("resolve", resolve_stage, {"shingles": ["pages"]}),)
SPLIT: Final[Steps] = (
    ("heads", heads_stage, {"sliced": ["pages"]}), ("pivots", pivots_stage, {"heads": ["heads"]}),
    ("compared", compared_stage, {"sliced": ["pages"], "pivots": ["pivots"]}),
    ("resolve", resolve_stage, {"reduced": ["pivots/reduced", "compared"]}))


def resolved(folder: str, split: bool) -> dict[str, object]:
    """What the tasks did with the pages in a folder: counters, CPU seconds of all and of the longest task, peak of
    memory and digest of what is removed."""
    spent: list[float] = []
    for pages in ("few", "pages"):  # the first loads the kernels
        storage, counters = Storage(f"{folder}/{pages}-run"), Counter[str]()
        made = {"pages": [f"{folder}/{pages}.shuffle"]}
        spent.clear()
        for stage, function, inputs in SPLIT if split else WHOLE:
            n = _PARTITIONS if stage in ("heads", "compared") else 1
            records = [_run(storage, f"dedup/{stage}", function, {
                name: InputRef(tuple(path for f in files for path in made[f]), "") for name, files in inputs.items()},
                {"partition": i, "partitions": n, "routes": 1}, spent) for i in range(n)]
            for output in (output for record in records for output in record.outputs):
                role = output.role if stage != "pivots" or output.role == "pivots" else "pivots/reduced"
                made.setdefault(stage if role == "reduced" else role, []).append(output.path)
            for record in records:
                counters.update(record.counters)
        counters["documents"] = sum(r.counters["documents"] for r in records)
    digest = digest_file(storage.path(made["removals"][0]))
    return {**counters, "cpu_seconds": sum(spent), "longest": max(spent), "peak": peak_memory_bytes(), "digest": digest}


def _run(storage: Storage, stage: str, function: StageFunction, inputs: dict[str, InputRef], variables: dict[str, int],
         spent: list[float]) -> TaskRecord:
    before = resource.getrusage(resource.RUSAGE_SELF)
    task = StageTask(stage, 1, f"part-{variables['partition']}", DedupConfig(), {}, inputs, variables)
    record = execute(storage, task, function)
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pages", type=int, default=50_000)
    parser.add_argument("--split", action="store_true", help="by slices, as components of more documents are")
    parser.add_argument("--folder")
    parser.add_argument("--resolve", metavar="FOLDER", help="run the tasks over the pages that lie there")
    args = parser.parse_args()
    if args.resolve:
        print(json.dumps(resolved(args.resolve, args.split)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name, n in (("few", 200), ("pages", args.pages)):
            write_partitions(f"{folder}/{name}.shuffle", SHINGLES, shingles_of(n, DedupConfig()), "slice_key")
        words = [sys.executable, "-m", "tests.benchmarks.templates", "--resolve", folder]
        words += ["--split"] if args.split else []
        found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    print(f"{args.pages:,} pages, {found['documents']:,} with a candidate: {found['near_duplicates']:,} removed, "
          f"{found['pairs_checked']:,} pairs checked, {found['pairs_accepted']:,} accepted, "
          f"{found['met_full_buckets']:,} times at a full bucket: {found['cpu_seconds']:.2f} CPU s, "
          f"{found['longest']:.2f} of them in the longest task, {found['rounds']} rounds, "
          f"{found['peak'] / 1e6:,.0f} MB at most; outcome {found['digest']}")
    goals = [("50,000 pages in at most 5 CPU s", found["cpu_seconds"] * 50_000 / args.pages <= 5),
             ("less than 1 GB", found["peak"] < 1e9)]
    for goal, met in goals:
        print(f"{'pass' if met else 'FAIL'}  {goal}")
    raise SystemExit(0 if all(met for _, met in goals) else 1)


if __name__ == "__main__":
    main()
