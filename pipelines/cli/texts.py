"""Files of texts that a command reads by itself, without the stage graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from curate.documents.tables import read_rows
from curate.sources.columns import ColumnNames, TextRows
from curate.sources.kinds import detect_kind
from manifests.errors import InputError
from pipelines.inputs import part_names


def each_file(paths: Sequence[str], do: Callable[[str, str], None]) -> int:
    """Do(path, part name) for every file; one that cannot be read is named on stderr and costs itself alone.

    Returns how many those were. Raises InputError where none could be read."""
    failed = 0
    for path, name in zip(paths, part_names(paths), strict=True):
        try:
            do(path, name)
        except InputError as error:
            failed += 1
            if failed == len(paths):
                raise
            print(f"curate: {error}", file=sys.stderr)
    return failed


def id_column_of(path: str, columns: ColumnNames) -> str:
    """What the id column of a file is called: the one asked for, or `doc_id` where it has only that, or it cannot be
    told: reading the file then says why."""
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
