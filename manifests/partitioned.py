"""Partitioned files: rows grouped by a hash of one column, and each partition read by its offset.

    header      64 bytes: magic, version, number of partitions, bytes of the schema, number of the column that
                partitions are of, rows, xxh3-64 of all that lies between here and the data
    table       32 bytes a partition: offset, bytes, rows, xxh3-64 of its bytes
    schema      as Arrow writes it
    data        the partitions, one after another, each a sequence of blocks

A block is 24 bytes (rows, bytes before and after compression) and a record batch as Arrow sends it, zstd. So what it
costs to read a partition does not depend on how many there are: three small positional reads at most, two where there
are no more than SLOTS. Partitions are equal ranges of a 32-bit hash, in ascending order: a file of 16 can be read as
one of 8, 4, 2 or 1, without being written again. These files are handed from stage to stage of a run, and to nobody
else; what a person may read is Parquet.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from manifests.errors import InputError
from manifests.expected import check_seal, seal_of_bytes
from manifests.storage import RangeReader
from manifests.tables import one_array

SLOTS: Final = 16
"""Partitions of a file whose readers are not known yet."""

GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio (Knuth 1973, 6.4), by which values are spread."""

SUFFIX: Final = ".shuffle"
_MAGIC: Final = b"CURSHUF\x00"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIIIIQQ24x")
HEADER_BYTES: Final = _HEADER.size
_BLOCK: Final = struct.Struct("<QQQ")
_ENTRY: Final = np.dtype([("offset", "<u8"), ("n_bytes", "<u8"), ("n_rows", "<u8"), ("xxh3", "<u8")])
_FIRST_READ: Final = _HEADER.size + SLOTS * _ENTRY.itemsize
_CHUNK: Final = 16 << 20

Hashes32 = npt.NDArray[np.uint64]


def spread(values: pa.Array | pa.ChunkedArray | npt.NDArray[np.uint64]) -> Hashes32:
    """uint64 [n] below 2**32: the hash that partitions are ranges of. values: uint64, or 16-byte ids, by their last 8.

    Values are hashes already; one multiplication lets every bit of them count, where some are small."""
    if not isinstance(values, np.ndarray):
        array: Any = one_array(values)
        if pa.types.is_fixed_size_binary(array.type):
            words = np.frombuffer(array.buffers()[1] or b"", np.uint64).reshape(-1, 2)
            values = words[array.offset : array.offset + len(array), 1]
        else:
            values = array.to_numpy(zero_copy_only=False).astype(np.uint64, copy=False)
    return np.asarray((values * GOLDEN) >> np.uint64(32))


def partition_of(hashes: Hashes32, partitions: int) -> npt.NDArray[np.int64]:
    """Which of so many equal ranges each hash lies in, int64 [n]."""
    return ((hashes * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)


def partition_order(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The stable order of partitions' numbers, int64 [n]. Of 16 bits NumPy sorts it by radix, several times faster."""
    narrow = numbers.astype(np.uint16) if len(numbers) and int(numbers.max()) < 1 << 16 else numbers
    return np.argsort(narrow, kind="stable")


def partition_of_value(value: int, partitions: int) -> int:
    """`partition_of` one value of a uint64 column."""
    return int(partition_of(spread(np.array([value], np.uint64)), partitions)[0])


class PartitionWriter:
    """A partitioned file in the making, at a local path. Used in a `with` block, at whose end it is complete.

    by: name of the column that partitions are of, uint64 or 16-byte ids. Memory: one table, compressed, 56 bytes a
    partition and 32 a block."""

    def __init__(self, path: str, schema: pa.Schema, by: str, partitions: int = SLOTS) -> None:
        self.n_rows = 0
        self._path, self._schema, self._by, self._partitions = path, schema.remove_metadata(), by, partitions
        self._encoded = self._schema.serialize().to_pybytes()
        self._seed = _seed(self._schema, partitions)
        self._start = _HEADER.size + partitions * _ENTRY.itemsize + len(self._encoded)
        self._codec = pa.Codec("zstd", 1)
        self._blocks = array("q")  # partition, offset, bytes and rows of each
        self._end = self._start
        self._file = open(path, "wb")  # noqa: SIM115 (closed in __exit__)
        self._file.seek(self._start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if kind is None:
            self._finish()
        self._file.close()

    def add(self, table: pa.Table) -> None:
        """Add rows, each to its partition, in their order there."""
        numbers = partition_of(spread(table[self._by]), self._partitions)
        order = partition_order(numbers)
        self.add_ordered(table.take(pa.array(order)), numbers[order])

    def add_ordered(self, table: pa.Table, numbers: npt.NDArray[np.int64]) -> None:
        """Add rows that stand in the order of their partitions. numbers: int64 [n], ascending."""
        if not len(table):
            return
        batch = plain(table.cast(self._schema))
        bounds = [*np.flatnonzero(np.diff(numbers, prepend=-1)).tolist(), len(table)]
        for first, end in pairwise(bounds):
            data = batch.slice(first, end - first).serialize()
            packed = self._codec.compress(data, asbytes=True)
            self._file.write(_BLOCK.pack(end - first, len(data), len(packed)))
            self._file.write(packed)
            n_bytes = _BLOCK.size + len(packed)
            self._blocks.extend((int(numbers[first]), self._end, n_bytes, end - first))
            self._end += n_bytes
        self.n_rows += len(table)

    def _finish(self) -> None:
        blocks = np.array(self._blocks).reshape(-1, 4)
        order = np.argsort(blocks[:, 0], kind="stable")
        if (order[1:] < order[:-1]).any():
            self._reorder(blocks[order])
        table = np.zeros(self._partitions, _ENTRY)
        table["n_rows"] = np.bincount(blocks[:, 0], blocks[:, 3], self._partitions).astype(np.uint64)
        table["n_bytes"] = np.bincount(blocks[:, 0], blocks[:, 2], self._partitions).astype(np.uint64)
        ends = self._start + np.cumsum(table["n_bytes"].astype(np.int64))
        table["offset"] = ends - table["n_bytes"].astype(np.int64)
        table["xxh3"] = xxhash.xxh3_64_intdigest(b"", self._seed)
        self._file.close()
        with open(self._path, "rb+") as file:
            for number in np.flatnonzero(table["n_bytes"]).tolist():
                file.seek(int(table["offset"][number]))
                table["xxh3"][number] = _digest_of(file, int(table["n_bytes"][number]), self._seed)
            facts = table.tobytes() + self._encoded
            file.seek(0)
            file.write(_HEADER.pack(_MAGIC, _VERSION, self._partitions, len(self._encoded),
                                    self._schema.get_field_index(self._by), self.n_rows,
                                    xxhash.xxh3_64_intdigest(facts)))
            file.write(facts)

    def _reorder(self, blocks: npt.NDArray[np.int64]) -> None:
        """Write the blocks anew in the given order."""
        self._file.close()
        mixed = f"{self._path}-mixed"
        os.rename(self._path, mixed)
        self._file = open(self._path, "wb")  # noqa: SIM115 (closed in _finish)
        self._file.seek(self._start)
        with open(mixed, "rb") as source:
            for _, offset, n_bytes, _ in blocks.tolist():
                source.seek(offset)
                self._file.write(source.read(n_bytes))
        os.remove(mixed)


def write_partitions(path: str, schema: pa.Schema, tables: pa.Table | Iterable[pa.Table], by: str,
                     partitions: int = SLOTS) -> int:
    """Write a partitioned file; returns its number of rows. The same rows in the same order give the same bytes.

    Args:
        path: A local path.
        schema: Of the rows.
        tables: One table, or several, of which one is held at a time.
        by: Name of the column that partitions are of: uint64 hashes, or 16-byte ids.
        partitions: How many.
    """
    with PartitionWriter(path, schema, by, partitions) as writer:
        for table in [tables] if isinstance(tables, pa.Table) else tables:
            writer.add(table)
    return writer.n_rows


class PartitionedFile:
    """A partitioned file, open for reading. Used in a `with` block.

    path: as of `storage.open_read`. Raises InputError where it is none."""

    def __init__(self, path: str) -> None:
        self._path, self._codec = path, pa.Codec("zstd")
        self._reader = RangeReader(path)
        try:
            self._head = self._reader.read(0, _FIRST_READ)
            if len(self._head) < _HEADER.size:
                raise self._damaged("its header is cut off")
            (magic, version, self.partitions, self._schema_bytes, self._by, self.n_rows,
             self._xxh3) = _HEADER.unpack_from(self._head)
            if magic != _MAGIC or version != _VERSION:
                raise self._damaged("is not a partitioned file of this version")
            check_seal(path, seal_of_bytes(self._head[: _HEADER.size]))
        except BaseException:
            self._reader.close()
            raise
        self._schema: pa.Schema | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()

    def facts(self) -> tuple[pa.Schema, str]:
        """(schema, name of the column that partitions are of), from the file itself, checked with its whole table."""
        n = self.partitions * _ENTRY.itemsize
        data = self._reader.read(_HEADER.size, n + self._schema_bytes)
        if xxhash.xxh3_64_intdigest(data) != self._xxh3:
            raise self._damaged("its table of offsets differs from its digest")
        schema = pa.ipc.read_schema(pa.py_buffer(data[n:]))
        return schema, schema.names[self._by]

    def sizes(self) -> npt.NDArray[np.int64]:
        """Rows of each partition, int64."""
        return self._entries(0, self.partitions)["n_rows"].astype(np.int64)

    def tables(self, schema: pa.Schema, first: int, count: int = 1) -> Iterator[pa.Table]:
        """The blocks of some neighbouring partitions, in order. schema: of the rows.

        Raises InputError naming the partition whose bytes are not those that were written, at the latest behind its
        last block."""
        schema = schema.remove_metadata()
        seed = _seed(schema, self.partitions)
        for number, entry in enumerate(self._entries(first, count).tolist(), first):
            offset, n_bytes, n_rows, digest = entry
            state, rows = xxhash.xxh3_64(seed=seed), 0
            for table in self._blocks(offset, n_bytes, schema, number, state, digest):
                rows += len(table)
                yield table
            if state.intdigest() != digest or rows != n_rows:
                raise self._damaged(f"partition {number} differs from its digest")

    def _entries(self, first: int, count: int) -> npt.NDArray[Any]:
        if not 0 <= first <= first + count <= self.partitions:
            raise self._damaged(f"has {self.partitions} partitions, not {first + count}")
        start, n = _HEADER.size + first * _ENTRY.itemsize, count * _ENTRY.itemsize
        data = self._head[start : start + n] if start + n <= len(self._head) else self._reader.read(start, n)
        if len(data) != n:
            raise self._damaged("its table of offsets is cut off")
        return np.frombuffer(data, _ENTRY)

    def _blocks(self, offset: int, n_bytes: int, schema: pa.Schema, number: int, state: Any,
                digest: int) -> Iterator[pa.Table]:
        """Tables of one partition. Where it is small it is checked before anything is made of it."""
        held = b""
        for start in range(0, n_bytes, _CHUNK):
            data = self._reader.read(offset + start, min(_CHUNK, n_bytes - start))
            state.update(data)
            if (len(data) == n_bytes and state.intdigest() != digest) or len(data) < min(_CHUNK, n_bytes - start):
                raise self._damaged(f"partition {number} differs from its digest")
            held, at = held + data, 0
            while at + _BLOCK.size <= len(held):
                n_rows, plain_bytes, packed = _BLOCK.unpack_from(held, at)
                if at + _BLOCK.size + packed > len(held):
                    break
                at += _BLOCK.size
                try:
                    block = self._codec.decompress(held[at : at + packed], plain_bytes)
                    batch = pa.ipc.read_record_batch(block, schema)
                except (pa.ArrowException, OSError, ValueError) as error:
                    raise self._damaged(f"partition {number} differs from its digest") from error
                at += packed
                if len(batch) != n_rows:
                    raise self._damaged(f"partition {number} differs from its digest")
                yield pa.Table.from_batches([batch])
            held = held[at:]

    def read(self, schema: pa.Schema, partition: int, partitions: int) -> Iterator[pa.Table]:
        """Rows of one of `partitions` equal ranges, whatever number of them the file has. schema: of the rows."""
        first = partition * self.partitions // partitions
        end = -(-(partition + 1) * self.partitions // partitions)
        for table in self.tables(schema, first, end - first):
            if self.partitions % partitions:
                by = schema.names[self._by]
                table = table.filter(pa.array(partition_of(spread(table[by]), partitions) == partition))
            yield table

    def _damaged(self, what: str) -> InputError:
        return InputError(what, where=self._path, hint="remove it, and run the stage that writes it again")


def read_partition(path: str, schema: pa.Schema, partition: int, partitions: int) -> pa.Table:
    """The rows of one of `partitions` equal ranges of a partitioned file, in their order.

    Raises InputError where the file is damaged: it names the partition."""
    with PartitionedFile(path) as file:
        return pa.concat_tables([schema.remove_metadata().empty_table(), *file.read(schema, partition, partitions)])


def read_value(path: str, schema: pa.Schema, value: int) -> pa.Table:
    """The partition that holds a value of the column that partitions are of, with what else lies there."""
    with PartitionedFile(path) as file:
        return pa.concat_tables([schema.remove_metadata().empty_table(),
                                 *file.tables(schema, partition_of_value(value, file.partitions))])


def plain(table: pa.Table) -> pa.RecordBatch:
    """A table as one record batch whose bytes depend on its values alone: what lies under a null is zero."""
    columns = []
    for column in table.columns:
        array: Any = one_array(column)
        if array.null_count and (pa.types.is_floating(array.type) or pa.types.is_fixed_size_binary(array.type)):
            array = _zero_nulls(array)
        columns.append(array)
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _zero_nulls(array: pa.Array) -> pa.Array:
    width, n = array.type.bit_width // 8, len(array)
    values = np.frombuffer(array.buffers()[1] or b"", np.uint8)[array.offset * width : (array.offset + n) * width]
    valid = np.asarray(array.is_valid())
    rows = np.where(valid[:, None], values.reshape(n, width), 0).astype(np.uint8)
    return pa.Array.from_buffers(array.type, len(array), [pa.array(valid).buffers()[1], pa.py_buffer(rows)])


@lru_cache(maxsize=64)
def _seed(schema: pa.Schema, partitions: int) -> int:
    """Seed of the partitions' digests: bytes of another schema, or of a file of other partitions, do not pass."""
    return xxhash.xxh3_64_intdigest(schema.serialize().to_pybytes(), partitions)


def _digest_of(file: Any, n_bytes: int, seed: int) -> int:
    state = xxhash.xxh3_64(seed=seed)
    for start in range(0, n_bytes, _CHUNK):
        state.update(file.read(min(_CHUNK, n_bytes - start)))
    return state.intdigest()
