"""Large components, compared by several tasks: what comes first decides what the rest is compared with.

A component is large where some bucket is: pages of one template share a band. Such a bucket is soon *full*: it has kept
as many documents as others are compared with, its pivots, and they stay the same. So the first documents of a large
component are decided alone (`dedup/heads` finds them, slice by slice, and `dedup/pivots` decides them). The rest is
compared with the pivots of full buckets by slices of some 262,144 documents (`dedup/compared`), each for itself, and
full buckets are done with. What is left, documents with the most similar survivor so far and the buckets that are not
full, goes to `dedup/resolve`. Nothing differs in the outcome: whoever comes later in survivor order finds those pivots.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig
from curate.dedup.kernels.candidates import Resolution
from curate.dedup.layout import BOUND, KEPT, LIKE, SHINGLES, UNKNOWN, changes, column, own_tables, write_keyed
from curate.dedup.mapped import MappedArrays
from curate.dedup.ordered import Ordered, among, places, ragged
from curate.dedup.resolve import decided
from manifests.hashing import Int64, UInt64, ids_array
from manifests.partitioned import read_value
from manifests.tables import one_array
from manifests.tasks import Work

HEAD_DOCUMENTS: Final = 1 << 12
"""Documents of each slice that are decided first."""

_DOCUMENTS: Final = 1 << 13
_LAST: Final = b"\xff" * 32

Bounds = dict[int, bytes]  # by component or slice, the place of the last document of its head


def heads_stage(config: DedupConfig, work: Work) -> None:
    """dedup/heads, a partition of slices. Input: sliced (of dedup/shingles). Variables: as of `gather`.

    Output: `heads`, by partition of the component: the first documents of each slice, the last of them marked where
    more follow. Memory: 80 bytes a document of the partition."""
    slices, at = [np.empty(0, np.uint64)], [np.empty(0, "S32")]
    for table in own_tables(work, "sliced", SHINGLES):
        slices.append(column(table, "slice_key").copy())  # a view would keep the sets in memory
        at.append(places(table))
    bounds = _bounds(np.concatenate(slices), np.concatenate(at))

    def heads() -> Iterator[pa.Table]:
        for table in own_tables(work, "sliced", SHINGLES):
            own, last = places(table), _bound_of(column(table, "slice_key"), bounds)
            known = np.where(own == last, BOUND, UNKNOWN).astype(np.uint8)
            yield _with(table, "known", pa.array(known)).filter(pa.array(own <= last))

    work.count("documents", write_keyed(work, "heads", SHINGLES, heads(), "component_key"))


def _bounds(slices: UInt64, at: Any) -> Bounds:
    """Of slices with more documents than are taken, the place of the last that is. at: of each document, its place."""
    order = np.argsort(at, kind="stable")
    order = order[np.argsort(slices[order], kind="stable")]
    starts = np.flatnonzero(changes(slices[order])) if len(order) else np.empty(0, np.int64)
    lengths = np.diff(starts, append=len(order))
    starts = starts[lengths > HEAD_DOCUMENTS]
    return {int(slices[order[start]]): bytes(at[order[start + HEAD_DOCUMENTS - 1]]) for start in starts.tolist()}


def _bound_of(keys: UInt64, bounds: Bounds) -> Any:
    """The bound of each key, as strings of bytes; above all places where it has none."""
    distinct, which = np.unique(keys, return_inverse=True)
    return np.array([bounds.get(int(key), _LAST) for key in distinct], "S32")[which.ravel()]


def pivots_stage(config: DedupConfig, work: Work) -> None:
    """dedup/pivots, a partition of components. Input: heads (of dedup/heads). Variables: as of `gather`; old_documents.

    A component's head ends where that of one of its slices does first, so all before it are there. Outputs, by
    partition of the component: `pivots`, the documents that others are compared with in full buckets, the keys of
    those, and where the head ends; `reduced`, the head, decided, with the keys of the other buckets. Memory: as of
    dedup/resolve."""
    bounds: Bounds = {}
    for table in own_tables(work, "heads", SHINGLES):
        table = table.filter(pc.equal(table["known"], BOUND))
        for key, at in zip(column(table, "component_key").tolist(), places(table), strict=True):
            bounds[key] = min(bounds.get(key, _LAST), bytes(at))
    components: set[int] = set()

    def heads() -> Iterator[pa.Table]:
        for table in own_tables(work, "heads", SHINGLES):
            components.update(column(table, "component_key").tolist())
            inside = places(table) <= _bound_of(column(table, "component_key"), bounds)
            yield _with(table, "known", pa.array(np.zeros(len(table), np.uint8))).filter(pa.array(inside))

    arrays = MappedArrays(work.scratch("array"))
    documents, resolution = decided(config, work, arrays, heads())
    full = np.flatnonzero(resolution.n_kept >= config.bucket_pivots)
    full_keys = np.sort(documents.bucket_keys[full])
    write_keyed(work, "pivots", SHINGLES, _pivots(
        documents, resolution, full, {key: bounds.get(key, _LAST) for key in sorted(components)}), "component_key")
    write_keyed(work, "reduced", SHINGLES, _reduced(documents, resolution, full_keys, arrays, KEPT), "component_key")
    work.count("full_buckets", len(full))
    work.count("documents", len(documents.facts))


def _pivots(documents: Ordered, resolution: Resolution, full: Int64, bounds: Bounds) -> Iterator[pa.Table]:
    """SHINGLES of the pivots of full buckets, and a document without a set at the end of each component's head."""
    starts = documents.graph.bucket_starts
    n_slots = starts[full + 1] - starts[full]
    nodes = resolution.slots[ragged(starts[full], n_slots)].astype(np.int64)
    order = np.argsort(nodes, kind="stable")
    nodes, keys = nodes[order], np.repeat(documents.bucket_keys[full], n_slots)[order]
    distinct, n_keys = np.unique(nodes, return_counts=True)
    firsts = np.concatenate([[0], np.cumsum(n_keys)])
    for start in range(0, len(distinct), _DOCUMENTS):
        some = distinct[start : start + _DOCUMENTS]
        own = keys[firsts[start] : firsts[start + len(some)]]
        yield _table(documents, some, own, n_keys[start : start + _DOCUMENTS], np.full(len(some), KEPT), None)
    at = b"".join(place.ljust(32, b"\0") for place in bounds.values())
    ends = np.frombuffer(at, ">u8").astype(np.uint64).reshape(-1, 4)
    zeros = np.zeros(len(ends), np.uint64)
    words = {"component_key": np.array(list(bounds), np.uint64), "order": ends[:, 0], "order_low": ends[:, 1],
             "doc_id": ids_array(ends[:, 2:].byteswap()), "known": np.full(len(ends), BOUND, np.uint8),
             "like": ids_array(np.zeros((len(ends), 2), np.uint64)), "likeness": np.zeros(len(ends)),
             "row": np.zeros(len(ends), np.int64)}
    empty = _lists(zeros[:0], np.zeros(len(ends), np.int64))
    yield pa.table([words.get(name, empty if name in ("keys", "shingles") else zeros) for name in SHINGLES.names],
                   schema=SHINGLES)


def compared_stage(config: DedupConfig, work: Work) -> None:
    """dedup/compared, a partition of slices. Inputs: sliced (of dedup/shingles), pivots (of dedup/pivots). Variables:
    as of `gather`; old_documents.

    Output: `reduced`, by partition of the component: the documents beyond the head, with the most similar pivot of a
    full bucket, and the keys of the other buckets; what they are compared by only if there are such. Memory: as of
    dedup/resolve, and the pivots of the slices' components."""
    components = {key for table in own_tables(work, "sliced", SHINGLES) for key in
                  np.unique(column(table, "component_key")).tolist()}
    found = [SHINGLES.empty_table(), *(
        rows.filter(pc.equal(rows["component_key"], pa.scalar(key, pa.uint64()))) for key in sorted(components)
        for path in work.inputs("pivots") for rows in [read_value(path, SHINGLES, key)])]
    pivots = pa.concat_tables(found)
    ends = pivots.filter(pc.equal(pivots["known"], BOUND))
    bounds = dict(zip(column(ends, "component_key").tolist(), map(bytes, places(ends)), strict=True))
    pivots = pivots.filter(pc.equal(pivots["known"], KEPT))
    full_keys = np.unique(one_array(pivots["keys"]).flatten().to_numpy())

    def tables() -> Iterator[pa.Table]:
        yield pivots
        for table in own_tables(work, "sliced", SHINGLES):
            beyond = places(table) > _bound_of(column(table, "component_key"), bounds)
            yield table.filter(pa.array(beyond))

    arrays = MappedArrays(work.scratch("array"))
    documents, resolution = decided(config, work, arrays, tables(), full_keys)
    work.count("documents", write_keyed(work, "reduced", SHINGLES, _reduced(
        documents, resolution, full_keys, arrays, UNKNOWN), "component_key"))


def _reduced(documents: Ordered, resolution: Resolution, full_keys: UInt64, arrays: MappedArrays,
             otherwise: int) -> Iterator[pa.Table]:
    """SHINGLES without what full buckets have told. otherwise: what is known of documents that are like none; those of
    which it was known before are left out."""
    for start in range(0, len(documents.facts), _DOCUMENTS):
        nodes = np.arange(start, min(start + _DOCUMENTS, len(documents.facts)))
        nodes = nodes[documents.fact("known", nodes) == UNKNOWN]
        keys, n_keys = among(*documents.own_keys(nodes), full_keys, which=False)
        survivors = resolution.survivor[nodes]
        yield _table(documents, nodes, keys, n_keys, np.where(survivors >= 0, LIKE, otherwise), resolution)
        arrays.release()


def _table(documents: Ordered, nodes: Int64, keys: UInt64, n_keys: Int64, known: Int64,
           resolution: Resolution | None) -> pa.Table:
    """SHINGLES of some documents, each with so many of these keys, and with its set where it has any.

    known: int64 [n]. resolution: that says which documents they are like."""
    starts, n_words = documents.sets.starts[nodes], documents.sets.ends[nodes] - documents.sets.starts[nodes]
    n_words = np.where(n_keys > 0, n_words, 0)
    like = np.maximum(resolution.survivor[nodes], 0) if resolution is not None else nodes
    likeness = resolution.similarity[nodes] if resolution is not None else np.zeros(len(nodes))
    columns = {
        **{name: documents.fact(name, nodes) for name in ("part", "component_key", "slice_key", "order", "order_low")},
        "row": documents.fact("row", nodes).astype(np.int64), "doc_id": documents.ids(nodes),
        "keys": _lists(keys, n_keys), "known": known.astype(np.uint8),
        "shingles": _lists(documents.sets.values[ragged(starts, n_words)], n_words),
        "like_order": documents.fact("order", like), "like_order_low": documents.fact("order_low", like),
        "like": documents.ids(like), "likeness": likeness}
    return pa.table([columns[name] for name in SHINGLES.names], schema=SHINGLES)


def _lists(values: UInt64, lengths: Int64) -> pa.LargeListArray:
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values), type=SHINGLES.field("keys").type)


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), SHINGLES.field(name), values)
