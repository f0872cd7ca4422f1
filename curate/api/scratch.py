"""Stages that look at all documents together, run over tables in memory: in a temporary folder, which goes at the end.

They are the stages of a run, wired by their own plans. A document's id says where it came from: the number of its table
in the first eight bytes, of its row in the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents.tables import QUALITY, TABLE_DOCUMENTS
from curate.sources.columns import as_dates, as_numbers
from curate.sources.config import SourceConfig, Sources
from curate.sources.kinds import TABLE
from curate.sources.rows import ExtractReason
from curate.text.urls import hosts_of
from manifests.arrow import as_table, kept_mask, text_column, text_slices
from manifests.graph import InputFile, OpenView, Source, Stage, run_in_order
from manifests.hashing import Int64
from manifests.schema import ID, SELECT_DECISIONS
from manifests.storage import Storage
from manifests.tables import one_array, read_table
from manifests.tasks import StageTask, Work, execute

SOURCE: Final = "tables"


@dataclass(frozen=True, slots=True)
class Given:
    """A table as a caller gave it. texts: large_string [n], a null as an empty text. enters: which rows count, bool
    [n]; None for all."""

    table: pa.Table
    texts: pa.LargeStringArray
    enters: pa.BooleanArray | None

    @staticmethod
    def of(data: Any, column: str, ignore_keep: bool, name: str = "table") -> Given:
        """Raises InputError where it is no table, has no such column of texts, or its `keep` is not boolean."""
        table = as_table(data, name)
        texts = pc.fill_null(text_column(table, column, name), "")
        return Given(table, texts, None if ignore_keep else kept_mask(table, name))

    def column(self, name: str, default: pa.DataType) -> pa.Array:
        """A column as one array; nulls where there is none."""
        table = self.table
        return one_array(table[name]) if name in table.column_names else pa.nulls(len(table), default)


@dataclass(frozen=True, slots=True)
class ScratchRun:
    """What the stages left. parts: name of each table's tasks, in the order given."""

    storage: Storage
    view: OpenView
    parts: list[str]

    def tables(self, stage: str, role: str = "decisions") -> Iterator[pa.Table]:
        """What a stage left of every table, in the order given."""
        for path in self.paths(stage, role):
            yield read_table(path)

    def paths(self, stage: str, role: str = "decisions") -> list[str]:
        """Where."""
        return [self.storage.path(self.view.output(stage, part, role).paths[0]) for part in self.parts]


@contextmanager
def scratch_run(tables: Sequence[Given], sections: Mapping[str, Any], stages: Sequence[Stage],
                files: Mapping[str, Sequence[InputFile]] | None = None) -> Iterator[ScratchRun]:
    """Run stages over tables.

    Args:
        tables: The documents, in survivor order by table and row.
        sections: What a recipe would say, by the names under which the stages depend on it.
        stages: Which, in an order in which each comes after what it needs; documents and the decisions of selection
            are there.
        files: Input files that are no source, by the field that would name them.
    Raises:
        StageError, InputError: As the stages do.
    """
    names = tuple(InputFile(f"{i:06d}", f"{i:06d}", 1, "") for i in range(len(tables)))
    config = SourceConfig(files=tuple(file.path for file in names), kind=TABLE, in_order=True)
    view = OpenView(0, "", {**sections, "sources": Sources({SOURCE: config})}, [Source(SOURCE, names, config)],
                    files or {})
    parts = [f"{SOURCE}/{file.part}" for file in names]
    with TemporaryDirectory(prefix="curate-") as folder:
        storage = Storage(folder)
        view.finish("extract", {part: execute(storage, _task("extract", part), _documents(given, number))
                                for number, (part, given) in enumerate(zip(parts, tables, strict=True))})
        view.finish("select", {part: execute(storage, _task("select", part), _decisions(given, number))
                               for number, (part, given) in enumerate(zip(parts, tables, strict=True))})
        run_in_order(storage, view, stages)
        yield ScratchRun(storage, view, parts)


def row_ids(table: int, n: int) -> pa.FixedSizeBinaryArray:
    """Ids of a table's rows."""
    words = np.empty((n, 2), ">u8")
    words[:, 0], words[:, 1] = table, np.arange(n)
    return pa.FixedSizeBinaryArray.from_buffers(ID, n, [None, pa.py_buffer(words)])


def rows_of_ids(ids: pa.Array) -> tuple[Int64, Int64]:
    """(table, row) of ids, int64 [n] each; those of a null are 0."""
    plain = pc.fill_null(ids, pa.scalar(bytes(16), ID))
    words = np.frombuffer(plain.buffers()[1], ">u8").reshape(-1, 2)[plain.offset : plain.offset + len(plain)]
    return words[:, 0].astype(np.int64), words[:, 1].astype(np.int64)


def _task(stage: str, name: str) -> StageTask:
    return StageTask(stage, 0, name, None, {}, {}, {})


def _documents(given: Given, number: int) -> Any:
    """A stage that writes a table's documents."""
    def write(_: Any, work: Work) -> None:
        work.write("documents", TABLE_DOCUMENTS, _document_tables(given, number))
    return write


def _document_tables(given: Given, number: int) -> Iterable[pa.Table]:
    n = len(given.texts)
    urls = given.column("url", pa.string())
    urls = urls.cast(pa.string()) if pa.types.is_large_string(urls.type) or pa.types.is_string(urls.type) else pa.nulls(
        n, pa.string())
    known = {
        "doc_id": row_ids(number, n), "source": pa.repeat(SOURCE, n), "url": urls, "host": hosts_of(urls),
        "date": as_dates(given.column("date", TABLE_DOCUMENTS.field("date").type)),
        "origin_path": pa.repeat(str(number), n), "origin_offset": pa.array(np.arange(n)),
        "origin_length": pa.repeat(pa.scalar(-1, pa.int64()), n), "text": given.texts,
        "n_bytes": pc.binary_length(given.texts).cast(pa.int64()),
        QUALITY.name: as_numbers(given.column(QUALITY.name, pa.float32()))}
    table = pa.Table.from_arrays([known.get(f.name, pa.nulls(n, f.type)) for f in TABLE_DOCUMENTS],
                                 schema=TABLE_DOCUMENTS)
    return (table.slice(a, b - a) for a, b in text_slices(given.texts))


def _decisions(given: Given, number: int) -> Any:
    """A stage that writes which rows of a table count."""
    def write(_: Any, work: Work) -> None:
        n = len(given.texts)
        keep = pa.repeat(True, n) if given.enters is None else given.enters
        known = {"doc_id": row_ids(number, n), "source": pa.repeat(SOURCE, n), "keep": keep,
                 QUALITY.name: as_numbers(given.column(QUALITY.name, pa.float32())),
                 "reason": pc.if_else(keep, pa.scalar(None, pa.string()), str(ExtractReason.LEFT_OUT))}
        work.write("decisions", SELECT_DECISIONS, [pa.Table.from_arrays(
            [known.get(f.name, pa.nulls(n, f.type)) for f in SELECT_DECISIONS], schema=SELECT_DECISIONS)])
    return write
