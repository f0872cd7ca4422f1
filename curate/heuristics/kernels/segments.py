"""Words, lines and paragraphs of a text, as the papers and as datatrove see them, with their hashes.

Papers: a word is a maximal run of characters that are no white space; a line lies between line feeds, has a visible
character and its white space is collapsed; a paragraph is a run of lines without a blank one between; lengths leave
white space out. datatrove: lines are what lies between runs of line feeds, paragraphs between runs of two or more,
both as they stand, with all their white space.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.heuristics.kernels.flags import ALL_CAPS, HAS_LETTER, IS_WORD
from curate.text.characters import BREAK, LETTER, LOWER, SPACE, UPPER, WORD, properties_of
from curate.text.hash_table import look_up
from curate.text.unicode import TABLE_SIZE, decode
from curate.text.utf8 import back
from curate.text.words import FNV_OFFSET, FNV_PRIME, fmix64

_BULLET, _HYPHEN, _DOT, _ELLIPSIS, _HASH = 0x2022, 0x2D, 0x2E, 0x2026, 0x23
LINES, PARAGRAPHS, BULLET_LINES, ELLIPSIS_LINES, ALL_LINES, CHARS, HASHES, ELLIPSES = range(8)
N_COUNTS: Final = 8


@nb.njit(nogil=True, cache=True)
def paper_words(data, start, end, properties, lower, stop_table, words, chars, flags, stops):  # type: ignore[no-untyped-def]
    """Number of words of data[start:end]; fills their hashes, code points, flags and stop-word bits.

    A stop word may have punctuation around it, but none inside, and capitals."""
    stop_keys, stop_bits = stop_table
    n, length, p = 0, 0, start
    h, core, inside, broken, some = FNV_OFFSET, FNV_OFFSET, False, False, np.uint32(0)
    while p <= end:
        if p < end:
            c = np.int64(data[p])
            if c < 0x80:
                p += 1
            else:
                c, p = decode(data, p, end)
            kind = properties_of(properties, c)
        else:
            c, p, kind = np.int64(0), p + 1, np.uint32(SPACE)
        if not kind & SPACE:
            h = (h ^ np.uint64(c)) * FNV_PRIME
            if kind & WORD:
                broken |= not inside and some & WORD != 0  # letters again after punctuation
                core = (core ^ np.uint64(lower[c] if c < TABLE_SIZE else c)) * FNV_PRIME
                inside = True
            else:
                inside = False
            some |= kind
            length += 1
        elif length:
            words[n], chars[n] = fmix64(h), length
            flags[n] = ((IS_WORD if some & WORD else 0) | (HAS_LETTER if some & LETTER else 0)
                        | (ALL_CAPS if some & UPPER and not some & LOWER else 0))
            stops[n] = 0 if broken or not some & WORD else look_up(fmix64(core), stop_keys, stop_bits)
            n += 1
            h, core, inside, broken, some, length = FNV_OFFSET, FNV_OFFSET, False, False, np.uint32(0), 0
    return n


@nb.njit(nogil=True, cache=True)
def paper_units(data, start, end, properties, counts, lines, paragraphs):  # type: ignore[no-untyped-def]
    """Fill counts and the hashes and lengths of lines and paragraphs. lines, paragraphs: (hashes, lengths)."""
    counts[:] = 0
    h, length, gap, first, dots, run, blank, p = FNV_OFFSET, 0, False, np.int64(0), False, 0, True, start
    while p <= end:
        if p < end:
            c = np.int64(data[p])
            if c < 0x80:
                p += 1
            else:
                c, p = decode(data, p, end)
            space = not 0x20 < c < 0x80 and c < TABLE_SIZE and properties[c] & SPACE != 0
        else:
            c, p, space = np.int64(0x0A), p + 1, True
        if not space:
            if length and gap:
                h = (h ^ np.uint64(0x20)) * FNV_PRIME
            h = (h ^ np.uint64(c)) * FNV_PRIME
            if not length:
                first = c
            length += 1
            gap = False
            run = run + 1 if c == _DOT else 0
            dots = c == _ELLIPSIS or run >= 3
            counts[HASHES] += c == _HASH
            counts[ELLIPSES] += c == _ELLIPSIS or (run > 0 and run % 3 == 0)
            continue
        run, gap = 0, True
        if c != 0x0A:
            continue
        if length:
            index = counts[LINES]
            lines[0][index], lines[1][index] = fmix64(h), length
            counts[LINES] += 1
            counts[CHARS] += length
            counts[BULLET_LINES] += first in (_BULLET, _HYPHEN)
            counts[ELLIPSIS_LINES] += dots
            if blank:
                counts[PARAGRAPHS] += 1
                paragraphs[0][counts[PARAGRAPHS] - 1], paragraphs[1][counts[PARAGRAPHS] - 1] = FNV_OFFSET, 0
            last = counts[PARAGRAPHS] - 1
            paragraphs[0][last] = fmix64(paragraphs[0][last] ^ lines[0][index])
            paragraphs[1][last] += length
        blank = length == 0
        h, length, first, dots = FNV_OFFSET, 0, np.int64(0), False
    counts[ALL_LINES] = counts[LINES]


@nb.njit(nogil=True, cache=True)
def _starts_or_ends_blank(data, start, end, properties):  # type: ignore[no-untyped-def]
    c, _ = decode(data, start, end)
    p = back(data, end, start, 1)
    last, _ = decode(data, p, end)
    return properties[min(c, TABLE_SIZE - 1)] & SPACE or properties[min(last, TABLE_SIZE - 1)] & SPACE


@nb.njit(nogil=True, cache=True)
def _stripped_paragraphs(data, start, end, properties, hashes, lengths):  # type: ignore[no-untyped-def]
    """Number of parts of re.split('\n{2,}', text.strip()); fills their hashes and code points."""
    first, last, p = -1, start, start
    while p < end:
        q = p
        c, p = decode(data, p, end)
        if not (c < TABLE_SIZE and properties[c] & SPACE):
            first = q if first < 0 else first
            last = p
    n, h, length, line, p = 0, FNV_OFFSET, 0, FNV_OFFSET, max(first, start)
    while p < last:
        c, p = decode(data, p, last)
        if c != 0x0A:
            line = (line ^ np.uint64(c)) * FNV_PRIME
            length += 1
            continue
        h, line = fmix64(h ^ fmix64(line)), FNV_OFFSET
        if data[p] != 0x0A:  # there is visible text behind
            length += 1
            continue
        hashes[n], lengths[n] = h, length
        n, h, length = n + 1, FNV_OFFSET, 0
        while data[p] == 0x0A:
            p += 1
    hashes[n], lengths[n] = fmix64(h ^ fmix64(line)), length
    return n + 1


@nb.njit(nogil=True, cache=True)
def datatrove_units(data, start, end, properties, counts, lines, paragraphs):  # type: ignore[no-untyped-def]
    """Fill counts and the hashes and lengths of lines and paragraphs; counts of marked lines are over splitlines()."""
    counts[:] = 0
    h, length, first, dots, run, p, inside = FNV_OFFSET, 0, np.int64(-1), False, 0, start, False
    paragraph, paragraph_length, n, m = FNV_OFFSET, 0, 0, 0
    while p < end:
        c = np.int64(data[p])
        if c < 0x80:
            p += 1
        else:
            c, p = decode(data, p, end)
        counts[CHARS] += 1
        kind = properties_of(properties, c)
        if kind & BREAK and not (c == 0x0A and p >= start + 2 and data[p - 2] == 0x0D):
            counts[ALL_LINES] += 1
            counts[BULLET_LINES] += first in (_BULLET, _HYPHEN)
            counts[ELLIPSIS_LINES] += dots
            first, dots, inside = np.int64(-1), False, False
        elif c != 0x0A:
            inside = True
        if c == 0x0A:
            paragraph, paragraph_length = fmix64(paragraph ^ fmix64(h)), paragraph_length + length
            lines[0][n], lines[1][n] = fmix64(h), length
            n, h, length, feeds = n + 1, FNV_OFFSET, 0, 1
            while p < end and data[p] == 0x0A:
                p += 1
                feeds += 1
            counts[CHARS] += feeds - 1
            counts[ALL_LINES] += feeds - 1
            if feeds > 1:
                paragraphs[0][m], paragraphs[1][m] = paragraph, paragraph_length
                m, paragraph, paragraph_length = m + 1, FNV_OFFSET, 0
            else:
                paragraph_length += 1
            run = 0
            continue
        h = (h ^ np.uint64(c)) * FNV_PRIME
        length += 1
        if kind & SPACE:
            run = 0
            continue
        first = c if first < 0 else first
        run = run + 1 if c == _DOT else 0
        dots = c == _ELLIPSIS or run >= 3
        counts[HASHES] += c == _HASH
        counts[ELLIPSES] += c == _ELLIPSIS or (run > 0 and run % 3 == 0)
    if inside:
        counts[ALL_LINES] += 1
        counts[BULLET_LINES] += first in (_BULLET, _HYPHEN)
        counts[ELLIPSIS_LINES] += dots
    lines[0][n], lines[1][n] = fmix64(h), length
    counts[LINES] = n + 1
    paragraphs[0][m], paragraphs[1][m] = fmix64(paragraph ^ fmix64(h)), paragraph_length + length
    counts[PARAGRAPHS] = m + 1
    if start < end and _starts_or_ends_blank(data, start, end, properties):
        counts[PARAGRAPHS] = _stripped_paragraphs(data, start, end, properties, paragraphs[0], paragraphs[1])
