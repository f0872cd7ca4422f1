"""Tables of documents, read as they are: the source kind `table`, which single commands read their files through.

One document a row, in the file's order; nothing is normalised, no rule on addresses, lengths or languages applies. Ids
of 16 bytes under `doc_id` are kept, so that the reports of several commands on a document can be joined; else an id is
derived from the source, the file and the row. Columns that no stage knows stay in the file: `origin_offset` holds the
number of a row, by which it is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.sources.columns import GROUP, ColumnNames, SourceFile, TextRows, as_document_ids
from curate.sources.http_config import HttpConfig
from curate.sources.kinds import KINDS, detect_kind, text_column_absent
from curate.sources.rows import row_ids
from curate.sources.warc import Damage
from curate.text.strings import without_nul
from curate.text.urls import hosts_of
from manifests.errors import InputError
from manifests.hashing import Int64, document_id
from manifests.schema import DOCUMENTS, ID

MAX_TEXT_BYTES: Final = 64 << 20
"""Of one text of a table; a longer line of JSON is lost, and named."""

QUALITY: Final = pa.field("quality_score", pa.float32(), metadata={
    "comment": "score that the table came with; decides between duplicates where that is asked for"})
GROUP_ID: Final = pa.field(GROUP, ID, metadata={"comment": "documents of one group are held out together"})
TABLE_DOCUMENTS: Final = pa.schema([*DOCUMENTS, QUALITY, GROUP_ID])
"""The document table of a table: as of pages, and the scores and groups that it came with."""


def read_rows(path: str, columns: ColumnNames, report: Callable[[int, str], None],
              http: HttpConfig | None = None) -> Iterator[TextRows]:
    """The rows of a table of texts, in order, every row with an id.

    Args:
        path: Parquet, JSON Lines or plain text, recognised by its content; local path or URL.
        columns: What the columns of the file are called. `RankedColumns` asks for ids of documents, date and quality.
        report: Called with (row or byte, what is wrong there) for what cannot be read.
        http: How to fetch it.
    Yields:
        Some hundred rows at a time. Those that are not `readable` are no documents; rows without an id are numbered
        from 0 in the file.
    Raises:
        InputError: Nothing can be read, no row has a text, or none has an id and the column was asked for by name. A
            table without rows is a table.
    """
    kind = KINDS[detect_kind(path, http)]
    if kind.rows is None:
        raise InputError(f"is {kind.what}, not a table of texts", where=path, hint="curate extract reads archives")
    n_rows = n_texts = n_ids = 0
    broken = ""
    for rows in kind.rows(path, columns, MAX_TEXT_BYTES, http):
        if isinstance(rows, Damage):
            report(rows.offset, rows.what)
            broken = broken or rows.what
            continue
        if not len(rows):
            continue
        n_rows += len(rows) if rows.readable is None else pc.sum(rows.readable).as_py()
        n_texts += len(rows) - rows.text.null_count
        n_ids += len(rows) - rows.ids.null_count
        if rows.ids.null_count:
            numbers = pa.array([str(i) for i in range(rows.first_row, rows.first_row + len(rows))])
            rows.ids = pc.coalesce(rows.ids, numbers)
        yield rows
    if broken and not n_rows:
        raise InputError("holds no row that can be read", where=path, hint=f"the first: {broken}")
    if n_rows and not n_texts:
        raise text_column_absent(path, columns, http)
    if n_rows and not n_ids and columns.id != ColumnNames().id:
        raise InputError(f"has no id under {columns.id!r} in any row", where=path,
                         hint="name the column that holds the ids, or none: rows are then numbered from 0")


def row_names(file: SourceFile, http: HttpConfig) -> tuple[pa.Array, Int64]:
    """(ids, string; numbers in the file, int64) of a table's rows; what cannot be read is left to the second reading
    to name."""
    def silent(row: int, what: str) -> None:
        pass

    ids, numbers = [pa.array([], pa.string())], [np.empty(0, np.int64)]
    for rows in read_rows(file.path, file.columns, silent, http):
        there = np.ones(len(rows), bool) if rows.readable is None else np.asarray(rows.readable)
        ids.append(rows.ids.filter(pa.array(there)))
        numbers.append(np.arange(rows.first_row, rows.first_row + len(rows))[there])
    return pa.concat_arrays(ids), np.concatenate(numbers)


def table_documents(file: SourceFile, language: str | None, report: Callable[[int, str], None],
                    http: HttpConfig) -> Iterator[tuple[pa.Table, pa.Array]]:
    """(TABLE_DOCUMENTS of a table's rows that can be read, whether each stays by the table's own `keep`). language:
    of all its texts, where it is known."""
    for rows in read_rows(file.path, file.columns, report, http):
        n = len(rows)
        numbers = range(rows.first_row, rows.first_row + n)
        doc_ids = rows.doc_ids
        if doc_ids is None or doc_ids.null_count:
            derived = row_ids(file.source, file.origin_path, numbers)
            doc_ids = derived if doc_ids is None else pc.coalesce(doc_ids, derived)
        text, urls = rows.text.fill_null(""), without_nul(rows.urls)  # spans are bytes of the text as the table has it
        columns = {
            "doc_id": doc_ids, "record_id": without_nul(rows.ids), "source": pa.repeat(pa.scalar(file.source), n),
            "url": urls, "host": hosts_of(urls), "date": rows.dates,
            "origin_path": pa.repeat(pa.scalar(file.origin_path), n), "origin_offset": pa.array(numbers, pa.int64()),
            "origin_length": pa.repeat(pa.scalar(-1, pa.int64()), n),
            "language": pa.repeat(pa.scalar(language, pa.string()), n), "text": text,
            "n_bytes": pc.binary_length(text).cast(pa.int64()), QUALITY.name: rows.quality,
            GROUP: _groups(rows.groups)}
        arrays = [pa.nulls(n, f.type) if columns.get(f.name) is None else columns[f.name] for f in TABLE_DOCUMENTS]
        keep = pa.array([True] * n, pa.bool_()) if rows.keep is None else pc.fill_null(rows.keep, True)
        table = pa.Table.from_arrays(arrays, schema=TABLE_DOCUMENTS)
        if rows.readable is not None:
            table, keep = table.filter(rows.readable), keep.filter(rows.readable)
        yield table, keep


def _groups(names: pa.Array | None) -> pa.Array | None:
    """Ids of groups: those of a run as they are, and one for every other name."""
    if names is None or names.null_count == len(names):
        return None
    derived = [None if name is None else document_id("group", "", name) for name in names.to_pylist()]
    return pc.coalesce(as_document_ids(names), pa.array(derived, ID))
