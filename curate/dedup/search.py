"""Candidate search: the buckets of documents that share a band."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig
from curate.dedup.layout import (
    BANDS,
    BUCKETS,
    DROPPED,
    changes,
    column,
    gather_part,
    own_tables,
    part_at,
    part_key,
    place,
    rows_of,
    signatures_schema,
    write_keyed,
    write_routed,
)
from curate.dedup.spool import Spool
from manifests.hashing import Int64, UInt64
from manifests.shuffle import together
from manifests.tables import read_row_groups
from manifests.tasks import Work

_BANDS_A_BLOCK: Final = 1 << 20
_RANGE_BITS: Final = 6  # of keys: few rows at a time are sorted faster
_NO_ROW: Final = 2**64 - 1


def bands_stage(config: DedupConfig, work: Work) -> None:
    """dedup/bands, a part. Inputs: signatures (same part), dropped (of dedup/exact).

    Output: `bands`, by partition of the key: one row for each band of each document that has words and no better exact
    copy. 8.2 bytes a band on disk; 14 bands by default. Memory: of a row group of signatures, and of three million
    bands."""
    n_bands, _ = bands_of(config)
    dropped = column(gather_part(work, "dropped", DROPPED), "row")
    kinds = signatures_schema(n_bands).field("bands").type

    def bands() -> Iterator[pa.Table]:
        for table in read_row_groups(work.input("signatures"), ["row", "n_shingles", "bands"]):
            rows = column(table, "row")
            enters = (column(table, "n_shingles") > 0) & ~np.isin(rows, dropped)
            work.count("documents", int(enters.sum()))
            rows, keys = np.repeat(rows[enters], n_bands), rows_of(table["bands"].cast(kinds))[enters].ravel()
            for start in range(0, len(keys), _BANDS_A_BLOCK):
                some = slice(start, start + _BANDS_A_BLOCK)
                part = np.full(len(keys[some]), part_key(work.task.name), np.uint64)
                yield pa.table([keys[some], part, rows[some]], schema=BANDS)

    write_keyed(work, "bands", BANDS, together(bands()), "key")
    work.count("exact_duplicates_left_out", len(dropped))


def candidates_stage(config: DedupConfig, work: Work) -> None:
    """dedup/candidates, a partition. Input: bands (of dedup/bands). Variables: as of `gather` and `write_routed`.

    Output: `buckets`, routed: the rows of keys of this partition that two documents share, each with the first document
    of its bucket, never as pairs: a bucket of n documents is n rows. Memory: the rows of a sixty-fourth of the keys, or
    as many rows as `spool` holds."""
    rows = Spool(work.scratch("rows"), 3)
    for table in own_tables(work, "bands", BANDS):
        keys = column(table, "key")
        work.count("bands", len(keys))
        own = np.stack([keys, place(column(table, "part")), column(table, "row").astype(np.uint64)], axis=1)
        rows.add((keys >> np.uint64(64 - _RANGE_BITS)).astype(np.int64), own)
    write_routed(work, "buckets", BUCKETS, together(
        table for number in range(1 << _RANGE_BITS) for table in _buckets(config, work, rows, number)))


def _buckets(config: DedupConfig, work: Work, rows: Spool, number: int) -> Iterator[pa.Table]:
    """BUCKETS of a range of keys."""
    buckets = Buckets()
    for records in rows.read(number):
        buckets.add(records)
    buckets = buckets.of_several()
    work.count("buckets", len(buckets.keys))
    work.count("oversize_buckets", int((buckets.sizes > config.bucket_pivots + 1).sum()))
    for records in rows.read(number):
        records = records[np.argsort(records[:, 0], kind="stable")]
        bucket = buckets.index(records[:, 0])
        records, bucket = records[bucket >= 0], bucket[bucket >= 0]
        yield pa.table([records[:, 0], part_at(records[:, 1]), records[:, 2].astype(np.int64),
                        part_at(buckets.first[bucket, 0]), buckets.first[bucket, 1].astype(np.int64)], schema=BUCKETS)
    rows.drop(number)


class Buckets:
    """What is known of the buckets of some rows: their keys, ascending, their sizes, and the first document of each, as
    place of its part and row."""

    def __init__(self) -> None:
        self.keys: UInt64 = np.empty(0, np.uint64)
        self.sizes: Int64 = np.empty(0, np.int64)
        self.first: UInt64 = np.empty((0, 2), np.uint64)

    def add(self, records: UInt64) -> None:
        """Add rows of key, place and row, uint64 [n, 3]."""
        keys = np.concatenate([self.keys, records[:, 0]])
        sizes = np.concatenate([self.sizes, np.ones(len(records), np.int64)])
        documents = np.concatenate([self.first, records[:, 1:]])
        order = np.argsort(keys, kind="stable")
        keys, sizes, documents = keys[order], sizes[order], documents[order]
        starts = np.flatnonzero(changes(keys)) if len(keys) else np.empty(0, np.int64)
        lengths = np.diff(starts, append=len(keys))
        places = np.minimum.reduceat(documents[:, 0], starts) if len(keys) else documents[:, 0]
        there = documents[:, 0] == np.repeat(places, lengths)
        rows = np.where(there, documents[:, 1], np.uint64(_NO_ROW))
        rows = np.minimum.reduceat(rows, starts) if len(keys) else rows
        self.keys, self.first = keys[starts], np.stack([places, rows], axis=1)
        self.sizes = np.add.reduceat(sizes, starts) if len(keys) else sizes

    def of_several(self) -> Buckets:
        """Those of at least two documents."""
        found, chosen = Buckets(), self.sizes > 1
        found.keys, found.sizes, found.first = self.keys[chosen], self.sizes[chosen], self.first[chosen]
        return found

    def index(self, keys: UInt64) -> Int64:
        """Index of each key's bucket, int64 [n]; -1 where there is none."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        index = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[index] == keys, index, -1)
