"""Archived pages as rows: addresses are judged for a batch at once, then what is left is parsed page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Final

import pyarrow as pa

from curate.charsets.reading import text_as_utf8
from curate.documents.config import ExtractConfig
from curate.documents.stages import EXTRACTOR_INPUT
from curate.extraction.extracted import Extracted
from curate.extraction.extractors import EXTRACTORS, Extract, extractor
from curate.extraction.html import is_html
from curate.sources.archives import read_archive
from curate.sources.columns import SourceFile
from curate.sources.kernels.markup import measure_markup
from curate.sources.kinds import KINDS
from curate.sources.responses import HttpPage, decode_http, decode_resource
from curate.sources.robots import robots_reason
from curate.sources.rows import ExtractReason, row_ids, rows_table
from curate.sources.url_rules import load_url_lists, url_reasons
from curate.sources.warc import Damage, WarcEntry
from curate.text.strings import strings_array, valid_text
from curate.text.urls import hosts_of
from manifests.errors import InputError
from manifests.plugins import Loaded, load_for
from manifests.tasks import Work

_BATCH_PAGES: Final = 256
_BATCH_BYTES: Final = 16 << 20
_HTTP_HEADER_BYTES: Final = 1 << 20  # of a record beside its body
_UNDECODED: Final = "\ufffd"  # a page in an encoding that must not be decoded (`charsets.decoders.REPLACEMENT`)


@dataclass(slots=True)
class Verdict:
    """What became of one page: its text, or why there is none."""

    text: bytes | None = None
    reason: str | None = None
    value: float | None = None
    threshold: float | None = None
    page_type: str | None = None
    page_type_score: float | None = None


Records = Callable[[frozenset[str], int], Iterator[WarcEntry | Damage]]
"""What gives the records of the wanted types, and skips contents longer than so many bytes."""


def _extractor(config: ExtractConfig, work: Work) -> Extract:
    """What makes texts of pages: an extractor of the project's own, or a plug-in's, which must return a string."""
    if config.extractor in EXTRACTORS:
        return extractor(config.extractor, config.content, config.format)
    return extractor_of_plugin(load_for(work, "extractors", work.variables["extractor"], EXTRACTOR_INPUT))


def extractor_of_plugin(plugin: Loaded) -> Extract:
    """A plug-in's extractor, which is named where it fails or returns no string."""
    def extracted(html: bytes, charset: str | None) -> Extracted:
        with plugin.blamed(ValueError):
            text = plugin.object.text(html, charset)
        if not isinstance(text, str):
            raise plugin.wrong(f"returned {type(text).__name__}, not a string")
        return Extracted(text)

    return extracted


def longest_block(config: ExtractConfig) -> int:
    """Bytes of a record's content above which it is passed over."""
    return config.max_html_bytes + _HTTP_HEADER_BYTES


def read_pages(stream: IO[bytes] | Records, config: ExtractConfig, work: Work, file: SourceFile,
               is_whole: bool = True) -> Iterator[pa.Table]:
    """Tables of `ROWS` from the pages of a WARC, ARC or WACZ file, or the texts of a WET file.

    Raises InputError where the file holds no record at all; of one that is not read whole that is not known."""
    wanted = KINDS[file.kind].records
    batch: list[WarcEntry] = []
    n_records = n_bytes = 0
    first_loss = ""
    read = stream if callable(stream) else partial(read_archive, stream)
    extract = _extractor(config, work)
    for entry in read(wanted, longest_block(config)):
        if isinstance(entry, Damage):
            work.report_damage(f"{file.origin_path}@{entry.offset}", entry.what)
            first_loss = first_loss or f": {entry.what}"
            continue
        n_records += 1
        work.count(f"records_{entry.kind if entry.kind.isalpha() else 'unknown'}")
        if entry.kind not in wanted:
            continue
        batch.append(entry)
        n_bytes += len(entry.block or b"")
        if len(batch) >= _BATCH_PAGES or n_bytes >= _BATCH_BYTES:
            yield _page_rows(batch, config, work, file, extract)
            batch, n_bytes = [], 0
    if batch:
        yield _page_rows(batch, config, work, file, extract)
    if n_records == 0 and is_whole:
        raise InputError(f"holds no archive record that can be read{first_loss}", where=file.path,
                         hint="is it a WARC, ARC or WACZ file, and was it fetched completely?")


def _page_rows(batch: list[WarcEntry], config: ExtractConfig, work: Work, file: SourceFile,
               extract: Extract) -> pa.Table:
    lists = load_url_lists(config.urls, config.robots.opted_out, work.inputs)
    urls = strings_array([None if e.url is None else valid_text(e.url) for e in batch]).cast(pa.string())
    host = hosts_of(urls)
    verdicts = []
    for entry, reason in zip(batch, url_reasons(urls, host, config.urls, lists).to_pylist(), strict=True):
        if reason is not None:
            verdicts.append(Verdict(reason=reason))
        elif entry.kind == "conversion":
            verdicts.append(_conversion(entry, config))
        else:
            verdicts.append(_response(entry, config, work, extract))
    columns = {
        "doc_id": row_ids(file.source, file.origin_path, [e.position for e in batch]),
        "record_id": strings_array([_record_id(e) for e in batch]).cast(pa.string()),
        "url": urls, "host": host, "date": [e.date for e in batch],
        "origin_offset": [e.offset for e in batch], "origin_length": [e.length for e in batch],
        "text": strings_array([v.text for v in verdicts]), "reason": [v.reason for v in verdicts],
        "value": [v.value for v in verdicts], "threshold": [v.threshold for v in verdicts],
        "page_type": [v.page_type for v in verdicts], "page_type_score": [v.page_type_score for v in verdicts]}
    return rows_table(columns, len(batch))


def _record_id(entry: WarcEntry) -> bytes | None:
    record_id = entry.fields.get("warc-record-id")
    return valid_text(record_id) if record_id else None


def _too_large(n_bytes: int, config: ExtractConfig) -> Verdict:
    return Verdict(None, str(ExtractReason.HTML_TOO_LARGE), float(n_bytes), float(config.max_html_bytes))


def _conversion(entry: WarcEntry, config: ExtractConfig) -> Verdict:
    """The text of a WET record, which is UTF-8 by definition."""
    if entry.block is None or len(entry.block) > config.max_html_bytes:
        return _too_large(entry.n_block_bytes, config)
    return Verdict(valid_text(text_as_utf8(entry.block).data.decode()))


def _response(entry: WarcEntry, config: ExtractConfig, work: Work, extract: Extract) -> Verdict:
    """The text of a response's HTML."""
    if entry.block is None:
        return _too_large(entry.n_block_bytes, config)
    if entry.kind == "resource":
        page: HttpPage | None = decode_resource(entry.block, entry.fields.get("content-type"), config.max_html_bytes)
    else:
        page = decode_http(entry.block, config.max_html_bytes)
    if page is None:
        return Verdict(reason=str(ExtractReason.UNREADABLE))
    if page.status is not None and page.status not in config.http_statuses:
        return Verdict(reason=str(ExtractReason.HTTP_STATUS), value=page.status)
    if not is_html(page.content_type, page.body):
        return Verdict(reason=str(ExtractReason.NOT_HTML))
    work.count("html_pages")
    work.count("html_bytes", len(page.body))
    if len(page.body) <= config.max_html_bytes and (asked := robots_reason(page, config.robots)) is not None:
        return Verdict(reason=str(asked))
    return read_page(page.body, page.charset, config, extract)


def read_page(body: bytes, charset: str | None, config: ExtractConfig, extract: Extract | None = None) -> Verdict:
    """The text of a page's HTML, or why it has none: it would cost a parser too much, or cannot be read.

    charset: what HTTP says of its encoding."""
    if (refused := _too_costly(body, config)) is not None:
        return refused
    try:
        found = (extract or extractor(config.extractor, config.content, config.format))(body, charset)
    except (ValueError, RuntimeError):
        return Verdict(reason=str(ExtractReason.UNREADABLE))
    if found.text == _UNDECODED:
        return Verdict(reason=str(ExtractReason.UNREADABLE))
    return Verdict(valid_text(found.text), page_type=found.page_type, page_type_score=found.page_type_score)


def _too_costly(body: bytes, config: ExtractConfig) -> Verdict | None:
    """Why a page is not parsed at all."""
    if len(body) > config.max_html_bytes:
        return _too_large(len(body), config)
    markup = measure_markup(body)
    for reason, value, limit in (
            (ExtractReason.HTML_TOO_DEEP, markup.depth, config.max_html_depth),
            (ExtractReason.HTML_TOO_MANY_TAGS, markup.n_tags, config.max_html_tags),
            (ExtractReason.HTML_TOO_MANY_ATTRIBUTES, markup.n_attributes, config.max_tag_attributes)):
        if value > limit:
            return Verdict(None, str(reason), float(value), float(limit))
    return None
