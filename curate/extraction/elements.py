"""Opening and closing elements: the part of HTML's tree construction that decides where a text stands.

Kept from the standard (13.2.6): implied end tags of p, li, dt, dd, cells, rows and row groups; scopes that an end tag
does not reach beyond; links that end where the next begins. Left out, since no text depends on them: moving misplaced
children out of tables, and rebuilding formatting elements other than links and bold.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.extraction.code_language import note_language
from curate.extraction.compiled import kernel
from curate.extraction.page import (
    BEYOND,
    BOLD,
    BULLET,
    CLASS,
    CLASS_END,
    CLASS_HASH,
    CONTENT,
    DEPTH,
    HAS_HREF,
    IMAGES,
    IN_LINK,
    LAST_BR,
    LINKS,
    MAX_DEPTH,
    N_LANGUAGE,
    N_LANGUAGE_END,
    N_MASK,
    N_NODES,
    N_PARENT,
    N_SIGNATURE,
    N_TAG,
    S_CLASS,
    S_CLASS_END,
    S_FOREIGN,
    S_HASH,
    S_LISTS,
    S_MASK,
    S_NODE,
    S_ORDINAL,
    S_PRE,
    S_SKIP,
    S_TAG,
    SELF_CLOSING,
    TAGS,
    put_break,
)
from curate.extraction.vocabulary import (
    BREAKS,
    BUTTON,
    CELLS,
    CLOSES_P,
    FOREIGN,
    LI,
    LINE,
    LIST,
    PARAGRAPH,
    PREFORMATTED,
    ROW,
    ROW_GROUP,
    SKIPPED,
    SPECIAL,
    TABLE,
    TAG,
    VOID,
    P,
)

_A: Final = TAG["a"]
_B: Final = TAG["b"]
_BODY: Final = TAG["body"]
_BR: Final = TAG["br"]
_CODE: Final = TAG["code"]
_HTML: Final = TAG["html"]
_IMG: Final = TAG["img"]
_OL: Final = TAG["ol"]
_P: Final = TAG["p"]
_STRONG: Final = TAG["strong"]
_TABLE_PARTS: Final = CELLS | ROW | ROW_GROUP | TABLE
_P_SCOPE: Final = CELLS | TABLE | BUTTON
_UNORDERED: Final = -1


@kernel
def open_element(page, traits, tag, h, mask):  # type: ignore[no-untyped-def]
    """A start tag was read. tag: its number; h: the hash of its name; mask: the classes of its attributes."""
    s = page.state
    s[TAGS] += 1
    if tag in (_HTML, _BODY):
        page.stack[0, S_MASK] |= mask
        put_break(page, LINE)
        return
    bits = traits[tag, 0]
    if bits & CLOSES_P:
        _close_kind(page, traits, np.int64(P), np.int64(_P_SCOPE))
    if traits[tag, 2]:
        _close_kind(page, traits, traits[tag, 2], traits[tag, 3])
    if bits & BREAKS:
        put_break(page, _level(page, tag, bits))
    else:
        _open_inline(page, tag)
    if bits & VOID or (s[SELF_CLOSING] and (bits & FOREIGN or page.stack[s[DEPTH] - 1, S_FOREIGN])):
        return
    if tag != _A and tag != _B and tag != _STRONG:
        _push(page, traits, tag, h, mask)


@kernel
def _level(page, tag, bits):  # type: ignore[no-untyped-def]
    """The break before an element: two line breaks in a row are a paragraph's, and so is an outermost list's."""
    s = page.state
    if tag == _BR:
        again = s[LAST_BR] and not s[CONTENT]
        s[LAST_BR] = 1
        return PARAGRAPH if again else LINE
    return bits & BREAKS


@kernel
def _open_inline(page, tag):  # type: ignore[no-untyped-def]
    s = page.state
    if tag == _A:
        s[IN_LINK] = s[HAS_HREF]
        s[LINKS] += s[HAS_HREF]
    elif tag in (_B, _STRONG):
        s[BOLD] = 1
    elif tag == _IMG:
        s[IMAGES] += 1


@kernel
def _push(page, traits, tag, h, mask):  # type: ignore[no-untyped-def]
    s = page.state
    if s[DEPTH] >= MAX_DEPTH:
        s[BEYOND] += 1
        return
    bits, kind = traits[tag, 0], traits[tag, 1]
    under, top = page.stack[s[DEPTH] - 1], page.stack[s[DEPTH]]
    own = traits[tag, 4] | mask
    top[S_HASH], top[S_TAG], top[S_NODE] = h, tag, under[S_NODE]
    top[S_SKIP] = under[S_SKIP] or bits & SKIPPED
    top[S_PRE] = under[S_PRE] or bits & PREFORMATTED
    top[S_FOREIGN] = under[S_FOREIGN] or bits & FOREIGN
    top[S_LISTS] = under[S_LISTS] + (1 if kind & LIST else 0)
    top[S_ORDINAL] = 0
    top[S_CLASS], top[S_CLASS_END] = s[CLASS], s[CLASS_END]
    if bits & BREAKS and s[N_NODES] < page.nodes.shape[0]:
        top[S_NODE] = s[N_NODES]
        page.nodes[s[N_NODES], N_PARENT] = under[S_NODE]
        page.nodes[s[N_NODES], N_MASK] = own
        page.nodes[s[N_NODES], N_SIGNATURE] = h ^ s[CLASS_HASH]
        page.nodes[s[N_NODES], N_TAG] = tag
        page.nodes[s[N_NODES], N_LANGUAGE] = page.nodes[s[N_NODES], N_LANGUAGE_END] = 0
        s[N_NODES] += 1
    top[S_MASK] = under[S_MASK] | own
    if kind & LIST and under[S_LISTS] == 0:
        put_break(page, PARAGRAPH)
    s[DEPTH] += 1
    if top[S_PRE] and (bits & PREFORMATTED or tag == _CODE):
        note_language(page, bits & PREFORMATTED != 0)
    if kind & LI:
        s[BULLET] = _bullet(page)
    if kind & _TABLE_PARTS:
        s[IN_LINK] = s[BOLD] = 0


@kernel
def _bullet(page):  # type: ignore[no-untyped-def]
    """The number of an item of an ordered list, else `_UNORDERED`."""
    d = page.state[DEPTH] - 2
    while d > 0 and page.stack[d, S_LISTS] == page.stack[d - 1, S_LISTS]:
        d -= 1
    if d > 0 and page.stack[d, S_TAG] == _OL:
        page.stack[d, S_ORDINAL] += 1
        return page.stack[d, S_ORDINAL]
    return _UNORDERED


@kernel
def _close_kind(page, traits, kinds, stops):  # type: ignore[no-untyped-def]
    """Close the innermost element of these kinds and all in it, unless one of the kinds `stops` is met first."""
    d = page.state[DEPTH] - 1
    while d > 0:
        kind = traits[page.stack[d, S_TAG], 1]
        if kind & kinds:
            # A start tag closes every open part of a row at once: the cell, the row and the row group.
            while d > 1 and traits[page.stack[d - 1, S_TAG], 1] & kinds & ~(P | LI):
                d -= 1
            _pop_to(page, traits, d)
            return
        if kind & stops:
            return
        d -= 1


@kernel
def _pop_to(page, traits, depth):  # type: ignore[no-untyped-def]
    """Close every element from `depth` on."""
    s = page.state
    while s[DEPTH] > depth:
        top = page.stack[s[DEPTH] - 1]
        bits, kind = traits[top[S_TAG], 0], traits[top[S_TAG], 1]
        if bits & BREAKS:
            put_break(page, PARAGRAPH if kind & LIST and top[S_LISTS] == 1 else bits & BREAKS)
        if kind & LI:
            s[BULLET] = 0
        if kind & _TABLE_PARTS:
            s[IN_LINK] = s[BOLD] = 0
        s[DEPTH] -= 1
    s[BEYOND] = 0


@kernel
def close_element(page, traits, tag, h):  # type: ignore[no-untyped-def]
    """An end tag was read."""
    s = page.state
    s[TAGS] += 1
    if tag == _A:
        s[IN_LINK] = 0
        return
    if tag in (_B, _STRONG):
        s[BOLD] = 0
        return
    bits, kind = traits[tag, 0], traits[tag, 1]
    if tag in (_BR, _P):
        put_break(page, _level(page, tag, bits))
    if bits & VOID or tag in (_HTML, _BODY):
        return
    if s[BEYOND] > 0:
        s[BEYOND] -= 1
        if bits & BREAKS:
            put_break(page, bits & BREAKS)
        return
    _close_named(page, traits, h, bits, kind)


@kernel
def _close_named(page, traits, h, bits, kind):  # type: ignore[no-untyped-def]
    """Close the innermost open element of this name, unless it is out of scope."""
    stops = TABLE if kind & _TABLE_PARTS else CELLS | TABLE
    d = page.state[DEPTH] - 1
    while d > 0:
        if page.stack[d, S_HASH] == h:
            _pop_to(page, traits, d)
            return
        open_tag = page.stack[d, S_TAG]
        if bits & SPECIAL:
            if traits[open_tag, 1] & stops:
                return
        elif traits[open_tag, 0] & SPECIAL:
            return
        d -= 1
