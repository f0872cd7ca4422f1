"""RefinedWeb's corrections line by line (Penedo et al. 2023, G.2): menus, counters and shouting are cut out.

A line goes if its letters are mostly capitals, if it has no letters but digits, if it is a counter ("3 likes") or a
single word. Of a short line, `sign-in` at its start, `read more...` at its end and `items in cart` anywhere are cut.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.edits.kernels.pieces import COPIED, add_span, trim_spans
from curate.heuristics.kernels.survey import ascii_bytes, spells
from curate.text.characters import DIGIT, LETTER, PUNCTUATION, SPACE, UPPER, properties_of
from curate.text.unicode import decode

WORDS, CUT_WORDS, LINES, CUT_LINES = range(4)
N_REFINEDWEB: Final = 4
COUNTED: Final = ("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes",
                  "downloads", "views", "followers")
"""What a counter counts, after DCLM's line modifiers (Li et al. 2024)."""

_SIGN_IN, _READ_MORE, _IN_CART = ascii_bytes("sign-in"), ascii_bytes("read more..."), ascii_bytes("items in cart")
_COUNTED = tuple(ascii_bytes(word) for word in COUNTED)


@nb.njit(nogil=True, cache=True)
def _line(data, p, end, properties, line):  # type: ignore[no-untyped-def]
    """Fill line: (first, last, words, letters, capitals, digits, other marks); returns where the next line begins."""
    line[:] = 0
    line[0] = -1
    inside = False
    while p < end and data[p] != 0x0A:
        q = p
        c = np.int64(data[p])
        if c < 0x80:
            p += 1
        else:
            c, p = decode(data, p, end)
        kind = properties_of(properties, c)
        if kind & SPACE:
            inside = False
            continue
        line[2] += not inside
        inside = True
        line[0] = q if line[0] < 0 else line[0]
        line[1] = p
        line[3] += kind & LETTER != 0
        line[4] += kind & UPPER != 0
        line[5] += kind & DIGIT != 0
        line[6] += kind & (LETTER | DIGIT | PUNCTUATION) == 0
    return min(p + 1, end)


@nb.njit(nogil=True, cache=True)
def _is_counter(data, a, b):  # type: ignore[no-untyped-def]
    """Whether a line is a number, perhaps with K, M or B, and what it counts, with punctuation around at most."""
    p = a
    while p < b and not (0x30 <= data[p] <= 0x39):
        if data[p] >= 0x80 or 0x41 <= data[p] & 0xDF <= 0x5A:
            return False
        p += 1
    if p == b:
        return False
    while p < b and (0x30 <= data[p] <= 0x39 or data[p] in (0x2C, 0x2E)):
        p += 1
    p += p < b and data[p] & 0xDF in (0x4B, 0x4D, 0x42)
    q = p
    while p < b and data[p] in (0x20, 0x09):
        p += 1
    if p == q:
        return False
    for word in _COUNTED:
        if spells(data, p, b, word):
            for i in range(p + len(word), b):
                if data[i] >= 0x80 or 0x41 <= data[i] & 0xDF <= 0x5A or 0x30 <= data[i] <= 0x39:
                    return False
            return True
    return False


@nb.njit(nogil=True, cache=True)
def _words(data, a, b):  # type: ignore[no-untyped-def]
    """Words of ASCII text between white space."""
    n, inside = 0, False
    for p in range(a, b):
        blank = data[p] <= 0x20
        n += not inside and not blank
        inside = not blank
    return n


@nb.njit(nogil=True, cache=True)
def _pattern(data, a, b):  # type: ignore[no-untyped-def]
    """(start, end) of what is cut out of a short line; start == end for nothing."""
    if spells(data, a, b, _SIGN_IN):
        return a, a + len(_SIGN_IN)
    if b - a >= len(_READ_MORE) and spells(data, b - len(_READ_MORE), b, _READ_MORE):
        return b - len(_READ_MORE), b
    for p in range(a, b - len(_IN_CART) + 1):
        if spells(data, p, b, _IN_CART):
            return p, p + len(_IN_CART)
    return a, a


@nb.njit(nogil=True, cache=True)
def refinedweb_lines(data, start, end, properties, rules, line, counts, spans):  # type: ignore[no-untyped-def]
    """Fill counts [4]; returns (first span, number after the last).

    rules: (greatest share of capitals among letters, most words of a line that patterns are cut from). line: int64
    [7], scratch."""
    max_capitals, short_words = rules
    counts[:] = 0
    p, n = start, 0
    while p < end:
        at = p
        p = _line(data, p, end, properties, line)
        first, last, n_words = line[0], line[1], line[2]
        if n_words == 0:
            n = add_span(spans, n, at - start, p - start, COPIED)
            continue
        counts[LINES] += 1
        counts[WORDS] += n_words
        shouts = line[4] > max_capitals * line[3]
        numeric = line[3] == 0 and line[5] > 0 and line[6] == 0
        if n_words == 1 or shouts or numeric or (n_words <= 8 and line[5] and _is_counter(data, first, last)):
            counts[CUT_WORDS] += n_words
            counts[CUT_LINES] += 1
            continue
        if n_words <= short_words:
            a, b = _pattern(data, first, last)
            if b > a:
                counts[CUT_WORDS] += _words(data, a, b)
                counts[CUT_LINES] += 1
                n = add_span(spans, n, at - start, a - start, COPIED)
                n = add_span(spans, n, b - start, p - start, COPIED)
                continue
        n = add_span(spans, n, at - start, p - start, COPIED)
    return trim_spans(data, start, properties, spans, n)
