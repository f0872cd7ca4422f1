"""Characters on their way into a page's text: character references, white space, UTF-8."""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.compiled import kernel
from curate.extraction.page import (
    BOLD,
    BOLD_BYTES,
    CONTENT,
    DEPTH,
    IN_LINK,
    LAST_BR,
    LINK_BYTES,
    OUT,
    POSITION,
    S_PRE,
    SPACE,
    START,
)
from curate.extraction.vocabulary import REFERENCE, find
from curate.text.utf8 import encode
from curate.text.words import FNV_OFFSET, FNV_PRIME

_AMP, _NEWLINE, _SPACE = 38, 10, 32
_MAX_NAME: Final = 33  # of a character reference: CounterClockwiseContourIntegral and its semicolon are 32
_MIN_LEGACY, _MAX_LEGACY = 2, 6
_C1: Final = np.array([ord(bytes([b]).decode("cp1252", "replace")) for b in range(0x80, 0xA0)], np.int64)
"""What &#128; to &#159; mean: windows-1252 (HTML standard, 13.2.5.80)."""


@kernel
def is_letter(c):  # type: ignore[no-untyped-def]
    """Whether a byte is an ASCII letter."""
    return (c | 32) >= 97 and (c | 32) <= 122


@kernel
def is_space(c):  # type: ignore[no-untyped-def]
    """Whether a byte is HTML's white space."""
    return c == 32 or (c >= 9 and c <= 13 and c != 11)


@kernel
def written(page, out, gaps):  # type: ignore[no-untyped-def]
    """Account for text that was written up to `out`, `gaps` of it spaces."""
    s = page.state
    n = out - s[OUT] - gaps
    s[OUT] = out
    if n > 0:
        s[LAST_BR] = 0
        if s[IN_LINK]:
            s[LINK_BYTES] += n
        if s[BOLD]:
            s[BOLD_BYTES] += n


@kernel
def put_character(page, c, i):  # type: ignore[no-untyped-def]
    """Append one code point that a character reference stood for."""
    text, s = page.text, page.state
    pre = page.stack[s[DEPTH] - 1, S_PRE]
    if c == 0xA0 or (c <= _SPACE and is_space(c)):
        if not pre:
            s[SPACE] = 1
            return
        c = _NEWLINE if c == _NEWLINE else _SPACE
    elif c < _SPACE or c == 0x7F:
        return
    if c > _SPACE:
        if not s[CONTENT]:
            s[CONTENT], s[POSITION] = 1, i
            if not pre:
                s[OUT] = s[START]
        elif s[SPACE]:
            text[s[OUT]] = _SPACE
            s[OUT] += 1
        s[SPACE] = 0
    written(page, encode(c, text, s[OUT]), 0)


@kernel
def read_reference(page, tables, i):  # type: ignore[no-untyped-def]
    """Read a character reference, or the bare `&`; the offset after it."""
    html = page.html
    if i + 1 < html.size and html[i + 1] == 35:
        return _numeric(page, i)
    h, j = FNV_OFFSET, i + 1
    value, end = np.int64(0), i + 1
    while j < html.size and j - i <= _MAX_NAME:
        c = html[j]
        if not (is_letter(c) or (c >= 48 and c <= 57) or c == 59):
            break
        h = (h ^ np.uint64(c)) * FNV_PRIME
        j += 1
        n = j - i - 1
        if c == 59 or (n >= _MIN_LEGACY and n <= _MAX_LEGACY):
            found = find(tables, REFERENCE, h)
            if found:
                value, end = found, j
        if c == 59:
            break
    if not value:
        put_character(page, np.int64(_AMP), i)
        return i + 1
    put_character(page, value & 0xFFFFFFFF, i)
    if value >> 32:
        put_character(page, value >> 32, i)
    return end


@kernel
def _numeric(page, i):  # type: ignore[no-untyped-def]
    html = page.html
    j = i + 2
    base = 10
    if j < html.size and (html[j] | 32) == 120:
        base, j = 16, j + 1
    first, value = j, np.int64(0)
    while j < html.size:
        c = np.int64(html[j])
        digit = c - 48 if c >= 48 and c <= 57 else ((c | 32) - 87 if is_letter(c) else np.int64(99))
        if digit >= base:
            break
        value = min(value * base + digit, np.int64(0x110000))
        j += 1
    if j == first:
        put_character(page, np.int64(_AMP), i)
        return i + 1
    if j < html.size and html[j] == 59:
        j += 1
    if value >= 0x80 and value < 0xA0:
        value = _C1[value - 0x80]
    elif value == 0 or value > 0x10FFFF or (value >= 0xD800 and value < 0xE000):
        value = np.int64(0xFFFD)
    put_character(page, value, i)
    return j
