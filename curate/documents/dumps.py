"""Documents of dumps as rows: what a reader gives one by one, in batches that the rest of extraction works on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from curate.documents.config import ExtractConfig
from curate.sources.columns import SourceFile
from curate.sources.entries import Dump, DumpKind, Entry
from curate.sources.http_config import HttpConfig
from curate.sources.rows import row_ids, rows_table
from curate.sources.url_rules import load_url_lists, url_reasons
from curate.sources.warc import Damage
from curate.text.strings import strings_array, valid_text, without_nul
from curate.text.urls import hosts_of
from manifests.errors import InputError
from manifests.tasks import Work

_BATCH_ROWS: Final = 256
_BATCH_BYTES: Final = 8 << 20


def read_dump(kind: DumpKind, config: ExtractConfig, work: Work, file: SourceFile,
              http: HttpConfig) -> Iterator[pa.Table]:
    """Tables of ROWS and the columns of the kind, in file order; what cannot be read is reported to the task.

    Raises InputError where nothing of the file can be read."""
    dump = Dump(file.path, kind.options(**(file.options or {})), config.max_text_bytes, http, work.count)
    batch: list[Entry] = []
    n_bytes = n_entries = 0
    first_damage = ""
    for entry in kind.load()(dump):
        if isinstance(entry, Damage):
            work.report_damage(f"{file.origin_path}@{entry.offset}", entry.what)
            first_damage = first_damage or f": {entry.what}"
            continue
        n_entries += 1
        batch.append(entry)
        n_bytes += len(entry.text or b"")
        if len(batch) >= _BATCH_ROWS or n_bytes >= _BATCH_BYTES:
            yield _table(batch, kind, config, work, file)
            batch, n_bytes = [], 0
    if batch:
        yield _table(batch, kind, config, work, file)
    if not n_entries:
        raise InputError(f"holds nothing that can be read as {file.kind}{first_damage}", where=file.path,
                         hint="is it what the source's `kind` says, and was it fetched completely?")


def _table(batch: list[Entry], kind: DumpKind, config: ExtractConfig, work: Work, file: SourceFile) -> pa.Table:
    rules = config.urls.model_copy(update={"schemes": (), "blocked_extensions": ()})
    lists = load_url_lists(config.urls, config.robots.opted_out, work.inputs)
    urls = _names([entry.url for entry in batch])
    host = hosts_of(urls)
    by_url = url_reasons(urls, host, rules, lists).to_pylist()
    rows = rows_table({
        "doc_id": row_ids(file.source, file.origin_path, [entry.position for entry in batch]),
        "record_id": _names([entry.id for entry in batch]), "url": urls, "host": host,
        "date": [entry.date for entry in batch], "origin_offset": [entry.position for entry in batch],
        "origin_length": [-1] * len(batch), "text": strings_array([entry.text for entry in batch]),
        "reason": [entry.reason or by for entry, by in zip(batch, by_url, strict=True)],
        "value": [entry.value for entry in batch], "threshold": [entry.threshold for entry in batch]}, len(batch))
    for field in kind.columns:
        values = [entry.columns.get(field.name) for entry in batch]
        column = _names(values) if field.type == pa.string() else pa.array(values, field.type)
        rows = rows.append_column(field, column)
    return rows


def _names(values: list[str | None]) -> pa.Array:
    encoded = [None if value is None else valid_text(value) for value in values]
    return without_nul(strings_array(encoded).cast(pa.string()))
