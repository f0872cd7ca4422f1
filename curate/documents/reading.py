"""One input file of any kind as tables of `ROWS`: the only place that knows all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import pyarrow as pa

from curate.documents.config import ExtractConfig
from curate.documents.pages import read_pages
from curate.sources.cc_index import read_places
from curate.sources.columns import SourceFile, TextRows
from curate.sources.http import HttpConfig
from curate.sources.http_file import open_source
from curate.sources.jsonl import read_jsonl
from curate.sources.parquet import read_parquet
from curate.sources.records import read_records
from curate.sources.rows import ExtractReason, row_ids, rows_table, valid_text, without_nul
from curate.sources.text import read_text
from curate.sources.url_rules import load_url_lists, url_reasons
from curate.sources.warc import Loss
from curate.text.urls import hosts_of
from manifests.errors import InputError
from manifests.tasks import Work

KINDS: Final = ("warc", "wet", "jsonl", "parquet", "text")


def read_source(config: ExtractConfig, work: Work, file: SourceFile) -> Iterator[pa.Table]:
    """Tables of `ROWS` in file order; losses are reported to the shard and records that are no pages are counted.

    An input `records` of the shard names the records to read, where it is not the whole file (`cc_index.RECORDS`).
    Raises InputError where the file is missing, empty, or not of its kind."""
    if file.kind not in KINDS:
        raise InputError(f"is of unknown kind {file.kind!r}", where=file.path, hint=f"kinds are {', '.join(KINDS)}")
    http = HttpConfig(**work.settings.get("http", {}))
    if file.kind == "parquet":
        yield from _text_rows(config, work, file, read_parquet(file.path, file.columns, http))
        return
    if records := work.inputs("records"):
        places = [p for path in records for p in read_places(path, file.origin_path)]
        yield from read_pages(partial(read_records, file.path, places, http), config, work, file)
        return
    with open_source(file.path, http) as stream:
        if not stream.read(1):
            raise InputError("is an empty file", where=file.path, hint="fetch it again")
        stream.seek(0)
        if file.kind == "jsonl":
            # A line holds the text with its escapes and other fields: four times as much is room enough.
            found = read_jsonl(stream, file.columns, 4 * config.max_text_bytes + (1 << 20))
            yield from _text_rows(config, work, file, found)
        elif file.kind == "text":
            text, n_bytes, losses = read_text(stream, config.max_text_bytes)
            for loss in losses:
                work.report_damage(f"{file.origin_path}@{loss.offset}", loss.what)
            yield _text_row(text, n_bytes, config, file)
        else:
            yield from read_pages(stream, config, work, file)


def _text_rows(config: ExtractConfig, work: Work, file: SourceFile,
               found: Iterator[TextRows | Loss]) -> Iterator[pa.Table]:
    rules = config.urls.model_copy(update={"schemes": (), "blocked_extensions": ()})
    lists = load_url_lists(config.urls, config.robots.opted_out, work.inputs)
    n_rows = n_texts = 0
    for rows in found:
        if isinstance(rows, Loss):
            work.report_damage(f"{file.origin_path}@{rows.offset}", rows.what)
            continue
        n_rows += len(rows)
        n_texts += len(rows) - rows.text.null_count
        urls = without_nul(rows.urls)
        host = hosts_of(urls)
        places = range(rows.first_row, rows.first_row + len(rows))
        columns = {"doc_id": row_ids(file.source, file.origin_path, places), "record_id": without_nul(rows.ids),
                   "url": urls, "host": host, "origin_offset": pa.array(places, pa.int64()),
                   "origin_length": pa.repeat(pa.scalar(-1, pa.int64()), len(rows)), "text": without_nul(rows.text),
                   "reason": url_reasons(urls, host, rules, lists)}
        yield rows_table(columns, len(rows))
    if n_rows == 0 and work.counters["damaged"]:
        raise InputError(f"holds nothing that can be read as {file.kind}", where=file.path)
    if n_rows and not n_texts:
        raise InputError(f"has no text under {file.columns.text!r} in any row", where=file.path,
                         hint="name the column that holds the text")


def _text_row(text: str | None, n_bytes: int, config: ExtractConfig, file: SourceFile) -> pa.Table:
    """The one row of a text file; a text that is too long is not held, so it is excluded here."""
    columns = {"doc_id": row_ids(file.source, file.origin_path, [0]), "origin_offset": [0], "origin_length": [n_bytes]}
    if text is None:
        return rows_table(columns | {"reason": [str(ExtractReason.TEXT_TOO_LONG)], "value": [float(n_bytes)],
                                     "threshold": [float(config.max_text_bytes)]}, 1)
    encoded = pa.array([valid_text(text)], pa.large_binary()).view(pa.large_string())
    return rows_table(columns | {"text": encoded}, 1)

