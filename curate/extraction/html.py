"""HTML bytes to characters: which encoding they are in, and whether they are HTML at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_SNIFF_TYPES: Final = frozenset({"", "text/plain", "text/xml", "application/xml", "application/octet-stream", "unk",
                                 "unknown/unknown", "*/*"})
_SNIFF_BYTES: Final = 1024
_LOOKS_HTML: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_BINARY: Final = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x1f\x8b\x08", b"wOFF")
_META_CHARSET: Final = re.compile(rb"<meta[^>]{0,512}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_META_BYTES: Final = 4096
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_MARKS: Final = tuple(mark for mark, _ in _BOMS)
# Encodings whose bytes are, or may be, all ASCII: strict UTF-8 succeeds on them and says nothing.
_SEVEN_BIT: Final = re.compile(rb"\x1b[$(]|\x00")
_MAX_BAD_SHARE: Final = 0.1  # of the non-ASCII bytes; above it a declared encoding is not believed


def is_html(content_type: str | None, body: bytes) -> bool:
    """Whether a response is HTML: by its type, or by its first bytes where the type says nothing."""
    kind = (content_type or "").strip().lower()
    if body.startswith(_BINARY):
        return False
    if kind in _HTML_TYPES:
        return True
    return kind in _SNIFF_TYPES and _LOOKS_HTML.search(body, 0, _SNIFF_BYTES) is not None


def decode(body: bytes, charset: str | None = None) -> str:
    """The characters of a page or text, whatever its encoding.

    Order: byte order mark; UTF-8 where all of it is valid (by far the most common, and hardly ever so by accident);
    the HTTP charset; the page's own meta tag; detection; windows-1252. An encoding under which more than a tenth of
    the non-ASCII bytes are errors gives way to the next. HTML's own order (WHATWG, 13.2.3) believes HTTP first; pages
    converted to UTF-8 without their headers make that the worse guess.

    Args:
        body: The page as stored.
        charset: What its HTTP header says, if anything.
    Returns:
        The text; what cannot be read is U+FFFD. It never raises.
    """
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    if (text := _valid_utf8(body)) is not None:
        return text
    n_non_ascii = len(body) - len(body.decode("ascii", "ignore"))
    for name in _encodings(body, charset):
        text = _decode_declared(body, name)
        if text is not None and text.count("\ufffd") <= _MAX_BAD_SHARE * n_non_ascii:
            return text
    return body.decode("windows-1252", "replace")


def as_utf8(body: bytes, charset: str | None = None) -> bytes:
    """A page as `decode` reads it, in UTF-8: the same bytes where they are that already, as they nearly always are."""
    if not body.startswith(_MARKS) and _valid_utf8(body) is not None:
        return body
    return decode(body, charset).encode("utf-8", "replace")


def _valid_utf8(body: bytes) -> str | None:
    if _SEVEN_BIT.search(body, 0, _META_BYTES):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _encodings(body: bytes, charset: str | None) -> Iterator[str | None]:
    """What the bytes may be encoded in, the surest first; detection comes last and only where it is needed."""
    yield charset
    meta = _META_CHARSET.search(body, 0, _META_BYTES)
    yield meta.group(1).decode() if meta else None
    yield detect_encoding(body)


def _decode_declared(body: bytes, name: str | None) -> str | None:
    """The text under a declared encoding, by the web's reading of its name; None where there is no such encoding."""
    if not name:
        return None
    encoding = map_encoding_to_html5(name, fallback_utf8=False)
    if encoding is None:
        return None
    try:
        return body.decode(encoding, "replace")
    except (LookupError, UnicodeError):
        return None
