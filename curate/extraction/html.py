"""Whether a response is HTML, and its characters."""

from __future__ import annotations

import re
from typing import Final

from curate.charsets.reading import page_as_utf8

_HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_SNIFF_TYPES: Final = frozenset({"", "text/plain", "text/xml", "application/xml", "application/octet-stream", "unk",
                                 "unknown/unknown", "*/*"})
_SNIFF_BYTES: Final = 1024
_LOOKS_HTML: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_BINARY: Final = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x1f\x8b\x08", b"wOFF")


def is_html(content_type: str | None, body: bytes) -> bool:
    """Whether a response is HTML: by its type, or by its first bytes where the type says nothing."""
    kind = (content_type or "").strip().lower()
    if body.startswith(_BINARY):
        return False
    if kind in _HTML_TYPES:
        return True
    return kind in _SNIFF_TYPES and _LOOKS_HTML.search(body, 0, _SNIFF_BYTES) is not None


def decode(body: bytes, charset: str | None = None) -> str:
    """The characters of a page, whatever its encoding (`curate.charsets.reading`).

    Args:
        body: The page as stored.
        charset: What its HTTP header says, if anything.
    Returns:
        The text; what cannot be read is U+FFFD. It never raises.
    """
    return page_as_utf8(body, charset).data.decode()


def as_utf8(body: bytes, charset: str | None = None) -> bytes:
    """A page as `decode` reads it, in UTF-8: the same bytes where they are that already, as they nearly always are."""
    return page_as_utf8(body, charset).data
