"""Candidate search: the buckets of documents that share a band."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig
from curate.dedup.layout import (
    BANDS,
    DROPPED,
    EXTENTS,
    column,
    gather,
    gather_part,
    part_key,
    rows_of,
    signatures_schema,
    write_keyed,
)
from manifests.hashing import UInt64
from manifests.tables import read_table
from manifests.tasks import Work

ROWS_A_GROUP = 1 << 20  # 24 MB


def bands_stage(config: DedupConfig, work: Work) -> None:
    """dedup/bands, a part. Inputs: signatures (same part), dropped (of dedup/exact).

    Output: `bands`, by partition of the key: one row for each band of each document that has words and no better exact
    copy. 24 bytes a band in memory, 8.2 on disk; 14 bands by default."""
    n_bands, _ = bands_of(config)
    table = read_table(work.input("signatures"), ["row", "n_shingles", "bands"])
    dropped = column(gather_part(work, "dropped", DROPPED), "row")
    rows = column(table, "row")
    enters = (column(table, "n_shingles") > 0) & ~np.isin(rows, dropped)
    kinds = signatures_schema(n_bands).field("bands").type
    keys = rows_of(table["bands"].cast(kinds))[enters]
    work.count("documents", int(enters.sum()))
    work.count("exact_duplicates_left_out", len(dropped))
    flat = keys.ravel()
    bands = pa.table({"key": flat, "part": np.full(len(flat), part_key(work.task.name), np.uint64),
                      "row": np.repeat(rows[enters], n_bands)})
    write_keyed(work, "bands", BANDS, bands, "key")


def candidates_stage(config: DedupConfig, work: Work) -> None:
    """dedup/candidates, a partition. Input: bands (of dedup/bands). Variables: as of `gather`.

    Outputs: `buckets`, the rows of keys of this partition that two documents share, ascending by key, never as pairs:
    a bucket of n documents is n rows; `extents`, how many rows each part of those documents has at least. Memory: 80
    bytes a band of the partition."""
    table = gather(work, "bands", BANDS)
    work.count("bands", len(table))
    keys = column(table, "key")
    order = np.argsort(keys, kind="stable")
    sizes = _bucket_sizes(keys[order])
    shared = np.repeat(sizes > 1, sizes)
    table = table.take(pa.array(order[shared]))
    work.count("buckets", int((sizes > 1).sum()))
    work.count("oversize_buckets", int((sizes > config.bucket_pivots + 1).sum()))
    groups = (table.slice(i, ROWS_A_GROUP) for i in range(0, len(table), ROWS_A_GROUP))
    work.write("buckets", BANDS, groups, dictionary=False)
    extents = table.group_by("part", use_threads=False).aggregate([("row", "max")]).sort_by("part")
    n_rows = pa.array(column(extents, "row_max") + 1, pa.int64())
    work.write("extents", EXTENTS, [pa.table([extents["part"], n_rows], schema=EXTENTS)],
               name=f"extents/{work.task.name}.parquet")


def _bucket_sizes(keys: UInt64) -> npt.NDArray[np.int64]:
    """int64, documents of each bucket. keys: ascending."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.empty(0, np.int64)
    return np.diff(np.append(starts, len(keys)))
