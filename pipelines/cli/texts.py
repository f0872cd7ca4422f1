"""What the columns of a command's files are called."""

from __future__ import annotations

from curate.sources.columns import ColumnNames
from curate.sources.kinds import KINDS, detect_kind
from manifests.errors import InputError


def id_column_of(path: str, columns: ColumnNames) -> str:
    """What the id column of a file is called: the one asked for, or `doc_id` where it has only that, or it cannot be
    known: reading the file then says why."""
    try:
        stated = KINDS[detect_kind(path)].columns
        if stated is not None:
            there = stated(path)
            return columns.id if columns.id in there or "doc_id" not in there else "doc_id"
    except InputError:
        pass
    return columns.id
