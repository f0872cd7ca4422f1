"""Near-duplicate removal from bands to decisions over many documents with known clusters: time, memory, disk.

    python -m tests.benchmarks.dedup_scale [--documents 1000000] [--workers 2] [--alone] [--folder DIR]

Signatures are made, not computed: 14 minima a document, one to a band, so that 14 band keys a document go through the
search as they do by default; a document is verified by the agreement of its minima. Seven in ten documents stand alone;
the others are in clusters of 2 to 10 whose members differ from the first in few minima. One band in 100,000 is the same
for all (boilerplate). Every removal is checked against the clusters. Time starts when the signatures lie on disk. CPU
time is what the work takes on an idle core; the clock shows what else the machine does. Memory is the most that any
worker process held during that step, as the operating system tells it (VmHWM, reset before each task). Half as many
documents go first, for the ratio.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.config import DedupConfig, SurvivorKey, Verification
from curate.dedup.kernels.minhash import band_keys
from curate.dedup.layout import id_order, signatures_schema
from curate.dedup.standalone import Stages
from manifests.hashing import UInt64, ids_array, keyed_hash
from manifests.schema import DOCUMENTS, ID, SELECT_MARKS
from manifests.tables import read_table, write_table
from manifests.tasks import forget_peak, peak_memory_bytes

N_MINIMA: Final = 14
PART: Final = 250_000
ALONE: Final = 0.7


def cluster_of(n: int) -> npt.NDArray[np.int64]:
    """int64 [n]: the cluster of each document; members stand apart, by a fixed shuffle."""
    chance = np.random.default_rng(1)
    alone = int(ALONE * n)
    sizes = chance.integers(2, 11, (n - alone) // 2 + 1)
    grouped = np.repeat(np.arange(len(sizes)), sizes)[: n - alone]
    clusters = np.concatenate([grouped, len(sizes) + np.arange(alone)])
    return clusters[chance.permutation(n)]


def minima_of(clusters: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """uint32 [n, 14]: a cluster's own, of which each document changes one in 12."""
    def noise(purpose: str, of: npt.NDArray[np.int64]) -> UInt64:
        words = np.stack([np.repeat(of, N_MINIMA), np.tile(np.arange(N_MINIMA), len(of))], axis=1).astype(np.uint64)
        return keyed_hash(1, purpose, words).reshape(-1, N_MINIMA)

    own, change = noise("own", rows), noise("change", rows)
    found = np.where(change % 12 == 0, own, noise("cluster", clusters[rows]))
    return np.where(own % 100_000 == 1, 7, found >> np.uint64(32)).astype(np.uint32)


def write_part(stages: Stages, shard: str, rows: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64]) -> None:
    """Documents, selection decisions and signatures of one part."""
    n, schema = len(rows), signatures_schema(N_MINIMA, N_MINIMA)
    words = np.stack([rows.astype(np.uint64).byteswap(), np.zeros(n, np.uint64)], axis=1)
    words[:, 1] = keyed_hash(0, "row", words)
    ids, minima = ids_array(words), minima_of(clusters, rows)
    kind = schema.field("bands").type
    keys = pa.FixedSizeListArray.from_arrays(pa.array(band_keys(minima, N_MINIMA, 1).ravel()), type=kind)
    whole = pa.FixedSizeListArray.from_arrays(pa.array(minima.astype(np.uint64).ravel()), type=kind)
    ones, hashes = np.ones(n, np.uint32), rows.astype(np.uint64)
    order = hashes | np.uint64(1 << 63)  # of this run, not of an earlier one
    signed = pa.table([np.arange(n), ids, order, hashes, hashes, hashes, ones, keys, whole], schema=schema)
    decisions = pa.table([ids, pa.array(["crawl"] * n), pa.nulls(n, pa.float32()), pa.array(np.ones(n, np.bool_))],
                     schema=pa.schema([SELECT_MARKS.field(k) for k in ("doc_id", "source", "quality_score", "keep")]))
    documents = pa.table([ids], schema=pa.schema([DOCUMENTS.field("doc_id")]))
    for folder, table in (("dedup/signatures", signed), ("select", decisions), ("extract", documents)):
        path = stages.storage.path(f"{folder}/{shard}.parquet")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_table(path, table.schema, [table], dictionary=False)


STEPS: Final = ("dedup/bands", "dedup/candidates", "dedup/components", "dedup/buckets", "dedup/shingles",
                "dedup/resolve", "dedup/copies", "dedup/decisions", "dedup/summary")


def bytes_of(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(folder) for f in files)


def check(stages: Stages, shards: list[str], clusters: npt.NDArray[np.int64]) -> tuple[int, int]:
    """(removed, removed for a document of another cluster); every cluster must have kept one."""
    removed = strange = 0
    alive = np.zeros(int(clusters.max()) + 1, np.bool_)
    for number, shard in enumerate(shards):
        decisions = read_table(stages.storage.path(f"dedup/decisions/{shard}.parquet"), ["keep", "duplicate_of"])
        keep = decisions["keep"].to_numpy()
        own = clusters[number * PART : number * PART + len(keep)]
        survivors = pa.concat_arrays([pa.array([], ID), *decisions["duplicate_of"].drop_null().chunks])
        removed += int((~keep).sum())
        strange += int((clusters[id_order(survivors)[:, 0].astype(np.int64)] != own[~keep]).sum())
        alive[own[keep]] = True
    if not alive[np.unique(clusters)].all():
        raise SystemExit("a cluster has vanished whole")
    return removed, strange


@dataclass(frozen=True)
class Measured:
    """One run. seconds: by the clock. peak_bytes: of the greatest process, this one's share of the work included."""

    documents: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    strange: int
    share: float  # removed, of what clusters could lose


def measure(n: int, workers: int, parent: str | None) -> Measured:
    """Run bands to decisions over n made documents, and print what each step took."""
    clusters = cluster_of(n)
    config = DedupConfig(n_permutations=N_MINIMA, n_bands=N_MINIMA, n_band_rows=1, verify=Verification.SIGNATURES,
                         survivor_order=(SurvivorKey.SOURCE,), partitions=max(8, n // 250_000))
    shards = [f"crawl/part-{i:05d}" for i in range(-(-n // PART))]
    with tempfile.TemporaryDirectory(dir=parent) as folder, Stages(folder, config, workers) as stages:
        for number, shard in enumerate(shards):
            write_part(stages, shard, np.arange(number * PART, min(n, (number + 1) * PART)), clusters)
        at_first = bytes_of(folder)
        forget_peak()
        started = time.monotonic()
        stages.search(shards)
        stages.settle(shards)
        seconds, own_peak = time.monotonic() - started, peak_memory_bytes()
        removed, strange = check(stages, shards, clusters)
        costs: list[Any] = [stages.costs[step] for step in STEPS]
        could = n - len(np.unique(clusters))
        found = Measured(n, seconds, sum(c.cpu_seconds for c in costs),
                         max(own_peak, *(c.peak_bytes for c in costs)), strange, removed / could)
        print(f"{n:,} documents in {len(shards)} parts, {config.partitions} partitions, {workers} workers: bands to "
              f"decisions in {seconds:.0f} s by the clock, {found.cpu_seconds:.0f} s of CPU")
        print(f"{'step':<18}{'seconds':>9}{'CPU-s':>8}{'peak MB':>9}{'bytes a document':>18}")
        for step, cost in zip(STEPS, costs, strict=True):
            print(f"{step:<18}{cost.seconds:>9.1f}{cost.cpu_seconds:>8.1f}{cost.peak_bytes / 1e6:>9.0f}"
                  f"{bytes_of(stages.storage.path(step)) / n:>18.1f}")
        print(f"{'the process that starts them':<35}{own_peak / 1e6:>9.0f}")
        print(f"signatures {bytes_of(stages.storage.path('dedup/signatures')) / n:.0f} bytes a document; all else "
              f"{(bytes_of(folder) - at_first) / n:.0f}")
        print(f"removed {removed:,} of {could:,} that a cluster could lose; for a document of "
              f"another cluster: {strange}; {dict(sorted(stages.counters.items()))}\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="without half as many documents first")
    parser.add_argument("--folder")
    args = parser.parse_args()
    half = None if args.alone else measure(args.documents // 2, args.workers, args.folder)
    whole = measure(args.documents, args.workers, args.folder)
    goals = [("no process over 2 GB", whole.peak_bytes < 2e9, f"{whole.peak_bytes / 1e6:,.0f} MB"),
             ("nothing removed for a document of another cluster", whole.strange == 0, f"{whole.strange}"),
             ("more than half of what clusters could lose is found", whole.share > 0.5, f"{whole.share:.3f}"),
             ("10 million documents in under 10 minutes on two cores",
              whole.seconds / whole.documents * 1e7 < 600,
              f"{whole.seconds / whole.documents * 1e7:.0f} s by the clock for as many at this pace; "
              f"{whole.cpu_seconds / whole.documents * 1e7 / 2:.0f} s were the cores idle")]
    if half is not None:
        ratio = whole.cpu_seconds / half.cpu_seconds
        goals.append(("twice the documents in at most 2.2 times the CPU", ratio <= 2.2, f"{ratio:.2f} times"))
    for goal, met, found in goals:
        print(f"{'pass' if met else 'FAIL'}  {goal}: {found}")
    raise SystemExit(0 if all(met for _, met, _ in goals) else 1)


if __name__ == "__main__":
    main()
