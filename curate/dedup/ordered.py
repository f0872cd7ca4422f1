"""Documents of components in survivor order, with their buckets, in files: a component may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.kernels.candidates import Graph, Sets
from curate.dedup.layout import KEPT, LIKE, changes, column, id_order
from curate.dedup.mapped import MappedArrays
from curate.dedup.order import is_from_earlier_run
from curate.dedup.spool import Spool
from manifests.hashing import Int64, UInt64, ids_array
from manifests.tables import one_array
from manifests.tasks import Work

DOCUMENTS: Final = 1 << 17
"""Documents that are put in order together, about."""

_SAMPLED: Final = 64
_KEYS: Final = 1 << 20
# Words of a record: what the document is, what is known of its survivor, and where its set and its keys lie.
_FACTS: Final = ("order", "order_low", "id", "id_low", "part", "row", "component_key", "slice_key", "known",
                 "like_order", "like_order_low", "like", "like_low", "likeness", "set", "n_words", "key", "n_keys")
_AT: Final = {name: i for i, name in enumerate(_FACTS)}


@dataclass(frozen=True, slots=True)
class Ordered:
    """Documents by survivor order, mapped. facts: uint64 [n, 18], those of `SHINGLES`, words of ids as of `id_order`,
    and where their keys lie. keys: of buckets, of one document after another. bucket_keys: of each bucket of the
    graph."""

    facts: UInt64
    keys: UInt64
    bucket_keys: UInt64
    sets: Sets
    graph: Graph

    def fact(self, name: str, nodes: Int64) -> UInt64:
        """One of the facts of some documents."""
        return np.ascontiguousarray(self.facts[nodes, _AT[name]])

    def ids(self, nodes: Int64) -> pa.FixedSizeBinaryArray:
        """The ids of some documents."""
        return ids_array(self.facts[nodes, 2:4].byteswap())

    def own_keys(self, nodes: Int64) -> tuple[UInt64, Int64]:
        """(keys of all buckets of some documents, one after another; how many each has)."""
        n_keys = self.fact("n_keys", nodes).astype(np.int64)
        return self.keys[ragged(self.fact("key", nodes).astype(np.int64), n_keys)], n_keys


def ordered(work: Work, arrays: MappedArrays, tables: Iterable[pa.Table], pivots: int, n_minima: int, by_minima: bool,
            only: UInt64 | None = None, documents: int = DOCUMENTS) -> Ordered:
    """SHINGLES in survivor order.

    arrays: that they shall lie in. only: keys of the buckets in which documents are compared, ascending; all if None.
    documents: that are sorted at a time. Memory: 600 bytes of each of those."""
    n_documents, n_keys, splits, records = _spooled(work, tables, documents)
    n_ranges = 1 << max(0, (n_keys // _KEYS).bit_length())
    entries = Spool(work.scratch("entries"), 2)
    keys, values = (arrays.file(work.scratch(name), np.uint64) for name in ("keys", "sets"))
    facts = arrays.zeros((n_documents, len(_FACTS)), np.uint64)
    starts, ends, node_starts = (arrays.zeros(n, np.int64) for n in (n_documents, n_documents, n_documents + 1))
    stays, kept = arrays.zeros(n_documents, np.bool_), arrays.zeros(n_documents, np.bool_)
    at = 0
    for number in range(len(splits) + 1):
        found = np.concatenate([np.empty((0, len(_FACTS)), np.uint64), *records.read(number)])
        found = found[np.lexsort((found[:, 3], found[:, 2], found[:, 1], found[:, 0]))]
        end = at + len(found)
        facts[at:end], stays[at:end] = found, is_from_earlier_run(found[:, 0])
        starts[at:end], kept[at:end] = found[:, _AT["set"]], found[:, _AT["known"]] == KEPT
        ends[at:end] = found[:, _AT["set"]] + found[:, _AT["n_words"]]
        lengths = found[:, _AT["n_keys"]].astype(np.int64)
        own = keys[ragged(found[:, _AT["key"]].astype(np.int64), lengths)]
        if only is not None:
            own, lengths = among(own, lengths, only)
        first = int(node_starts[at])
        node_starts[at + 1 : end + 1] = first + np.cumsum(lengths)
        positions = np.arange(first, first + len(own)).astype(np.uint64)
        entries.add(_range(own, n_ranges), np.stack([own, positions], axis=1))
        at = end
        arrays.release()
    of_node, bucket_starts, bucket_keys = _numbered(entries, n_ranges, int(node_starts[-1]), arrays, pivots)
    sets = Sets(values, starts, ends, n_minima, by_minima, stays, kept, *_likes(facts, arrays, documents))
    return Ordered(facts, keys, bucket_keys, sets, Graph(of_node, node_starts, bucket_starts, arrays.zeros))


def _likes(facts: UInt64, arrays: MappedArrays, documents: int) -> tuple[Int64, npt.NDArray[np.float64]]:
    """(the survivor that is known of each document, -1 where none is; their similarity). facts: in survivor order."""
    like, likeness = arrays.zeros(len(facts), np.int64), arrays.zeros(len(facts), np.float64)
    for start in range(0, len(facts), documents):
        here = facts[start : start + documents]
        known = here[:, _AT["known"]] == LIKE
        like[start : start + documents] = -1
        if known.any():
            survivors, which = np.unique(comparable(here[known][:, _AT["like_order"] :]), return_inverse=True)
            like[start : start + documents][known] = _find(facts, survivors)[which]
            likeness[start : start + documents][known] = here[known][:, _AT["likeness"]].copy().view(np.float64)
        arrays.release()
    return like, likeness


def _find(facts: UInt64, wanted: Any) -> Int64:
    """Indices of the documents at some places, by halving: int64 [n]. facts: in survivor order."""
    low, high = np.zeros(len(wanted), np.int64), np.full(len(wanted), len(facts))
    while (high - low > 1).any():
        middle = (low + high) // 2
        below = comparable(facts[middle]) <= wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def ragged(starts: Int64, lengths: Int64) -> Int64:
    """Indices of runs of so many elements each, one run after another."""
    found: Int64 = np.arange(int(lengths.sum())) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return found


def among(keys: UInt64, lengths: Int64, only: UInt64, which: bool = True) -> tuple[UInt64, Int64]:
    """(those of some lists' keys that are in `only`, which is ascending, or that are not; how many each list has)."""
    chosen = np.full(len(keys), not which)
    if len(only):
        chosen = (only[np.minimum(np.searchsorted(only, keys), len(only) - 1)] == keys) == which
    of_list = np.repeat(np.arange(len(lengths)), lengths)
    return keys[chosen], np.bincount(of_list[chosen], minlength=len(lengths))


def _range(keys: UInt64, n_ranges: int) -> Int64:
    """The range of each key: of its upper bits."""
    return ((keys >> np.uint64(32)) * np.uint64(n_ranges) >> np.uint64(32)).astype(np.int64)


def _spooled(work: Work, tables: Iterable[pa.Table], documents: int) -> tuple[int, int, Any, Spool]:
    """(documents, keys, what ranges of survivor order begin with, records by range). What documents are compared by and
    their keys are then in the task's files `sets` and `keys`."""
    arrived, samples = Spool(work.scratch("arrived"), len(_FACTS)), [np.empty(0, "S32")]
    n = n_keys = n_words = 0
    with open(work.scratch("sets"), "wb") as sets, open(work.scratch("keys"), "wb") as keys:
        for table in tables:
            key_lists, lists = one_array(table["keys"]), one_array(table["shingles"])
            sets.write(np.ascontiguousarray(lists.flatten().to_numpy()).data)
            keys.write(np.ascontiguousarray(key_lists.flatten().to_numpy()).data)
            own_keys, own_words = (np.asarray(some.value_lengths(), np.int64) for some in (key_lists, lists))
            found = _records(table, n_words + np.cumsum(own_words) - own_words, own_words,
                             n_keys + np.cumsum(own_keys) - own_keys, own_keys)
            samples.append(comparable(found[-n % _SAMPLED :: _SAMPLED]))
            arrived.add(np.zeros(len(found), np.int64), found)
            n, n_keys, n_words = n + len(found), n_keys + int(own_keys.sum()), n_words + int(own_words.sum())
    sample = np.sort(np.concatenate(samples))
    splits = sample[documents // _SAMPLED :: max(1, documents // _SAMPLED)] if n > documents else sample[:0]
    if not len(splits):
        return n, n_keys, splits, arrived
    by_range = Spool(work.scratch("ranges"), len(_FACTS))
    for found in arrived.read(0):
        by_range.add(np.searchsorted(splits, comparable(found), "right"), found)
    arrived.drop(0)
    return n, n_keys, splits, by_range


def _records(table: pa.Table, *places: Int64) -> UInt64:
    """The facts of SHINGLES, uint64 [n, 18]. places: the last four of them."""
    facts = [column(table, "order"), column(table, "order_low"), *id_order(table["doc_id"]).T,
             *(column(table, name) for name in (
                 "part", "row", "component_key", "slice_key", "known", "like_order", "like_order_low")),
             *id_order(table["like"]).T, column(table, "likeness").view(np.uint64), *places]
    return np.stack([some.astype(np.uint64, copy=False) for some in facts], axis=1)


def places(table: pa.Table) -> Any:
    """Where the documents of SHINGLES stand in survivor order: strings of bytes that compare as they do."""
    words = [column(table, "order"), column(table, "order_low"), *id_order(table["doc_id"]).T]
    return comparable(np.stack(words, axis=1))


def comparable(records: UInt64) -> Any:
    """Strings of bytes that compare as the documents of some records do, which begin with their place."""
    return np.ascontiguousarray(records[:, :4]).byteswap().view("S32").ravel()


def _numbered(entries: Spool, n_ranges: int, n_keys: int, arrays: MappedArrays, pivots: int,
              ) -> tuple[npt.NDArray[np.int32], Int64, UInt64]:
    """(bucket of each entry; where the slots of each bucket start; its key).

    entries: key and position, by range of keys. Buckets are numbered by their keys. Memory: the distinct keys of a
    range, whatever number of entries has them."""
    of_node, starts = arrays.zeros(n_keys, np.int32), arrays.zeros(n_keys + 1, np.int64)
    of_buckets, n_buckets = arrays.zeros(n_keys, np.uint64), 0
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
        of_buckets[n_buckets:end] = keys
        n_buckets = end
    return of_node, starts[: n_buckets + 1], of_buckets[:n_buckets]
