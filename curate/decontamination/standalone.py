"""Decontamination of a user's own tables: texts are read once, and what was found in them is kept until the n-grams of
all files are counted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.decontamination.config import DecontaminationConfig, DecontaminationReason
from curate.decontamination.decisions import cuts_of, pieces_left, total_counts
from curate.decontamination.overlap import GRAM_COUNTS, HITS, find, index_of
from curate.decontamination.report import (
    BENCHMARKS,
    TouchSummary,
    report_benchmarks,
    report_items,
    report_schema,
)
from curate.decontamination.touches import FOUND, ItemIndex
from manifests.errors import InputError, no_input
from manifests.schema import DECONTAMINATION_MARKS
from manifests.tables import write_table

_TEXTS: Final = pa.schema([pa.field("id", pa.string()), pa.field("n_bytes", pa.int64(), nullable=False)])
Texts = Iterable[tuple[pa.Array, pa.Array]]


@dataclass(slots=True)
class Contamination:
    """What a pass over files came to; `benchmarks` is BENCHMARKS. failures: of files that could not be read, and have
    no part."""

    documents: int = 0
    documents_contaminated: int = 0
    bytes: int = 0
    bytes_kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    benchmarks: pa.Table = field(default_factory=BENCHMARKS.empty_table)
    failures: list[InputError] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"documents": self.documents, "documents_contaminated": self.documents_contaminated,
                "bytes": self.bytes, "bytes_kept": self.bytes_kept, "dropped": self.dropped,
                "benchmarks": self.benchmarks.to_pylist()}


@dataclass(frozen=True)
class BenchmarkTables:
    """The evaluation sets: names (GRAMS, ascending), items (touches.ITEMS) and their grams (touches.ITEM_GRAMS)."""

    names: pa.Table
    items: pa.Table
    item_grams: pa.Table


def decisions_schema(id_column: str) -> pa.Schema:
    """A part: the id column, then keep, reason, cuts and pieces as a run's decisions have them, comments included."""
    return pa.schema([pa.field(id_column, pa.string()), *(f for f in DECONTAMINATION_MARKS if f.name != "doc_id")])


def decontaminate_texts(config: DecontaminationConfig, sets: BenchmarkTables, files: Mapping[str, tuple[str, Texts]],
                        out: str) -> Contamination:
    """Write decisions for every file, in its order, and the overlap report under `out`/report.

    files: by the name of the part: the id column's name, and (ids, texts) in batches, read once; one that cannot be
    read is left out and named in the outcome. Memory: a batch, the n-grams found, and one file's decisions; what was
    found lies in a temporary folder until then. Raises InputError where no file is left."""
    done = Contamination()
    index, items = index_of(sets.names["gram"].to_numpy(), config.ngram), ItemIndex(sets.item_grams)
    summary = TouchSummary(config.report.listed_documents, pa.string())
    os.makedirs(os.path.join(out, "report"), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".decontaminate-", dir=out) as folder:
        spills: dict[str, _Spill] = {}
        counts: list[pa.Table] = []
        for name, (_, texts) in files.items():
            spill = _Spill(os.path.join(folder, str(len(counts) + len(done.failures))))
            try:
                counts.append(spill.fill(texts, lambda t: find(t, index, config.window), items))
                spills[name] = spill
            except InputError as error:
                done.failures.append(error)
        if files and not spills:
            raise no_input(done.failures)
        total = total_counts(counts)
        ignored = total.filter(pc.greater(total["n_documents"], config.max_documents))["gram"]
        for name, spill in spills.items():
            decisions = spill.decisions(config, sets.names, ignored)
            summary.add(items.touches(spill.found(), decisions["pieces"].combine_chunks()), decisions["id"])
            _count(done, decisions, spill)
            schema = decisions_schema(files[name][0])
            _publish(os.path.join(out, name), folder, decisions.rename_columns(schema.names).cast(schema), schema)
        done.benchmarks = report_benchmarks(sets.items, summary)
        _publish(os.path.join(out, "report", "benchmarks.parquet"), folder, done.benchmarks)
        _publish(os.path.join(out, "report", "items.parquet"), folder, report_items(sets.items, summary),
                 report_schema(pa.string()))
    return done


def _publish(path: str, folder: str, table: pa.Table, schema: pa.Schema | None = None) -> None:
    staged = os.path.join(folder, "staged")
    write_table(staged, schema or table.schema, [table])
    os.replace(staged, path)


class _Spill:
    """What one file's texts hold: their ids and sizes, hits of the rule, and n-grams of the report."""

    def __init__(self, base: str) -> None:
        self._texts, self._hits, self._found = (f"{base}.{name}" for name in ("texts", "hits", "found"))

    def fill(self, batches: Texts, search: Any, items: ItemIndex) -> pa.Table:
        """Read the texts; returns GRAM_COUNTS of the file. search: texts -> HITS."""
        counts = [GRAM_COUNTS.empty_table()]
        first = 0
        with (pa.ipc.new_file(self._texts, _TEXTS) as texts_file, pa.ipc.new_file(self._hits, HITS) as hits_file,
              pa.ipc.new_file(self._found, FOUND) as found_file):
            for ids, texts in batches:
                texts = pc.fill_null(texts.cast(pa.large_string()), "")
                sizes = pc.cast(pc.binary_length(texts), pa.int64())
                texts_file.write_table(pa.table([ids.cast(pa.string()), sizes], schema=_TEXTS))
                hits, found = search(texts), items.find(texts)
                counts.append(_document_counts(hits))
                hits_file.write_table(_shifted(hits, first))
                found_file.write_table(_shifted(found, first))
                first += len(texts)
        return total_counts(counts)

    def found(self) -> pa.Table:
        """FOUND of the whole file."""
        return _read(self._found)

    def n_bytes(self) -> int:
        return pc.sum(_read(self._texts)["n_bytes"]).as_py() or 0

    def decisions(self, config: DecontaminationConfig, names: pa.Table, ignored: pa.ChunkedArray) -> pa.Table:
        """id, keep, reason, cuts and pieces of every text."""
        texts, hits = _read(self._texts), _read(self._hits)
        hits = hits.filter(pc.invert(pc.is_in(hits["gram"], value_set=ignored)))
        reason, pieces = pieces_left(config, hits, np.ones(len(texts), np.bool_), texts["n_bytes"].to_numpy())
        return pa.table({"id": texts["id"], "keep": pc.is_null(reason), "reason": reason,
                         "cuts": cuts_of(names, hits, len(texts)), "pieces": pieces})


def _read(path: str) -> pa.Table:
    with pa.OSFile(path) as source:
        return pa.ipc.open_file(source).read_all()


def _document_counts(hits: pa.Table) -> pa.Table:
    """GRAM_COUNTS of one batch."""
    distinct = hits.select(["row", "gram"]).group_by(["row", "gram"], use_threads=False).aggregate([])
    counts = distinct.group_by("gram", use_threads=False).aggregate([("row", "count")])
    return counts.rename_columns(GRAM_COUNTS.names).cast(GRAM_COUNTS)


def _shifted(table: pa.Table, first: int) -> pa.Table:
    return table.set_column(0, table.schema.field(0), pc.add(table["row"], first))


def _count(done: Contamination, decisions: pa.Table, spill: _Spill) -> None:
    done.documents += len(decisions)
    done.documents_contaminated += pc.sum(pc.greater(pc.list_value_length(decisions["cuts"]), 0)).as_py() or 0
    done.bytes += spill.n_bytes()
    spans = pc.list_flatten(decisions["pieces"])
    done.bytes_kept += pc.sum(pc.subtract(pc.struct_field(spans, "end"), pc.struct_field(spans, "start"))).as_py() or 0
    for reason in DecontaminationReason:
        n = pc.sum(pc.equal(decisions["reason"], reason.value)).as_py() or 0
        if n:
            done.dropped[reason.value] = done.dropped.get(reason.value, 0) + n
