"""The documents of a partition of components in survivor order, with their buckets, in files: a component may be larger
than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from curate.dedup.kernels.candidates import Graph, Sets
from curate.dedup.layout import SHINGLES, changes, column, id_order
from curate.dedup.mapped import MappedArrays
from curate.dedup.order import is_from_earlier_run
from curate.dedup.spool import Spool
from manifests.hashing import Int64, UInt64
from manifests.partitioned import PartitionedFile
from manifests.tables import one_array
from manifests.tasks import Work

DOCUMENTS: Final = 1 << 17
"""Documents that are put in order together, about."""

_SAMPLED: Final = 64
_KEYS: Final = 1 << 20
_ID = slice(2, 4)  # of a record: order, order_low, id, part, row, first word and words of its set, first key and keys
_PART, _ROW, _SET, _N_SET, _KEY, _N_KEYS = range(4, 10)
_WIDTH: Final = 10


@dataclass(frozen=True, slots=True)
class Ordered:
    """Documents by survivor order, mapped. order: first words of their keys; ids: uint64 [n, 2], as of `id_words`."""

    order: UInt64
    ids: UInt64
    parts: UInt64
    rows: Int64
    sets: Sets
    graph: Graph


def ordered(work: Work, arrays: MappedArrays, pivots: int, n_minima: int, by_minima: bool,
            documents: int = DOCUMENTS) -> Ordered:
    """The partition's SHINGLES in survivor order.

    arrays: that they shall lie in. documents: that are sorted at a time. Memory: 500 bytes of each of those."""
    n_documents, n_keys, splits, records = _spooled(work, documents)
    n_ranges = 1 << max(0, (n_keys // _KEYS).bit_length())
    entries = Spool(work.scratch("entries"), 2)
    keys, values = (arrays.file(work.scratch(name), np.uint64) for name in ("keys", "sets"))
    order, parts, ids = (arrays.zeros(shape, np.uint64) for shape in (n_documents, n_documents, (n_documents, 2)))
    rows, starts, ends = (arrays.zeros(n_documents, np.int64) for _ in range(3))
    stays, node_starts = arrays.zeros(n_documents, np.bool_), arrays.zeros(n_documents + 1, np.int64)
    at = 0
    for number in range(len(splits) + 1):
        found = np.concatenate([np.empty((0, _WIDTH), np.uint64), *records.read(number)])
        found = found[np.lexsort((found[:, 3], found[:, 2], found[:, 1], found[:, 0]))]
        here = slice(at, at + len(found))
        order[here], ids[here], parts[here] = found[:, 0], found[:, _ID].byteswap(), found[:, _PART]
        rows[here], starts[here] = found[:, _ROW], found[:, _SET]
        ends[here] = found[:, _SET] + found[:, _N_SET]
        stays[here] = is_from_earlier_run(found[:, 0])
        first, lengths = int(node_starts[at]), found[:, _N_KEYS].astype(np.int64)
        node_starts[at + 1 : at + 1 + len(found)] = first + np.cumsum(lengths)
        own = np.arange(int(lengths.sum()))
        own_keys = keys[own + np.repeat(found[:, _KEY].astype(np.int64) - (np.cumsum(lengths) - lengths), lengths)]
        entries.add(_range(own_keys, n_ranges), np.stack([own_keys, (own + first).astype(np.uint64)], axis=1))
        at += len(found)
        arrays.release()
    of_node, bucket_starts = _numbered(entries, n_ranges, n_keys, arrays, pivots)
    sets = Sets(values, starts, ends, n_minima, by_minima, stays)
    return Ordered(order, ids, parts, rows, sets, Graph(of_node, node_starts, bucket_starts, arrays.zeros))


def _range(keys: UInt64, n_ranges: int) -> Int64:
    """The range of each key: of its upper bits."""
    return ((keys >> np.uint64(32)) * np.uint64(n_ranges) >> np.uint64(32)).astype(np.int64)


def _spooled(work: Work, documents: int) -> tuple[int, int, Any, Spool]:
    """(documents, keys, what ranges of survivor order begin with, records by range). What documents are compared by and
    their keys are then in the task's files `sets` and `keys`."""
    arrived, samples = Spool(work.scratch("arrived"), _WIDTH), [np.empty(0, "S32")]
    n = n_keys = n_words = 0
    with open(work.scratch("sets"), "wb") as sets, open(work.scratch("keys"), "wb") as keys:
        for table in _compared(work):
            key_lists, lists = one_array(table["keys"]), one_array(table["shingles"])
            sets.write(np.ascontiguousarray(lists.flatten().to_numpy()).data)
            keys.write(np.ascontiguousarray(key_lists.flatten().to_numpy()).data)
            own_keys, own_words = (np.asarray(some.value_lengths(), np.int64) for some in (key_lists, lists))
            facts = [column(table, "order"), column(table, "order_low"), *id_order(table["doc_id"]).T,
                     column(table, "part"), column(table, "row"), n_words + np.cumsum(own_words) - own_words, own_words,
                     n_keys + np.cumsum(own_keys) - own_keys, own_keys]
            found = np.stack([some.astype(np.uint64) for some in facts], axis=1)
            samples.append(_comparable(found[-n % _SAMPLED :: _SAMPLED]))
            arrived.add(np.zeros(len(found), np.int64), found)
            n, n_keys, n_words = n + len(found), n_keys + int(own_keys.sum()), n_words + int(own_words.sum())
    sample = np.sort(np.concatenate(samples))
    splits = sample[documents // _SAMPLED :: max(1, documents // _SAMPLED)] if n > documents else sample[:0]
    if not len(splits):
        return n, n_keys, splits, arrived
    by_range = Spool(work.scratch("ranges"), _WIDTH)
    for found in arrived.read(0):
        by_range.add(np.searchsorted(splits, _comparable(found), "right"), found)
    arrived.drop(0)
    return n, n_keys, splits, by_range


def _compared(work: Work) -> Iterator[pa.Table]:
    """SHINGLES of the partition, block by block."""
    for path in work.inputs("shingles"):
        with PartitionedFile(path) as file:
            yield from file.read(SHINGLES, work.variables["partition"], work.variables["partitions"])


def _comparable(records: UInt64) -> Any:
    """Strings of bytes that compare as the documents of some records do."""
    return np.ascontiguousarray(records[:, :4]).byteswap().view("S32").ravel()


def _numbered(entries: Spool, n_ranges: int, n_keys: int, arrays: MappedArrays, pivots: int,
              ) -> tuple[Any, Int64]:
    """(bucket of each entry, int32; where the slots of each bucket start). entries: key and position, by range of keys.

    Buckets are numbered by their keys. Memory: the distinct keys of a range, whatever number of entries has them."""
    of_node, starts = arrays.zeros(n_keys, np.int32), arrays.zeros(n_keys + 1, np.int64)
    n_buckets = 0
    for number in range(n_ranges):
        keys: UInt64 = np.empty(0, np.uint64)
        for records in entries.read(number):
            together = np.sort(np.concatenate([keys, records[:, 0]]))
            keys = together[changes(together)]
        sizes = np.zeros(len(keys), np.int64)
        for records in entries.read(number):
            bucket = np.searchsorted(keys, records[:, 0])
            of_node[records[:, 1].astype(np.int64)] = bucket + n_buckets
            sizes += np.bincount(bucket, minlength=len(keys))
            arrays.release()
        entries.drop(number)
        end = n_buckets + len(keys)
        starts[n_buckets + 1 : end + 1] = starts[n_buckets] + np.cumsum(np.minimum(sizes, pivots))
        n_buckets = end
    return of_node, starts[: n_buckets + 1]
