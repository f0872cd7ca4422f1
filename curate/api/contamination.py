"""Benchmark text in a table in memory: found, and cut out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.api.results import kept_rows, with_ids
from curate.api.scratch import Given, scratch_run
from curate.decontamination.config import DecontaminationConfig
from curate.decontamination.stages import STAGES
from curate.edits.fragments import copied_spans, piece_ids
from manifests.arrow import as_table, as_texts
from manifests.errors import InputError, RecipeError
from manifests.graph import InputFile
from manifests.hashing import Int64
from manifests.schema import CLEAN_EXTRA, DECONTAMINATION_DECISIONS, ID
from manifests.settings import settings
from manifests.storage import digest_file, is_local, local_path
from manifests.tables import one_array

_CUTTING: Final = ("decontaminate/index", "decontaminate/hits", "decontaminate/frequent", "decontaminate")
_COLUMNS: Final = tuple(name for name in DECONTAMINATION_DECISIONS.names if name != "doc_id")
_PIECE: Final = pa.field("piece", pa.int32(), metadata={
    "comment": "number of the piece in its document, from 0; null for a whole document"})


def decontaminate(table: Any, benchmarks: Mapping[str, Any] | Sequence[str], *, fields: Sequence[str] = ("*",),
                  ngram: int = 13, window: int = 200, min_piece: int = 200, max_pieces: int = 10,
                  max_documents: int = 10, text_column: str = "text", apply: bool = True,
                  ignore_keep: bool = False) -> pa.Table:
    """Cut the text of benchmarks out of documents, by GPT-3's rule (Brown et al. 2020, appendix C) and a run's stages.

    Args:
        table: A table with a column of texts, n rows. Rows whose `keep` is false are left out.
        benchmarks: By name, each the path of a JSON Lines file (plain, .gz, .zst), a column of items, or a table of
            them; or paths alone.
        fields: Fields of files and tables that are an item's text; `*` is all of its text.
        ngram: Words of an overlap that counts as contamination.
        window: Characters cut on either side of it.
        min_piece: Pieces of fewer characters are not kept.
        max_pieces: A document cut into more pieces is dropped.
        max_documents: n-grams found in more documents are common phrases, and ignored.
        text_column: Name of the column of texts.
        apply: Whether to return what is left, or the decisions.
        ignore_keep: Whether rows whose `keep` is false are read too.
    Returns:
        What is left, a row for each piece of a document, with all its columns and its number, `piece`; a column
        `doc_id` of 16 bytes names pieces as a run does, and `parent_id` then the document. Without `apply`, n rows:
        `id` or `doc_id` where the table has it, `keep`, `reason`, `removed_spans` and `pieces`, in UTF-8 bytes.
    Raises:
        InputError: There is no such column or file, a benchmark has no text, `keep` is not boolean, or a name occurs
            twice.
        RecipeError: A setting is not valid, or there is no benchmark.
    """
    given = Given.of(table, text_column, ignore_keep)
    with TemporaryDirectory(prefix="curate-") as folder:
        paths = _benchmark_files(benchmarks, folder)
        config = settings(DecontaminationConfig, {
            "benchmarks": [{"name": name, "path": path, "fields": tuple(fields)} for name, path in paths.items()],
            "ngram": ngram, "window": window, "min_piece": min_piece, "max_pieces": max_pieces,
            "max_documents": max_documents}, "decontaminate")
        files = {f"decontaminate.benchmarks.{name}": [InputFile(path, os.path.basename(path), 1, digest_file(path))]
                 for name, path in paths.items()}
        stages = [stage for stage in STAGES if stage.name in _CUTTING]
        try:
            with scratch_run([given], {"decontaminate": config}, stages, files) as run:
                (decisions,) = run.tables("decontaminate")
        except InputError as error:  # of items in memory, the file is nothing that the caller knows
            own = {path: f"benchmark {name!r}" for name, path in paths.items() if path.startswith(folder)}
            raise InputError(error.what, where=own.get(str(error.where), error.where), hint=error.hint) from error
    if not apply:
        return with_ids(given.table, decisions.select(_COLUMNS), given.enters)
    return _pieces(given, one_array(decisions["pieces"]), text_column)


def _benchmark_files(benchmarks: Mapping[str, Any] | Sequence[str], folder: str) -> dict[str, str]:
    """The file of each benchmark by its name; items in memory are written to the folder."""
    if isinstance(benchmarks, str | os.PathLike):
        benchmarks = [str(benchmarks)]
    if not isinstance(benchmarks, Mapping):
        names = [os.path.basename(path).split(".")[0] for path in benchmarks]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise RecipeError(f"two files are called {twice[0]!r}", where="decontaminate(): benchmarks",
                              hint="give a mapping of names to paths")
        benchmarks = dict(zip(names, benchmarks, strict=True))
    if not benchmarks:
        raise RecipeError("there is none", where="decontaminate(): benchmarks", hint="give a file, a column or a table")
    return {name: _absolute(os.fspath(value)) if isinstance(value, str | os.PathLike) else
            _written(name, value, f"{folder}/{i}.jsonl") for i, (name, value) in enumerate(benchmarks.items())}


def _absolute(path: str) -> str:
    """A path that stages, whose relative ones lie in their own folder, find as well."""
    return os.path.abspath(local_path(path)) if is_local(path) else path


def _written(name: str, items: Any, path: str) -> str:
    """A benchmark's items as JSON Lines; returns the path."""
    where = f"benchmark {name!r}"
    if isinstance(items, pa.Table | pa.RecordBatch | Mapping) or hasattr(items, "columns"):
        rows: Iterable[Any] = as_table(items, where).to_pylist()
    else:
        rows = ({"text": text} for text in as_texts(items, where).to_pylist())
    Path(path).write_text("".join(json.dumps(row, default=str) + "\n" for row in rows), encoding="utf-8")
    return path


def _pieces(given: Given, pieces: pa.ListArray, text_column: str) -> pa.Table:
    """A row for each piece that holds a visible character."""
    spans = copied_spans(pieces)
    rows = np.repeat(np.arange(len(given.texts)), np.diff(spans.bounds))
    texts = spans.texts(given.texts, np.arange(len(rows) + 1))
    sizes = pc.binary_length(given.texts).to_numpy(zero_copy_only=False)
    whole = (np.bincount(rows, minlength=len(sizes))[rows] == 1) & (spans.starts == 0) & (spans.ends == sizes[rows])
    number = pa.array((np.arange(len(rows)) - spans.bounds[rows]).astype(np.int32), mask=whole)
    replaced = [(_PIECE, number), *_document_ids(given.table, whole, rows)]
    visible = pc.greater(pc.binary_length(pc.utf8_trim_whitespace(texts)), 0)
    return kept_rows(given.table, text_column, pa.array(rows), texts, replaced).filter(visible)


def _document_ids(table: pa.Table, whole: npt.NDArray[np.bool_], rows: Int64) -> list[tuple[pa.Field, Any]]:
    """Ids of pieces, and of the documents they are of, where the table has ids of documents."""
    if "doc_id" not in table.column_names or table.schema.field("doc_id").type != ID:
        return []
    ids, parents = piece_ids(pa.chunked_array([one_array(table["doc_id"]).take(pa.array(rows))]), whole, rows)
    return [(table.schema.field("doc_id"), ids), (CLEAN_EXTRA[0], parents)]
