"""What a page says of its own kind: og:type, schema.org types in microdata and JSON-LD, its address and
the site's name, its generator.

Each is a bit of `HINT_BITS` in the page's state; of the address there are also its length, depth, hyphens and digits.
All of it is a hint to the trees: pages call themselves articles that are none.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.characters import is_letter, is_space
from curate.extraction.compiled import kernel
from curate.extraction.page import (
    HINT_BITS,
    META,
    URL_BYTES,
    URL_DEPTH,
    URL_DIGITS,
    URL_HYPHENS,
    VALUE_END,
    VALUE_START,
)
from curate.extraction.vocabulary import (
    ADDRESS_HINT,
    GENERATOR_HINT,
    HOST_HINT,
    M_ADDRESS,
    M_CANONICAL,
    M_GENERATOR,
    M_KIND,
    M_SITE,
    TYPE_HINT,
    find,
)
from curate.text.words import FNV_OFFSET, FNV_PRIME

_QUOTE, _SLASH, _COLON, _HYPHEN, _OPEN, _CLOSE = 34, 47, 58, 45, 91, 93
_MAX_WORD: Final = 64
_TYPE: Final = np.frombuffer(b'"@type"', np.uint8)


@kernel
def type_hint(html, tables, start, end):  # type: ignore[no-untyped-def]
    """The hint of a type's name, or of the last part of its address (`https://schema.org/Product`)."""
    h = FNV_OFFSET
    for i in range(max(start, end - _MAX_WORD), end):
        c = html[i]
        h = FNV_OFFSET if c == _SLASH else (h ^ np.uint64(c | 32 if c >= 65 and c <= 90 else c)) * FNV_PRIME
    return find(tables, TYPE_HINT, h)


@kernel
def read_meta(page, tables):  # type: ignore[no-untyped-def]
    """Note what a `meta` or `link` element said, whose attributes were just read."""
    s = page.state
    kind, start, end = s[META], s[VALUE_START], s[VALUE_END]
    if kind == M_KIND:
        s[HINT_BITS] |= type_hint(page.html, tables, start, end)
    elif kind == M_GENERATOR:
        s[HINT_BITS] |= _words(page.html, tables, start, end, GENERATOR_HINT)
    elif kind == M_SITE:
        s[HINT_BITS] |= _words(page.html, tables, start, end, HOST_HINT)
    elif kind in (M_ADDRESS, M_CANONICAL) and s[URL_BYTES] == 0:
        _address(page, tables, start, end)


@kernel
def _words(html, tables, start, end, salt):  # type: ignore[no-untyped-def]
    """The hints of the words of letters of a value."""
    found, h, size = np.int64(0), FNV_OFFSET, 0
    for i in range(start, end):
        c = html[i]
        if is_letter(c):
            h = (h ^ np.uint64(c | 32)) * FNV_PRIME
            size += 1
        elif size:
            found |= find(tables, salt, h)
            h, size = FNV_OFFSET, 0
    return found | find(tables, salt, h) if size else found


@kernel
def _address(page, tables, start, end):  # type: ignore[no-untyped-def]
    html, s = page.html, page.state
    i, slashes = start, 0
    while i < end and slashes < 3:  # the path begins after `https://host/`
        slashes += html[i] == _SLASH
        i += 1
    s[HINT_BITS] |= _words(html, tables, start, i, HOST_HINT)
    s[URL_BYTES] = 1 + end - i
    s[HINT_BITS] |= _words(html, tables, i, end, ADDRESS_HINT)
    while i < end:
        s[URL_DEPTH] += html[i] == _SLASH and i + 1 < end
        s[URL_HYPHENS] += html[i] == _HYPHEN
        s[URL_DIGITS] += html[i] >= 48 and html[i] <= 57
        i += 1


@kernel
def read_data(page, tables, start, end):  # type: ignore[no-untyped-def]
    """Note the types that a script of JSON-LD names: `"@type": "Product"`, or a list of them."""
    html = page.html
    i, matched = start, 0
    while i < end:
        if html[i] != _TYPE[matched]:
            matched = 0
        if html[i] == _TYPE[matched]:
            matched += 1
        i += 1
        if matched == _TYPE.size:
            matched = 0
            i = _names(page, tables, i, end)


@kernel
def _names(page, tables, i, end):  # type: ignore[no-untyped-def]
    """Read the strings after `"@type"`; the offset after them."""
    html, s = page.html, page.state
    many = False
    while i < end:
        c = html[i]
        if c == _QUOTE:
            first = i + 1
            i = first
            while i < end and html[i] != _QUOTE:
                i += 1
            s[HINT_BITS] |= type_hint(html, tables, first, i)
            if not many:
                return i + 1
        elif c == _OPEN:
            many = True
        elif c == _CLOSE or not (is_space(c) or c == _COLON or (many and c == 44)):
            return i
        i += 1
    return i
