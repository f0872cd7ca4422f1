"""Which encoding a page says that it is in: the HTML standard's prescan, and the meta tags that its parser comes to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from curate.charsets.decoders import UTF_8, WINDOWS_1252, encoding_of
from curate.charsets.kernels.meta import ABSENT, N_ATTRIBUTES, next_meta

PRESCAN_BYTES: Final = 1024
_MAX_LATE_TAGS: Final = 64  # meta tags of a page that are asked beyond the prescan
_IN_CONTENT: Final = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([\"'])|([^\t\n\f\r ;]*))", re.IGNORECASE)
_MAX_CONTENT_BYTES: Final = 1024
_XML: Final = re.compile(rb"<\?xml[^>]*?encoding[\x00-\x20]*=[\x00-\x20]*([\"'])([^\"'\x00-\x20>]*)\1")
_WIDE_XML: Final = ((b"<\0?\0x\0", "utf-16le"), (b"\0<\0?\0x", "utf-16be"))


def declared_encoding(body: bytes) -> str | None:
    """The encoding that a page names itself, as browsers find it.

    The first 1,024 bytes are scanned for a meta tag (HTML, 13.2.3.2), then for an XML declaration. Beyond them a parser
    goes on, and a meta tag that it comes to makes a browser read the page again (13.2.3.5); it does not look into
    comments, scripts and the like.

    Args:
        body: The page as stored.
    Returns:
        An encoding's name, or None where the page names none that exists.
    """
    for opening, encoding in _WIDE_XML:
        if body.startswith(opening):
            return encoding
    head = body[:PRESCAN_BYTES]
    return next(_meta_encodings(head, False), None) or _xml_encoding(head) or next(_meta_encodings(body, True), None)


def _meta_encodings(body: bytes, parsed: bool) -> Iterator[str]:
    data = np.frombuffer(body, np.uint8)
    values = np.empty((N_ATTRIBUTES, 2), np.int64)
    index = 0
    for _ in range(_MAX_LATE_TAGS if parsed else PRESCAN_BYTES):
        index = next_meta(data, index, len(data), parsed, values)
        if index < 0:
            return
        http_equiv, content, charset = (None if start == ABSENT else body[start:end] for start, end in values.tolist())
        encoding = _named(charset)
        if encoding is None and content is not None and (charset is None or parsed):
            is_pragma = (http_equiv or b"").lower() == b"content-type"
            encoding = _named(_charset_in(content)) if is_pragma else None
        if encoding is not None:
            yield _as_read(encoding)


def _charset_in(content: bytes) -> bytes | None:
    """The label in the content of a meta tag (HTML, 2.6.4)."""
    found = _IN_CONTENT.search(content[:_MAX_CONTENT_BYTES])
    return None if found is None or found[3] else next(label for label in (found[1], found[2], found[4], b"")
                                                       if label is not None)


def _xml_encoding(head: bytes) -> str | None:
    found = _XML.match(head)
    encoding = _named(found[2]) if found else None
    return None if encoding is None else _as_read(encoding)


def _named(label: bytes | None) -> str | None:
    return None if label is None else encoding_of(label.decode("latin-1"))


def _as_read(encoding: str) -> str:
    """What a declaration in ASCII bytes means: they cannot be UTF-16, and x-user-defined is for programs."""
    if encoding.startswith("utf-16"):
        return UTF_8
    return WINDOWS_1252 if encoding == "x-user-defined" else encoding
