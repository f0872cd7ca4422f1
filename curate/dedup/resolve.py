"""Resolution: in survivor order, a document is removed if it is similar enough to one that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupConfig, Verification
from curate.dedup.kernels.candidates import ROUND_BYTES, Resolution, resolve
from curate.dedup.layout import REMOVALS, write_keyed, write_routed
from curate.dedup.mapped import MappedArrays
from curate.dedup.order import run_of
from curate.dedup.ordered import Ordered, ordered
from manifests.hashing import ids_array
from manifests.tasks import Work

_ROWS: Final = 1 << 18


def resolve_stage(config: DedupConfig, work: Work) -> None:
    """dedup/resolve, a partition of components. Input: shingles (of dedup/shingles). Variables: as of `gather` and
    `write_routed`; old_documents, whether there are documents of earlier runs.

    Documents, their buckets and what they are compared by lie in mapped files of the task's own, which go through
    memory in rounds, so that a component of any size passes. Outputs: `removals`, routed, and `removals_by_id`, the
    same by partition of their id. Memory: some 300 MB, whatever the number of documents; in files 100 bytes a document,
    28 a bucket row, and what documents are compared by."""
    by_minima = config.verify is Verification.SIGNATURES
    n_minima = config.n_permutations if by_minima or work.variables.get("old_documents") else 0
    arrays = MappedArrays(work.scratch("array"))
    documents = ordered(work, arrays, config.bucket_pivots, n_minima, by_minima)
    release = arrays.release if arrays.n_bytes > ROUND_BYTES else None
    resolution = resolve(documents.graph, documents.sets, config.similarity_threshold, config.bucket_pivots, release)
    n_removed = write_routed(work, "removals", REMOVALS, _removals(documents, resolution, arrays))
    write_keyed(work, "removals_by_id", REMOVALS, _removals(documents, resolution, arrays), "doc_id")
    for name, n in (("documents", len(documents.order)), ("pairs_checked", resolution.pairs_checked),
                    ("pairs_accepted", resolution.pairs_accepted), ("near_duplicates", n_removed),
                    ("full_buckets", resolution.full), ("pairs_left_out", resolution.pairs_left_out),
                    ("rounds", resolution.rounds)):
        work.count(name, n)


def _removals(documents: Ordered, resolution: Resolution, arrays: MappedArrays) -> Iterator[pa.Table]:
    """REMOVALS, in survivor order."""
    for start in range(0, len(documents.order), _ROWS):
        here = resolution.survivor[start : start + _ROWS]
        gone = np.flatnonzero(here >= 0) + start
        kept = resolution.survivor[gone]
        yield pa.table([
            documents.parts[gone], documents.rows[gone], ids_array(documents.ids[gone]), ids_array(documents.ids[kept]),
            run_of(documents.order[kept]), resolution.similarity[gone].astype(np.float32)], schema=REMOVALS)
        arrays.release()
