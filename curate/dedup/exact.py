"""Exact duplicates: of all documents with the same words in the same order, the first in survivor order stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig, DedupReason
from curate.dedup.layout import (
    COPIES,
    DROPPED,
    DUPLICATES,
    REMOVALS,
    TEXT_HASHES,
    changes,
    column,
    gather,
    id_order,
    repeated,
    write_keyed,
    write_routed,
)
from curate.dedup.order import run_of
from manifests.tasks import Work


def exact_stage(config: DedupConfig, work: Work) -> None:
    """dedup/exact, a partition. Input: text_hashes (of dedup/signatures and dedup/against). Variables: as of `gather`
    and `write_routed`.

    Outputs: `dropped`, routed: documents with a copy that stays; `copies`, by partition of the survivor's id: each with
    its survivor. Memory: 56 bytes a document of the partition."""
    table = gather(work, "text_hashes", TEXT_HASHES)
    work.count("documents", len(table))
    table = table.filter(pa.array(repeated(column(table, "hash_a"))))
    dropped = best_first(table, (), ("hash_a", "hash_b"))
    work.count("groups", pc.count_distinct(dropped["survivor_id"]).as_py())
    work.count("exact_duplicates", len(dropped))
    write_dropped(work, dropped)


def best_first(table: pa.Table, preference: Sequence[str], keys: Sequence[str]) -> pa.Table:
    """The rows with equal keys that do not stay, of which the first does: their columns, `survivor_id`, and
    `survivor_run`, the earlier run that this document is of, or -1. Documents of earlier runs always stay.

    First by the preference columns, ascending, then in survivor order, then by id."""
    ids = id_order(table["doc_id"])
    groups = [column(table, name) for name in keys]
    ranks = [column(table, name) for name in (*preference, "order", "order_low")]
    order = np.lexsort((ids[:, 1], ids[:, 0], *reversed(ranks), *reversed(groups)))
    first = changes(*(g[order] for g in groups))
    best = order[first][np.cumsum(first) - 1]
    from_run = run_of(column(table, "order"))
    goes = ~first & (from_run[order] < 0)
    dropped = table.take(pa.array(order[goes]))
    dropped = dropped.append_column("survivor_id", table["doc_id"].take(pa.array(best[goes])))
    return dropped.append_column("survivor_run", pa.array(from_run[best[goes]]))


def write_dropped(work: Work, dropped: pa.Table) -> None:
    """The outputs `dropped`, routed to their parts, and `copies`, by partition of the survivor's id."""
    write_routed(work, "dropped", DROPPED, dropped.select(DROPPED.names))
    write_keyed(work, "copies", COPIES, dropped.select(COPIES.names), "survivor_id")


def survivor_index(copies: pa.Table, gone: pa.ChunkedArray) -> pa.ChunkedArray:
    """Index of the survivor of each copy among documents that are gone, null where it stays. A document of an
    earlier run stays, though one of this run, from the same record, may bear its id."""
    index = pc.index_in(copies["survivor_id"], value_set=gone.combine_chunks())
    return pc.if_else(pc.greater_equal(copies["survivor_run"], 0), pa.scalar(None, pa.int32()), index)


def copies_stage(config: DedupConfig, work: Work) -> None:
    """dedup/copies, a partition. Inputs: copies (of dedup/exact), removals (of dedup/resolve, by id). Variables: as of
    `gather` and `write_routed`.

    A copy of a representative that is itself a near-duplicate is pointed at the representative's survivor, with the
    representative's similarity: the same words have the same shingles. Outputs: `duplicates`, routed;
    `duplicates_by_id`, by partition of their id, where URLs are deduplicated. Memory: 80 bytes a copy or
    removal of the partition."""
    copies, removals = gather(work, "copies", COPIES), gather(work, "removals", REMOVALS)
    index = survivor_index(copies, removals["doc_id"])
    moved = pc.is_valid(index)
    survivor = pc.if_else(moved, removals["survivor_id"].take(index), copies["survivor_id"])
    survivor_run = pc.if_else(moved, removals["survivor_run"].take(index), copies["survivor_run"])
    similarity = pc.coalesce(removals["similarity"].take(index), pa.scalar(1.0, pa.float32()))
    reason = pc.if_else(moved, DedupReason.NEAR_DUPLICATE.value, DedupReason.EXACT_DUPLICATE.value)
    duplicates = pa.table({
        "part": copies["part"], "row": copies["row"], "doc_id": copies["doc_id"], "survivor_id": survivor,
        "survivor_run": survivor_run, "similarity": similarity, "reason": reason})
    work.count("copies", len(duplicates))
    work.count("copies_of_near_duplicates", pc.sum(moved).as_py() or 0)
    write_routed(work, "duplicates", DUPLICATES, duplicates)
    if config.urls is not None:
        write_keyed(work, "duplicates_by_id", DUPLICATES, duplicates, "doc_id")
