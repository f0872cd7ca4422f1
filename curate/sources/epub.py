"""EPUB books (2 and 3): the chapters of the spine in order as one document, notes where they are referred to.

A chapter that is broken, encrypted or missing is named, and the others are read. Memory: one book, whose members may
not be larger together than `max_book_bytes`.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree

from curate.extraction.chapters import chapter_notes, chapter_text
from curate.extraction.html import decode
from curate.sources.dump_options import EpubOptions
from curate.sources.entries import Dump, Entry, utc
from curate.sources.gutenberg import book_body, without_notes
from curate.sources.http_file import open_source
from curate.sources.kernels.markup import measure_markup
from curate.sources.warc import Damage
from curate.sources.xml_text import parse_document
from curate.text.strings import valid_text

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_HTML_TYPES: Final = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_MAX_DEPTH: Final = 1024
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError,
                  KeyError)
_DC: Final = "{http://purl.org/dc/elements/1.1/}"


class EpubReason(StrEnum):
    """Why a book gives no document."""

    TOO_LARGE = "too_large"


@dataclass(slots=True)
class _Package:
    """What the package document says. spine: (path, whether it is a chapter) in reading order."""

    facts: dict[str, str] = field(default_factory=dict)
    spine: list[str] = field(default_factory=list)
    notes_only: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_epub(dump: Dump) -> Iterator[Entry | Damage]:
    """The book in a file, after what of it cannot be read."""
    options: EpubOptions = dump.options
    with closing(open_source(dump.path, dump.http)) as stream:
        data = stream.read(options.max_book_bytes + 1)
    if len(data) > options.max_book_bytes:
        yield _too_large(len(data), options)
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        size = sum(info.file_size for info in archive.infolist() if info.filename.lower().endswith(_TEXTUAL))
        package = _package(archive)
    except _BROKEN as error:
        yield Damage(0, f"EPUB cannot be read: {error}")
        return
    if size > options.max_book_bytes:
        yield _too_large(size, options)
        return
    yield from _book(archive, package, options)


_TEXTUAL: Final = (".xhtml", ".html", ".htm", ".xml", ".opf")


def _too_large(size: int, options: EpubOptions) -> Entry:
    return Entry(0, reason=str(EpubReason.TOO_LARGE), value=float(size), threshold=float(options.max_book_bytes))


def _package(archive: zipfile.ZipFile) -> _Package:
    container = parse_document(archive.read(_CONTAINER))
    path = next(element.get("full-path", "") for element in container.iter() if element.tag.endswith("}rootfile"))
    root, base = parse_document(archive.read(path)), posixpath.dirname(path)
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    package = _Package()
    for name in ("title", "creator", "identifier", "date", "source", "rights"):
        found = next((element for element in root.iter(_DC + name) if element.text), None)
        if found is not None and found.text:
            package.facts[name] = " ".join(found.text.split())
    items = {item.get("id", ""): item for item in root.iter(f"{space}item")}
    names = set(archive.namelist())
    for reference in root.iter(f"{space}itemref"):
        item = items.get(reference.get("idref", ""))
        if item is None or item.get("media-type", "") not in _HTML_TYPES or _is_navigation(item):
            continue
        member = posixpath.normpath(posixpath.join(base, unquote(item.get("href", ""))))
        if member not in names:
            package.missing.append(member)
        elif reference.get("linear") == "no":
            package.notes_only.append(member)
        else:
            package.spine.append(member)
    return package


def _is_navigation(item: ElementTree.Element) -> bool:
    return bool({"nav", "cover-image"} & set(item.get("properties", "").split()))


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Members that a rights management holds back."""
    try:
        root = parse_document(archive.read(_ENCRYPTION))
    except _BROKEN:
        return set()
    return {unquote(element.get("URI", "")) for element in root.iter() if element.tag.endswith("}CipherReference")}


def _book(archive: zipfile.ZipFile, package: _Package, options: EpubOptions) -> Iterator[Entry | Damage]:
    """Damage of chapters, then the book of those that can be read."""
    yield from (Damage(0, f"{name}: chapter is missing") for name in package.missing)
    held_back = _encrypted(archive)
    pages: dict[str, str] = {}
    for name in (*package.spine, *package.notes_only):
        if name in held_back or archive.getinfo(name).flag_bits & 1:
            yield Damage(0, f"{name}: chapter is encrypted")
            continue
        try:
            data = archive.read(name)
        except _BROKEN as error:
            yield Damage(0, f"{name}: chapter is broken: {error}")
            continue
        if measure_markup(data).depth > _MAX_DEPTH:
            yield Damage(0, f"{name}: chapter nests more than {_MAX_DEPTH} elements")
            continue
        pages[name] = decode(data)
    notes = {f"{posixpath.basename(name)}#{target}": text for name, page in pages.items()
             for target, text in chapter_notes(page).items()}
    chapters = [chapter_text(pages[name], notes) for name in package.spine if name in pages]
    text = "\n\n\n".join(chapter for chapter in chapters if chapter.strip())
    facts = package.facts
    source = facts.get("identifier", "") if facts.get("identifier", "").startswith("http") else facts.get("source", "")
    yield Entry(0, valid_text(book_body(text) or without_notes(text)), id=facts.get("identifier"),
                date=utc(facts.get("date")), url=source if source.startswith("http") else None,
                columns={"title": facts.get("title"), "author": facts.get("creator"), "licence": facts.get("rights")})
