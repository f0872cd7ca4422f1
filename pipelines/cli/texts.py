"""Files of texts that a verb is given: found, read with their ids, and the part that each becomes."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.sources.columns import ColumnNames, TextRows
from curate.sources.jsonl import read_jsonl
from curate.sources.kinds import detect_kind
from curate.sources.parquet import read_parquet
from curate.sources.rows import valid_text
from curate.sources.warc import Loss
from manifests.errors import InputError
from manifests.storage import is_local, open_read

MAX_LINE_BYTES: Final = 256 << 20


def find_files(patterns: Sequence[str]) -> list[str]:
    """Files of paths, folders and patterns, each once, sorted within a pattern; InputError where one has none."""
    found: dict[str, None] = {}
    for pattern in patterns:
        if not is_local(pattern):
            matches = [pattern]
        elif os.path.isdir(pattern):
            names = sorted(os.listdir(pattern))
            matches = [path for name in names if not os.path.isdir(path := os.path.join(pattern, name))]
            if not matches:
                raise InputError("holds no file", where=pattern,
                                 hint="a pattern such as '**/*.gz' finds those in folders below")
        else:
            matches = sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise InputError("there is no such file", where=pattern)
        found |= dict.fromkeys(matches)
    return list(found)


def part_names(paths: Sequence[str]) -> list[str]:
    """A file name for the part that each input becomes: `part-<stem>.parquet`, with a hash of the path where two inputs
    share a stem."""
    stems = [re.sub(r"[^A-Za-z0-9_-]+", "-", PurePath(path).name.split(".")[0]) or "file" for path in paths]
    return [f"part-{stem}.parquet" if stems.count(stem) == 1 else
            f"part-{stem}-{xxhash.xxh3_64_hexdigest(path.encode())[:8]}.parquet"
            for stem, path in zip(stems, paths, strict=True)]


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
    """Rows of a Parquet, JSONL or plain text file, in order; what cannot be read is named on stderr, line by line.

    Rows without an id are numbered from 0 in the file. Raises InputError where nothing can be read, or where no row has
    an id and the id column is not the one that is looked for by itself."""
    kind = detect_kind(path)
    if kind == "parquet":
        yield from _whole(path, columns, read_parquet(path, columns))
    elif kind == "jsonl":
        with open_read(path) as stream:
            yield from _whole(path, columns, read_jsonl(stream, columns, MAX_LINE_BYTES))
    elif kind == "text":
        with open_read(path) as stream:
            data = stream.read()
        if not data:
            raise InputError("is empty", where=path)
        text = pa.array([valid_text(data.decode("utf-8", "replace"))], pa.large_binary()).view(pa.large_string())
        yield TextRows(0, text, pa.array(["0"]), pa.nulls(1, pa.string()))
    else:
        raise InputError(f"is a {kind} archive, not a table of texts", where=path, hint="curate extract reads archives")


def _whole(path: str, columns: ColumnNames, pieces: Iterator[TextRows | Loss]) -> Iterator[TextRows]:
    n_rows = n_texts = n_ids = 0
    for piece in pieces:
        if isinstance(piece, Loss):
            print(f"{path}: at {piece.offset}: {piece.what}", file=sys.stderr)
            continue
        if not len(piece):
            continue
        n_rows += len(piece)
        n_texts += len(piece) - piece.text.null_count
        n_ids += len(piece) - piece.ids.null_count
        if piece.ids.null_count:
            numbers = pa.array([str(i) for i in range(piece.first_row, piece.first_row + len(piece))])
            piece.ids = pc.coalesce(piece.ids, numbers)
        yield piece
    if not n_rows:
        raise InputError("holds no row that can be read", where=path)
    if not n_texts:
        raise InputError(f"has no text under {columns.text!r} in any row", where=path,
                         hint="name the column that holds the text")
    if not n_ids and columns.id != ColumnNames().id:
        raise InputError(f"has no id under {columns.id!r} in any row", where=path,
                         hint="name the column that holds the ids, or none: rows are then numbered from 0")
