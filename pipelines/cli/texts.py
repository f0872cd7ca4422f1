"""Files of texts that a command reads by itself, without the stage graph."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from curate.documents.tables import read_rows
from curate.sources.columns import ColumnNames, TextRows
from curate.sources.kinds import detect_kind
from manifests.errors import InputError


def id_column_of(path: str, columns: ColumnNames) -> str:
    """What the id column of a file is called: the one asked for, or `doc_id` where it has only that, or it cannot be
    known: reading the file then says why."""
    try:
        if detect_kind(path) == "parquet":
            from manifests.tables import open_table

            with open_table(path) as file:
                there = file.schema_arrow.names
            return columns.id if columns.id in there or "doc_id" not in there else "doc_id"
    except InputError:
        pass
    return columns.id


def read_texts(path: str, columns: ColumnNames) -> Iterator[TextRows]:
    """`documents.tables.read_rows`, with what cannot be read named on stderr."""
    yield from read_rows(path, columns, lambda row, what: print(f"{path}: at {row}: {what}", file=sys.stderr))
