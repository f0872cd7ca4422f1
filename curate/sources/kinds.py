"""The kinds of source files, in one table: how each is recognised by its content, and what reads it.

Names of files are not trusted. Recipes, single commands and dialogues all ask this table; another kind is one module
with a reader and one entry here.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Final

from curate.sources.archives import ZIP_START
from curate.sources.columns import ColumnNames, TextRows
from curate.sources.dump_kinds import (
    ARXIV,
    CODE,
    EPUB,
    GUTENBERG,
    MEDIAWIKI,
    STACKEXCHANGE,
    is_epub,
    is_gutenberg,
    is_mediawiki,
    is_stackexchange,
)
from curate.sources.entries import DumpKind
from curate.sources.framing import ARC_START, WARC
from curate.sources.http_config import HttpConfig
from curate.sources.layouts import LAYOUTS
from curate.sources.mistaken import claim_of, mistaken_text
from curate.sources.sevenzip import SEVENZIP_START, kind_in_7z
from curate.sources.warc import Damage
from manifests.errors import InputError

TABLE: Final = "table"
"""Not a file format but a kind of reading: the rows of any kind of table, one document each, as they are."""

TOKENS: Final = "tokens"
"""Texts that were encoded already: nothing reads them before the mixture does."""

_HEAD_BYTES: Final = 1 << 16
_KEYS: Final = 12  # that an error names
_KEYS_BYTES: Final = 1 << 24  # of a line that is read for them
_CONVERSION: Final = re.compile(rb"\nWARC-Type:[ \t]*conversion", re.IGNORECASE)
_RESPONSE: Final = re.compile(rb"\nWARC-Type:[ \t]*response", re.IGNORECASE)
_OPENING: Final = re.compile(rb"\s*WARC/?[0-9.]*[ \t]*\r?\n", re.IGNORECASE)

_CONTROLS: Final = bytes({*range(32), 127} - set(b"\t\n\v\f\r\b\x1a\x1b"))
_MAX_CONTROL_SHARE: Final = 0.01  # of a text's bytes

ReadRows = Callable[[str, ColumnNames, int, HttpConfig | None], Iterator[TextRows | Damage]]
"""(path, columns, max_text_bytes, how to fetch) -> the rows of a file, in order, and what of it cannot be read."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of file.

    name: as recipes call it. what: as messages call it. detect: whether a file is of this kind, by the first 64 KiB,
    decompressed. rows: reads its texts, where it is a table of them. records: the WARC records that are documents,
    where it is an archive. columns: the names of a file's columns, where it states them before its rows. objects:
    whether every line is a JSON object, as dialogues are. dump: how its documents are read, where it is a
    dump in a markup of its own. names: of its columns, where it is a published corpus."""

    name: str
    what: str
    detect: Callable[[bytes], bool]
    rows: ReadRows | None = None
    records: frozenset[str] = frozenset()
    columns: Callable[[str], list[str]] | None = None
    objects: bool = False
    dump: DumpKind | None = None
    names: ColumnNames | None = None


def _is_wet(head: bytes) -> bool:
    return head.startswith(b"WARC/") and bool(_CONVERSION.search(head)) and not _RESPONSE.search(head)


def _is_archive(head: bytes) -> bool:
    return head.startswith((b"WARC/", ARC_START, ZIP_START)) or bool(_OPENING.match(head))


def _is_json(head: bytes) -> bool:
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")


def _is_text(head: bytes) -> bool:
    """Whether bytes may be a text in some encoding; one with NUL is one in UTF-16, and says so."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return b"\0" not in head and controls <= _MAX_CONTROL_SHARE * len(head)


def _jsonl_rows(path: str, names: ColumnNames, max_text_bytes: int,
                http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    from curate.sources.jsonl import read_jsonl

    with closing(open_nonempty(path, http)) as stream:
        # A line holds the text with its escapes and other fields: four times as much is room enough.
        try:
            yield from read_jsonl(stream, names, 4 * max_text_bytes + (1 << 20))
        except InputError as error:
            raise InputError(error.what, where=error.where or path, hint=error.hint) from error


def text_column_absent(path: str, names: ColumnNames, http: HttpConfig | None = None) -> InputError:
    """The error of a table in which no row has a text: which keys there are, and how another one is named."""
    from curate.sources.jsonl import keys_of

    keys: list[str] = []
    if detect_kind(path, http) == "jsonl":
        with closing(open_nonempty(path, http)) as stream:
            keys = keys_of(stream, _KEYS_BYTES)
    there = f"its keys are {', '.join(keys[:_KEYS])}; " if keys else ""
    return InputError(f"has no text under {names.text!r} in any row", where=path,
                      hint=f"{there}name the one that holds the text: --text-column, or a source's text_column")


def _parquet_rows(path: str, names: ColumnNames, max_text_bytes: int,
                  http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    from curate.sources.parquet import read_parquet

    yield from read_parquet(path, names, http)


def _text_rows(path: str, names: ColumnNames, max_text_bytes: int,
               http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    from curate.sources.text import read_text_rows

    with closing(open_nonempty(path, http)) as stream:
        yield from read_text_rows(stream, max_text_bytes)


def _parquet_columns(path: str) -> list[str]:
    from curate.sources.parquet import column_names

    return column_names(path)


def _layout_rows(path: str, names: ColumnNames, max_text_bytes: int,
                 http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    """Rows of a published corpus in a table."""
    kind = detect_kind(path, http)
    if kind not in ("parquet", "jsonl"):
        raise InputError(f"is {KINDS[kind].what}, and not a table in Parquet or JSON Lines", where=path,
                         hint="leave the source's `kind` out")
    read = _parquet_rows if kind == "parquet" else _jsonl_rows
    yield from read(path, names, max_text_bytes, http)


def _archive_rows(path: str, names: ColumnNames, max_text_bytes: int,
                  http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    """Texts of a published corpus in an archive, or its rows in a table."""
    from curate.sources.text_archives import is_tar, read_text_archive

    with closing(open_nonempty(path, http)) as stream:
        if is_tar(_head(stream, path)):
            stream.seek(0)
            yield from read_text_archive(stream, max_text_bytes)
            return
    yield from _layout_rows(path, names, max_text_bytes, http)


def _never(head: bytes) -> bool:
    """No content tells whose corpus a table is."""
    return False


KINDS: Final[dict[str, SourceKind]] = {kind.name: kind for kind in (
    SourceKind("parquet", "a Parquet file", lambda head: head.startswith(b"PAR1"), _parquet_rows,
               columns=_parquet_columns),
    SourceKind("mediawiki", "a dump of a wiki", is_mediawiki, dump=MEDIAWIKI),
    SourceKind("stackexchange", "a dump of StackExchange", is_stackexchange, dump=STACKEXCHANGE),
    SourceKind("epub", "an EPUB book", is_epub, dump=EPUB),
    SourceKind("gutenberg", "a book of Project Gutenberg", is_gutenberg, dump=GUTENBERG),
    SourceKind("arxiv", "sources of arXiv", _never, dump=ARXIV),
    SourceKind("code", "files of repositories", _never, dump=CODE),
    SourceKind("wet", "a WET archive", _is_wet, records=frozenset({"conversion"})),
    SourceKind("warc", "a WARC, ARC or WACZ archive", _is_archive, records=frozenset({"response", "resource"})),
    SourceKind("jsonl", "JSON Lines", _is_json, _jsonl_rows, objects=True),
    SourceKind("text", "a plain text", _is_text, _text_rows),
    *(SourceKind(name, f"a file of {layout.what}", _never, _archive_rows if layout.archives else _layout_rows,
                 names=layout.columns) for name, layout in LAYOUTS.items()),
)}
"""By name, in the order in which they are asked."""


def detect_kind(path: str, http: HttpConfig | None = None) -> str:
    """The name of a file's kind, by its first 64 KiB, decompressed.

    ARC and WACZ files are `warc`, and so is what was meant as one. An empty file is left to the reader of a plain text
    to name. What has no signature is a text, unless it is none plainly (`mistaken_text`).

    Args:
        path: Local path or URL.
        http: How to fetch it.
    Returns:
        A key of `KINDS`.
    Raises:
        InputError: The file cannot be opened, or is of no kind.
    """
    from curate.sources.http_file import open_source

    with open_source(path, http) as stream:
        head = _head(stream, path)
        if head.startswith(SEVENZIP_START):
            return kind_in_7z(stream)
    kind = next((kind.name for kind in KINDS.values() if kind.detect(head)), None)
    if kind in ("text", None) and claim_of(path) == claim_of("x.warc") and WARC.start.search(head):
        return "warc"  # its first record is cut, which reading it names
    if kind == "text" and head and (mistake := mistaken_text(path, head)) is not None:
        raise InputError(mistake.what, where=path, hint=mistake.hint)
    if kind == "jsonl" and (claim := claim_of(path)) == claim_of("x.warc"):  # a table may be called another table
        raise InputError(f"holds JSON, and is not {claim}, as its name says it is; it begins with {head[:24]!r}",
                         where=path, hint="fetch it again: it may be a server's answer; or call it .jsonl")
    if kind is not None:
        return kind
    raise InputError("is not an archive, table or text that can be read", where=path,
                     hint="say what it is with the source's `kind`, or leave it out")


def open_nonempty(path: str, http: HttpConfig | None) -> IO[bytes]:
    """A source file, open for reading. Raises InputError where it holds nothing."""
    from curate.sources.http_file import open_source

    stream = open_source(path, http)
    if not stream.read(1):
        stream.close()
        raise InputError("is an empty file", where=path, hint="fetch it again")
    stream.seek(0)
    return stream


def _head(stream: IO[bytes], path: str) -> bytes:
    """The first 64 KiB of a file, decompressed, as far as its first 64 KiB go. A file that gives nothing of these is
    read further: a dictionary may come first."""
    start = stream.read(_HEAD_BYTES)
    head, _ = _decompressed(io.BytesIO(start))
    if head or not start:
        return head
    stream.seek(0)
    head, broken = _decompressed(stream)
    if not head:
        what = f"cannot be read: {broken}" if broken else "is an empty file, once it is decompressed"
        raise InputError(what, where=path, hint="was it fetched completely?")
    return head


def _decompressed(stream: IO[bytes]) -> tuple[bytes, str | None]:
    """(up to 64 KiB, what broke off)."""
    from curate.sources.members import read_chunks

    head = bytearray()
    for chunk in read_chunks(stream, opening=b""):
        head += chunk.data
        if chunk.broken is not None or len(head) >= _HEAD_BYTES:
            return bytes(head[:_HEAD_BYTES]), chunk.broken
    return bytes(head), None
