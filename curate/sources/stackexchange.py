"""Dumps of StackExchange: `Posts.xml`, plain, compressed or in the site's 7z archive, as questions with their answers.

An answer may come long after its question, so rows are sorted by question on disk (`sorted_records`). Memory is some
runs' worth of posts, whatever the size of the dump; disk is about the size of the XML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO, Any, Final, NamedTuple
from xml.etree import ElementTree

from curate.extraction.fragments import fragment_text
from curate.sources.dump_options import StackExchangeOptions
from curate.sources.entries import Dump, Entry, utc
from curate.sources.http_file import open_source
from curate.sources.kernels.markup import measure_markup
from curate.sources.sevenzip import opened
from curate.sources.sorted_records import SortedRecords
from curate.sources.warc import Damage
from curate.sources.xml_text import parse_element, xml_chunks
from curate.text.strings import valid_text

_ROW: Final = re.compile(rb"<row[\s/>]")
_END: Final = b"</posts>"
_MAX_ROW_BYTES: Final = 16 << 20
_MAX_DEPTH: Final = 1024  # elements open at once in a post
_QUESTION, _ANSWER = "1", "2"
_SITE: Final = re.compile(r"((?:[a-z0-9-]+\.)+(?:com|net|org))(?:-Posts)?(?:\.7z)?(?:\.xml)?", re.IGNORECASE)
_TAG: Final = re.compile(r"[^<>|]+")
_LICENCES: Final = ((datetime(2011, 4, 8, tzinfo=UTC), "CC BY-SA 2.5"),
                    (datetime(2018, 5, 2, tzinfo=UTC), "CC BY-SA 3.0"))
_LATEST_LICENCE: Final = "CC BY-SA 4.0"


class StackReason(StrEnum):
    """Why a question gives no document."""

    LOW_SCORE = "low_score"
    FEW_ANSWERS = "few_answers"
    TOO_DEEP = "html_too_deep"


class _Post(NamedTuple):
    """As sorted: by question, the question first, then answers from the highest score on."""

    question: int
    is_answer: int
    rank: int  # negative score
    id: int
    row: int
    date: str
    licence: str
    title: str
    tags: str
    body: str


@dataclass(slots=True)
class _Thread:
    question: _Post
    answers: list[_Post] = field(default_factory=list)


def read_stackexchange(dump: Dump) -> Iterator[Entry | Damage]:
    """The questions of a site by their numbers, each with its answers; an Entry's position is the row of its question.

    Rows that are neither, and answers that are left out, are counted."""
    options: StackExchangeOptions = dump.options
    site = options.site or _site_of(dump.path)
    with SortedRecords() as records:
        with closing(open_source(dump.path, dump.http)) as stream:
            for number, row in enumerate(_rows(stream, dump.path)):
                if isinstance(row, Damage):
                    yield Damage(number, row.what)
                elif (post := _post(row, number, dump)) is not None:
                    records.add(tuple(post), len(post.body) + 400)
        for thread in _threads(map(_Post._make, records.sorted()), dump, options):
            yield _entry(thread, site, options, dump)


def _rows(stream: IO[bytes], path: str) -> Iterator[ElementTree.Element | Damage]:
    """Every row of the posts, or what is wrong with it."""
    with opened(stream, "posts.xml", path) as member:
        if member.broken is not None:  # which is why the posts have no end
            yield Damage(0, member.broken)
        yield from _plain_rows(member.stream, complete=member.broken is None)


def _plain_rows(stream: IO[bytes], complete: bool) -> Iterator[ElementTree.Element | Damage]:
    """complete: whether the posts must have an end."""
    buffer = bytearray()
    ended = False
    for chunk in xml_chunks(stream):
        buffer += chunk.data
        starts = [found.start() for found in _ROW.finditer(buffer)]
        for start, end in pairwise(starts):
            yield _parsed(bytes(buffer[start:end]))
        ended = _END in buffer[-64:]
        if starts:
            del buffer[: starts[-1]]
        elif len(buffer) > len(_END):
            del buffer[: len(buffer) - len(_END)]
        if len(buffer) > _MAX_ROW_BYTES and not ended:
            yield Damage(0, f"row is longer than {_MAX_ROW_BYTES} bytes")
            buffer.clear()
        if chunk.broken is not None:
            if buffer.startswith(b"<row"):
                buffer.clear()
            yield Damage(0, f"{chunk.broken} (at byte {chunk.member})")
    if buffer.startswith(b"<row") and complete:
        yield _parsed(bytes(buffer))
    if not ended and complete:
        yield Damage(0, "file ends before the posts do: </posts> is missing")


def _parsed(data: bytes) -> ElementTree.Element | Damage:
    """A row, which begins the data; what follows it up to the next one is no part of it."""
    data = data.partition(_END)[0].rstrip()
    try:
        return parse_element(data)
    except ValueError as error:
        head, mark, rest = data.partition(b"/>")
        try:
            if rest:
                return parse_element(head + mark)
        except ValueError:
            pass
        return Damage(0, f"row cannot be read: {error}")


def _post(row: ElementTree.Element, number: int, dump: Dump) -> _Post | None:
    """A question or an answer; anything else is counted."""
    get = row.attrib.get
    kind = get("PostTypeId", "")
    if kind not in (_QUESTION, _ANSWER):
        dump.count("rows_of_other_types", 1)
        return None
    question = get("Id" if kind == _QUESTION else "ParentId", "")
    if not (question.isdecimal() and get("Id", "").isdecimal()):
        dump.count("rows_without_id", 1)
        return None
    return _Post(int(question), int(kind == _ANSWER), -_number(get("Score")), int(get("Id", "0")), number,
                 get("CreationDate", ""), get("ContentLicense", ""), get("Title", ""), get("Tags", ""), get("Body", ""))


def _number(text: str | None) -> int:
    digits = (text or "").strip()
    return int(digits) if digits.removeprefix("-").isdecimal() else 0


def _threads(posts: Iterator[_Post], dump: Dump, options: StackExchangeOptions) -> Iterator[_Thread]:
    """Questions with the answers that count."""
    thread: _Thread | None = None
    for post in posts:
        if not post.is_answer:
            if thread is not None:
                yield thread
            thread = _Thread(post)
        elif thread is None or thread.question.id != post.question:
            dump.count("answers_without_question", 1)
        elif options.min_answer_score is not None and -post.rank < options.min_answer_score:
            dump.count("answers_of_low_score", 1)
        elif options.max_answers is not None and len(thread.answers) >= options.max_answers:
            dump.count("answers_beyond_most", 1)
        else:
            thread.answers.append(post)
    if thread is not None:
        yield thread


def _entry(thread: _Thread, site: str | None, options: StackExchangeOptions, dump: Dump) -> Entry:
    question, score = thread.question, -thread.question.rank
    posts = [question, *thread.answers]
    entry = Entry(question.row, id=str(question.id), date=utc(question.date),
                  url=f"https://{site}/questions/{question.id}" if site else None)
    licences = sorted({_licence(post, dump) for post in posts})
    entry.columns = {"title": question.title or None, "tags": _TAG.findall(question.tags), "score": score,
                     "licence": "; ".join(licences)}
    if options.min_question_score is not None and score < options.min_question_score:
        entry.reason, entry.value = str(StackReason.LOW_SCORE), float(score)
        entry.threshold = float(options.min_question_score)
    elif len(thread.answers) < options.min_answers:
        entry.reason, entry.value = str(StackReason.FEW_ANSWERS), float(len(thread.answers))
        entry.threshold = float(options.min_answers)
    elif any(measure_markup(post.body.encode("utf-8", "replace")).depth > _MAX_DEPTH for post in posts):
        entry.reason = str(StackReason.TOO_DEEP)
    else:
        entry.text = valid_text(_text(thread, options))
    return entry


def _text(thread: _Thread, options: StackExchangeOptions) -> str:
    """Title, question and answers, from the highest score on."""
    question = thread.question
    parts = [options.question_label + question.title if question.title else options.question_label.rstrip()]
    parts.append(fragment_text(question.body))
    parts += [options.answer_label + fragment_text(answer.body) for answer in thread.answers]
    return "\n\n".join(part for part in parts if part)


def _licence(post: _Post, dump: Dump) -> str:
    """As stated, else by the date of the post, as the network's terms were then."""
    if post.licence:
        return post.licence
    dump.count("posts_with_licence_by_date", 1)
    date: Any = utc(post.date)
    return next((name for until, name in _LICENCES if date is not None and date < until), _LATEST_LICENCE)


def _site_of(path: str) -> str | None:
    """The site that a dump is of, by the name of its archive or folder."""
    for name in (PurePosixPath(path).name, PurePosixPath(path).parent.name):
        if found := _SITE.fullmatch(name):
            return found[1].lower()
    return None
