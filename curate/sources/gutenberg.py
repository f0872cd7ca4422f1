"""Books of Project Gutenberg as plain text: each file one document, without the licence around it.

What marks the book's beginning and end has changed since 1991; all forms of it are known here. Memory: one book.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from curate.charsets.reading import text_as_utf8
from curate.sources.entries import Dump, Entry
from curate.sources.http_file import open_source
from curate.sources.members import read_chunks
from curate.sources.warc import Damage
from curate.text.strings import valid_text

_START: Final = re.compile(
    r"^[ \t]*(?:\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG [^\n]*(?:\n[^\n*]+)?\*{3}"
    r"|\*END[* ]*THE SMALL PRINT![^\n]*)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_END: Final = re.compile(
    r"^[ \t]*(?:\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:The |the |this )?Project Gutenberg)",
    re.MULTILINE)
_HEADER_CHARACTERS: Final = 60_000  # of the head that marks stand in; the licence of old texts is long
_FIELD: Final = re.compile(r"^(Title|Author|Release Date|Posting Date|Character set encoding): *(.*(?:\n[ \t]+\S.*)*)",
                           re.MULTILINE)
_ETEXT: Final = re.compile(r"Project Gutenberg(?:'s)? E(?:text|Book) of (.+?)(?:, by (.+?))?\s*(?:\*|$)", re.MULTILINE)
_NUMBER: Final = re.compile(r"\[(?:e-?(?:book|text)) *#? *(\d+)\]", re.IGNORECASE)
_CREDIT: Final = re.compile(
    r"(?:Produced by|E-?text prepared by|Transcribed (?:from|by)|"
    r"This e-?(?:text|book) was (?:produced|prepared|scanned)|"
    r"Note: Project Gutenberg|HTML version by)\b", re.IGNORECASE)
_CREDIT_CHARACTERS: Final = 1500
_NOTES: Final = re.compile(
    r"^[\[ \t_*]*(?:Transcriber(?:[\u2019']?s?[\u2019']?)? notes?|Errata noted by (?:the )?transcriber)[\]:._* \t]*$",
    re.IGNORECASE | re.MULTILINE)
_NOTES_CHARACTERS: Final = 12_000  # of a book's end that notes on its transcription may be
_NOTES_PARAGRAPHS: Final = 20
_PARAGRAPHS: Final = re.compile(r"\n[ \t]*\n+")
_DATES: Final = ("%B %d, %Y", "%B %d %Y", "%B, %Y", "%B %Y", "%Y-%m-%d")


class BookReason(StrEnum):
    """Why a book gives no document."""

    NO_MARKS = "no_marks"
    TEXT_TOO_LONG = "text_too_long"


def read_gutenberg(dump: Dump) -> Iterator[Entry | Damage]:
    """The book in a file, after what is damaged in it."""
    data = bytearray()
    with closing(open_source(dump.path, dump.http)) as stream:
        for chunk in read_chunks(stream, opening=b""):
            data += chunk.data
            if chunk.broken is not None:
                yield Damage(chunk.member or 0, chunk.broken)
                break
            if len(data) > dump.max_text_bytes + (1 << 16):
                yield Entry(0, reason=str(BookReason.TEXT_TOO_LONG), value=float(len(data)),
                            threshold=float(dump.max_text_bytes))
                return
    if data:
        text = text_as_utf8(bytes(data)).data.decode().replace("\r\n", "\n")
        yield _entry(text)


def _entry(text: str) -> Entry:
    body = book_body(text)
    fields = {name: " ".join(value.split()) for name, value in _FIELD.findall(text[:_HEADER_CHARACTERS])}
    named = _ETEXT.search(text[:_HEADER_CHARACTERS])
    title = fields.get("Title") or (named[1].strip() if named else None)
    author = fields.get("Author") or (named[2] if named else None)
    number = _NUMBER.search(text[:_HEADER_CHARACTERS])
    entry = Entry(0, id=number[1] if number else None, columns={"title": title, "author": author},
                  url=f"https://www.gutenberg.org/ebooks/{number[1]}" if number else None,
                  date=_date(fields.get("Release Date") or fields.get("Posting Date")))
    if body is None:
        entry.reason = str(BookReason.NO_MARKS)
    else:
        entry.text = valid_text(body)
    return entry


def book_body(text: str) -> str | None:
    """What lies between the marks of beginning and end, without credits and notes of who made the file; None where
    there is no mark of the beginning."""
    start = None
    for start in _START.finditer(text, 0, _HEADER_CHARACTERS):  # noqa: B007 (the last one counts)
        pass
    if start is None:
        return None
    end = _END.search(text, start.end())
    body = text[start.end() : end.start() if end else len(text)].strip("\n")
    paragraphs = re.split(r"\n\s*\n", body, maxsplit=6)
    while len(paragraphs) > 1 and len(paragraphs[0]) < _CREDIT_CHARACTERS and _CREDIT.match(paragraphs[0].strip()):
        body = body[len(paragraphs.pop(0)) :].lstrip("\n")
    return without_notes(body)


def without_notes(body: str) -> str:
    """A book without the notes of who transcribed it, at its beginning (with the indented paragraphs under their
    heading) and from their heading on at its end."""
    paragraphs = _PARAGRAPHS.split(body.strip("\n"), maxsplit=_NOTES_PARAGRAPHS)
    if _NOTES.match(paragraphs[0].partition("\n")[0]):
        n = 1 + ("\n" not in paragraphs[0])
        while n < min(len(paragraphs), _NOTES_PARAGRAPHS) and paragraphs[n].startswith((" ", "\t")):
            n += 1
        body = "\n\n".join(paragraphs[n:])
    last = _NOTES.search(body, max(len(body) // 2, len(body) - _NOTES_CHARACTERS))
    return (body[: last.start()] if last is not None else body).strip("\n")


def _date(value: str | None) -> datetime | None:
    """The day in a line such as `May 8, 2007 [eBook #3261]`."""
    words = (value or "").partition("[")[0].strip().rstrip(",")
    for form in _DATES:
        try:
            return datetime.strptime(words, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
