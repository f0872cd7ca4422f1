"""Bytes of pages and texts as UTF-8, whatever they are in: which encoding is believed, and when none is.

The order is the HTML standard's (13.2.3.2: byte order mark, HTTP, the page itself, a guess) but for two things that
archives teach. Bytes that are all valid UTF-8 are UTF-8, whatever is declared: pages are converted without their
headers, and no legacy text of any length is valid by accident. And a declaration under which more than a tenth of the
bytes outside ASCII are errors gives way to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from curate.charsets.declared import declared_encoding
from curate.charsets.decoders import PAIRS, REPLACEMENT, UTF_8, WINDOWS_1252, Decoded, encoding_of, to_utf8
from curate.charsets.detection import guesses

_BOMS: Final = ((b"\xef\xbb\xbf", UTF_8), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
_MARKS: Final = tuple(mark for mark, _ in _BOMS)
_ESCAPE: Final = b"\x1b"  # of ISO-2022-JP, which is all ASCII
_IDLE_ESCAPES: Final = re.compile(rb"(?:\x1b(?:\([BIJ]|\$[@B]))+(?=\x1b(?:\([BIJ]|\$[@B]))")
_NUL_BYTES: Final = 4096  # in which UTF-16 shows itself by a NUL
_MAX_ERROR_SHARE: Final = 0.1
_MAX_CHARACTER_BYTES: Final = 4
_FEW_BYTES: Final = 12  # continuation bytes: no more of them may be valid UTF-8 by accident


class Utf8(NamedTuple):
    """data: valid UTF-8. encoding: what the bytes were taken for; `replacement` where they must not be read."""

    data: bytes
    encoding: str


def page_as_utf8(body: bytes, charset: str | None = None) -> Utf8:
    """A page in UTF-8: the very bytes where they are that already, as they nearly always are.

    Args:
        body: The page as stored.
        charset: The label in its HTTP header, if there is one.
    Returns:
        Its UTF-8; what cannot be read is U+FFFD. It never raises.
    """
    return _read(body, charset, True)


def text_as_utf8(body: bytes, charset: str | None = None) -> Utf8:
    """As `page_as_utf8`, of bytes without markup, in which nothing is declared."""
    return _read(body, charset, False)


def _read(body: bytes, charset: str | None, markup: bool) -> Utf8:
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return Utf8(to_utf8(body[len(mark) :], encoding).data, encoding)
    if (valid := _as_valid(body)) is not None:
        utf8, is_sure = valid
        return utf8 if is_sure else _short_legacy(body, charset, markup) or utf8
    for encoding in _declared(body, charset, markup):
        decoded = _decoded(body, encoding)
        if encoding == REPLACEMENT or _is_believed(decoded, encoding):
            return Utf8(decoded.data, encoding)
    for encoding in guesses(body):
        decoded = _decoded(body, encoding)
        if _is_believed(decoded, encoding):
            return Utf8(decoded.data, encoding)
    return Utf8(to_utf8(body, WINDOWS_1252).data, WINDOWS_1252)


def _decoded(body: bytes, encoding: str) -> Decoded:
    """As the standard's decoder, but for escape sequences of ISO-2022-JP that another follows at once, as where strings
    were joined: the standard's U+FFFD for them keeps scripts from hiding, and a text needs none."""
    return to_utf8(_IDLE_ESCAPES.sub(b"", body) if encoding == "iso-2022-jp" else body, encoding)


def _as_valid(body: bytes) -> tuple[Utf8, bool] | None:
    """(bytes that are valid UTF-8 but for a character that the end cuts, whether that can hardly be by accident)."""
    if _ESCAPE in body or body.find(b"\0", 0, _NUL_BYTES) >= 0:
        return None
    if body.isascii():
        return Utf8(body, UTF_8), True
    try:
        return Utf8(body, UTF_8), len(body) - len(body.decode()) > _FEW_BYTES
    except UnicodeDecodeError as error:
        is_cut = error.reason == "unexpected end of data" and len(body) - error.start < _MAX_CHARACTER_BYTES
        return (Utf8(to_utf8(body, UTF_8).data, UTF_8), True) if is_cut and error.start > _FEW_BYTES else None


def _short_legacy(body: bytes, charset: str | None, markup: bool) -> Utf8 | None:
    """A page that declares an encoding of pairs and is free of errors under it."""
    encoding = next(_declared(body, charset, markup), None)
    if encoding not in PAIRS:
        return None
    decoded = to_utf8(body, encoding)
    return Utf8(decoded.data, encoding) if decoded.n_errors == 0 else None


def _declared(body: bytes, charset: str | None, markup: bool) -> Iterator[str]:
    encoding = encoding_of(charset)
    if encoding is not None:
        yield encoding
    own = declared_encoding(body) if markup else None
    if own is not None and own != encoding:
        yield own


def _is_believed(decoded: Decoded, encoding: str) -> bool:
    """Whether bytes are in an encoding, by the errors under it; one says nothing against an encoding of pairs.

    What is valid UTF-8 besides them says more for UTF-8 than errors say against it."""
    allowed = decoded.n_coded * (1.0 if encoding == UTF_8 else _MAX_ERROR_SHARE)
    return decoded.n_errors <= (max(1.0, allowed) if encoding in PAIRS else allowed)
