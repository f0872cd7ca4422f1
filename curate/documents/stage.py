"""The stage `extract`: one archive or text file to a table of documents, with language and signals.

The HTML parser is the only step that sees pages one by one. Everything around it works on columns of about a thousand
rows: rules on addresses before it, rules on texts, language identification and signals after it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents.config import ExtractConfig
from curate.documents.normalise import normalise
from curate.documents.prior import PRIOR, join_decisions
from curate.documents.reading import read_source
from curate.documents.stages import PRIOR_INPUT
from curate.documents.tables import TABLE_DOCUMENTS, row_names, table_documents
from curate.heuristics.computed import signals
from curate.heuristics.signals import SIGNAL_FIELDS
from curate.language.codes import codes_of, is_no_language, wanted_labels
from curate.language.identify import Languages, identify
from curate.sources.columns import RankedColumns, SourceFile
from curate.sources.dates import Days, moment
from curate.sources.entries import DumpKind
from curate.sources.http_config import HttpConfig
from curate.sources.kinds import KINDS, TABLE, detect_kind
from curate.sources.rows import ROWS, ExtractReason
from manifests.removals import is_removed, removed_ids
from manifests.schema import DOCUMENTS, EXCLUSIONS
from manifests.tasks import Work

_TARGET_ROWS: Final = 1000
_TARGET_BYTES: Final = 16 << 20
_EXCLUSION_ROWS: Final = 65_536  # of a row group
STAGE: Final = "extract"

Exclude = Callable[[pa.Table, ExtractReason | None], None]
"""Puts rows aside: with their own reasons, or with one for all."""


def extract(config: ExtractConfig, work: Work) -> None:
    """Turn one input file into documents and exclusions.

    Input `source`: a path or URL. Variables: source, origin_path, kind (auto, warc, wet, jsonl, parquet, text);
    optionally filter_language (true), languages (of the configuration), id_column, text_column, url_column, and
    options of the kind. Inputs
    beside it: the files of lists, by the field that names them. Outputs: `documents`, and `exclusions` at
    SOURCE/exclusions/PART.parquet. Damage is reported with its offset; raises InputError for a file that cannot be
    read at all."""
    file = _source_file(config, work)
    read, documents = (_extract_table, TABLE_DOCUMENTS) if file.kind == TABLE else (documents_of, DOCUMENTS)
    if file.kind == TABLE and _prior(work):
        documents = pa.schema([*documents, *PRIOR])
    schema = pa.schema([*documents, *_facts(file), *(SIGNAL_FIELDS if config.signals else ())])
    with closing(_Exclusions(file)) as excluded:
        work.write("documents", schema, read(config, work, file, excluded.add))
        part = PurePosixPath(work.task.name)
        work.write("exclusions", EXCLUSIONS, excluded.tables(), name=f"{part.parent}/exclusions/{part.name}.parquet")


def _extract_table(config: ExtractConfig, work: Work, file: SourceFile, exclude: Exclude) -> Iterator[pa.Table]:
    """The rows of a table as they are, with signals where they are asked for. Left out are removed documents, and what
    the table itself or earlier decisions about it drop."""
    removed = removed_ids(work.inputs("removals"))
    http = HttpConfig(**work.settings.get("http", {}))
    prior = join_decisions(_prior(work), file.path, *row_names(file, http)) if _prior(work) else None

    def report(row: int, what: str) -> None:
        work.report_damage(f"{file.origin_path}@{row}", what)

    def stay() -> Iterator[pa.Table]:
        for rows, keep in table_documents(file, work.variables.get("language"), report, http):
            work.count("candidates", len(rows))
            if prior is not None:
                keep = pc.and_(keep, prior.keeps(rows["origin_offset"]))
            gone = is_removed(rows["doc_id"], removed)
            for reason, mask in ((ExtractReason.REMOVED_ON_REQUEST, gone),
                                 (ExtractReason.LEFT_OUT, pc.and_(pc.invert(keep), pc.invert(gone)))):
                if n := pc.sum(mask).as_py():
                    work.count(f"dropped_{reason}", n)
                    exclude(rows.filter(mask), reason)
            kept = rows.filter(pc.and_(keep, pc.invert(gone)))
            yield kept if prior is None else prior.apply(kept)

    for rows in _gathered(stay()):
        work.count("documents", len(rows))
        work.count("text_bytes", pc.sum(rows["n_bytes"]).as_py() or 0)
        yield _with_signals(rows, config)


def _prior(work: Work) -> list[list[str]]:
    """The parts of every folder of decisions about the source's rows."""
    names = sorted((name for name in work.task.inputs if name.startswith(f"{PRIOR_INPUT}.")),
                   key=lambda name: int(name.rpartition(".")[2]))
    return [work.inputs(name) for name in names]


def _source_file(config: ExtractConfig, work: Work) -> SourceFile:
    facts = work.variables
    named = {use: facts[f"{use}_column"] for use in ("id", "text", "url", "date", "quality")
             if facts.get(f"{use}_column")}
    if facts["kind"] == TABLE and not facts.get("ignore_keep"):
        named["keep"] = "keep"
    corpus = KINDS[facts["kind"]].names if facts["kind"] in KINDS else None
    names = RankedColumns(**dict(config.columns)) if facts["kind"] == TABLE else config.columns
    columns = names.model_copy(update=named) if corpus is None else corpus
    path = work.input("source")
    http = HttpConfig(**work.settings.get("http", {}))
    return SourceFile(path=path, source=facts["source"], origin_path=facts["origin_path"],
                      kind=detect_kind(path, http) if facts["kind"] == "auto" else facts["kind"], columns=columns,
                      options=facts.get("options"))


def _dump(file: SourceFile) -> DumpKind | None:
    kind = KINDS.get(file.kind)
    return kind.dump if kind else None


def _facts(file: SourceFile) -> tuple[pa.Field[Any], ...]:
    """Columns of a file's documents that its kind knows beside the text."""
    dump = _dump(file)
    return dump.columns if dump else ()


def documents_of(config: ExtractConfig, work: Work, file: SourceFile, exclude: Exclude) -> Iterator[pa.Table]:
    """The documents of a file, a table for about a thousand, with signals where they are asked for.

    Args:
        config: What becomes a document.
        work: Counts, and is told of damage.
        file: Of any kind but `table`.
        exclude: Is given rows with their reasons, and columns `language` and `language_score`.
    Raises:
        InputError: The file cannot be read at all.
    """
    removed = removed_ids(work.inputs("removals"))
    for rows in _gathered(read_source(config, work, file)):
        work.count("candidates", len(rows))
        rows = _exclude(rows, is_removed(rows["doc_id"], removed), ExtractReason.REMOVED_ON_REQUEST)
        dump = _dump(file)
        rows = _judge_dates(rows, work)
        judged = _judge_texts(rows if dump and dump.verbatim else _normalised(rows, config, work), config)
        judged = _judge_languages(judged, config, work)
        kept = judged.filter(pc.is_null(judged["reason"]))
        dropped = judged.filter(pc.is_valid(judged["reason"]))
        for item in pc.value_counts(dropped["reason"]):
            work.count(f"dropped_{item['values'].as_py()}", item["counts"].as_py())
        exclude(dropped, None)
        if len(kept):
            documents = _document_table(kept, config, file)
            work.count("documents", len(documents))
            work.count("text_bytes", pc.sum(documents["n_bytes"]).as_py())
            yield documents


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables of `ROWS` joined to about a thousand rows or 16 MiB, and cut to them."""
    waiting: list[pa.Table] = []
    n_rows = n_bytes = 0
    for table in tables:
        for rows in _slices(table):
            size = _text_bytes(rows)
            if waiting and (n_rows + len(rows) > _TARGET_ROWS or n_bytes + size > _TARGET_BYTES):
                yield pa.concat_tables(waiting).combine_chunks()
                waiting, n_rows, n_bytes = [], 0, 0
            waiting.append(rows)
            n_rows, n_bytes = n_rows + len(rows), n_bytes + size
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _text_bytes(rows: pa.Table) -> int:
    return int(pc.sum(pc.binary_length(rows["text"])).as_py() or 0)


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    """A table in runs of rows within both targets; a longer text is a run of its own."""
    sizes = pc.fill_null(pc.binary_length(table["text"]), 0).to_numpy()
    ends = np.cumsum(sizes)
    start = 0
    while start < len(table):
        before = ends[start - 1] if start else 0
        end = int(np.searchsorted(ends, before + _TARGET_BYTES, side="right"))
        end = min(max(end, start + 1), start + _TARGET_ROWS, len(table))
        yield table.slice(start, end - start)
        start = end


def _exclude(rows: pa.Table, failed: Any, reason: ExtractReason, value: Any = None, threshold: float | None = None,
             ) -> pa.Table:
    """Give a reason to the rows that fail and have none yet. value: an array, one a row."""
    mask = pc.and_(pc.fill_null(failed, False), pc.is_null(rows["reason"]))
    for name, new in (("reason", pa.scalar(str(reason))), ("value", value), ("threshold", threshold)):
        if new is not None:
            kind = ROWS.field(name)
            column = pc.if_else(mask, pc.cast(new, kind.type) if not isinstance(new, float) else new, rows[name])
            rows = rows.set_column(rows.schema.get_field_index(name), kind, column)
    return rows


def _normalised(rows: pa.Table, config: ExtractConfig, work: Work) -> pa.Table:
    """Rows with their texts put into one form, and how many each step changed."""
    texts, changed = normalise(rows["text"], config.normalise)
    for step, n in changed.items():
        work.count(f"normalised_{step}", n)
    return rows.set_column(rows.schema.get_field_index("text"), ROWS.field("text"), texts)


def _judge_dates(rows: pa.Table, work: Work) -> pa.Table:
    """Exclude documents of other days than the source is taken of, and those without a date where that is asked for."""
    days = Days(**work.variables.get("days", {}))
    if not days.limited:
        return rows
    undated = pc.and_(pc.is_null(rows["date"]), pc.is_null(rows["reason"]))
    work.count("undated", pc.sum(undated).as_py() or 0)
    seconds = pc.divide(pc.cast(pc.cast(rows["date"], pa.int64()), pa.float64()), 1000.0)
    if (first := days.first()) is not None:
        rows = _exclude(rows, pc.less(rows["date"], moment(first)), ExtractReason.BEFORE_SINCE, seconds,
                        first.timestamp())
    if (end := days.end()) is not None:
        rows = _exclude(rows, pc.greater_equal(rows["date"], moment(end)), ExtractReason.AFTER_UNTIL, seconds,
                        end.timestamp())
    return _exclude(rows, undated, ExtractReason.NO_DATE) if days.undated == "drop" else rows


def _judge_texts(rows: pa.Table, config: ExtractConfig) -> pa.Table:
    """Exclude documents without text, and those whose text is too short or too long."""
    size = pc.fill_null(pc.binary_length(rows["text"]), 0)
    blank = pc.fill_null(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(rows["text"])), 0), True)
    rows = _exclude(rows, blank, ExtractReason.NO_TEXT)
    rows = _exclude(rows, pc.less(size, config.min_text_bytes), ExtractReason.TEXT_TOO_SHORT, size,
                    float(config.min_text_bytes))
    return _exclude(rows, pc.greater(size, config.max_text_bytes), ExtractReason.TEXT_TOO_LONG, size,
                    float(config.max_text_bytes))


def _judge_languages(rows: pa.Table, config: ExtractConfig, work: Work) -> pa.Table:
    """Add language, language_score and language_share, of the rows that are still there, and exclude by them where
    asked to."""
    texts = pc.if_else(pc.is_null(rows["reason"]), rows["text"], pa.scalar(None, pa.large_string()))
    if config.identify_language:
        languages = identify(texts, config.language_model)
    else:
        none = pa.nulls(len(rows), pa.float32())
        languages = Languages(pa.nulls(len(rows), pa.string()), none, none)
    rows = rows.append_column("language", codes_of(languages.labels)).append_column("language_score", languages.scores)
    rows = rows.append_column("language_share", languages.shares)
    mixed = pc.less(languages.shares, 1.0)
    work.count("mixed_language", pc.sum(mixed).as_py() or 0)
    if not (config.identify_language and work.variables.get("filter_language", True)):
        return rows
    wanted = work.variables.get("languages") or config.languages
    if wanted is not None:
        meant = wanted_labels(pc.unique(languages.labels.drop_null()).to_pylist(), wanted)
        other = pc.invert(pc.is_in(languages.labels, pa.array(meant, pa.string())))
        none = pa.array([label is not None and is_no_language(label) for label in languages.labels.to_pylist()])
        rows = _exclude(rows, pc.and_(other, none), ExtractReason.NO_LANGUAGE, languages.scores)
        rows = _exclude(rows, other, ExtractReason.LANGUAGE, languages.scores)
        # Compared as the float32 it is stored as: a report of value and threshold must not contradict the verdict.
        unsure = pc.less(languages.scores, pa.scalar(config.min_language_score, pa.float32()))
        rows = _exclude(rows, unsure, ExtractReason.LANGUAGE_SCORE, languages.scores, config.min_language_score)
    foreign = pc.less(languages.shares, pa.scalar(config.min_language_share, pa.float32()))
    return _exclude(rows, foreign, ExtractReason.MIXED_LANGUAGE, languages.shares, config.min_language_share)


def _document_table(rows: pa.Table, config: ExtractConfig, file: SourceFile) -> pa.Table:
    """Kept rows as the table that is written."""
    n = len(rows)
    columns = {"source": pa.repeat(pa.scalar(file.source), n), "origin_path": pa.repeat(pa.scalar(file.origin_path), n),
            "n_bytes": pc.cast(pc.binary_length(rows["text"]), pa.int64())}
    schema = pa.schema([*DOCUMENTS, *_facts(file)])
    arrays = [columns[f.name] if f.name in columns else rows[f.name] for f in schema]
    return _with_signals(pa.Table.from_arrays(arrays, schema=schema), config)


def _with_signals(table: pa.Table, config: ExtractConfig) -> pa.Table:
    if not config.signals:
        return table
    measured = signals(table["text"], config.words, table["language"])
    for field in SIGNAL_FIELDS:
        table = table.append_column(field, measured[field.name])
    return table


def exclusions_of(file: SourceFile, rows: pa.Table, reason: ExtractReason | None) -> pa.Table:
    """EXCLUSIONS of rows of a file. reason: where they have none of their own."""
    same: dict[str, str | None] = {"source": file.source, "origin_path": file.origin_path, "stage": STAGE}
    if reason is not None:
        same |= {"reason": str(reason), "value": None, "threshold": None}
    arrays = [pa.repeat(pa.scalar(same[f.name], f.type), len(rows)) if f.name in same else rows[f.name]
              for f in EXCLUSIONS]
    return pa.Table.from_arrays(arrays, schema=EXCLUSIONS)


class _Exclusions:
    """The exclusions of a file, spilled to a temporary file: a long input may exclude more than memory should hold."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._spill = tempfile.TemporaryFile(prefix="curate-exclusions-")  # noqa: SIM115 (closed by close)
        self._writer = pa.ipc.new_stream(self._spill, EXCLUSIONS)

    def add(self, rows: pa.Table, reason: ExtractReason | None = None) -> None:
        """rows: with their reasons, unless all have the same one."""
        self._writer.write_table(exclusions_of(self._file, rows, reason))

    def tables(self) -> Iterator[pa.Table]:
        """Everything added, in row groups of 65,536 rows or so; adds no more after."""
        self._writer.close()
        self._spill.seek(0)
        waiting: list[pa.RecordBatch] = []
        n_rows = 0
        for batch in pa.ipc.open_stream(self._spill):
            waiting.append(batch)
            n_rows += len(batch)
            if n_rows >= _EXCLUSION_ROWS:
                yield pa.Table.from_batches(waiting)
                waiting, n_rows = [], 0
        if waiting:
            yield pa.Table.from_batches(waiting)

    def close(self) -> None:
        self._spill.close()
