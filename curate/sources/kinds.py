"""The kinds of source files, in one table: how each is recognised by its content, and what reads it.

Names of files are not trusted. Recipes, single commands and dialogues all ask this table; another kind is one module
with a reader and one entry here.
"""

from __future__ import annotations

import codecs
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Final

import zstandard

from curate.sources.archives import ZIP_START
from curate.sources.columns import ColumnNames, TextRows
from curate.sources.framing import ARC_START
from curate.sources.http import HttpConfig
from curate.sources.http_file import open_source
from curate.sources.jsonl import read_jsonl
from curate.sources.members import compression_of, read_chunks
from curate.sources.parquet import column_names, read_parquet
from curate.sources.text import read_text_rows
from curate.sources.warc import Damage
from manifests.errors import InputError

TABLE: Final = "table"
"""Not a file format but a kind of reading: the rows of any kind of table, one document each, as they are."""

TOKENS: Final = "tokens"
"""Texts that were encoded already: nothing reads them before the mixture does."""

_HEAD_BYTES: Final = 1 << 16
_CONVERSION: Final = re.compile(rb"\nWARC-Type:[ \t]*conversion", re.IGNORECASE)
_RESPONSE: Final = re.compile(rb"\nWARC-Type:[ \t]*response", re.IGNORECASE)
_OPENING: Final = re.compile(rb"\s*WARC/?[0-9.]*[ \t]*\r?\n", re.IGNORECASE)

ReadRows = Callable[[str, ColumnNames, int, HttpConfig | None], Iterator[TextRows | Damage]]
"""(path, columns, max_text_bytes, how to fetch) -> the rows of a file, in order, and what of it cannot be read."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of file.

    name: as recipes call it. what: as messages call it. detect: whether a file is of this kind, by the first 64 KiB,
    decompressed. rows: reads its texts, where it is a table of them. records: the WARC records that are documents,
    where it is an archive. columns: the names of a file's columns, where it states them before its rows. objects:
    whether every line is a JSON object, as dialogues are."""

    name: str
    what: str
    detect: Callable[[bytes], bool]
    rows: ReadRows | None = None
    records: frozenset[str] = frozenset()
    columns: Callable[[str], list[str]] | None = None
    objects: bool = False


def _is_wet(head: bytes) -> bool:
    return head.startswith(b"WARC/") and bool(_CONVERSION.search(head)) and not _RESPONSE.search(head)


def _is_archive(head: bytes) -> bool:
    return head.startswith((b"WARC/", ARC_START, ZIP_START)) or bool(_OPENING.match(head))


def _is_json(head: bytes) -> bool:
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")


def _jsonl_rows(path: str, names: ColumnNames, max_text_bytes: int,
                http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    with closing(open_nonempty(path, http)) as stream:
        # A line holds the text with its escapes and other fields: four times as much is room enough.
        yield from read_jsonl(stream, names, 4 * max_text_bytes + (1 << 20))


def _parquet_rows(path: str, names: ColumnNames, max_text_bytes: int,
                  http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    yield from read_parquet(path, names, http)


def _text_rows(path: str, names: ColumnNames, max_text_bytes: int,
               http: HttpConfig | None) -> Iterator[TextRows | Damage]:
    with closing(open_nonempty(path, http)) as stream:
        yield from read_text_rows(stream, max_text_bytes)


KINDS: Final[dict[str, SourceKind]] = {kind.name: kind for kind in (
    SourceKind("parquet", "a Parquet file", lambda head: head.startswith(b"PAR1"), _parquet_rows, columns=column_names),
    SourceKind("wet", "a WET archive", _is_wet, records=frozenset({"conversion"})),
    SourceKind("warc", "a WARC, ARC or WACZ archive", _is_archive, records=frozenset({"response", "resource"})),
    SourceKind("jsonl", "JSON Lines", _is_json, _jsonl_rows, objects=True),
    SourceKind("text", "a plain text", lambda head: b"\0" not in head, _text_rows),
)}
"""By name, in the order in which they are asked."""


def detect_kind(path: str, http: HttpConfig | None = None) -> str:
    """The name of a file's kind, by its first 64 KiB, decompressed.

    ARC and WACZ files are `warc`, and so is what was meant as one. An empty or broken head is left to the reader of a
    plain text to name.

    Args:
        path: Local path or URL.
        http: How to fetch it.
    Returns:
        A key of `KINDS`.
    Raises:
        InputError: The file cannot be opened, or is of no kind.
    """
    with open_source(path, http) as stream:
        head = _head(stream)
    for kind in KINDS.values():
        if kind.detect(head):
            return kind.name
    raise InputError("is not an archive, table or text that can be read", where=path,
                     hint="say what it is with the source's `kind`, or leave it out")


def open_nonempty(path: str, http: HttpConfig | None) -> IO[bytes]:
    """A source file, open for reading. Raises InputError where it holds nothing."""
    stream = open_source(path, http)
    if not stream.read(1):
        stream.close()
        raise InputError("is an empty file", where=path, hint="fetch it again")
    stream.seek(0)
    return stream


def _head(stream: IO[bytes]) -> bytes:
    raw = stream.read(_HEAD_BYTES)
    compression = compression_of(raw[:4])
    if compression == "gzip":
        return _gunzip(raw)
    if compression == "zstd":
        try:
            return zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(io.BytesIO(raw)).read(_HEAD_BYTES)
        except zstandard.ZstdError:
            return b""
    if compression == "lz4":
        return next((chunk.data for chunk in read_chunks(io.BytesIO(raw), b"")), b"")[:_HEAD_BYTES]
    return raw


def _gunzip(raw: bytes) -> bytes:
    """What the members in these bytes hold, as far as they go: a WET file states what it is in its second member."""
    out = b""
    while raw and len(out) < _HEAD_BYTES:
        decoder = zlib.decompressobj(wbits=31)
        try:
            out += decoder.decompress(raw, _HEAD_BYTES)
        except zlib.error:
            break
        raw = decoder.unused_data
    return out
