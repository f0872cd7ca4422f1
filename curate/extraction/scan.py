"""The scanner: HTML bytes to blocks of text, in one pass of compiled code.

It reads tags, comments, raw text and character references as the WHATWG tokeniser does (HTML standard, 13.2.5), on
UTF-8 bytes, and never looks back: time grows with the length of the page, whatever is in it. A block is the text
between two breaks: a paragraph, a heading, a cell, a list item, a line ended by `br`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.attributes import read_attributes, read_name
from curate.extraction.characters import is_letter, is_space, put_character, read_reference, written
from curate.extraction.compiled import kernel
from curate.extraction.elements import close_element, open_element
from curate.extraction.formulas import is_rendering, read_formula, read_tex
from curate.extraction.hints import read_data, read_meta
from curate.extraction.page import (
    ATTRIBUTES,
    BLANKS,
    CONTENT,
    DEPTH,
    MAX_TITLE_WORDS,
    META,
    N_TITLE,
    OUT,
    POSITION,
    S_FOREIGN,
    S_MASK,
    S_PRE,
    S_SKIP,
    SPACE,
    START,
    TITLE,
    Page,
    begin,
    finish,
    new_page,
    put_break,
)
from curate.extraction.vocabulary import (
    INERT,
    M_DATA,
    M_TEX,
    M_TEX_ALONE,
    PARAGRAPH,
    RAW,
    TAG,
    TAG_NAME,
    Vocabulary,
    find,
    load_vocabulary,
    name_hash,
)
from curate.extraction.words import next_word

_LT, _GT, _AMP, _SLASH, _DASH = 60, 62, 38, 47, 45
_NEWLINE, _SPACE = 10, 32
_TITLE: Final = TAG["title"]
_NOSCRIPT: Final = np.uint64(name_hash("noscript"))
_MATH: Final = TAG["math"]
_IMG: Final = TAG["img"]
_META: Final = TAG["meta"]
_LINK: Final = TAG["link"]
_PLAINTEXT: Final = TAG["plaintext"]


def scan(html: bytes, vocabulary: Vocabulary | None = None) -> tuple[Page, int]:
    """(page, number of blocks) of UTF-8 HTML. Never fails: any bytes are HTML of a kind."""
    page = new_page(html)
    return page, int(scan_page(page, vocabulary or load_vocabulary()))


@kernel
def scan_page(page, tables):  # type: ignore[no-untyped-def]
    """Fill a page that `new_page` made; the number of its blocks."""
    html, s = page.html, page.state
    begin(page)
    i = np.int64(0)  # not a literal, of which numba would make a second copy of every function below
    while i < html.size:
        if html[i] == _LT:
            i = _markup(page, tables, i)
        elif html[i] == _AMP and not page.stack[s[DEPTH] - 1, S_SKIP]:
            i = read_reference(page, tables, i)
        else:
            i = _text(page, i)
    return finish(page)


@kernel
def _text(page, i):  # type: ignore[no-untyped-def]
    """Copy text up to the next `<` or `&`; the offset of that."""
    html, text, s = page.html, page.text, page.state
    top = page.stack[s[DEPTH] - 1]
    if top[S_SKIP]:
        i += 1
        while i < html.size and html[i] != _LT:
            i += 1
        return i
    if top[S_PRE]:
        return _preformatted(page, i)
    out, space, start = s[OUT], s[SPACE], s[START]
    content, gaps = s[CONTENT], 0
    while i < html.size:
        c = html[i]
        if c in (_LT, _AMP):
            break
        if c <= _SPACE:
            space |= is_space(c)
            i += 1
            continue
        if c == 0xC2 and i + 1 < html.size and html[i + 1] == 0xA0:
            space = 1
            i += 2
            continue
        if not content:
            content, s[POSITION], out = 1, i, start
        elif space:
            text[out] = _SPACE
            out, gaps = out + 1, gaps + 1
        space = 0
        text[out] = c
        out, i = out + 1, i + 1
    written(page, out, gaps)
    s[SPACE], s[CONTENT] = space, content
    return i


@kernel
def _preformatted(page, i):  # type: ignore[no-untyped-def]
    """As `_text`, where white space counts. A blank line ends a block."""
    html, text, s = page.html, page.text, page.state
    while i < html.size and html[i] != _LT and html[i] != _AMP:
        c = html[i]
        i += 1
        if c == _NEWLINE or c == 13:
            if c == 13 and i < html.size and html[i] == _NEWLINE:
                i += 1
            _new_line(page)
        elif c >= _SPACE or c == 9:
            text[s[OUT]] = c
            solid = c > _SPACE
            written(page, s[OUT] + 1, 0 if solid else 1)
            if solid and not s[CONTENT]:
                s[CONTENT], s[POSITION] = 1, i
    return i


@kernel
def _new_line(page):  # type: ignore[no-untyped-def]
    text, s = page.text, page.state
    if not s[CONTENT]:
        s[OUT] = s[START]
        s[BLANKS] += 1
        return
    end = s[OUT] - 1
    while end > s[START] and (text[end] == _SPACE or text[end] == 9):
        end -= 1
    if text[end] == _NEWLINE:
        put_break(page, PARAGRAPH)
        return
    text[s[OUT]] = _NEWLINE
    s[OUT] += 1


@kernel
def _markup(page, tables, i):  # type: ignore[no-untyped-def]
    """Read what begins with `<`; the offset after it."""
    html, s = page.html, page.state
    c = html[i + 1] if i + 1 < html.size else np.uint8(0)
    if is_letter(c):
        return _start_tag(page, tables, i)
    if c == _SLASH and i + 2 < html.size:
        if is_letter(html[i + 2]):
            return _end_tag(page, tables, i)
        return _after(html, i + 2)
    if c == 33:
        if i + 3 < html.size and html[i + 2] == _DASH and html[i + 3] == _DASH:
            return _comment(html, i + 4)
        return _after(html, i + 2)
    if c == 63:
        return _after(html, i + 2)
    if not page.stack[s[DEPTH] - 1, S_SKIP]:
        put_character(page, np.int64(_LT), i)
    return i + 1


@kernel
def _after(html, i):  # type: ignore[no-untyped-def]
    """The offset after the next `>`."""
    while i < html.size and html[i] != _GT:
        i += 1
    return i + 1


@kernel
def _comment(html, i):  # type: ignore[no-untyped-def]
    """The offset after a comment whose text begins at i: `-->`, `--!>`, or at once `>` or `->`."""
    if i < html.size and html[i] == _GT:
        return i + 1
    if i + 1 < html.size and html[i] == _DASH and html[i + 1] == _GT:
        return i + 2
    while i + 2 < html.size:
        if html[i] == _DASH and html[i + 1] == _DASH:
            if html[i + 2] == _GT:
                return i + 3
            if html[i + 2] == 33 and i + 3 < html.size and html[i + 3] == _GT:
                return i + 4
        i += 1
    return np.int64(html.size)


@kernel
def _start_tag(page, tables, i):  # type: ignore[no-untyped-def]
    html, s = page.html, page.state
    h, i = read_name(html, i + 1)
    tag = find(tables, TAG_NAME, h)
    i = read_attributes(page, tables, i)
    if i > html.size:
        return i
    data = s[META] == M_DATA
    tex = s[META] if s[META] in (M_TEX, M_TEX_ALONE) else 0
    if tag in (_META, _LINK):
        read_meta(page, tables)
    open_element(page, tables.traits, tag, np.int64(h), s[ATTRIBUTES])
    if tag == _PLAINTEXT:
        while i < html.size:
            i = _preformatted(page, i) if html[i] != _LT and html[i] != _AMP else _literal(page, i)
    elif tables.traits[tag, 0] & RAW and not page.stack[s[DEPTH] - 1, S_FOREIGN]:
        first = i
        i = _raw_end(html, i, h, page.stack[s[DEPTH] - 1, S_MASK] & INERT != 0)
        if tag == _TITLE and s[N_TITLE] == 0:
            _read_title(page, first, i)
        elif data:
            read_data(page, tables, first, i)
        elif tex:
            read_tex(page, tables, first, i, tex == M_TEX_ALONE)
        elif not page.stack[s[DEPTH] - 1, S_SKIP]:
            _raw_text(page, first, i)
    elif tag in (_MATH, _IMG):
        i = read_formula(page, tables, tag == _MATH, i)
    elif is_rendering(page, i):
        page.stack[s[DEPTH] - 1, S_SKIP] = 1
    return i


@kernel
def _literal(page, i):  # type: ignore[no-untyped-def]
    put_character(page, np.int64(page.html[i]), i)
    return i + 1


@kernel
def _raw_end(html, i, h, inert):  # type: ignore[no-untyped-def]
    """Where the end tag of an element that holds raw text begins; the end of the page where there is none.

    In a `noscript`, which browsers that run scripts do not read, it ends with that at the latest: many are written as
    `<noscript><iframe src=... /></noscript>`."""
    while i + 2 < html.size:
        if html[i] == _LT and html[i + 1] == _SLASH and is_letter(html[i + 2]):
            found, after = read_name(html, i + 2)
            if (found == h or (inert and found == _NOSCRIPT)) and after < html.size:
                return i
        i += 1
    return np.int64(html.size)


@kernel
def _raw_text(page, i, end):  # type: ignore[no-untyped-def]
    while i < end:
        i = _preformatted(page, i) if page.html[i] != _LT and page.html[i] != _AMP else _literal(page, i)


@kernel
def _read_title(page, i, end):  # type: ignore[no-untyped-def]
    """Keep the hashes of the title's words."""
    s, before = page.state, np.uint64(0)
    while s[N_TITLE] < MAX_TITLE_WORDS:
        h, i, size, before = next_word(page.html, i, end, before)
        if size == 0:
            return
        s[TITLE + s[N_TITLE]] = np.int64(h)
        s[N_TITLE] += 1


@kernel
def _end_tag(page, tables, i):  # type: ignore[no-untyped-def]
    html = page.html
    h, i = read_name(html, i + 2)
    tag = find(tables, TAG_NAME, h)
    i = read_attributes(page, tables, i)
    if i <= html.size:
        close_element(page, tables.traits, tag, np.int64(h))
    return i
