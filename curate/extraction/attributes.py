"""Attributes of a start tag: links, hidden elements, and the words of class, id, role and itemprop."""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.characters import is_letter, is_space
from curate.extraction.compiled import kernel
from curate.extraction.hints import type_hint
from curate.extraction.page import (
    ALT,
    ALT_END,
    ATTRIBUTES,
    CLASS,
    CLASS_END,
    CLASS_HASH,
    DISPLAY,
    HAS_HREF,
    HINT_BITS,
    LANGUAGE,
    LANGUAGE_END,
    META,
    SELF_CLOSING,
    STREAMED,
    VALUE_END,
    VALUE_START,
)
from curate.extraction.vocabulary import (
    A_ALT,
    A_CLASS,
    A_CONTENT,
    A_DISPLAY,
    A_HIDDEN,
    A_HREF,
    A_ID,
    A_LANGUAGE,
    A_NAME,
    A_STYLE,
    A_TYPE,
    ATTRIBUTE,
    CLASS_SUFFIX,
    CLASS_WORD,
    HIDDEN,
    META_NAME,
    MIN_AFFIX,
    find,
)
from curate.text.words import FNV_OFFSET, FNV_PRIME

_GT, _SLASH, _QUOTE, _APOSTROPHE, _EQUALS = 62, 47, 34, 39, 61
_MAX_WORD: Final = 64  # bytes of a class attribute's word that are looked at
_NONE: Final = np.frombuffer(b"display:none", np.uint8)
_INVISIBLE: Final = np.frombuffer(b"visibility:hidden", np.uint8)


@kernel
def read_name(html, i):  # type: ignore[no-untyped-def]
    """(hash, offset after) of the tag name at i, in lower case."""
    h = FNV_OFFSET
    while i < html.size:
        c = html[i]
        if c in (_GT, _SLASH) or is_space(c):
            break
        if c >= 65 and c <= 90:
            c |= 32
        h = (h ^ np.uint64(c)) * FNV_PRIME
        i += 1
    return h, i


@kernel
def read_attributes(page, tables, i):  # type: ignore[no-untyped-def]
    """Read attributes up to the tag's end; the offset after it, past the end of the page where it has none."""
    html, s = page.html, page.state
    s[ATTRIBUTES] = s[HAS_HREF] = s[SELF_CLOSING] = s[CLASS_HASH] = s[META] = s[VALUE_START] = s[VALUE_END] = 0
    s[STREAMED] = s[LANGUAGE] = s[LANGUAGE_END] = s[ALT] = s[ALT_END] = s[DISPLAY] = s[CLASS] = s[CLASS_END] = 0
    while i < html.size:
        c = html[i]
        if c == _GT:
            if s[STREAMED]:  # `<div hidden id="S:0">`: React moves it to where it is shown
                s[ATTRIBUTES] &= ~HIDDEN
            return i + 1
        if c == _SLASH or is_space(c):
            s[SELF_CLOSING] = c == _SLASH
            i += 1
            continue
        s[SELF_CLOSING] = 0
        i = _attribute(page, tables, i)
    return np.int64(html.size + 1)


@kernel
def _attribute(page, tables, i):  # type: ignore[no-untyped-def]
    """Read one attribute; the offset after it."""
    html = page.html
    h, first = FNV_OFFSET, i
    while i < html.size:
        c = html[i]
        if c in (_GT, _SLASH) or is_space(c) or (c == _EQUALS and i > first):
            break
        if c >= 65 and c <= 90:
            c |= 32
        h = (h ^ np.uint64(c)) * FNV_PRIME
        i += 1
    while i < html.size and is_space(html[i]):
        i += 1
    use = find(tables, ATTRIBUTE, h)
    start = end = i
    if i < html.size and html[i] == _EQUALS:
        start, end, i = _value(html, i + 1)
    if use:
        _use(page, tables, use, start, end)
    return i


@kernel
def _value(html, i):  # type: ignore[no-untyped-def]
    """(start, end, offset after) of an attribute's value."""
    while i < html.size and is_space(html[i]):
        i += 1
    if i >= html.size or html[i] == _GT:
        return i, i, i
    quote = html[i]
    start = i
    if quote in (_QUOTE, _APOSTROPHE):
        i += 1
        while i < html.size and html[i] != quote:
            i += 1
        return start + 1, i, i + 1
    while i < html.size and html[i] != _GT and not is_space(html[i]):
        i += 1
    return start, i, i


@kernel
def _use(page, tables, use, start, end):  # type: ignore[no-untyped-def]
    s = page.state
    if use == A_HREF:
        s[HAS_HREF] = 1
        s[VALUE_START], s[VALUE_END] = start, end
    elif use == A_CONTENT:
        s[VALUE_START], s[VALUE_END] = start, end
    elif use == A_NAME:
        s[META] |= find(tables, META_NAME, _value_hash(page.html, start, end))
    elif use == A_TYPE:
        s[META] |= find(tables, META_NAME, _value_hash(page.html, start, end))
        s[HINT_BITS] |= type_hint(page.html, tables, start, end)
    elif use == A_HIDDEN:
        s[ATTRIBUTES] |= HIDDEN
    elif use == A_STYLE:
        if _holds(page.html, start, end, _NONE) or _holds(page.html, start, end, _INVISIBLE):
            s[ATTRIBUTES] |= HIDDEN
    elif use == A_ID:
        s[ATTRIBUTES] |= class_mask(page.html, tables, start, end)
        s[STREAMED] |= end - start > 2 and page.html[start] == 83 and page.html[start + 1] == 58
    elif use == A_CLASS:
        s[ATTRIBUTES] |= class_mask(page.html, tables, start, end)
        s[CLASS_HASH] = _first_word(page.html, start, end)
        s[CLASS], s[CLASS_END] = start, end
    elif use == A_ALT:
        s[ALT], s[ALT_END] = start, end
    elif use == A_DISPLAY:
        s[DISPLAY] = end > start and page.html[start] | 32 == 98
    elif use == A_LANGUAGE:
        s[LANGUAGE], s[LANGUAGE_END] = start, end


@kernel
def _value_hash(html, start, end):  # type: ignore[no-untyped-def]
    h = FNV_OFFSET
    for i in range(start, min(end, start + _MAX_WORD)):
        c = html[i]
        h = (h ^ np.uint64(c | 32 if c >= 65 and c <= 90 else c)) * FNV_PRIME
    return h


@kernel
def _first_word(html, start, end):  # type: ignore[no-untyped-def]
    """The hash of a class attribute's first word without its digits: what alike containers share (`post-17`)."""
    while start < end and is_space(html[start]):
        start += 1
    h = FNV_OFFSET
    while start < end and not is_space(html[start]):
        c = html[start]
        if c < 48 or c > 57:
            h = (h ^ np.uint64(c)) * FNV_PRIME
        start += 1
    return np.int64(h >> np.uint64(1))


@kernel
def _holds(html, start, end, wanted):  # type: ignore[no-untyped-def]
    """Whether a style holds a declaration, white space and case aside."""
    matched = 0
    for i in range(start, end):
        c = html[i]
        if is_space(c):
            continue
        if c >= 65 and c <= 90:
            c |= 32
        if c != wanted[matched]:
            matched = 0
        if c == wanted[matched]:
            matched += 1
            if matched == wanted.size:
                return True
    return False


@kernel
def class_mask(html, tables, start, end):  # type: ignore[no-untyped-def]
    """The classes of the words of an attribute. A word ends at anything but a letter, and where `camelCase` rises."""
    mask = np.int64(0)
    i = start
    while i < end:
        while i < end and not is_letter(html[i]):
            i += 1
        first = i
        while i < end and is_letter(html[i]) and not (i > first and html[i] < 97 and html[i - 1] >= 97):
            i += 1
        if i > first:
            mask |= _word_mask(html, tables, first, min(i, first + _MAX_WORD))
    return mask


@kernel
def _word_mask(html, tables, first, end):  # type: ignore[no-untyped-def]
    """The classes of one word: it is a class word, or begins or ends with one of `MIN_AFFIX` letters or more."""
    mask, h = np.int64(0), FNV_OFFSET
    for i in range(first, end):
        h = (h ^ np.uint64(html[i] | 32)) * FNV_PRIME
        if i + 1 == end or i + 1 - first >= MIN_AFFIX:
            mask |= find(tables, CLASS_WORD, h)
    h = FNV_OFFSET
    for i in range(end - 1, first, -1):
        h = (h ^ np.uint64(html[i] | 32)) * FNV_PRIME
        if end - i >= MIN_AFFIX:
            mask |= find(tables, CLASS_SUFFIX, h)
    return mask
