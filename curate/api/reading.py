"""Documents of files, batch by batch: what the stage `extract` writes, without a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from curate.documents.config import ExtractConfig
from curate.documents.stage import documents_of, exclusions_of
from curate.documents.stages import EXTRACTOR_INPUT
from curate.heuristics.signals import SIGNAL_FIELDS
from curate.sources.columns import SourceFile
from curate.sources.files import below_common_folder, find_files
from curate.sources.kinds import KINDS, detect_kind
from curate.sources.rows import ExtractReason
from manifests.errors import InputError, RecipeError, no_input
from manifests.records import Damage
from manifests.schema import DOCUMENTS
from manifests.settings import settings
from manifests.storage import Storage, is_local, local_path
from manifests.tasks import InputRef, StageTask, Work


class DocumentReader(Iterator[pa.RecordBatch]):
    """Batches of documents, read as they are asked for; also a stream of Arrow's C interface, so that
    `polars.DataFrame(reader)` and `pyarrow.RecordBatchReader.from_stream(reader)` take it.

    schema: of every batch. counters: what was read, kept and dropped so far, by reason. damage: parts of files that had
    to be skipped. failed: files that could not be read; one error for them ends the iteration, behind all documents of
    the others."""

    def __init__(self, files: Sequence[SourceFile], config: ExtractConfig,
                 excluded: Callable[[pa.Table], None] | None) -> None:
        self.schema: pa.Schema = pa.schema([*DOCUMENTS, *(SIGNAL_FIELDS if config.signals else ())])
        self.counters: Counter[str] = Counter()
        self.damage: list[Damage] = []
        self.failed: list[InputError] = []
        self._config = config
        self._excluded = excluded
        self._batches = self._read(files)

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.RecordBatchReader.from_batches(self.schema, self).__arrow_c_stream__(requested_schema)

    def _read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch]:
        for file in files:
            try:
                yield from self._documents(file)
            except InputError as error:
                self.failed.append(error)
        if self.failed:
            raise no_input(self.failed) if len(self.failed) == len(files) else InputError(
                "cannot be read; the documents of the others were:" + "".join(f"\n  {e}" for e in self.failed),
                where=f"{len(self.failed)} of {len(files)} files")

    def _documents(self, file: SourceFile) -> Iterator[pa.RecordBatch]:
        facts = {"extractor": self._config.plugin_facts()} if self._config.plugin_facts() is not None else {}
        files = {f"{EXTRACTOR_INPUT}.{position}": InputRef((path,), "")
                 for position, path in self._config.plugin_paths().items()}
        task = StageTask("extract", 0, file.origin_path, None, {}, files, {"filter_language": True, **facts})
        work = Work(Storage("."), task, ".")  # counts; nothing is written
        work.counters, work.damage = self.counters, self.damage

        def exclude(rows: pa.Table, reason: ExtractReason | None) -> None:
            if self._excluded is not None and len(rows):
                self._excluded(exclusions_of(file, rows, reason))

        for table in documents_of(self._config, work, _recognised(file), exclude):
            yield from table.combine_chunks().to_batches()


def read_documents(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *,
                   languages: Sequence[str] | None = None, signals: bool = False, kind: str = "auto",
                   source: str = "pages", text_column: str = "text", id_column: str = "id",
                   config: Mapping[str, Any] | None = None, excluded: Callable[[pa.Table], None] | None = None,
                   ) -> DocumentReader:
    """Documents from archives and text files: what `curate extract` writes, a batch of about a thousand at a time.

    Args:
        paths: WARC, ARC, WACZ, WET, Parquet, JSON Lines or text files, folders, patterns or URLs; one or several.
        languages: Codes of languages that are kept; all without.
        signals: Whether to add the heuristic signals, columns `signal_*`.
        kind: What the files are: warc, wet, parquet, jsonl or text; auto looks at their content.
        source: Name of the source, which ids depend on.
        text_column: Of Parquet and JSON Lines: column or key of the texts.
        id_column: Of Parquet and JSON Lines: column or key of ids of their own.
        config: Further fields of a recipe's `extract`.
        excluded: Is called with tables of documents that were left out, with `reason`, `value` and `threshold`.
    Returns:
        An iterator of record batches: doc_id, url, date, origin, language, text and more, as docs/extracting.md says.
        Memory is bounded by its batches. Files that cannot be read are named in one error behind the others' documents.
    Raises:
        InputError: There is no such file; while iterating, some file cannot be read.
        RecipeError: A setting is not valid.
    """
    fields = {"languages": None if languages is None else tuple(languages), "signals": signals, **(config or {}),
              "columns": {"text": text_column, "id": id_column}}
    own = settings(ExtractConfig, fields, "read_documents")
    if kind not in ("auto", *KINDS):
        raise RecipeError(f"not a kind of file: {kind!r}", where="read_documents(): kind",
                          hint=f"auto, {', '.join(KINDS)}")
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    found = [os.path.abspath(local_path(p)) if is_local(p) else p for p in find_files([os.fspath(p) for p in given])]
    names = [path.rpartition("/")[2] for path in found]
    if len(set(names)) < len(names):
        names = below_common_folder(found)
    return DocumentReader([SourceFile(path, source, name, kind, own.columns)
                           for path, name in zip(found, names, strict=True)], own, excluded)


def _recognised(file: SourceFile) -> SourceFile:
    kind = detect_kind(file.path) if file.kind == "auto" else file.kind
    return SourceFile(file.path, file.source, file.origin_path, kind, file.columns)
