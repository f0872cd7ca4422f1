"""JSON Lines, plain, gzip or zstd: blocks of lines are parsed by Arrow, and line by line only where one is bad."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.json as pj

from curate.sources.columns import GROUP, ColumnNames, RankedColumns, TextRows, not_boolean
from curate.sources.members import read_chunks
from curate.sources.warc import Damage
from curate.text.strings import strings_array, valid_text, without_surrogates

_BLOCK_LINES: Final = 1024
_BLOCK_BYTES: Final = 8 << 20


def read_jsonl(stream: IO[bytes], names: ColumnNames, max_line_bytes: int) -> Iterator[TextRows | Damage]:
    """The rows of a JSON Lines file in batches; `first_row` and the offset of a Damage are line numbers from 0.

    Args:
        stream: The file, plain or compressed, seekable. Blank lines count as lines; they and those that are no JSON
            object are rows without text that are not `readable`.
        names: Which fields are text, id, URL and so on.
        max_line_bytes: Longer lines are skipped, named, and never held in memory.
    Yields:
        Rows, and the lines that give none.
    """
    row = 0
    for block in line_blocks(stream, max_line_bytes):
        if isinstance(block, Damage):
            yield Damage(row, block.what)
            row += block.offset
            continue
        yield from _parse(block, row, names)
        row += len(block)


def line_blocks(stream: IO[bytes], max_line_bytes: int) -> Iterator[list[bytes] | Damage]:
    """Lines in blocks; a Damage of `offset` lines (0 or 1) replaces those that cannot be read."""
    lines: list[bytes] = []
    n_bytes = 0
    for line in _lines(stream, max_line_bytes):
        if isinstance(line, Damage) or len(lines) >= _BLOCK_LINES or n_bytes + len(line) > _BLOCK_BYTES:
            if lines:
                yield lines
            lines, n_bytes = [], 0
        if isinstance(line, Damage):
            yield line
        else:
            lines.append(line)
            n_bytes += len(line)
    if lines:
        yield lines


def keys_of(stream: IO[bytes], max_line_bytes: int) -> list[str]:
    """The keys of a file's first object, those of fields of fields with a dot; none where its first lines hold none."""
    for block in line_blocks(stream, max_line_bytes):
        for line in block if isinstance(block, list) else ():
            with suppress(ValueError, RecursionError):
                if isinstance(fields := json.loads(line), dict):
                    return [*fields, *(f"{key}.{inner}" for key, value in fields.items() if isinstance(value, dict)
                                       for inner in value)]
        break
    return []


def _lines(stream: IO[bytes], max_line_bytes: int) -> Iterator[bytes | Damage]:
    """Lines without their line feeds. After a broken member, the rest of the line it cuts is lost with it."""
    rest, too_long = bytearray(), False
    for chunk in read_chunks(stream, opening=b"{"):
        rest += chunk.data
        if b"\n" in chunk.data:
            *complete, last = bytes(rest).split(b"\n")
            for line in complete:
                yield Damage(1, f"line is longer than {max_line_bytes} bytes") if too_long else line
                too_long = False
            rest = bytearray(last)
        if len(rest) > max_line_bytes:
            rest, too_long = bytearray(), True
        if chunk.broken is not None:
            yield Damage(1 if rest or too_long else 0, f"{chunk.broken} (at byte {chunk.member})")
            rest, too_long = bytearray(), False
    if too_long:
        yield Damage(1, f"line is longer than {max_line_bytes} bytes")
    elif rest:
        yield bytes(rest)


def _parse(lines: list[bytes], row: int, names: ColumnNames) -> Iterator[TextRows | Damage]:
    keys = {"text": names.text, "id": names.id, "doc_id": "doc_id", "url": names.url, **_ranks(names)}
    kinds = {"text": pa.large_string(), "quality": pa.float64(), "keep": pa.bool_()}
    schema = _schema({key: kinds.get(use, pa.string()) for use, key in reversed(keys.items())})
    data = b"\n".join(lines)
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        pa.array([data], pa.large_binary()).cast(pa.large_string())  # Arrow's parser takes any bytes for UTF-8
        table = pj.read_json(io.BytesIO(data), pj.ReadOptions(use_threads=False, block_size=len(data) + 1), options)
    except pa.ArrowException:
        table = None
    if table is None or len(table) != len(lines):  # a bad or blank line, a number as id, an escaped lone surrogate
        yield from _parse_each(lines, row, names)
        return
    wanted = {"text": names.text, "id": names.id, "url": names.url, **_ranks(names)}
    table = _without_empty(table)
    rows = TextRows.of(row, table, wanted)
    if rows.ids.null_count == len(rows):
        rows = TextRows.of(row, table, wanted | {"id": "doc_id"})
    yield rows


def _schema(fields: dict[str, pa.DataType]) -> pa.Schema:
    """Of keys, those with a dot as they are and as fields of a field."""
    nested: dict[str, dict[str, pa.DataType]] = {}
    for key, kind in fields.items():
        head, _, path = key.partition(".")
        if path and head not in fields:
            nested.setdefault(head, {})[path] = kind
    return pa.schema([*fields.items(), *((head, pa.struct(list(_schema(inner)))) for head, inner in nested.items())])


def _without_empty(table: pa.Table) -> pa.Table:
    """A table without the columns whose names have a dot and that no row has: fields of fields stand for them."""
    empty = [name for name in table.column_names if "." in name and table[name].null_count == len(table)
             and name.partition(".")[0] in table.column_names]
    return table.drop_columns(empty) if empty else table


def _ranks(names: ColumnNames) -> dict[str, str]:
    """Keys that are read where something asks for them, by use."""
    if not isinstance(names, RankedColumns):
        return {"date": names.date} if names.date is not None else {}
    uses = (("date", names.date), ("quality", names.quality), ("doc_id", "doc_id"), ("group", GROUP),
            ("keep", names.keep))
    return {use: key for use, key in uses if key is not None}


def _parse_each(lines: list[bytes], row: int, names: ColumnNames) -> Iterator[TextRows | Damage]:
    """The slow path, which names the bad lines; they become rows without text that are not `readable`."""
    uses = {"text": names.text, "id": names.id, "url": names.url, **_ranks(names)}
    columns: dict[str, list[Any]] = {use: [] for use in uses}
    readable = []
    for number, line in enumerate(lines, row):
        fields: Any = None
        if line.strip():
            try:
                fields = json.loads(line)
                if not isinstance(fields, dict):
                    yield Damage(number, f"line {number + 1} is not a JSON object")
            except (ValueError, RecursionError) as error:
                yield Damage(number, f"line {number + 1} is not JSON: {error}")
        readable.append(isinstance(fields, dict))
        if not readable[-1]:
            fields = {}
        for use, key in uses.items():
            value = _value(fields, key)
            value = fields.get("doc_id") if value is None and use == "id" else value
            columns[use].append(_READ.get(use, _name)(value))
    kinds = {"quality": pa.float64(), "keep": pa.bool_()}
    arrays = {use: pa.array(values, kinds[use]) if use in kinds else strings_array(values)
              for use, values in columns.items()}
    rows = TextRows.of(row, pa.table(arrays), {use: use for use in uses})
    rows.readable = None if all(readable) else pa.array(readable)
    yield rows


def _value(fields: dict[str, Any], key: str) -> Any:
    if key in fields:
        return fields[key]
    value: Any = fields
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _name(value: object) -> bytes | None:
    """UTF-8 of an id, a date or the like, which may be a number."""
    return None if value is None else valid_text(value if isinstance(value, str) else str(value))


def _string(value: object) -> bytes | None:
    """UTF-8 of a text, with its NULs as Arrow's parser has them."""
    return without_surrogates(value).encode() if isinstance(value, str) else None


def _score(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _keep(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise not_boolean("keep", repr(value))


_READ: Final = {"text": _string, "url": _string, "quality": _score, "keep": _keep}
