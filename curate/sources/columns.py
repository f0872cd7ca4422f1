"""Rows of a tabular source as columns of text, whatever their names and types in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from manifests.errors import InputError
from manifests.tables import one_array

GROUP: Final = "group_id"
"""Column of a table whose rows of one value are held out for validation together."""


class ColumnNames(BaseModel):
    """Columns of JSONL and Parquet sources. A name with a dot leads into a field of a field, where there is no column
    of that very name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(default="text", description="Column or key that holds the text.")
    id: str = Field(
        default="id", description="Column or key that holds the user's own id; `doc_id` where it is absent.")
    url: str = Field(default="url", description="Column or key that holds the page's URL, if there is one.")
    date: str | None = Field(default=None, description="Column or key that holds the date; null where nothing asks.")


class RankedColumns(ColumnNames):
    """Columns of a table that is read as it is: ids of documents are kept, date and quality may decide which of two
    duplicates stays, and rows whose `keep` is false are left out; None where nothing asks for them."""

    quality: str | None = None
    keep: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source. path: where it is. origin_path: what documents remember, relative to the source's root.
    kind: one of `kinds.KINDS`. options: what a recipe chose of its kind."""

    path: str
    source: str
    origin_path: str
    kind: str
    columns: ColumnNames
    options: Mapping[str, Any] | None = None


@dataclass(slots=True)
class TextRows:
    """Consecutive rows of one file. text: large_string, null where a row has none. ids, urls: string or null. dates:
    timestamp[ms, UTC], quality: float32, both null where a row has none, None where nothing asked.
    doc_ids: binary of 16 bytes, null where a row has no such id; groups: string; keep: bool; all three where
    `RankedColumns` asked and the file has them. n_bytes: of the file, where it is one text. readable: bool, of lines
    that may be no row at all, None where every row is one."""

    first_row: int
    text: pa.Array
    ids: pa.Array
    urls: pa.Array
    dates: pa.Array | None = None
    quality: pa.Array | None = None
    doc_ids: pa.Array | None = None
    groups: pa.Array | None = None
    keep: pa.Array | None = None
    n_bytes: int | None = None
    readable: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.text)

    @staticmethod
    def of(first_row: int, table: pa.Table, wanted: dict[str, str]) -> TextRows:
        """From a table that holds the columns of `wanted` (what they are for -> their name)."""
        def column(use: str, kind: pa.DataType) -> pa.Array:
            return _as_strings(_field(table, wanted[use]), kind) if use in wanted else pa.nulls(len(table), kind)
        ids = as_ids(_field(table, wanted["id"]), wanted["id"]) if "id" in wanted else column("id", pa.string())
        return TextRows(first_row, column("text", pa.large_string()), ids,
                        column("url", pa.string()),
                        as_dates(one_array(_field(table, wanted["date"]))) if "date" in wanted else None,
                        as_numbers(table[wanted["quality"]].combine_chunks()) if "quality" in wanted else None,
                        as_document_ids(one_array(table[wanted["doc_id"]])) if "doc_id" in wanted else None,
                        _as_strings(table[wanted["group"]], pa.string()) if "group" in wanted else None,
                        one_array(table[wanted["keep"]]) if "keep" in wanted else None)


def pick_columns(schema: pa.Schema, names: ColumnNames, path: str) -> dict[str, str]:
    """What each wanted column is called in a file; raises InputError where there is no text column, where two columns
    have one name, and where `keep` is not boolean."""
    if twice := [name for name in schema.names if schema.names.count(name) > 1]:
        raise InputError(f"has two columns {twice[0]!r}", where=path,
                         hint="give each column a name of its own")
    there = _Names(schema)
    if names.text not in there:
        raise InputError(f"has no column {names.text!r}", where=path,
                         hint=f"its columns are {', '.join(schema.names[:12])}; name the one that holds the text: "
                              "--text-column, or a source's text_column")
    wanted = {"text": names.text}
    for own in (names.id, "doc_id"):
        if own in there:
            wanted["id"] = own
            break
    if names.url in there:
        wanted["url"] = names.url
    if names.date is not None and names.date in there:
        wanted["date"] = names.date
    if isinstance(names, RankedColumns):
        if names.quality is not None and names.quality in there:
            wanted["quality"] = names.quality
        wanted |= {use: name for use, name in (("doc_id", "doc_id"), ("group", GROUP)) if name in there}
        if names.keep is not None and names.keep in there:
            if not pa.types.is_boolean(schema.field(names.keep).type):
                raise not_boolean(names.keep, str(schema.field(names.keep).type), path)
            wanted["keep"] = names.keep
    return wanted


class _Names:
    """The names under which a file has columns, fields of fields among them."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def __contains__(self, name: str) -> bool:
        if name in self._schema.names:
            return True
        head, *path = name.split(".")
        if not path or head not in self._schema.names:
            return False
        kind = self._schema.field(head).type
        for part in path:
            if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
                return False
            kind = kind.field(part).type
        return True


def _field(table: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    """A column by its name, or a field of a field."""
    if name in table.column_names:
        return table[name]
    head, *path = name.split(".")
    column = one_array(table[head])
    for part in path:
        column = pc.struct_field(column, part)
    return column
def not_boolean(column: str, found: str, path: str | None = None) -> InputError:
    """The error of a file whose column `keep` says something else than whether rows stay."""
    return InputError(f"has a column {column!r} that is not boolean: {found}", where=path,
                      hint="--ignore-keep reads all rows")


def as_ids(column: pa.Array, name: str) -> pa.Array:
    """Ids as strings: bytes as hex where they are 16 of a `doc_id`, or no UTF-8, so that two ids never become one."""
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return _as_strings(column, pa.string())
    def text(value: bytes) -> str:
        try:
            return value.hex() if name == "doc_id" and len(value) == 16 else value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return pa.array([None if v is None else text(v) for v in column.to_pylist()], pa.string())


def _as_strings(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column as strings: numbers in decimal, bytes as UTF-8 (U+FFFD for what is none), of a fixed size as hex; a
    cell that cannot be one is null."""
    column = one_array(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_fixed_size_binary(column.type):
        return pa.array([None if v is None else v.hex() for v in column.to_pylist()], kind)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return _decoded(column, kind)
    try:
        strings = pc.cast(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(len(column), kind)
    try:
        strings.validate(full=True)  # Parquet's writers need not check that strings are UTF-8
    except pa.ArrowInvalid:
        return _decoded(strings.cast(pa.large_binary()), kind)
    return strings


def _decoded(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.array([None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()], kind)


def as_document_ids(column: pa.Array) -> pa.Array:
    """A column as ids of documents, binary of 16 bytes: as they are, or in 32 hexadecimal digits; else null."""
    if column.type == pa.binary(16):
        return column
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([v if v is not None and len(v) == 16 else None for v in column.to_pylist()], pa.binary(16))
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return pa.nulls(len(column), pa.binary(16))
    hexadecimal = pc.fill_null(pc.match_substring_regex(column, "^[0-9a-f]{32}$"), False)
    return pa.array([bytes.fromhex(text) if of_id else None for text, of_id in
                     zip(column.to_pylist(), hexadecimal.to_pylist(), strict=True)], pa.binary(16))


_DATE: Final = pa.timestamp("ms", "UTC")


def as_dates(column: pa.Array) -> pa.Array:
    """A column as timestamp[ms, UTC]: dates, timestamps, ISO 8601, YYYYMMDD[hhmmss], seconds since 1970; what names no
    zone is UTC, what is no date null."""
    if pa.types.is_temporal(column.type):
        try:
            return column.cast(pa.timestamp("ms", getattr(column.type, "tz", None)), safe=False).cast(_DATE)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a time of day, a duration
            return pa.nulls(len(column), _DATE)
    return pa.array([_date(value) for value in _as_strings(column, pa.string()).to_pylist()], _DATE)


def _date(value: str | None) -> datetime | None:
    text = (value or "").strip()
    try:
        if len(text) == len("YYYYMMDDhhmmss") and text.isdecimal():
            date = datetime.strptime(text, "%Y%m%d%H%M%S")
        elif len(text) != len("YYYYMMDD") and text.replace(".", "", 1).isdecimal():
            date = datetime.fromtimestamp(float(text), UTC)
        else:
            date = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def as_numbers(column: pa.Array) -> pa.Array:
    """A column as float32; a cell that is no number is null."""
    try:
        return pc.cast(column, pa.float32(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(len(column), pa.float32())
