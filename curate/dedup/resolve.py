"""Resolution: in survivor order, a document is removed if it is similar enough to one that is kept."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupConfig, Verification
from curate.dedup.kernels.candidates import ROUND_BYTES, Sets, resolve
from curate.dedup.layout import (
    REMOVALS,
    SHINGLES,
    column,
    id_order,
    write_keyed,
    write_routed,
)
from curate.dedup.order import is_from_earlier_run, run_of
from manifests.hashing import Int64, UInt64
from manifests.partitioned import PartitionedFile
from manifests.tables import one_array
from manifests.tasks import Work

_FACTS = [name for name in SHINGLES.names if name != "shingles"]


def resolve_stage(config: DedupConfig, work: Work) -> None:
    """dedup/resolve, a partition of components. Input: shingles (of dedup/shingles). Variables:
    as of `gather` and `write_routed`; old_documents, whether there are documents of earlier runs.

    What documents are compared by lies in a file of the task's own, mapped, and is let go of in rounds, so a component
    of any size passes through bounded memory. Outputs: `removals`, routed, and `removals_by_id`, the same by partition
    of their id. Memory: 150 bytes a document and 80 a bucket row of the partition, and some 256 MB of sets."""
    table, starts, path = _spool(work)
    ids = id_order(table["doc_id"])
    in_order = np.lexsort((ids[:, 1], ids[:, 0], column(table, "order_low"), column(table, "order")))
    keys, nodes = _entries(table, in_order)
    by_minima = config.verify is Verification.SIGNATURES
    n_minima = config.n_permutations if by_minima or work.variables.get("old_documents") else 0
    from_earlier_run = is_from_earlier_run(column(table, "order")[in_order])
    with _mapped(path) as (values, release):
        sets = Sets(values, starts[:-1][in_order], starts[1:][in_order], n_minima, by_minima, from_earlier_run)
        resolution = resolve(keys, nodes, sets, config.similarity_threshold, config.bucket_pivots, release)
        del sets, values
    removed = np.flatnonzero(resolution.survivor >= 0)
    gone, kept = in_order[removed], in_order[resolution.survivor[removed]]
    for name, n in (("documents", len(table)), ("pairs_checked", resolution.pairs_checked),
                    ("pairs_accepted", resolution.pairs_accepted), ("near_duplicates", len(removed)),
                    ("full_buckets", resolution.full), ("pairs_left_out", resolution.pairs_left_out),
                    ("rounds", resolution.rounds)):
        work.count(name, n)
    narrow = table.select(["part", "row", "doc_id"])
    removals = narrow.take(pa.array(gone)).append_column("survivor_id", table["doc_id"].take(pa.array(kept)))
    removals = removals.append_column("survivor_run", pa.array(run_of(column(table, "order")[kept])))
    removals = removals.append_column("similarity", pa.array(resolution.similarity[removed], pa.float32()))
    write_routed(work, "removals", REMOVALS, removals)
    write_keyed(work, "removals_by_id", REMOVALS, removals, "doc_id")


def _spool(work: Work) -> tuple[pa.Table, Int64, str]:
    """(facts of the partition's documents, where the set of each starts and the last ends in 64-bit words, the file
    that the sets now lie in)."""
    path = work.scratch("sets")
    facts = [pa.schema([SHINGLES.field(name) for name in _FACTS]).empty_table()]
    lengths = [np.zeros(1, np.int64)]
    with open(path, "wb") as stream:
        for group in _compared(work):
            facts.append(group.select(_FACTS))
            for lists in group["shingles"].chunks:
                offsets = lists.offsets.to_numpy().astype(np.int64)
                lengths.append(np.diff(offsets))
                stream.write(np.ascontiguousarray(lists.values.to_numpy()[offsets[0] : offsets[-1]]).data)
    return pa.concat_tables(facts), np.cumsum(np.concatenate(lengths)), path


def _compared(work: Work) -> Iterator[pa.Table]:
    """SHINGLES of the partition, block by block."""
    for path in work.inputs("shingles"):
        with PartitionedFile(path) as file:
            yield from file.read(SHINGLES, work.variables["partition"], work.variables["partitions"])


@contextmanager
def _mapped(path: str) -> Iterator[tuple[UInt64, Callable[[], None] | None]]:
    """The words of a file, and a function that lets go of the pages that were looked at."""
    with open(path, "rb") as stream:
        if not stream.seek(0, 2):
            yield np.empty(0, np.uint64), None
            return
        pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

        def release() -> None:
            if len(pages) > ROUND_BYTES:
                pages.madvise(mmap.MADV_DONTNEED)

        yield np.frombuffer(pages, np.uint64), release


def _entries(table: pa.Table, in_order: Int64) -> tuple[UInt64, Int64]:
    """(key, index of the document in survivor order) of every bucket row of the partition."""
    index = np.empty(len(table), np.int64)
    index[in_order] = np.arange(len(table))
    keys = one_array(table["keys"])
    return keys.flatten().to_numpy(), np.repeat(index, keys.value_lengths().to_numpy())
