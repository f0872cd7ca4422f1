"""A run on disk as an object: how far it is, what it decided, and what came out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.why import History
from manifests.dataset import PackedDataset
from manifests.errors import InputError, RecipeError
from manifests.hashing import id_words, keyed_hash
from manifests.part_paths import part_name
from manifests.run_records import stage_records
from manifests.single_rows import read_rows
from manifests.stage_files import StageFiles
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from manifests.tables import open_table, read_row_groups, read_table
from manifests.trace import Origin
from pipelines.asking.finding import Finder
from pipelines.asking.lock import no_run
from pipelines.asking.telling import with_draws
from pipelines.asking.trace import origins
from pipelines.ending import why_stopped
from pipelines.locking import other_version, read_lock
from pipelines.running import Result
from pipelines.status import turned_off
from pipelines.summary import FUNNEL, funnel_row, stage_rows

_DECIDING: Final = {"select": "select", "dedup": "dedup/decisions", "dedup/decisions": "dedup/decisions",
                    "dedup/passage_decisions": "dedup/passage_decisions", "dedup/substrings": "dedup/substrings",
                    "decontaminate": "decontaminate"}
"""Stages that decide about documents, by the names that a person has for them."""
_WRITING: Final = ("extract", "clean")
_DECIDED: Final = ("keep", "reason", "value", "threshold", "duplicate_of", "similarity")
STATUS: Final = pa.schema([
    pa.field("stage", pa.string(), nullable=False), pa.field("tasks", pa.int64(), nullable=False),
    pa.field("done", pa.bool_(), nullable=False), pa.field("n_bytes", pa.int64(), nullable=False),
    pa.field("seconds", pa.float64(), nullable=False), pa.field("damaged", pa.int64(), nullable=False)])
FUNNEL_TABLE: Final = pa.schema([
    pa.field("stage", pa.string(), nullable=False), pa.field("documents", pa.int64(), nullable=False),
    pa.field("kept", pa.int64(), nullable=False),
    pa.field("dropped", pa.list_(pa.struct([("reason", pa.string()), ("documents", pa.int64())])), nullable=False)])


class Run:
    """A run's folder, read-only. path: where. recipe: its resolved recipe, as fields. other_version: which version made
    a run of another format, which is read and not continued; else None. result: what the call of `run` that gave this
    object did; else None.

    Args:
        path: A run's folder or URL.
        result: Of the call of `run`.
    Raises:
        InputError: It is no run; AbsentError where there is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str], result: Result | None = None) -> None:
        self.path = os.fspath(path)
        self.result = result
        self._storage = Storage(self.path)
        lock = read_lock(self._storage)
        if lock is None:
            self._storage.must_exist()
            raise no_run(self.path)
        self._lock = lock
        self.recipe: Mapping[str, Any] = self._lock["recipe"]
        self.other_version = other_version(self._lock)

    def __repr__(self) -> str:
        return f"Run({self.path!r}, recipe {self.recipe['name']!r})"

    @property
    def n_files(self) -> int:
        """Input files of its sources."""
        inputs = self._lock.get("inputs") or {}
        found = (inputs.get(name) or {} for name in self.recipe.get("sources", {}))
        # Run format 1 lists them there.
        return sum(int(files["files"]) if isinstance(files, dict) and "files" in files else len(files)
                   for files in found)

    def describe(self) -> dict[str, Any]:
        """JSON-ready: what `curate status --format json` prints of the run."""
        return {"run": self.path, "recipe": self.recipe["name"], "other_version": self.other_version,
                "stopped": why_stopped(self._storage), "unused": turned_off(self.recipe), "files": self.n_files,
                "stages": self.status().to_pylist()}

    def status(self) -> pa.Table:
        """How far the run is: a row for each stage, with its tasks that are done, whether all are, bytes of its
        outputs, seconds of work, and damaged parts of the input."""
        return pa.Table.from_pylist(stage_rows(self._storage, self._lock), STATUS)

    def funnel(self) -> pa.Table:
        """What became of the documents: for each stage that decides, how many it saw and kept, and what it dropped by
        reason, the most frequent first."""
        rows = []
        for stage in FUNNEL:
            own = stage_records(self._storage, stage)
            if own:
                row = funnel_row(stage, own.counters())
                by_count = sorted(row["dropped"].items(), key=lambda item: (-item[1], item[0]))
                dropped = [{"reason": reason, "documents": n} for reason, n in by_count if n]
                rows.append({**row, "dropped": dropped})
        return pa.Table.from_pylist(rows, FUNNEL_TABLE)

    def decisions(self, document: str) -> list[History]:
        """Every decision about a document, stage by stage: what `curate why` prints.

        The run's index finds it, `RUN/_index/`, which is made where there is none; no output depends on it.

        Args:
            document: Its URL, as archived or in another form, or its doc_id, 32 hex digits.
        Returns:
            A history for each document of that URL: an archive may hold it twice.
        Raises:
            InputError: The run never saw it; the hint names the nearest.
        """
        found = Finder(StageFiles(self._storage)).documents(document)
        return [with_draws(history, self.recipe) for history in found]

    def documents(self, stage: str = "clean", *, source: str | None = None,
                  columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """The documents that are left after a stage, some thousand at a time, in the order of parts and rows.

        Args:
            stage: `extract`, `select`, `dedup`, `decontaminate` or `clean`. Until `clean`, texts are those that were
                extracted: stages decide, and `clean` applies their decisions.
            source: Only those of this source, by the files they came from; of `clean`, after derivation.
            columns: Only these columns.
        Returns:
            A stream of Arrow, which polars and others read too; memory is that of a row group.
        Raises:
            InputError: The stage has left nothing, or there is no such column.
            RecipeError: There is no such stage.
        """
        if stage in _WRITING:
            parts = self._files(stage, "documents", source)
            return _stream((group for path in parts for group in read_row_groups(path, columns)), parts, columns)
        pairs = self._decided_parts(stage, source)
        tables = (group.filter(decided["keep"]) for path, decisions in pairs
                  for group, decided in _aligned(path, decisions, columns))
        return _stream(tables, [path for path, _ in pairs], columns)

    def sample(self, stage: str, *, reason: str | None = None, n: int = 10, seed: int = 0) -> pa.Table:
        """Some documents that a stage dropped, with their texts, for a person to look at.

        Args:
            stage: `select`, `dedup` or `decontaminate`; of `extract`, what it excluded, which has no text.
            reason: Only those dropped for this reason.
            n: How many, at most; those of lowest hash.
            seed: Other documents for every seed.
        Returns:
            doc_id, url, source, reason, value, threshold and, where the stage has them, duplicate_of and similarity;
            text.
        Raises:
            InputError: The stage has left nothing.
            RecipeError: There is no such stage.
        """
        if stage == "extract":
            tables = (read_table(path) for path in self._files("extract", "exclusions", None))
            return _lowest(tables, reason, n, seed)
        return _sampled(self._decided_parts(stage, None), reason, n, seed)

    def dataset(self, split: str = "train") -> PackedDataset:
        """The packed rows of a split, `train` or `val`. Raises InputError where the run has not packed any."""
        return PackedDataset(self.path, split)

    def trace(self, shard: str, row: int, token: int | None = None) -> list[Origin]:
        """The documents that a packed row is made of: what `curate trace` prints.

        Args:
            shard: Such as `train/000000`.
            row: Number of the row in the shard.
            token: Number of a token in the row: only its document is returned.
        Returns:
            An origin for each piece, with its tokens and the document's row of the clean corpus.
        Raises:
            InputError: There is no such shard, row or token.
        """
        return origins(self.path, shard, row, token)

    def _records(self, stage: str) -> StageRecords:
        own = stage_records(self._storage, stage)
        if not own:
            raise InputError(f"the stage {stage!r} has left nothing", where=self.path,
                             hint="`.status()` says which stages are done")
        return own

    def _files(self, stage: str, role: str, source: str | None) -> list[str]:
        """Files of a role of a stage, by name."""
        paths = sorted((output.path for output in self._records(stage).outputs(role)
                        if source is None or output.path.startswith(f"{stage}/{source}/")), key=part_name)
        if not paths:
            raise InputError(f"the stage {stage!r} has left nothing of source {source!r}", where=self.path,
                             hint=f"sources are {', '.join(self.recipe.get('sources', {}))}")
        return [self._storage.path(path) for path in paths]

    def _decided_parts(self, stage: str, source: str | None) -> list[tuple[str, str]]:
        """(documents, decisions) of every part."""
        if stage not in _DECIDING:
            raise RecipeError(f"decides about no documents: {stage!r}", where="stage",
                              hint=f"one of: {', '.join([*_WRITING, *_DECIDING])}")
        decided = self._records(_DECIDING[stage]).by_task("decisions")
        documents = self._records("extract").by_task("documents")
        return [(self._storage.path(documents[task].path), self._storage.path(file.path))
                for task, file in sorted(decided.items()) if source is None or task.startswith(f"{source}/")]


def _aligned(documents: str, decisions: str, columns: Sequence[str] | None) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Row groups of documents with the decisions about their rows."""
    with open_table(decisions) as file:
        decided = file.read([name for name in _DECIDED if name in file.schema_arrow.names], use_threads=False)
    row = 0
    for group in read_row_groups(documents, columns):
        yield group, decided.slice(row, len(group))
        row += len(group)


def _sampled(pairs: Sequence[tuple[str, str]], reason: str | None, n: int, seed: int) -> pa.Table:
    """The n documents of lowest hash that were dropped, by hash; only their texts are read."""
    chosen: list[tuple[int, int, int]] = []
    for number, (_, decisions) in enumerate(pairs):
        decided = read_table(decisions, ["doc_id", "keep", "reason"])
        named = pc.fill_null(decided["reason"], "")
        wanted = pc.and_(pc.invert(decided["keep"]), pc.not_equal(named, "not_selected") if reason is None
                         else pc.equal(named, reason))
        rows = pc.indices_nonzero(wanted).to_numpy()
        keys = keyed_hash(seed, "sample", id_words(decided["doc_id"].take(pa.array(rows))))
        first = np.argsort(keys, kind="stable")[:n]
        chosen = sorted([*chosen, *((int(keys[i]), number, int(rows[i])) for i in first.tolist())])[:n]
    numbers = [number for _, number, _ in chosen]
    tables = []
    for number in sorted(set(numbers)) or [0]:
        own = [row for _, part, row in chosen if part == number]
        documents = read_rows(pairs[number][0], own, ["doc_id", "url", "source", "text"])
        tables.append(_joined(documents, read_rows(pairs[number][1], own, _DECIDED[1:])))
    order = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
    return pa.concat_tables(tables).take(pa.array(order, pa.int64()))


def _joined(documents: pa.Table, decided: pa.Table) -> pa.Table:
    columns = {name: documents[name] for name in ("doc_id", "url", "source")}
    return pa.table({**columns, **{name: decided[name] for name in decided.column_names}, "text": documents["text"]})


def _lowest(tables: Iterator[pa.Table], reason: str | None, n: int, seed: int) -> pa.Table:
    """The n rows of lowest hash, by hash; holds twice as many at most, and one table."""
    best: pa.Table | None = None
    for table in tables:
        rows = table if reason is None else table.filter(pc.equal(table["reason"], reason))
        best = rows if best is None else pa.concat_tables([best, rows])
        order = np.argsort(keyed_hash(seed, "sample", id_words(best["doc_id"])), kind="stable")[:n]
        best = best.take(pa.array(order))
    if best is None:
        raise InputError("holds no document", where="sample")
    return best


def _stream(tables: Iterator[pa.Table], paths: Sequence[str], columns: Sequence[str] | None) -> pa.RecordBatchReader:
    with open_table(paths[0]) as file:
        schema = file.schema_arrow
    if columns is not None:
        if missing := [name for name in columns if name not in schema.names]:
            raise InputError(f"has no column {missing[0]!r}", where=paths[0],
                             hint=f"its columns are {', '.join(schema.names)}")
        schema = pa.schema([schema.field(name) for name in columns])
    return pa.RecordBatchReader.from_batches(
        schema, (batch for table in tables for batch in table.select(schema.names).cast(schema).to_batches()))
