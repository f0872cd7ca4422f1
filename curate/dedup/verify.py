"""Verification: candidates are compared by the exact Jaccard similarity of their shingle sets, and resolved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.config import DedupConfig, Verification
from curate.dedup.exact import by_id
from curate.dedup.layout import (
    MEMBERS,
    PAIRS,
    REMOVALS,
    SHINGLES,
    Int64,
    column,
    encode_keys,
    gather,
    gather_part,
    id_order,
    part_key,
    routes,
)
from curate.dedup.signing import units
from curate.kernels.candidates import resolve
from curate.kernels.minhash import shingle_sets
from manifests.hashing import UInt64
from manifests.tables import open_table, partition_schema, read_table, write_partitions
from manifests.tasks import ShardWork


def shingles_stage(config: DedupConfig, work: ShardWork) -> None:
    """dedup/shingles, a part. Inputs: documents, signatures (same part), members (manifest of dedup/components).

    Output: `shingles`, by partition of the component: what each document that has a candidate is compared by: its
    sorted shingle hashes, 8 bytes each, read from the row groups of text that hold such a document; or, where pairs are
    verified by signatures, its minima, and then no text is read."""
    members = gather_part(work.inputs("members", role="members"), MEMBERS, work.task.shard)
    minima = ["minima"] if config.verify is Verification.SIGNATURES else []
    facts = read_table(work.input("signatures"), ["row", "doc_id", "order", "order_low", *minima])
    place = np.searchsorted(column(facts, "row"), column(members, "row"))
    facts = facts.take(pa.array(place)).append_column("home", members["component_partition"])
    tables = _signed(work, facts) if minima else _shingled(config, work, facts)
    work.write("shingles", partition_schema(SHINGLES), tables)


def _signed(work: ShardWork, facts: pa.Table) -> Iterator[pa.Table]:
    work.count("documents", len(facts))
    for start in range(0, len(facts), _SIGNED_A_GROUP):
        some = facts.slice(start, _SIGNED_A_GROUP)
        lists = pa.chunked_array([c.cast(SHINGLES.field("shingles").type) for c in some["minima"].chunks],
                                 SHINGLES.field("shingles").type)
        yield from _by_home(work, some, lists)


_SIGNED_A_GROUP = 1 << 16


def _shingled(config: DedupConfig, work: ShardWork, facts: pa.Table) -> Iterator[pa.Table]:
    rows = column(facts, "row")
    with open_table(work.input("documents")) as file:
        start = 0
        for index in range(file.num_row_groups):
            end = start + file.metadata.row_group(index).num_rows
            low, high = np.searchsorted(rows, [start, end])
            if high > low:
                texts = file.read_row_group(index, columns=["text"], use_threads=False)["text"]
                texts = texts.take(pa.array(rows[low:high] - start))
                work.count("documents", int(high - low))
                yield from _by_home(work, facts.slice(low, high - low), _shingle_lists(config, work, texts))
            start = end


def _shingle_lists(config: DedupConfig, work: ShardWork, texts: pa.ChunkedArray) -> pa.LargeListArray:
    values, ends = shingle_sets(*units(texts, config), config.ngram)
    work.count("shingles", len(values))
    kind = SHINGLES.field("shingles").type
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values), type=kind)


def _by_home(work: ShardWork, facts: pa.Table, lists: pa.LargeListArray | pa.ChunkedArray) -> Iterator[pa.Table]:
    part = pa.array(np.full(len(facts), part_key(work.task.shard), np.uint64))
    table = pa.table({"partition": facts["home"], "part": part, "row": facts["row"], "order": facts["order"],
                      "order_low": facts["order_low"], "doc_id": facts["doc_id"], "shingles": lists})
    homes = column(facts, "home")
    for partition in np.unique(homes):
        yield table.filter(pa.array(homes == partition))


def resolve_stage(config: DedupConfig, work: ShardWork) -> None:
    """dedup/resolve, a partition of components. Inputs: pairs (manifest of dedup/components), shingles (manifest of
    dedup/shingles). Variables: partition.

    Outputs: `removals`, routed, and `removals_by_id`, the same by partition of their id. Memory: the shingles of the
    partition's documents, 8 bytes each; more partitions make it smaller, down to the largest component."""
    partition = work.variables["partition"]
    table = gather(work.inputs("shingles", role="shingles"), SHINGLES, partition)
    pairs = gather(work.inputs("pairs", role="pairs"), PAIRS, partition)
    ids = id_order(table["doc_id"])
    survivor_rank = np.lexsort((ids[:, 1], ids[:, 0], column(table, "order_low"), column(table, "order")))
    edges = _edges(table, pairs, survivor_rank)
    values, starts, ends = _sets(table)
    survivor, similarity, checked, accepted = resolve(
        edges, values, starts[survivor_rank], ends[survivor_rank], config.similarity_threshold,
        config.verify is Verification.SIGNATURES)
    removed = np.flatnonzero(survivor >= 0)
    gone, kept = survivor_rank[removed], survivor_rank[survivor[removed]]
    work.count("documents", len(table))
    work.count("pairs", len(edges))
    work.count("pairs_checked", checked)
    work.count("pairs_accepted", accepted)
    work.count("near_duplicates", len(removed))
    narrow = table.select(["part", "row", "doc_id"])
    removals = narrow.take(pa.array(gone)).append_column("survivor_id", table["doc_id"].take(pa.array(kept)))
    removals = removals.append_column("similarity", pa.array(similarity[removed], pa.float32()))
    write_partitions(work.output("removals"), REMOVALS, removals, routes(column(removals, "part")))
    path = work.output("removals_by_id", name=f"by_id/{work.task.shard}.parquet")
    write_partitions(path, REMOVALS, removals, by_id(removals["doc_id"], config.partitions))


def _edges(table: pa.Table, pairs: pa.Table, survivor_rank: npt.NDArray[np.intp]) -> Int64:
    """Distinct pairs as places in survivor order, int64 [n, 2]: one pair may share bands of many partitions."""
    part = column(table, "part")
    parts = np.unique(part)
    codes = encode_keys(parts, part, column(table, "row"))
    place = np.empty(len(table), np.int64)
    place[survivor_rank] = np.arange(len(table))
    by_code = np.argsort(codes)
    sides = []
    for side in ("a", "b"):
        wanted = encode_keys(parts, column(pairs, f"part_{side}"), column(pairs, f"row_{side}"))
        sides.append(place[by_code[np.searchsorted(codes, wanted, sorter=by_code)]])
    low, high = np.minimum(*sides), np.maximum(*sides)
    n = max(1, len(table))
    edges = np.unique(low * n + high)
    return np.stack([edges // n, edges % n], axis=1)


def _sets(table: pa.Table) -> tuple[UInt64, Int64, Int64]:
    """Shingles of all rows end to end, with the start and end of each row's."""
    lists = table["shingles"].combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # no rows at all
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return np.ascontiguousarray(lists.values.to_numpy()), offsets[:-1].copy(), offsets[1:].copy()
