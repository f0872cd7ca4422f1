"""Reading and writing the run's tables: plain zstd Parquet, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import InputError, ShardError
from manifests.footers import check_footer, seal_footer
from manifests.storage import is_local, local_path, open_read, replacing


def write_table(path: str, schema: pa.Schema, tables: Iterable[pa.Table | pa.RecordBatch],
                dictionary: bool = True) -> int:
    """Write tables of one schema to a local Parquet file, a row group for each; returns the number of rows.

    dictionary: whether columns may be encoded by a dictionary of their values. Hashes and signatures do not repeat:
    without a dictionary they take a third less space and half the time."""
    with TableWriter(path, schema, dictionary) as writer:
        for table in tables:
            writer.add(table)
    return writer.n_rows


class TableWriter:
    """A local Parquet file in the making, as all of the project's are: zstd, a checksum in each page, a digest of the
    footer. Used in a `with` block, at whose end it is complete. path, schema, dictionary: as of `write_table`.
    """

    def __init__(self, path: str, schema: pa.Schema, dictionary: bool = True) -> None:
        self.n_rows = 0
        self._path, self._schema = path, schema
        self._file = pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, write_statistics=True,
                                      use_dictionary=dictionary, write_page_checksum=True)

    def add(self, table: pa.Table | pa.RecordBatch) -> None:
        """Write a row group; nothing for a table without rows."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        if len(table):
            self._file.write_table(table.cast(self._schema), row_group_size=max(1, len(table)))
            self.n_rows += len(table)

    def close(self) -> None:
        """Complete the file."""
        self._file.close()
        seal_footer(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def publish_table(path: str, tables: Iterable[pa.Table], schema: pa.Schema | None = None) -> int:
    """`write_table` under a local path that appears complete or not at all. schema: of the first table if None."""
    if schema is None:
        tables = list(tables)
        schema = tables[0].schema
    with replacing(path) as staged:
        return write_table(staged, schema, tables)


class TableFile(pq.ParquetFile):  # type: ignore[misc]  # pyarrow has no types
    """An open Parquet file whose damage is an InputError that names it, wherever in it reading comes upon it."""

    def __init__(self, source: Any, where: str) -> None:
        self._where = where
        super().__init__(source, memory_map=False, page_checksum_verification=True)

    def read(self, *args: Any, **options: Any) -> pa.Table:
        """As `ParquetFile.read`."""
        with _damage(self._where):
            return super().read(*args, **options)

    def read_row_group(self, *args: Any, **options: Any) -> pa.Table:
        """As `ParquetFile.read_row_group`."""
        with _damage(self._where):
            return super().read_row_group(*args, **options)

    def read_row_groups(self, *args: Any, **options: Any) -> pa.Table:
        """As `ParquetFile.read_row_groups`."""
        with _damage(self._where):
            return super().read_row_groups(*args, **options)

    def iter_batches(self, *args: Any, **options: Any) -> Iterator[pa.RecordBatch]:
        """As `ParquetFile.iter_batches`."""
        with _damage(self._where):
            yield from super().iter_batches(*args, **options)


@contextmanager
def _damage(where: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: of a number that nothing could have
        reason = " ".join(str(error).split())
        raise InputError(f"is damaged: {reason}", where=where, hint="make or fetch it again") from error


def open_table(path: str) -> TableFile:
    """Open a Parquet file anywhere; InputError where it is not one, or when damage is read. path: as of
    `storage.open_read`."""
    file = open_read(path)
    try:
        check_footer(file, path)
        if is_local(path):
            file.close()
            return TableFile(local_path(path), path)
        return TableFile(file, path)
    except (pa.ArrowInvalid, OSError) as error:
        file.close()
        raise InputError(f"is not a readable Parquet file: {error}", where=path) from error
    except InputError:
        file.close()
        raise


def read_table(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a Parquet file, or of some of its columns, on one thread (workers own one core each)."""
    with open_table(path) as file:
        return file.read(columns=list(columns) if columns is not None else None, use_threads=False)


def read_columns(path: str, schema: pa.Schema, names: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """Columns of a table that may come from anybody, as its schema has them.

    Args:
        path: A Parquet file, as of `storage.open_read`.
        schema: What its columns should be.
        names: Those that are wanted.
        optional: Those that are wanted where the file has them, behind the others.
    Raises:
        InputError: It is no Parquet file, or damaged.
        ShardError: A column is missing, of another type, or without a value where it must have one.
    """
    with open_table(path) as file:
        there = file.schema_arrow
        if missing := [name for name in names if name not in there.names]:
            raise ShardError(f"lacks the column {', '.join(missing)}", where=path, hint="make or fetch it again")
        wanted = [*names, *(name for name in optional if name in there.names)]
        for name in wanted:
            kind = there.field(name).type if there.get_field_index(name) >= 0 else "there twice"
            if kind != schema.field(name).type:
                raise ShardError(f"column {name} is {kind}, not {schema.field(name).type}", where=path,
                                 hint="make or fetch it again")
        table = file.read(columns=wanted, use_threads=False)
    for name in wanted:
        if table[name].null_count and not schema.field(name).nullable:
            raise ShardError(f"column {name} has a row without a value", where=path, hint="make or fetch it again")
    return table


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, whatever chunks it came in; its buffers are copied only where there are several."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def without_views(kind: pa.DataType) -> pa.DataType:
    """The type with offsets for one whose strings, bytes or lists are views, as polars writes them; nested ones too.

    Most of Arrow's functions have no kernel for views."""
    if kind.equals(pa.string_view()):
        return pa.large_string()
    if kind.equals(pa.binary_view()):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([plain_field(kind.field(i)) for i in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(plain_field(kind.key_field), plain_field(kind.item_field), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(plain_field(kind.value_field), kind.list_size)
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(plain_field(kind.value_field))
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(plain_field(kind.value_field))
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, without_views(kind.value_type), kind.ordered)
    return kind


def plain_field(field: pa.Field) -> pa.Field:
    """A field without views."""
    return field.with_type(without_views(field.type))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """A schema without views."""
    return pa.schema([plain_field(field) for field in schema], schema.metadata)


def plain_table(table: pa.Table) -> pa.Table:
    """A table without views; the very table where it has none."""
    schema = plain_schema(table.schema)
    return table if schema.equals(table.schema) else table.cast(schema)


def string_buffers(strings: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(data uint8, offsets int64 [n + 1]): text i is data[offsets[i]:offsets[i + 1]]. A null is an empty text.

    Without a copy for large_string and large_binary arrays; offsets of others are widened, and chunks joined."""
    column: Any = one_array(strings)
    if column.type not in (pa.large_string(), pa.large_binary()):
        column = column.cast(pa.large_string())
    if column.null_count:
        column = column.fill_null("")
    _, offsets, data = column.buffers()
    first, n = column.offset, len(column)
    bounds = np.frombuffer(offsets, np.int64)[first : first + n + 1] if offsets else np.zeros(1, np.int64)
    return np.frombuffer(data or b"", np.uint8), bounds


def read_row_groups(path: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a Parquet file one by one, for text that must not be held at once."""
    with open_table(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=list(columns) if columns is not None else None, use_threads=False)
