"""Resolution: in survivor order, a document is removed if it is similar enough to one that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupConfig, Verification
from curate.dedup.kernels.candidates import ROUND_BYTES, Resolution, resolve
from curate.dedup.layout import REMOVALS, SHINGLES, own_tables, write_keyed, write_routed
from curate.dedup.mapped import MappedArrays
from curate.dedup.order import run_of
from curate.dedup.ordered import Ordered, ordered
from manifests.hashing import UInt64
from manifests.tasks import Work

_ROWS: Final = 1 << 18


def resolve_stage(config: DedupConfig, work: Work) -> None:
    """dedup/resolve, a partition of components. Inputs: shingles (of dedup/shingles), reduced (of dedup/pivots and
    dedup/compared: documents of large components). Variables: as of `gather` and `write_routed`; old_documents, whether
    there are documents of earlier runs.

    Documents, their buckets and what they are compared by lie in mapped files of the task's own, which go through
    memory in rounds, so that a component of any size passes. Outputs: `removals`, routed, and `removals_by_id`, the
    same by partition of their id. Memory: some 300 MB, whatever the number of documents; in files 200 bytes a document,
    28 a bucket row, and what documents are compared by."""
    arrays = MappedArrays(work.scratch("array"))
    tables = (table for name in ("shingles", "reduced") for table in own_tables(work, name, SHINGLES))
    documents, resolution = decided(config, work, arrays, tables)
    n_removed = write_routed(work, "removals", REMOVALS, _removals(documents, resolution, arrays))
    write_keyed(work, "removals_by_id", REMOVALS, _removals(documents, resolution, arrays), "doc_id")
    work.count("documents", len(documents.facts))
    work.count("near_duplicates", n_removed)
    work.count("full_buckets", resolution.full)


def decided(config: DedupConfig, work: Work, arrays: MappedArrays, tables: Iterator[pa.Table],
            only: UInt64 | None = None) -> tuple[Ordered, Resolution]:
    """What comes of documents, from SHINGLES. only: keys of the buckets in which they are compared; all if None."""
    by_minima = config.verify is Verification.SIGNATURES
    n_minima = config.n_permutations if by_minima or work.variables.get("old_documents") else 0
    documents = ordered(work, arrays, tables, config.bucket_pivots, n_minima, by_minima, only)
    release = arrays.release if arrays.n_bytes > ROUND_BYTES else None
    resolution = resolve(documents.graph, documents.sets, config.similarity_threshold, config.bucket_pivots, release)
    for name, n in (("pairs_checked", resolution.pairs_checked), ("pairs_accepted", resolution.pairs_accepted),
                    ("met_full_buckets", resolution.met_full), ("rounds", resolution.rounds)):
        work.count(name, n)
    return documents, resolution


def _removals(documents: Ordered, resolution: Resolution, arrays: MappedArrays) -> Iterator[pa.Table]:
    """REMOVALS, in survivor order."""
    for start in range(0, len(documents.facts), _ROWS):
        gone = np.flatnonzero(resolution.survivor[start : start + _ROWS] >= 0) + start
        kept = resolution.survivor[gone]
        yield pa.table([
            documents.fact("part", gone), documents.fact("row", gone).astype(np.int64), documents.ids(gone),
            documents.ids(kept), run_of(documents.fact("order", kept)), resolution.similarity[gone].astype(np.float32)],
            schema=REMOVALS)
        arrays.release()
