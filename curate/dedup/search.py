"""Candidate search: documents that share a band, as pairs, and the connected components of those pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig
from curate.dedup.layout import (
    BANDS,
    LOSERS,
    MEMBERS,
    PAIRS,
    Int64,
    column,
    decode_keys,
    distinct,
    encode_keys,
    gather,
    gather_part,
    part_key,
    repeated,
    routes,
    signatures_schema,
)
from curate.kernels.candidates import bucket_pairs, flatten, unite
from manifests.hashing import UInt64, keyed_hash
from manifests.tables import partition_schema, read_row_groups, read_table, write_partitions
from manifests.tasks import ShardWork

_SIDES = (("part_a", "row_a"), ("part_b", "row_b"))


def bands_stage(config: DedupConfig, work: ShardWork) -> None:
    """dedup/bands, a part. Inputs: signatures (same part), losers (manifest of dedup/exact).

    Output: `bands`, by partition of the key: one row for each band of each document that has words and no better exact
    copy. 32 bytes a band in memory, about half of that on disk; 14 bands by default."""
    n_bands, _ = bands_of(config)
    table = read_table(work.input("signatures"), ["row", "order", "n_shingles", "bands"])
    losers = column(gather_part(work.inputs("losers", role="losers"), LOSERS, work.task.shard), "row")
    rows = column(table, "row")
    enters = (column(table, "n_shingles") > 0) & ~np.isin(rows, losers)
    kinds = signatures_schema(n_bands).field("bands").type
    keys = _flat(table["bands"].cast(kinds)).reshape(-1, n_bands)[enters]
    work.count("documents", int(enters.sum()))
    work.count("exact_duplicates_left_out", len(losers))
    flat = keys.ravel()
    bands = pa.table({"key": flat, "part": np.full(len(flat), part_key(work.task.shard), np.uint64),
                      "row": np.repeat(rows[enters], n_bands),
                      "order": np.repeat(column(table, "order")[enters], n_bands)})
    write_partitions(work.output("bands"), BANDS, bands, flat % np.uint64(config.partitions))


def _flat(lists: pa.ChunkedArray) -> UInt64:
    chunks = [chunk.flatten().to_numpy() for chunk in lists.chunks]
    return np.concatenate([np.empty(0, np.uint64), *chunks]).astype(np.uint64)


def candidates_stage(config: DedupConfig, work: ShardWork) -> None:
    """dedup/candidates, a partition. Inputs: bands (manifest of dedup/bands). Variables: partition.

    Output: `pairs`, every two documents that share a key of this partition, once. In a bucket of more documents than
    `bucket_pivots` each is paired only with so many of the first in survivor order, so work is never quadratic: what
    that leaves out is counted. Memory: 32 bytes a band of the partition."""
    table = gather(work.inputs("bands", role="bands"), BANDS, work.variables["partition"])
    work.count("bands", len(table))
    table = table.filter(pa.array(repeated(column(table, "key"))))
    part, row, keys = column(table, "part"), column(table, "row"), column(table, "key")
    parts = distinct(part)
    codes = encode_keys(parts, part, row)
    order = np.lexsort((codes, column(table, "order"), keys))
    documents, nodes = np.unique(codes, return_inverse=True)
    pairs, oversize, left_out = bucket_pairs(keys[order], nodes[order].astype(np.int64), config.bucket_pivots)
    work.count("buckets", len(distinct(keys)))
    work.count("oversize_buckets", oversize)
    work.count("pairs_left_out", left_out)
    work.count("pairs", len(pairs))
    (part_a, row_a), (part_b, row_b) = (decode_keys(parts, documents[pairs[:, side]]) for side in (0, 1))
    found = pa.table({"part_a": part_a, "row_a": row_a, "part_b": part_b, "row_b": row_b})
    work.write("pairs", PAIRS, [found.slice(i, _PAIRS_A_GROUP) for i in range(0, len(found), _PAIRS_A_GROUP)])


_PAIRS_A_GROUP = 1 << 20  # 32 MB


def components_stage(config: DedupConfig, work: ShardWork) -> None:
    """dedup/components, once. Inputs: pairs (manifest of dedup/candidates).

    Union-find over all candidate pairs, so that everything that can decide about a document meets in one partition.
    Outputs: `members`, routed: the partition of each document in a pair; `pairs`, by that partition. Pairs are
    streamed; memory is about 200 bytes a document that has a candidate (docs/deduplication.md)."""
    paths = work.inputs("pairs", role="pairs")
    parts, nodes = _involved(paths)
    parent = np.arange(len(nodes), dtype=np.int64)
    for table in _groups(paths):
        unite(parent, *(np.searchsorted(nodes, c) for c in _codes(parts, table)))
    flatten(parent)
    sizes = np.bincount(parent, minlength=1)
    work.count("documents", len(nodes))
    work.count("components", int((sizes > 0).sum()) if len(nodes) else 0)
    work.count("largest_component", int(sizes.max()))
    part, row = decode_keys(parts, nodes)
    home = _home(part[parent], row[parent], config.partitions)
    members = pa.table({"part": part, "row": row, "component_partition": home})
    write_partitions(work.output("members"), MEMBERS, members, routes(part))
    work.write("pairs", partition_schema(PAIRS), _homed(paths, parts, nodes, home),
               name=f"pairs/{work.task.shard}.parquet")


def _home(part: UInt64, row: Int64, partitions: int) -> npt.NDArray[np.int32]:
    # By hash of the component's root, so that large and small components spread alike.
    words = np.stack([part, row.astype(np.uint64)], axis=1)
    return (keyed_hash(0, "component", words) % np.uint64(partitions)).astype(np.int32)


def _groups(paths: list[str], columns: list[str] | None = None) -> Iterator[pa.Table]:
    for path in paths:
        yield from read_row_groups(path, columns)


def _codes(parts: UInt64, table: pa.Table) -> tuple[UInt64, UInt64]:
    a, b = (encode_keys(parts, column(table, part), column(table, row)) for part, row in _SIDES)
    return a, b


def _involved(paths: list[str]) -> tuple[UInt64, UInt64]:
    """(every part, every document as a key), both ascending."""
    parts = np.empty(0, np.uint64)
    for table in _groups(paths, [part for part, _ in _SIDES]):
        parts = distinct(np.concatenate([parts, *(distinct(column(table, part)) for part, _ in _SIDES)]))
    runs: list[UInt64] = []
    for table in _groups(paths):
        runs.append(distinct(np.concatenate(_codes(parts, table))))
        # Runs of like size are merged, as in merge sort, so that no document is sorted more than log(groups) times.
        while len(runs) > 1 and len(runs[-2]) <= 2 * len(runs[-1]):
            runs.append(distinct(np.concatenate([runs.pop(), runs.pop()])))
    while len(runs) > 1:
        runs.append(distinct(np.concatenate([runs.pop(), runs.pop()])))
    return parts, runs[0] if runs else np.empty(0, np.uint64)


def _homed(paths: list[str], parts: UInt64, nodes: UInt64, home: npt.NDArray[np.int32]) -> Iterator[pa.Table]:
    for table in _groups(paths):
        homes = home[np.searchsorted(nodes, _codes(parts, table)[0])]
        for partition in np.unique(homes):
            mine = table.filter(pa.array(homes == partition))
            column_of = pa.array(np.full(len(mine), partition, np.int32))
            yield mine.add_column(0, partition_schema(PAIRS).field(0), column_of)
