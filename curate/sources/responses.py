"""The HTTP response inside a record: its status, its headers and its body with every encoding undone."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fastwarc.stream_io import BrotliReader, GzipReader, ZstdReader
from fastwarc.warc import WarcRecord, WarcRecordType

from curate.sources.kernels.chunked import join_chunks
from curate.sources.media_types import media_type

_STEP_BYTES: Final = 1 << 16
_CHUNKED: Final = "chunked"
_UNPRINTABLE: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # ESC is of ISO-2022-JP
_SNIFF_BYTES: Final = 1024
_HTTP_HEADER_BYTES: Final = 1 << 16
_LOOKS_HTML: Final = re.compile(rb"\s*(?:<!--.{0,512}?-->\s*)?<(?:!doctype\s+html|html|head|body)[\s>]",
                                re.IGNORECASE | re.DOTALL)
# A status line that calls its protocol something else, such as ICY or HTTPX.
_STATUS_LINE: Final = re.compile(rb"[A-Za-z]{2,10}(?:/[0-9.]{1,5})?[ \t]+([0-9]{3})(?=[ \t\r\n])")
_FIELD_LINE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9-]{1,60}:[ \t]")


class SupportsRead(Protocol):
    """What FastWARC's payload reader is to this module."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(slots=True)
class HttpPage:
    """A decoded response. status: None where the record has no status line. body: at most the bytes asked for plus one,
    so that a longer one shows. robots: the values of X-Robots-Tag."""

    status: int | None
    content_type: str | None
    charset: str | None
    body: bytes
    robots: tuple[str, ...] = ()


def decode_http(block: bytes, max_body_bytes: int) -> HttpPage | None:
    """The HTTP response in a record's content, its content and transfer encodings undone.

    A body whose declared encoding is not true is taken as it is stored, where that may be text; of one that breaks off,
    what comes before is taken. A response whose header lacks its status line, and a bare HTML page without any header,
    have no status.

    Args:
        block: Content of a `response` record.
        max_body_bytes: No more than one byte beyond is ever decoded, so a decompression bomb, nested ones too, costs no
            more than a long page.
    Returns:
        The page, or None where the content is not a response or its body cannot be decoded.
    """
    if block.startswith(b"HTTP/"):
        return _parse_response(block, max_body_bytes)
    if _LOOKS_HTML.match(block, 0, _SNIFF_BYTES):
        return HttpPage(None, None, None, block[: max_body_bytes + 1])
    if line := _STATUS_LINE.match(block):
        return _parse_response(b"HTTP/1.1 " + line[1] + block[line.end() :], max_body_bytes)
    if _FIELD_LINE.match(block):  # as ClueWeb09 keeps them
        page = _parse_response(b"HTTP/1.1 200\r\n" + block, max_body_bytes)
        if page is not None:
            page.status = None
        return page
    return None


def decode_resource(block: bytes, content_type: str | None, max_body_bytes: int) -> HttpPage:
    """A `resource` record, which holds a file without HTTP, as a page; content_type: of the record."""
    kind, charset = media_type([content_type or ""])
    return HttpPage(None, kind, charset, block[: max_body_bytes + 1])


def _parse_response(block: bytes, max_body_bytes: int) -> HttpPage | None:
    record = WarcRecord()
    record.init_headers(record_type=WarcRecordType.response)
    record.is_http = True
    record.set_bytes_content(block)
    try:
        record.parse_http(auto_decode="none", quirks_mode=True)
    except (OSError, ValueError):
        return None
    headers = record.http_headers
    if headers is None or headers.status_code is None or record.reader is None:
        return None
    fields = [(name.lower(), value) for name, value in headers.astuples()]
    body = _decoded_body(record.reader, fields, max_body_bytes + 1)
    if body is None:
        return None
    kind, charset = media_type(value for name, value in fields if name == "content-type")
    robots = tuple(value for name, value in fields if name == "x-robots-tag")
    return HttpPage(headers.status_code, kind, charset, body or _body_without_a_gap(block, max_body_bytes), robots)


def _decoded_body(stored: SupportsRead, fields: list[tuple[str, str]], n: int) -> bytes | None:
    """Up to n bytes of a body with its encodings undone; of one that breaks off, what comes before. None where it is in
    no encoding that it claims, and no text either."""
    transfer, content = _codings(fields, "transfer-encoding"), _codings(fields, "content-encoding")
    reader, body = stored, b""
    if _CHUNKED in transfer:
        body = _read_some(stored, None)
        joined = join_chunks(body)
        body = joined[0] if joined else body
        reader = io.BytesIO(body)
    codings = [name for name in (*content, *transfer) if name in _READERS]
    if not codings:
        return _read_some(reader, n)
    body = body if _CHUNKED in transfer else _read_some(reader, None)
    decoded = _read_some(_undone(io.BytesIO(body), codings), n)
    if decoded or not body:
        return decoded
    return None if _UNPRINTABLE.search(body, 0, _SNIFF_BYTES) else body[:n]


def _codings(fields: Iterable[tuple[str, str]], field: str) -> list[str]:
    """The encodings that a header names, in the order in which they were applied."""
    return [name.strip().lower() for key, value in fields if key == field for name in value.split(",")]


def _undone(reader: SupportsRead, codings: list[str]) -> SupportsRead:
    """What gives a body with its content encodings undone.

    FastWARC's `auto_decode="all"` decodes all it holds at once: gigabytes of a bomb. Its readers do not."""
    for coding in reversed(codings):
        reader = _READERS[coding](reader)
    return reader


class _Inflated:
    """The `deflate` of HTTP undone: zlib's format, or what it wraps, as some servers send it."""

    def __init__(self, reader: SupportsRead) -> None:
        self._reader = reader
        self._stream: Any = None

    def read(self, size: int, /) -> bytes:
        data = self._stream.unconsumed_tail if self._stream else b""
        while data := data or self._reader.read(_STEP_BYTES):
            if self._stream is None:
                self._stream = zlib.decompressobj() if _is_zlib(data) else zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                decoded: bytes = self._stream.decompress(data, size)
            except zlib.error as error:
                raise OSError(f"is no deflate: {error}") from error
            if decoded or self._stream.eof:
                return decoded
            data = self._stream.unconsumed_tail
        return b""


def _is_zlib(data: bytes) -> bool:
    """Whether some bytes begin as zlib's format does (RFC 1950, 2.2)."""
    return len(data) > 1 and data[0] & 0x0F == zlib.DEFLATED and not (data[0] << 8 | data[1]) % 31


_READERS: Final[dict[str, Callable[[Any], SupportsRead]]] = {
    "gzip": GzipReader, "x-gzip": GzipReader, "br": BrotliReader, "zstd": ZstdReader, "deflate": _Inflated}


def _body_without_a_gap(block: bytes, max_body_bytes: int) -> bytes:
    """The HTML of a response whose header runs into it with no empty line between, as writers of 1996 left it."""
    lines = block[:_HTTP_HEADER_BYTES].splitlines(keepends=True)
    start = 0
    for line in lines:
        if not line.strip():
            return b""
        if _LOOKS_HTML.match(line):
            return block[start : start + max_body_bytes + 1]
        start += len(line)
    return b""


def _read_some(reader: SupportsRead, n: int | None) -> bytes:
    """Up to n bytes, or all, in steps: FastWARC sets aside and clears all it is asked for. What cannot be decoded ends
    it, with what came before."""
    chunks = []
    try:
        while n is None or n > 0:
            data = reader.read(_STEP_BYTES if n is None else min(n, _STEP_BYTES))
            if not data:
                break
            chunks.append(data)
            n = None if n is None else n - len(data)
    except (OSError, ValueError):
        pass
    return b"".join(chunks)
