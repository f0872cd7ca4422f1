"""Columns and tables that others hand over: Arrow's own, and whatever speaks Arrow's C interface.

A polars or pandas column, a batch of `datasets`, a block of Ray Data and a plain list all become Arrow arrays here,
without a copy where their memory is Arrow's already. Kinds of strings that compute functions cannot take rows of, such
as string views, become plain ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import InputError
from manifests.tables import one_array, string_buffers

SLICE_BYTES: Final = 16 << 20
"""Of texts that are worked on at a time, so that what kernels allocate stays small beside the texts."""


def as_column(values: Any, name: str = "texts") -> pa.Array | pa.ChunkedArray:
    """A column as Arrow has it.

    Args:
        values: An Arrow array, chunked or not; anything with `__arrow_c_stream__` or `__arrow_c_array__`, such as a
            polars series; a pandas or NumPy column; or a sequence of Python values.
        name: What errors call it.
    Returns:
        The array, of whatever type; the same one where it is Arrow's already.
    Raises:
        InputError: It is no column, or its values have no common type.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, str | bytes | Mapping):
        raise InputError(f"is one value of type {type(values).__name__}, not a column", where=name,
                         hint="give an Arrow array, a polars or pandas column, or a list")
    try:
        if hasattr(values, "__arrow_c_stream__"):
            return pa.chunked_array(values)
        return pa.array(values, from_pandas=True)
    except UnicodeEncodeError:  # a lone surrogate, which no Arrow string can hold
        return pa.array([_without_surrogates(value) for value in values])
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"is no column: {error}", where=name,
                         hint="give an Arrow array, a polars or pandas column, or a list") from error


def as_texts(values: Any, name: str = "texts") -> pa.LargeStringArray:
    """A column of strings as one large_string array.

    Args:
        values: As of `as_column`: string, large_string or string_view, or a dictionary of them; nulls stay null.
        name: What errors call it.
    Returns:
        large_string [n], without a copy where it was one array of that type.
    Raises:
        InputError: It is no column, or holds anything but strings.
    """
    column = as_column(values, name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (_is_string(kind) or pa.types.is_null(kind)):
        raise InputError(f"is a column of {column.type}, not of strings", where=name)
    if pa.types.is_dictionary(column.type):
        column = _with_plain_values(column)
    return one_array(column if column.type == pa.large_string() else column.cast(pa.large_string()))


def as_table(data: Any, name: str = "table") -> pa.Table:
    """A table as Arrow has it, every column known by a name of its own.

    Args:
        data: An Arrow table, record batch or reader; anything with `__arrow_c_stream__`, such as a polars or pandas
            data frame; or a mapping of columns, as `datasets` gives batches.
        name: What errors call it.
    Returns:
        The table. Views become plain strings, bytes and lists: Arrow cannot take rows of views.
    Raises:
        InputError: It is no table, or two of its columns have one name.
    """
    try:
        if isinstance(data, pa.RecordBatch):
            data = pa.Table.from_batches([data])
        elif isinstance(data, Mapping):
            data = pa.table({key: as_column(values, str(key)) for key, values in data.items()})
        table = data if isinstance(data, pa.Table) else pa.table(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"is no table: {error}", where=name,
                         hint="give an Arrow table, a polars or pandas data frame, or a mapping of columns") from error
    twice = [column for column, n in Counter(table.column_names).items() if n > 1]
    if twice:
        raise InputError(f"has more than one column {twice[0]!r}", where=name, hint="rename all but one of them")
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and _plain(field.type.value_type) != field.type.value_type:
            column = _with_plain_values(table.column(index))
            table = table.set_column(index, field.with_type(column.type), column)
    fields = [field.with_type(_plain(field.type)) for field in table.schema]
    return table if fields == list(table.schema) else table.cast(pa.schema(fields, table.schema.metadata))


def text_column(table: pa.Table, column: str, name: str = "table") -> pa.LargeStringArray:
    """The texts of a table. Raises InputError where it has no such column, or one of anything but strings."""
    if column not in table.column_names:
        there = ", ".join(table.column_names[:12]) or "none"
        raise InputError(f"has no column {column!r}", where=name,
                         hint=f"its columns are {there}; say which holds the text by text_column=")
    return as_texts(table[column], f"{name}: column {column!r}")


def kept_mask(table: pa.Table, name: str = "table") -> pa.BooleanArray | None:
    """The column `keep` of decisions that a table came with, a null read as false; None where it has none.

    Raises InputError where it is not boolean."""
    if "keep" not in table.column_names:
        return None
    keep = one_array(table["keep"])
    if not pa.types.is_boolean(keep.type):
        raise InputError(f"has a column 'keep' of {keep.type}, not of booleans", where=name,
                         hint="rename the column, or pass ignore_keep=True to read every row")
    return pc.fill_null(keep, False)


def text_slices(texts: pa.LargeStringArray, limit: int = SLICE_BYTES) -> Iterator[tuple[int, int]]:
    """(first row, end) of runs of texts of at most so many UTF-8 bytes; a longer text is a run of its own. At least one
    run, which has no row where there is none."""
    _, offsets = string_buffers(texts)
    start, n = 0, len(texts)
    while True:
        end = min(n, max(start + 1, int(np.searchsorted(offsets, offsets[start] + limit, side="right")) - 1))
        yield start, end
        start = end
        if start >= n:
            return


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type without views, within lists and structs too."""
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    for is_list, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_list(kind):
            return make(kind.value_field.with_type(_plain(kind.value_type)))
    return kind


def _with_plain_values(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of dictionaries whose values are no views."""
    kind = pa.dictionary(column.type.index_type, _plain(column.type.value_type), column.type.ordered)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return pa.chunked_array([pa.DictionaryArray.from_arrays(
        chunk.indices, chunk.dictionary.cast(kind.value_type), ordered=kind.ordered) for chunk in chunks], kind)


def _without_surrogates(value: Any) -> Any:
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value


