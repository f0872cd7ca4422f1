"""Near-duplicate removal from bands to decisions over many documents with known clusters: time, memory, disk.

    python -m tests.benchmarks.dedup_scale [--documents 1000000] [--workers 1] [--alone] [--folder DIR]

Signatures are made, not computed: 14 minima a document, one to a band, so that 14 band keys a document go through the
search as they do by default; a document is verified by the agreement of its minima. Seven in ten documents stand alone;
the others are in clusters of 2 to 10 whose members differ from the first in few minima. One band in 100,000 is the same
for all (boilerplate). Every removal is checked against the clusters. Time starts when the signatures lie on disk.
Memory is the most that any process held, as the operating system reports it (VmHWM): with one worker, which is this
process, in each step, with more since they began. Half as many documents go first, for the ratio.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.config import DedupConfig, Verification
from curate.dedup.kernels.minhash import band_keys
from curate.dedup.layout import id_order, signatures_schema
from curate.dedup.stages import STAGES
from manifests.hashing import UInt64, ids_array, keyed_hash
from manifests.records import TaskRecord
from manifests.schema import DOCUMENTS, ID, SELECT_DECISIONS
from manifests.storage import Storage
from manifests.tasks import peak_memory_bytes
from pipelines.planning import Progress
from pipelines.running import Settings, run_stages
from tests.unit.curate.graph_runs import GraphRun, recipe_of, record_of

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


def tables_of(rows: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64]) -> dict[str, pa.Table]:
    """Documents, selection's decisions and signatures of one part, by stage."""
    n, schema = len(rows), signatures_schema(N_MINIMA, N_MINIMA)
    words = np.stack([rows.astype(np.uint64).byteswap(), np.zeros(n, np.uint64)], axis=1)
    words[:, 1] = keyed_hash(0, "row", words)
    ids, minima = ids_array(words), minima_of(clusters, rows)
    kind = schema.field("bands").type
    keys = pa.FixedSizeListArray.from_arrays(pa.array(band_keys(minima, N_MINIMA, 1).ravel()), type=kind)
    signatures = pa.FixedSizeListArray.from_arrays(pa.array(minima.astype(np.uint64).ravel()), type=kind)
    ones, hashes = np.ones(n, np.uint32), rows.astype(np.uint64)
    order = hashes | np.uint64(1 << 63)  # of this run, not of an earlier one
    signed = pa.table([np.arange(n), ids, order, hashes, hashes, hashes, ones, keys, signatures], schema=schema)
    decisions = pa.table([ids, pa.array(["crawl"] * n), pa.nulls(n, pa.float32()), pa.array(np.ones(n, np.bool_))],
                         schema=pa.schema([SELECT_DECISIONS.field(k) for k in (
                             "doc_id", "source", "quality_score", "keep")]))
    documents = pa.table([ids], schema=pa.schema([DOCUMENTS.field("doc_id")]))
    return {"dedup/signatures": signed, "select": decisions, "extract": documents}


ROLES: Final = {"dedup/signatures": "signatures", "select": "decisions", "extract": "documents"}
STEPS: Final = ("dedup/bands", "dedup/bands_merged", "dedup/candidates", "dedup/candidates_merged", "dedup/links",
                "dedup/components", "dedup/shingles", "dedup/shingles_merged", "dedup/resolve",
                "dedup/resolve_merged", "dedup/decisions", "dedup/summary")


def bytes_of(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(folder) for f in files)


def check(run: GraphRun, parts: list[str], clusters: npt.NDArray[np.int64]) -> tuple[int, int]:
    """(removed, removed for a document of another cluster); every cluster must have kept one."""
    removed = strange = 0
    alive = np.zeros(int(clusters.max()) + 1, np.bool_)
    for number, part in enumerate(parts):
        decisions = run.table("dedup/decisions", part)
        keep = decisions["keep"].to_numpy()
        own = clusters[number * PART : number * PART + len(keep)]
        survivors = pa.concat_arrays([pa.array([], ID), *decisions["duplicate_of"].drop_null().chunks])
        removed += int((~keep).sum())
        strange += int((clusters[id_order(survivors)[:, 0].astype(np.int64)] != own[~keep]).sum())
        alive[own[keep]] = True
    if not alive[np.unique(clusters)].all():
        raise SystemExit("a cluster has vanished")
    return removed, strange


@dataclass(frozen=True)
class Measured:
    """One run. seconds: by the clock. task_seconds: of all tasks together. peak_bytes: of the greatest process."""

    documents: int
    seconds: float
    task_seconds: float
    peak_bytes: int
    strange: int
    share: float  # removed, of what clusters could lose


def measure(n: int, workers: int, parent: str | None) -> Measured:
    """Run bands to decisions over n made documents, and print what each step took."""
    clusters = cluster_of(n)
    config = DedupConfig(n_permutations=N_MINIMA, n_bands=N_MINIMA, n_band_rows=1, verify=Verification.SIGNATURES,
                         exact=False, max_removed_fraction=1.0)
    parts = [f"crawl/part-{i:05d}" for i in range(-(-n // PART))]
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        progress = Progress(recipe_of(["crawl"], dedup=config.model_dump(mode="json")), (), {})
        made: dict[str, dict[str, TaskRecord]] = {stage: {} for stage in ROLES}
        for number, part in enumerate(parts):
            rows = np.arange(number * PART, min(n, (number + 1) * PART))
            for stage, table in tables_of(rows, clusters).items():
                made[stage][part] = record_of(Path(folder), stage, part, table, ROLES[stage], PART)
        for stage, records in made.items():
            progress.finish(stage, records)
        at_first = bytes_of(folder)
        del clusters, table  # so that memory is that of the steps
        settings = Settings("ray", workers=workers) if workers > 1 else Settings("inline")
        started = time.monotonic()
        chosen = [s for s in STAGES if s.name in STEPS]
        for together in [chosen] if workers > 1 else [[stage] for stage in chosen]:
            forget_peak()
            run_stages(Storage(folder), progress, together, settings)
        seconds, run = time.monotonic() - started, GraphRun(Path(folder), progress)
        peak_bytes, clusters = peak_memory_bytes(), cluster_of(n)
        removed, strange = check(run, parts, clusters)
        could = n - len(np.unique(clusters))
        tasks = {step: progress.tasks(step) for step in STEPS}
        peaks = [r.peak_memory_bytes for step in STEPS for r in tasks[step]]
        measured = Measured(n, seconds, sum(r.seconds for step in STEPS for r in tasks[step]),
                            max(peak_bytes, *peaks), strange, removed / could)
        print(f"{n:,} documents in {len(parts)} parts, {len(tasks['dedup/resolve'])} partitions, {workers} workers: "
              f"bands to decisions in {seconds:.0f} s by the clock, tasks of {measured.task_seconds:.0f} s")
        print(f"{'step':<22}{'seconds':>9}{'peak MB':>9}{'bytes a document':>18}")
        for step, some in tasks.items():
            if not some:
                continue
            peak = max(r.peak_memory_bytes for r in some)
            print(f"{step:<22}{sum(r.seconds for r in some):>9.1f}{peak / 1e6:>9.0f}"
                  f"{bytes_of(f'{folder}/{step}') / n:>18.1f}")
        print(f"signatures {bytes_of(f'{folder}/dedup/signatures') / n:.0f} bytes a document; all else "
              f"{(bytes_of(folder) - at_first) / n:.0f}")
        print(f"removed {removed:,} of {could:,} that a cluster could lose; for a document of another cluster: "
              f"{strange}; {progress.counters('dedup/resolve')}\n")
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
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
              f"{whole.task_seconds / whole.documents * 1e7 / 2:.0f} s by its tasks on two")]
    if half is not None:
        ratio = whole.task_seconds / half.task_seconds
        goals.append(("twice the documents in at most 2.2 times the time of tasks", ratio <= 2.2, f"{ratio:.2f} times"))
    for goal, met, found in goals:
        print(f"{'pass' if met else 'FAIL'}  {goal}: {found}")
    raise SystemExit(0 if all(met for _, met, _ in goals) else 1)


def forget_peak() -> None:
    """Let the most memory that this process has held be what it holds now, where the operating system can."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
            stream.write("5")
    except OSError:
        return


if __name__ == "__main__":
    main()
