"""The tables that the steps of deduplication hand to each other, and the keys and orders they share.

A document is known by (part, row): `part` is xxh3-64 of its part's name, `row` its row there. Both hold whatever the
order and number of the other parts. Facts about documents of one part travel back to it in *routed* tables: partitioned
by `part`, so that a part reads its own range and little else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from manifests.errors import InputError
from manifests.hashing import Int64, UInt64, id_words
from manifests.partitioned import (
    GOLDEN,
    SLOTS,
    SUFFIX,
    PartitionedFile,
    read_partition,
    read_value,
    write_partitions,
)
from manifests.tables import one_array, open_table
from manifests.tasks import Work

_INVERSE: Final = np.uint64(pow(int(GOLDEN), -1, 1 << 64))

_PART = pa.field("part", pa.uint64(), nullable=False)
_ROW = pa.field("row", pa.int64(), nullable=False)
_ID = pa.field("doc_id", pa.binary(16), nullable=False)
_ORDER = pa.field("order", pa.uint64(), nullable=False)  # first word of the key in survivor order
_ORDER_LOW = pa.field("order_low", pa.uint64(), nullable=False)  # and its second
_SURVIVOR = pa.field("survivor_id", pa.binary(16), nullable=False)
_SURVIVOR_RUN = pa.field("survivor_run", pa.int32(), nullable=False)  # the earlier run it is of; -1: of this one
_SIMILARITY = pa.field("similarity", pa.float32(), nullable=False)
_U64 = pa.uint64()

TEXT_HASHES: Final = pa.schema([
    pa.field("hash_a", _U64, nullable=False), pa.field("hash_b", _U64, nullable=False), _PART, _ROW, _ORDER,
    _ORDER_LOW, _ID])
URL_KEYS: Final = pa.schema([
    pa.field("key", _U64, nullable=False), pa.field("preference", _U64, nullable=False), _PART, _ROW, _ORDER,
    _ORDER_LOW, _ID])
DROPPED: Final = pa.schema([_PART, _ROW])
COPIES: Final = pa.schema([_PART, _ROW, _ID, _SURVIVOR, _SURVIVOR_RUN])
BANDS: Final = pa.schema([pa.field("key", _U64, nullable=False), _PART, _ROW])
_FIRST: Final = (pa.field("first_part", _U64, nullable=False), pa.field("first_row", pa.int64(), nullable=False))
BUCKETS: Final = pa.schema([*BANDS, *_FIRST])  # the first document of the bucket, by `place`
LINKS: Final = pa.schema([_PART, _ROW, *_FIRST])
EXTENTS: Final = pa.schema([_PART, pa.field("n_rows", pa.int64(), nullable=False)])
_COMPONENT_KEY: Final = pa.field("component_key", _U64, nullable=False)  # hash of its first document
MEMBERS: Final = pa.schema([
    _PART, _ROW, _COMPONENT_KEY, pa.field("slices", pa.uint32(), nullable=False),  # 1: of a component dealt to none
    pa.field("component", pa.binary(16), nullable=False)])
_WORDS: Final = pa.large_list(pa.field("item", _U64, nullable=False))
SHINGLES: Final = pa.schema([
    _PART, _ROW, _COMPONENT_KEY, pa.field("slice_key", _U64, nullable=False), _ORDER, _ORDER_LOW, _ID,
    pa.field("keys", _WORDS, nullable=False), pa.field("shingles", _WORDS, nullable=False),
    # What is known of it, one of UNKNOWN, KEPT, LIKE and BOUND; of LIKE the survivor, by its key in survivor order and
    # its id, and their similarity.
    pa.field("known", pa.uint8(), nullable=False), pa.field("like_order", _U64, nullable=False),
    pa.field("like_order_low", _U64, nullable=False), pa.field("like", pa.binary(16), nullable=False),
    pa.field("likeness", pa.float64(), nullable=False)])

UNKNOWN: Final = 0
KEPT: Final = 1
LIKE: Final = 2
"""A document that is removed, unless a more similar survivor is found, for this one."""
BOUND: Final = 3
"""The last document of the first ones of a slice or component."""

REMOVALS: Final = pa.schema([_PART, _ROW, _ID, _SURVIVOR, _SURVIVOR_RUN, _SIMILARITY])
DUPLICATES: Final = pa.schema([
    _PART, _ROW, _ID, _SURVIVOR, _SURVIVOR_RUN, pa.field("similarity", pa.float32()),
    pa.field("reason", pa.string(), nullable=False)])
COUNTS: Final = pa.schema([
    pa.field("source", pa.string(), nullable=False), pa.field("documents", pa.int64(), nullable=False),
    pa.field("kept", pa.int64(), nullable=False), pa.field("url_duplicates", pa.int64(), nullable=False),
    pa.field("exact_duplicates", pa.int64(), nullable=False),
    pa.field("near_duplicates", pa.int64(), nullable=False)])


def signatures_schema(n_bands: int, n_minima: int = 0) -> pa.Schema:
    """One row a selected document of the part: its text hash, its key in survivor order and its band keys.

    n_minima: permutations of the signature, where it is kept to verify candidates by."""
    key = pa.field("item", pa.uint64(), nullable=False)
    minima = [pa.field("minima", pa.list_(key, n_minima), nullable=False)] if n_minima else []
    return pa.schema([
        _ROW, _ID, _ORDER, _ORDER_LOW,
        pa.field("hash_a", _U64, nullable=False), pa.field("hash_b", _U64, nullable=False),
        pa.field("n_shingles", pa.uint32(), nullable=False),
        pa.field("bands", pa.list_(key, n_bands), nullable=False), *minima])


def part_key(name: str) -> int:
    """`part` of a part's name, such as `crawl/part-00017-1a2b3c4d`."""
    return xxhash.xxh3_64_intdigest(name.encode())


def place(parts: UInt64) -> UInt64:
    """Where each part stands among all, uint64 [n]: its own alone, and in the order of the partitions that parts are
    routed to, however many there are (`partitioned.spread` is its upper half)."""
    return np.asarray(parts * GOLDEN)


def part_at(places: UInt64) -> UInt64:
    """The part that stands at each place, uint64 [n]: the inverse of `place`."""
    return np.asarray(places * _INVERSE)


def filter_of(part: str, filters: int) -> int:
    """The Bloom filter that a part passes through."""
    return part_key(part) % filters


def column(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """A numeric column without nulls as one NumPy array."""
    return np.ascontiguousarray(table[name].to_numpy())


def id_order(ids: pa.Array | pa.ChunkedArray) -> UInt64:
    """uint64 [n, 2] that compare, word by word, as the ids do byte by byte."""
    words: UInt64 = id_words(ids).byteswap()
    return words


def index_by_row(rows: Int64, n: int) -> pa.Array:
    """For each of n rows its index in `rows`, which are distinct; null where it is not among them."""
    index = np.full(n, -1, np.int64)
    index[rows] = np.arange(len(rows))
    return pa.array(index, mask=index < 0)


def repeated(keys: UInt64) -> npt.NDArray[np.bool_]:
    """Whether each key occurs more than once."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    again = np.zeros(len(keys), np.bool_)
    again[order[1:][same]] = True
    again[order[:-1][same]] = True
    return again


def changes(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a row differs from the one before, bool [n]; the first always does."""
    fresh = np.ones(len(columns[0]), np.bool_)
    fresh[1:] = np.any([c[1:] != c[:-1] for c in columns], axis=0)
    return fresh


def rows_of(lists: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column of lists of one length as [n, length]."""
    size = lists.type.list_size
    return np.asarray(one_array(lists).flatten().to_numpy()).reshape(-1, size)


def groups_with(path: str, rows: Int64, names: Sequence[str]) -> Iterator[tuple[slice, pa.Table]]:
    """The rows of a table by the row groups that hold some of them: (which of `rows`, their columns).

    rows: int64, ascending; may repeat."""
    with open_table(path) as file:
        start = 0
        for index in range(file.num_row_groups):
            end = start + file.metadata.row_group(index).num_rows
            low, high = np.searchsorted(rows, [start, end])
            if high > low:
                group = file.read_row_group(index, columns=list(names), use_threads=False)
                yield slice(int(low), int(high)), group.take(pa.array(rows[low:high] - start))
            start = end


def write_keyed(work: Work, role: str, schema: pa.Schema, tables: pa.Table | Iterable[pa.Table], by: str) -> int:
    """Write an output by partition of a key, for readers that are partitions; returns its number of rows."""
    path = work.output(role, name=f"{role}/{work.task.name}{SUFFIX}")
    return write_partitions(path, schema, tables, by, SLOTS)


def write_routed(work: Work, role: str, schema: pa.Schema, tables: pa.Table | Iterable[pa.Table]) -> int:
    """Write an output by `part`, for readers that are parts; returns its number of rows. Variables: routes, its number
    of partitions."""
    path = work.output(role, name=f"{role}/{work.task.name}{SUFFIX}")
    return write_partitions(path, schema, tables, "part", work.variables["routes"])


def gather(work: Work, name: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """The task's own partition of every file of an input. Variables: partition, partitions."""
    names = list(columns) if columns is not None else schema.names
    own = int(work.variables["partition"]), int(work.variables["partitions"])
    tables = [read_partition(path, schema, *own).select(names) for path in work.inputs(name)]
    return pa.concat_tables([schema.empty_table().select(names), *tables])


def own_tables(work: Work, name: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The task's own partition of every file of an input, block by block. Variables: partition, partitions."""
    for path in work.inputs(name):
        with PartitionedFile(path) as file:
            yield from file.read(schema, work.variables["partition"], work.variables["partitions"])


def gather_part(work: Work, name: str, schema: pa.Schema, part: str | None = None) -> pa.Table:
    """What the routed files of an input hold of a part. part: its name; the task's own if None."""
    key = part_key(part if part is not None else work.task.name)
    table = pa.concat_tables([schema.empty_table(), *(read_value(p, schema, key) for p in work.inputs(name))])
    return table.filter(pc.equal(table["part"], pa.scalar(key, pa.uint64())))


def check_aligned(ids: pa.ChunkedArray, other: pa.ChunkedArray, where: str) -> None:
    """Raise InputError unless two tables hold the same documents in the same order."""
    if len(ids) != len(other) or not np.array_equal(id_words(ids), id_words(other)):
        raise InputError("does not list the documents of its part in their order", where=where,
                         hint="run the stage that writes it again")
