"""What a file is, by its content: names of files are not trusted."""

from __future__ import annotations

import codecs
import io
import re
import zlib
from typing import IO

import zstandard

from curate.sources.archives import ZIP_START
from curate.sources.framing import ARC_START
from curate.sources.http import HttpConfig
from curate.sources.http_file import open_source
from curate.sources.members import compression_of, read_pieces
from manifests.errors import InputError

_HEAD_BYTES = 1 << 16
_CONVERSION = re.compile(rb"\nWARC-Type:[ \t]*conversion", re.IGNORECASE)
_RESPONSE = re.compile(rb"\nWARC-Type:[ \t]*response", re.IGNORECASE)
_OPENING = re.compile(rb"\s*WARC/?[0-9.]*[ \t]*\r?\n", re.IGNORECASE)


def detect_kind(path: str, http: HttpConfig | None = None) -> str:
    """`warc`, `wet`, `parquet`, `jsonl` or `text`, from the first 64 KiB, decompressed; ARC and WACZ files are `warc`,
    and so is what was meant as one. An empty or broken head is left to the reader of a plain text to name. Raises
    InputError where the file cannot be opened, or is none of these."""
    with open_source(path, http) as stream:
        head = _head(stream)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"WARC/"):
        return "wet" if _CONVERSION.search(head) and not _RESPONSE.search(head) else "warc"
    if head.startswith((ARC_START, ZIP_START)) or _OPENING.match(head):
        return "warc"
    if b"\0" in head:
        raise InputError("is no archive, table or text that can be read", where=path,
                         hint="say what it is with the source's `kind`, or leave it out")
    return "jsonl" if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{") else "text"


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
        return next((piece.data for piece in read_pieces(io.BytesIO(raw), b"")), b"")[:_HEAD_BYTES]
    return raw


def _gunzip(raw: bytes) -> bytes:
    """What the members in these bytes hold, as far as they go: a WET file tells what it is in its second member."""
    out = b""
    while raw and len(out) < _HEAD_BYTES:
        decoder = zlib.decompressobj(wbits=31)
        try:
            out += decoder.decompress(raw, _HEAD_BYTES)
        except zlib.error:
            break
        raw = decoder.unused_data
    return out
