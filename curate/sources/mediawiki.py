"""Dumps of MediaWiki, as Wikimedia publishes them: the articles of `pages-articles.xml`, plain or compressed.

Pages are cut out of the file by their tags (`xml_text`) and parsed one by one. Of a dump with the whole history, each
page's last revision counts, and no more than one revision is held. Memory: a page of at most `max_page_bytes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from typing import IO, Final
from urllib.parse import quote, urljoin
from xml.etree import ElementTree

from curate.extraction.wiki_sections import Section
from curate.extraction.wikitext import MEDIA, wikitext_cost, wikitext_sections
from curate.sources.dump_options import MediaWikiOptions
from curate.sources.entries import Dump, Entry, utc
from curate.sources.http_file import open_source
from curate.sources.sevenzip import opened
from curate.sources.warc import Damage
from curate.sources.xml_text import parse_element, xml_chunks
from curate.text.strings import valid_text

_OPEN: Final = b"<page>"
_CLOSE: Final = b"</page>"
_REVISION: Final = b"<revision>"
_END: Final = b"</mediawiki>"
_OPENINGS: Final = (b"<page>", b"  <page>", b"<mediawiki", b"<?xml", b"</mediawiki>")
_TIDY_BYTES: Final = 4 << 20  # of an open page, above which its older revisions are dropped at once
_MAX_COST: Final = 30_000_000  # of `wikitext_cost`: some seconds
_HEADER_BYTES: Final = 1 << 20
_REDIRECT: Final = re.compile(r"\s*#[^\W\d_]+\s*:?\s*\[\[")
_MODELS: Final = frozenset({"", "wikitext"})
_OF_MEDIA: Final = frozenset({6, 14, -2})  # keys of the namespaces File, Category and Media


class WikiReason(StrEnum):
    """Why a page of a wiki gives no document."""

    NAMESPACE = "namespace"
    UNKNOWN_NAMESPACE = "unknown_namespace"
    REDIRECT = "redirect"
    NOT_WIKITEXT = "not_wikitext"
    MARKUP_UNCLOSED = "markup_unclosed"
    UNREADABLE = "unreadable"


class _Site:
    """What the head of a dump says of its wiki. Nothing is known of one without a head."""

    def __init__(self, head: bytes) -> None:
        self.base: str | None = None
        self.namespaces: dict[int, str] = {}
        start, end = head.find(b"<siteinfo>"), head.find(b"</siteinfo>")
        if 0 <= start < end:
            self._read(parse_element(head[start : end + len(b"</siteinfo>")]))

    def _read(self, info: ElementTree.Element) -> None:
        self.base = info.findtext("base")
        for space in info.iter("namespace"):
            key = space.get("key", "")
            if key.removeprefix("-").isdecimal():
                self.namespaces[int(key)] = space.text or ""

    @property
    def media(self) -> frozenset[str]:
        return MEDIA | {name.lower() for key, name in self.namespaces.items() if key in _OF_MEDIA}

    def url(self, title: str) -> str | None:
        """Address of a page, as its wiki's own links have it."""
        return urljoin(self.base, quote(title.replace(" ", "_"), safe="/:@!$*(),;~'")) if self.base and title else None

    def namespace(self, page: ElementTree.Element, title: str) -> int | None:
        """Number of a page's namespace: as stated (from export version 0.6 on), else by its title; None for one that
        the wiki does not have."""
        stated = page.findtext("ns")
        if stated is None:
            prefix = title.partition(":")[0]
            return next((key for key, name in self.namespaces.items() if name and name == prefix), 0)
        stated = stated.strip()
        if not stated.removeprefix("-").isdecimal():
            return None
        return int(stated) if not self.namespaces or int(stated) in self.namespaces else None


def read_mediawiki(dump: Dump) -> Iterator[Entry | Damage]:
    """The pages of a dump in order, each a document or the reason why it is none; an Entry's position counts pages."""
    options: MediaWikiOptions = dump.options
    with closing(open_source(dump.path, dump.http)) as stream, opened(stream, ".xml", dump.path) as member:
        reader = _Pages(member.stream, options.max_page_bytes)
        for number, page in reader:
            if isinstance(page, Damage):
                yield page
                continue
            try:
                element = parse_element(page)
            except ValueError as error:
                yield Damage(number, f"page cannot be read: {error}")
                continue
            yield _entry(element, number, reader.site, options)
        if member.broken is not None:
            yield Damage(reader.number, member.broken)


class _Pages:
    """(number, bytes) of every page of a file, or the Damage in its place. site: what the head said, once the first
    page is given. number: of the next page."""

    def __init__(self, stream: IO[bytes], max_page_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_page_bytes
        self._buffer = bytearray()
        self.number = 0
        self._too_long = False
        self.site = _Site(b"")

    def __iter__(self) -> Iterator[tuple[int, bytearray | Damage]]:
        in_head = True
        tail = b""
        for chunk in xml_chunks(self._stream, _OPENINGS):
            self._buffer += chunk.data
            tail = (tail + chunk.data)[-64:]
            if in_head and (_OPEN in self._buffer or len(self._buffer) > _HEADER_BYTES):
                in_head = False
                try:
                    self.site = _Site(bytes(self._buffer[: self._buffer.find(_OPEN)]))
                except ValueError as error:
                    yield self.number, Damage(self.number, f"head of the dump cannot be read: {error}")
            if not in_head:
                yield from self._complete()
            if chunk.broken is not None:
                yield self._lost(f"{chunk.broken} (at byte {chunk.member})")
        if self._buffer.startswith(_OPEN):
            yield self._lost("file ends within a page")
        elif _END not in tail:
            yield self.number, Damage(self.number, "file ends before the dump does: </mediawiki> is missing")

    def _complete(self) -> Iterator[tuple[int, bytearray | Damage]]:
        """Pages that have ended; the buffer then begins with an open one, or holds nothing of any."""
        buffer = self._buffer
        while True:
            start = buffer.find(_OPEN)
            if start < 0:
                del buffer[: max(0, len(buffer) - len(_OPEN) + 1)]
                return
            del buffer[:start]
            end = buffer.find(_CLOSE)
            following = buffer.find(_OPEN, len(_OPEN), end if end >= 0 else len(buffer))
            if following >= 0:  # the tag that closes it is missing
                yield self.number, Damage(self.number, "page cannot be read: it does not end before the next begins")
                del buffer[:following]
            elif end >= 0:
                page = buffer[: end + len(_CLOSE)]
                del buffer[: end + len(_CLOSE)]
                yield self.number, self._judged(page)
                self._too_long = False
            else:
                self._tidy()
                return
            self.number += 1

    def _judged(self, page: bytearray) -> bytearray | Damage:
        _keep_last_revision(page)
        if self._too_long or len(page) > self._max_bytes:
            return Damage(self.number, f"page is longer than {self._max_bytes} bytes")
        return page

    def _tidy(self) -> None:
        """Bound what is held of an open page: its last revision, and nothing of one that is too long."""
        if len(self._buffer) > _TIDY_BYTES:
            _keep_last_revision(self._buffer)
        if len(self._buffer) > self._max_bytes + _TIDY_BYTES:
            self._too_long = True
            del self._buffer[len(_OPEN) : len(self._buffer) - len(_CLOSE)]

    def _lost(self, what: str) -> tuple[int, Damage]:
        """What the end of a stream costs: the page that is open there."""
        number = self.number
        self.number += self._buffer.startswith(_OPEN)
        self._buffer.clear()
        self._too_long = False
        return number, Damage(number, what)


def _keep_last_revision(page: bytearray) -> None:
    first, last = page.find(_REVISION), page.rfind(_REVISION)
    if 0 <= first < last:
        del page[first:last]


def _entry(page: ElementTree.Element, number: int, site: _Site, options: MediaWikiOptions) -> Entry:
    title = (page.findtext("title") or "").strip()
    revision = page.find("revision")
    date = utc(revision.findtext("timestamp")) if revision is not None else None
    entry = Entry(number, id=page.findtext("id"), url=site.url(title), date=date, columns={"title": title or None})
    content = revision.find("text") if revision is not None else None
    text = (content.text if content is not None else None) or ""
    space = site.namespace(page, title)
    model = (revision.findtext("model") if revision is not None else None) or ""
    if space is None:
        entry.reason = str(WikiReason.UNKNOWN_NAMESPACE)
    elif space not in options.namespaces:
        entry.reason, entry.value = str(WikiReason.NAMESPACE), float(space)
    elif page.find("redirect") is not None or _REDIRECT.match(text):
        entry.reason = str(WikiReason.REDIRECT)
    elif model.strip() not in _MODELS:
        entry.reason = str(WikiReason.NOT_WIKITEXT)
    elif (cost := wikitext_cost(text)) > _MAX_COST:
        entry.reason, entry.value, entry.threshold = str(WikiReason.MARKUP_UNCLOSED), float(cost), float(_MAX_COST)
    else:
        _fill(entry, text, title, site, options)
    return entry


def _fill(entry: Entry, text: str, title: str, site: _Site, options: MediaWikiOptions) -> None:
    try:
        sections = wikitext_sections(text, site.media)
    except ValueError:
        entry.reason = str(WikiReason.UNREADABLE)
        return
    body = page_text(sections, title if options.title else "", options.headings, options.skipped_sections)
    entry.text = valid_text(body)


def page_text(sections: list[Section], title: str, headings: str, skipped: tuple[str, ...]) -> str:
    """The text of a page; empty where only headings are left.

    title: a line before all else, unless it is empty. headings: markdown, plain or none. skipped: sections that are
    left out."""
    parts: list[str] = []
    left_out = {heading.lower() for heading in skipped}
    within = 7  # level of the section that is left out
    for section in sections:
        if section.level > within:
            continue
        within = section.level if section.heading.lower() in left_out and section.level else 7
        if within < 7:
            continue
        if section.heading and headings != "none":
            parts.append(f"{'#' * section.level} {section.heading}" if headings == "markdown" else section.heading)
        parts += section.paragraphs
    if not any(section.paragraphs for section in sections) or not parts:
        return ""
    if title:
        parts.insert(0, f"# {title}" if headings == "markdown" else title)
    return "\n\n".join(parts)
