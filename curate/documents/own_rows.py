"""The rows of a user's own files that stay, with all their columns, and their text as decisions leave it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents.tables import MAX_TEXT_BYTES
from curate.edits.spans import FlatEdits, far_ends
from curate.sources.jsonl import line_blocks
from curate.sources.kinds import detect_kind
from curate.sources.parquet import BATCH_ROWS
from curate.sources.warc import Damage
from curate.text.strings import without_surrogates
from manifests.errors import InputError
from manifests.hashing import Int64
from manifests.storage import open_read
from manifests.tables import one_array, open_table, plain_schema, plain_table


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of a file that stay. rows: int64, counted in the file, ascending; one that was cut to pieces comes more than
    once. ids, urls: string, text: large_string, as edited. own: columns that the rows get."""

    rows: Int64
    ids: pa.Array
    urls: pa.Array
    text: pa.Array
    own: pa.Table

    @staticmethod
    def of(documents: pa.Table, own: pa.Schema) -> Kept:
        """From documents: record_id, url, text, origin_offset, and the columns of a schema."""
        ids, urls, text = (one_array(documents[name]) for name in ("record_id", "url", "text"))
        return Kept(documents["origin_offset"].to_numpy(), ids, urls, text, documents.select(own.names))

    def __len__(self) -> int:
        return len(self.rows)

    def slice(self, start: int, end: int) -> Kept:
        """Those from one on and before another."""
        length = end - start
        ids, urls, text = (array.slice(start, length) for array in (self.ids, self.urls, self.text))
        return Kept(self.rows[start:end], ids, urls, text, self.own.slice(start, length))


Groups = Callable[[], Iterator[Kept]]

def own_rows(path: str, names: tuple[str, str], own: pa.Schema,
             groups: Groups) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """The rows that stay of a file, with every column that it has.

    Args:
        path: A Parquet or JSON Lines file, which is read again; of any other, a row has its id, url and text.
        names: Of the columns of ids and texts.
        own: Columns that the rows get; they take the place of the file's of the same name.
        groups: The rows that stay, in order; read twice for JSON Lines, of which a field whose values have no common
            type becomes a string of JSON.
    Returns:
        Schema and tables.
    Raises:
        InputError: The file has changed since its rows were decided on.
    """
    kind = detect_kind(path)
    if kind == "parquet":
        return _parquet(path, names[1], own, groups)
    if kind == "jsonl":
        return _json_lines(path, names, own, groups)
    schema = pa.schema([(names[0], pa.string()), ("url", pa.string()), (names[1], pa.large_string())])
    whole = _with(schema, own)
    return whole, (_filled(pa.table([g.ids, g.urls, g.text], schema=schema), g, whole) for g in groups())


def _with(schema: pa.Schema, own: pa.Schema) -> pa.Schema:
    """A file's schema with the columns that rows get: those of the same name replaced, the others behind. `n_bytes`, of
    the text as it now is, only a file gets that has it."""
    for field in own:
        index = schema.get_field_index(field.name)
        if field.name != "n_bytes" and not (index >= 0 and _is_users(field, schema.field(index))):
            schema = schema.set(index, field) if index >= 0 else schema.append(field)
    return schema


def _is_users(own: pa.Field, field: pa.Field) -> bool:
    """Whether a file's column of this name is something else: a `doc_id` that is no id of 16 bytes."""
    return bool(own.name == "doc_id" and own.type != field.type)


def _filled(table: pa.Table, kept: Kept, schema: pa.Schema) -> pa.Table:
    """A table of a file's rows with the columns that they get."""
    columns = {name: table[name] for name in table.column_names}
    for name in kept.own.column_names:
        users = name in columns and _is_users(kept.own.schema.field(name), schema.field(name))
        if name in schema.names and not users:
            columns[name] = _following(name, columns.get(name), kept)
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)


def _following(name: str, before: pa.ChunkedArray | None, kept: Kept) -> pa.ChunkedArray:
    """A column that rows get, where the file has one of its name: edits of texts that were edited already are those of
    the texts before both, and a document that was cut before keeps its parent."""
    own = kept.own[name]
    if before is None or before.type != own.type or name not in ("edits", "parent_id"):
        return own
    if name == "parent_id":
        return pc.coalesce(own, before)
    sizes = far_ends(own)
    return pa.chunked_array([FlatEdits.of(own, sizes).after(FlatEdits.of(before, sizes)).array()])


def _parquet(path: str, text: str, own: pa.Schema, groups: Groups) -> tuple[pa.Schema, Iterator[pa.Table]]:
    with open_table(path) as file:
        schema = plain_schema(file.schema_arrow.remove_metadata())
    index = schema.get_field_index(text)
    plain = schema.field(index).type in (pa.string(), pa.large_string())
    field = pa.field(text, schema.field(index).type if plain else pa.large_string())
    schema = schema.set(index, field)
    whole = _with(schema, own)

    def tables() -> Iterator[pa.Table]:
        for first, batch, group in _aligned(path, _batches(path), groups()):
            table = batch.take(pa.array(group.rows - first))
            table = table.set_column(index, field, group.text.cast(field.type)).cast(schema)
            yield _filled(table, group, whole)

    return whole, tables()


def _batches(path: str) -> Iterator[tuple[int, pa.Table]]:
    with open_table(path) as file:
        row = 0
        for group in range(file.num_row_groups):
            end = row + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False):
                    yield row, plain_table(pa.Table.from_batches([batch]))
                    row += len(batch)
            except (pa.ArrowException, InputError):  # named when the texts were read
                pass
            row = end


def _json_lines(path: str, names: tuple[str, str], own: pa.Schema,
                groups: Groups) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Two readings: the first finds what type each field has."""
    fields: dict[str, pa.Field] = {}
    for first, lines, group in _aligned(path, _lines(path), groups()):
        for field in _frame(_picked(first, lines, group), None).schema:
            fields[field.name] = _common(fields.get(field.name), field)
    own_id, text = names
    fields[text] = pa.field(text, pa.large_string())
    numbered = own_id in fields and fields[own_id].metadata is not None  # texts and numbers: as the decisions have them
    if numbered:
        fields[own_id] = pa.field(own_id, pa.string())
    schema = pa.schema(list(fields.values()))
    whole = _with(schema, own)

    def tables() -> Iterator[pa.Table]:
        for first, lines, group in _aligned(path, _lines(path), groups()):
            table = _frame(_picked(first, lines, group), schema, own_id if numbered else None)
            if numbered:
                table = table.set_column(schema.get_field_index(own_id), fields[own_id], group.ids)
            yield _filled(table.set_column(schema.get_field_index(text), fields[text], group.text), group, whole)

    return whole, tables()


def _lines(path: str) -> Iterator[tuple[int, list[bytes]]]:
    row = 0
    with open_read(path) as stream:
        for block in line_blocks(stream, 4 * MAX_TEXT_BYTES + (1 << 20)):
            if isinstance(block, Damage):
                row += block.offset
                continue
            yield row, block
            row += len(block)


def _aligned(path: str, blocks: Iterator[tuple[int, Any]], groups: Iterator[Kept]) -> Iterator[tuple[int, Any, Kept]]:
    """(first row, block, kept rows in it) of every block of a file that has some. blocks: (first row, what has a
    length). Raises InputError where a row is not there any more."""
    waiting = next(groups, None)
    for first, block in blocks:
        while waiting is not None and (not len(waiting) or waiting.rows[0] < first + len(block)):
            n = int(np.searchsorted(waiting.rows, first + len(block)))
            if n:
                yield first, block, waiting.slice(0, n)
            waiting = waiting.slice(n, len(waiting)) if n < len(waiting) else next(groups, None)
    if waiting is not None and len(waiting):
        raise InputError("has changed while it was read", where=path)


def _picked(first: int, lines: list[bytes], group: Kept) -> list[bytes]:
    return [lines[row] for row in (group.rows - first).tolist()]


_JSON: Final = {b"curate.json": b"1"}  # on fields whose values have no common type


def _common(one: pa.Field | None, other: pa.Field) -> pa.Field:
    """A field that holds both: of a common type, else a string of JSON."""
    if one is None or one.equals(other, check_metadata=True):
        return other
    if one.metadata is None and other.metadata is None:
        try:
            merged = pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
            return merged.field(0)
        except pa.ArrowException:
            pass
    return pa.field(one.name, pa.large_string(), metadata=_JSON)


def _frame(lines: list[bytes], schema: pa.Schema | None, without: str | None = None) -> pa.Table:
    """Lines as a table of a schema, or of the types they seem to have. without: a field that is left null."""
    rows = [_object(line) for line in lines]
    names = schema.names if schema is not None else list(dict.fromkeys(name for row in rows for name in row))
    columns = [_column([row.get(name) if name != without else None for row in rows],
                       schema.field(name) if schema is not None else None) for name in names]
    return pa.table([array for array, _ in columns], schema=schema or pa.schema(
        [pa.field(name, array.type, metadata=meta) for name, (array, meta) in zip(names, columns, strict=True)]))


def _column(values: list[Any], field: pa.Field | None) -> tuple[pa.Array, dict[bytes, bytes] | None]:
    if field is None or field.metadata is None:
        try:
            return pa.array(values, field.type if field is not None else None), None
        except (pa.ArrowException, OverflowError):
            pass
    written = (None if v is None else json.dumps(v, ensure_ascii=False) for v in values)
    return pa.array(list(written), pa.large_string()), _JSON


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
        if b"\\u" in line:  # an escaped lone surrogate becomes U+FFFD, as in the texts that were judged
            value = json.loads(without_surrogates(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):  # lines that are no objects are no documents: the file is another by now
        return {}
    return value if isinstance(value, dict) else {}


