"""One input file of any kind as tables of `ROWS`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pyarrow as pa

from curate.documents.config import ExtractConfig
from curate.documents.dumps import read_dump
from curate.documents.pages import longest_block, read_pages
from curate.documents.stages import parameters_field
from curate.sources.archives import read_range, record_range
from curate.sources.cc_index import read_ranges
from curate.sources.columns import ColumnNames, SourceFile, TextRows
from curate.sources.http_config import HttpConfig
from curate.sources.kinds import KINDS, ReadRows, open_nonempty, text_column_absent
from curate.sources.plugin_rows import plugin_rows
from curate.sources.records import read_records
from curate.sources.rows import ExtractReason, row_ids, rows_table
from curate.sources.url_rules import load_url_lists, url_reasons
from curate.sources.warc import Damage
from curate.text.strings import without_nul
from curate.text.urls import hosts_of
from manifests.errors import InputError
from manifests.plugins import load_for
from manifests.tasks import Work


def read_source(config: ExtractConfig, work: Work, file: SourceFile) -> Iterator[pa.Table]:
    """Tables of `ROWS` in file order; damage is reported to the task and records that are no pages are counted.

    An input `records` of the task names the records to read, where it is not the whole file (`cc_index.RECORDS`); a
    variable `range` says between which offsets those lie that are read of an archive that is split.
    Raises InputError where the file is missing, empty, or not of its kind."""
    http = HttpConfig(**work.settings.get("http", {}))
    if "plugin" in work.variables:
        plugin = load_for(work, "sources", work.variables["plugin"], parameters_field(file.source))

        def of_plugin(path: str, names: ColumnNames, limit: int, web: HttpConfig | None) -> Iterator[TextRows | Damage]:
            return plugin_rows(plugin, path, limit, web)

        yield from _text_rows(of_plugin, config, work, file, http)
        return
    kind = KINDS.get(file.kind)
    if kind is None:
        raise InputError(f"is of unknown kind {file.kind!r}", where=file.path, hint=f"kinds are {', '.join(KINDS)}")
    if kind.rows is not None:
        yield from _text_rows(kind.rows, config, work, file, http)
    elif kind.dump is not None:
        yield from read_dump(kind.dump, config, work, file, http)
    elif records := work.inputs("records"):
        ranges = [p for path in records for p in read_ranges(path, file.origin_path)]
        yield from read_pages(partial(read_records, file.path, ranges, http), config, work, file)
    else:
        with closing(open_nonempty(file.path, http)) as stream:
            first, last = work.variables.get("range", (0, None))
            if "range" not in work.variables:
                yield from read_pages(stream, config, work, file)
            elif (found := record_range(stream, first, last, longest_block(config))) is not None:
                yield from read_pages(partial(read_range, stream, found), config, work, file, found.is_whole)


def _text_rows(read: ReadRows, config: ExtractConfig, work: Work, file: SourceFile,
               http: HttpConfig) -> Iterator[pa.Table]:
    rules = config.urls.model_copy(update={"schemes": (), "blocked_extensions": ()})
    lists = load_url_lists(config.urls, config.robots.opted_out, work.inputs)
    n_rows = n_texts = 0
    for rows in read(file.path, file.columns, config.max_text_bytes, http):
        if isinstance(rows, Damage):
            work.report_damage(f"{file.origin_path}@{rows.offset}", rows.what)
            continue
        if rows.n_bytes is not None:  # a whole file
            n_rows, n_texts = 1, 1
            yield _text_row(rows, rows.n_bytes, config, file)
            continue
        n_rows += len(rows)
        n_texts += len(rows) - rows.text.null_count
        urls = without_nul(rows.urls)
        host = hosts_of(urls)
        offsets = range(rows.first_row, rows.first_row + len(rows))
        columns = {"doc_id": row_ids(file.source, file.origin_path, offsets), "record_id": without_nul(rows.ids),
                   "url": urls, "host": host, "date": rows.dates, "origin_offset": pa.array(offsets, pa.int64()),
                   "origin_length": pa.repeat(pa.scalar(-1, pa.int64()), len(rows)), "text": without_nul(rows.text),
                   "reason": url_reasons(urls, host, rules, lists)}
        yield rows_table(columns, len(rows))
    if n_rows == 0 and work.counters["damaged"]:
        raise InputError(f"holds nothing that can be read as {file.kind}", where=file.path)
    if n_rows and not n_texts:
        raise text_column_absent(file.path, file.columns, http)


def _text_row(rows: TextRows, n_bytes: int, config: ExtractConfig, file: SourceFile) -> pa.Table:
    """The one row of a text file; a text that is too long is not held, so it is excluded here."""
    columns = {"doc_id": row_ids(file.source, file.origin_path, [0]), "origin_offset": [0], "origin_length": [n_bytes]}
    if rows.text.null_count:
        return rows_table(columns | {"reason": [str(ExtractReason.TEXT_TOO_LONG)], "value": [float(n_bytes)],
                                     "threshold": [float(config.max_text_bytes)]}, 1)
    return rows_table(columns | {"text": rows.text}, 1)
