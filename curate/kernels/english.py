"""English words as datatrove counts them: spaCy's blank English tokenizer, as a kernel over UTF-8 bytes.

Text splits at white space. From each run, punctuation comes off both ends, one mark at a time, until what is left is a
known word (`contractions`), a URL, or splits no more; then it splits at marks between letters. After spaCy 3.8
(tokenizer.pyx, lang/punctuation.py, lang/char_classes.py), without what English text does not need: IPv4 addresses as
URLs and units in other scripts.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.kernels.characters import (
    AFFIX,
    ALPHA,
    ALPHA_LOWER,
    ALPHA_UPPER,
    BEFORE_STOP,
    BEYOND,
    BLANK,
    BREAK,
    CURRENCY,
    DIGIT_09,
    ENGLISH_SHIFT,
    ICON,
    LETTER,
    LOWER,
    ONLY_PUNCTUATION,
    PLAIN,
    PREFIX,
    QUOTE,
    SYMBOL,
    TERMINAL,
    UPPER,
)
from curate.kernels.contractions import LONGEST_SPECIAL, hash_table, word_hash
from curate.kernels.unicode import TABLE_SIZE, decode
from curate.kernels.url_shapes import has_class, is_url
from curate.kernels.words import FNV_OFFSET, FNV_PRIME, fmix64

# What is known of a word, as bits.
IS_WORD: Final = 1  # has a character that is no punctuation
HAS_LETTER: Final = 2
ALL_CAPS: Final = 4  # has an upper-case letter and no lower-case one
ENDS_SENTENCE: Final = 8  # is one sentence-ending mark
IS_PUNCTUATION: Final = 16  # is punctuation throughout
AFTER_GAP: Final = 32  # white space other than one space stands before it

_UNITS: Final = (  # noqa: SIM905
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph"
    " hPa Pa mbar mb MB kb KB gb GB tb TB T G M K %").split()
_LONGEST_UNIT: Final = max(map(len, _UNITS))
UNIT_KEYS, UNIT_VALUES = hash_table({word_hash(unit): 1 for unit in _UNITS})
_PLAIN: Final = np.uint32(PLAIN << ENGLISH_SHIFT)
_SIMPLE: Final = np.uint32((PLAIN | DIGIT_09) << ENGLISH_SHIFT)
_BLANK: Final = np.uint32(BLANK << ENGLISH_SHIFT)
_DOT, _ELLIPSIS, _APOSTROPHE, _CURLY, _DEGREE = 0x2E, 0x2026, 0x27, 0x2019, 0xB0
_HYPHEN, _EN_DASH, _EM_DASH, _TILDE, _PLUS = 0x2D, 0x2013, 0x2014, 0x7E, 0x2B


@nb.njit(nogil=True, cache=True)
def look_up(key, keys, values):  # type: ignore[no-untyped-def]
    """The value of a key in a table of `hash_table`; 0 where it is not there."""
    mask = np.int64(len(keys) - 1)
    slot = np.int64(key & np.uint64(mask))
    while values[slot] != 0:
        if keys[slot] == key:
            return np.int64(values[slot])
        slot = (slot + 1) & mask
    return np.int64(0)


@nb.njit(nogil=True, cache=True)
def _hash(codes, a, b):  # type: ignore[no-untyped-def]
    h = FNV_OFFSET
    for i in range(a, b):
        h = (h ^ np.uint64(codes[i])) * FNV_PRIME
    return fmix64(h)


@nb.njit(nogil=True, cache=True)
def word_flags(traits_any, traits_all, n_chars):  # type: ignore[no-untyped-def]
    """Flags of a word from the traits that any, and that all, of its characters have."""
    flags = 0
    if not traits_all & SYMBOL:
        flags |= IS_WORD
    if traits_any & LETTER:
        flags |= HAS_LETTER
    if traits_any & UPPER and not traits_any & LOWER:
        flags |= ALL_CAPS
    if n_chars == 1 and traits_any & TERMINAL:
        flags |= ENDS_SENTENCE
    if traits_all & ONLY_PUNCTUATION:
        flags |= IS_PUNCTUATION
    return flags


@nb.njit(nogil=True, cache=True)
def _emit(codes, kinds, a, b, words, chars, flags, n):  # type: ignore[no-untyped-def]
    """Store the word codes[a:b] as the n-th; returns n + 1."""
    h, some, every = FNV_OFFSET, np.uint32(0), np.uint32(0xFFFFFFFF)
    for i in range(a, b):
        h = (h ^ np.uint64(codes[i])) * FNV_PRIME
        some |= kinds[i]
        every &= kinds[i]
    words[n], chars[n], flags[n] = fmix64(h), b - a, word_flags(some, every, b - a)
    return n + 1


@nb.njit(nogil=True, cache=True)
def _special(codes, a, b, keys, pieces):  # type: ignore[no-untyped-def]
    if b <= a or b - a > LONGEST_SPECIAL:
        return np.int64(0)
    return look_up(_hash(codes, a, b), keys, pieces)


@nb.njit(nogil=True, cache=True)
def _prefix(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    """Code points that come off the start of codes[a:b]."""
    c = codes[a]
    if has_class(kinds, a, AFFIX | PREFIX):
        return 1
    if c == _PLUS:
        return 0 if a + 1 < b and has_class(kinds, a + 1, DIGIT_09) else 1
    if c == _DOT:
        n = 1
        while a + n < b and codes[a + n] == _DOT:
            n += 1
        return n if n > 1 else 0
    if c == 0x55 and a + 2 < b and codes[a + 1] == 0x53 and codes[a + 2] == 0x24:  # US$
        return 3
    if (c == 0x43 or c == 0x41) and a + 1 < b and codes[a + 1] == 0x24:  # C$, A$
        return 2
    return 0


@nb.njit(nogil=True, cache=True)
def _suffix(codes, kinds, a, b, unit_keys, unit_values):  # type: ignore[no-untyped-def]
    """Code points that come off the end of codes[a:b]: the longest that may."""
    c = codes[b - 1]
    if c == _DOT:
        return _stop_suffix(codes, kinds, a, b)
    if (c == 0x73 or c == 0x53) and b - a >= 2 and (codes[b - 2] == _APOSTROPHE or codes[b - 2] == _CURLY):
        return 2
    for n in range(min(_LONGEST_UNIT, b - a - 1), 0, -1):
        if has_class(kinds, b - n - 1, DIGIT_09) and look_up(_hash(codes, b - n, b), unit_keys, unit_values):
            return n
    if c == _ELLIPSIS and b - a >= 2 and codes[b - 2] == _ELLIPSIS:
        return 2
    if c == 0x24 and b - a >= 2 and has_class(kinds, b - 2, ALPHA):  # 5US$
        for n in (3, 2):
            if b - a > n and has_class(kinds, b - n - 1, DIGIT_09) and _prefix(codes, kinds, b - n, b) == n:
                return n
    if has_class(kinds, b - 1, AFFIX):
        return 1
    before = b - a >= 2 and has_class(kinds, b - 2, DIGIT_09)
    return 1 if before and (c == _PLUS or has_class(kinds, b - 1, CURRENCY)) else 0


@nb.njit(nogil=True, cache=True)
def _stop_suffix(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    n = 1
    while b - n - 1 >= a and codes[b - n - 1] == _DOT:
        n += 1
    if n > 1:
        return n
    if b - a < 2:
        return 0
    if has_class(kinds, b - 2, BEFORE_STOP):
        return 1
    if b - a >= 3 and has_class(kinds, b - 2, ALPHA_UPPER) and has_class(kinds, b - 3, ALPHA_UPPER):
        return 1
    degrees = b - a >= 3 and codes[b - 3] == _DEGREE
    return 1 if degrees and (codes[b - 2] | 0x20) in (0x63, 0x66, 0x6B) else 0


@nb.njit(nogil=True, cache=True)
def _infix(codes, kinds, i, a, b):  # type: ignore[no-untyped-def]
    """Code points of the infix at i inside codes[a:b]; 0 where there is none."""
    c = codes[i]
    if c == _DOT:
        n = 1
        while i + n < b and codes[i + n] == _DOT:
            n += 1
        if n > 1:
            return n
        inside = i > a and i + 1 < b and has_class(kinds, i - 1, ALPHA_LOWER | QUOTE)
        return 1 if inside and has_class(kinds, i + 1, ALPHA_UPPER | QUOTE) else 0
    if c == _ELLIPSIS or has_class(kinds, i, ICON):
        return 1
    if i == a or i + 1 >= b:
        return 0
    after_letter, after_digit = has_class(kinds, i - 1, ALPHA), has_class(kinds, i - 1, DIGIT_09)
    before_digit = has_class(kinds, i + 1, DIGIT_09) or codes[i + 1] == _HYPHEN
    if after_digit and before_digit and c in (_PLUS, _HYPHEN, 0x2A, 0x5E):
        return 1
    if c == 0x2C:
        return 1 if after_letter and has_class(kinds, i + 1, ALPHA) else 0
    if not (after_letter or after_digit):
        return 0
    if c in (0x3A, 0x3C, 0x3E, 0x3D, 0x2F):
        return 1 if has_class(kinds, i + 1, ALPHA) else 0
    if c in (_HYPHEN, _EN_DASH, _EM_DASH, _TILDE):
        n = 1
        longest = 3 if c == _HYPHEN else 2 if c == _EM_DASH else 1
        while n < longest and i + n < b and codes[i + n] == c:
            n += 1
        return n if i + n < b and has_class(kinds, i + n, ALPHA) else 0
    return 0


@nb.njit(nogil=True, cache=True)
def _middle(codes, kinds, a, b, keys, pieces, words, chars, flags, n):  # type: ignore[no-untyped-def]
    """Store what is left of a run after its ends came off: a known word, a URL, or pieces between infixes."""
    value = _special(codes, a, b, keys, pieces)
    while value:
        n = _emit(codes, kinds, a, a + (value & 0xFF), words, chars, flags, n)
        a += value & 0xFF
        value >>= 8
    if a >= b:
        return n
    start, i = a, a + 1
    url = -1
    if _infix(codes, kinds, a, a, b) > 1:
        i = a + _infix(codes, kinds, a, a, b)
    while i < b:
        length = _infix(codes, kinds, i, a, b)
        if not length:
            i += 1
            continue
        if url < 0:  # looked at only where there is something to split
            url = 1 if is_url(codes, kinds, a, b) else 0
        if url:
            break
        if i > start:
            n = _emit(codes, kinds, start, i, words, chars, flags, n)
        n = _emit(codes, kinds, i, i + length, words, chars, flags, n)
        i += length
        start = i
    return _emit(codes, kinds, start, b, words, chars, flags, n) if start < b else n


@nb.njit(nogil=True, cache=True)
def _split(codes, kinds, b, tables, ends, words, chars, flags, n):  # type: ignore[no-untyped-def]
    """Store the words of one run codes[:b]; returns their number so far. ends: scratch for what comes off the end."""
    keys, pieces, unit_keys, unit_values = tables
    a, n_ends, last = 0, 0, -1
    while a < b and b - a != last and not _special(codes, a, b, keys, pieces):
        last = b - a
        before = _prefix(codes, kinds, a, b)
        if before and _special(codes, a + before, b, keys, pieces):
            n = _emit(codes, kinds, a, a + before, words, chars, flags, n)
            a += before
            break
        after = _suffix(codes, kinds, a + before, b, unit_keys, unit_values) if a + before < b else 0
        if after:
            known = _special(codes, a, b - after, keys, pieces)
            ends[n_ends] = b - after
            ends[n_ends + 1] = b
            if known or not before:
                n_ends += 2
                b -= after
                if known:
                    break
                continue
        if before:
            n = _emit(codes, kinds, a, a + before, words, chars, flags, n)
            a += before
        if after:
            n_ends += 2
            b -= after
    if a < b:
        n = _middle(codes, kinds, a, b, keys, pieces, words, chars, flags, n)
    for i in range(n_ends - 2, -1, -2):
        n = _emit(codes, kinds, ends[i], ends[i + 1], words, chars, flags, n)
    return n


@nb.njit(nogil=True, cache=True)
def _rejoin(codes, kinds, tables, words, chars, flags, first, n):  # type: ignore[no-untyped-def]
    """Put two or three neighbouring words of a run together where they spell a known one, such as `)` and `:`.

    first: the run's first word; returns the new number of words."""
    place, kept, i = 0, first, first
    while i < n:
        joined = 0
        for k in range(min(3, n - i), 1, -1):
            length = 0
            for j in range(i, i + k):
                length += chars[j]
            value = _special(codes, place, place + length, tables[0], tables[1])
            if value == length:  # one piece: a word that is not split
                joined = k
                break
        if joined:
            _emit(codes, kinds, place, place + length, words, chars, flags, kept)
            i += joined
        else:
            words[kept], chars[kept], flags[kept] = words[i], chars[i], flags[i]
            i += 1
        place += chars[kept]
        kept += 1
    return kept


@nb.njit(nogil=True, cache=True)
def _ends_plainly(codes, kinds, m):  # type: ignore[no-untyped-def]
    """Whether the last mark of a run of letters comes off by itself."""
    if codes[m - 1] == _DOT:
        return has_class(kinds, m - 2, BEFORE_STOP)
    return has_class(kinds, m - 1, AFFIX)


@nb.njit(nogil=True, cache=True)
def _known(stem, key, m, keys, pieces):  # type: ignore[no-untyped-def]
    """Whether a run, or the run without its last mark, is a special word."""
    return m <= LONGEST_SPECIAL + 1 and (look_up(key, keys, pieces) or look_up(stem, keys, pieces)) != 0


@nb.njit(nogil=True, cache=True)
def english_words(data, start, end, properties, tables, scratch, words, chars, flags, lines):  # type: ignore[no-untyped-def]
    """Number of words of data[start:end]; fills their hashes, code points, flags, and lines as of splitlines().

    tables: (SPECIAL_KEYS, SPECIAL_PIECES, UNIT_KEYS, UNIT_VALUES). scratch: (codes int32, kinds uint32, ends int32),
    each longer than the text's bytes."""
    codes, kinds, ends = scratch
    keys, pieces = tables[0], tables[1]
    n, m, p = 0, 0, start
    gap, gap_char, line = 0, np.int64(0), 0
    h, some, every = FNV_OFFSET, np.uint32(0), np.uint32(0xFFFFFFFF)
    odd, stem, stem_some, stem_every = 0, h, some, every  # of the run: marks, and what comes before the last of them
    while p <= end:
        if p < end:
            c = np.int64(data[p])
            if c < 0x80:
                p += 1
            else:
                c, p = decode(data, p, end)
            kind = properties[c] if c < TABLE_SIZE else BEYOND
        else:
            c, p, kind = np.int64(0), p + 1, _BLANK
        if not kind & _BLANK:
            if not kind & _PLAIN:
                odd, stem, stem_some, stem_every = odd + 1, h, some, every
            h = (h ^ np.uint64(c)) * FNV_PRIME
            some |= kind
            every &= kind
            codes[m], kinds[m] = c, kind
            m += 1
            continue
        if m:
            first = n
            key = fmix64(h)
            if every & _SIMPLE and (m > LONGEST_SPECIAL or not look_up(key, keys, pieces)):
                words[n], chars[n], flags[n] = key, m, word_flags(some, every, m)
                n += 1
            elif (odd == 1 and m > 1 and not kinds[m - 1] & _PLAIN and _ends_plainly(codes, kinds, m)
                  and not _known(fmix64(stem), key, m, keys, pieces)):  # a word and one mark behind it
                words[n], chars[n], flags[n] = fmix64(stem), m - 1, word_flags(stem_some, stem_every, m - 1)
                n = _emit(codes, kinds, m - 1, m, words, chars, flags, n + 1)
            else:
                n = _split(codes, kinds, m, tables, ends, words, chars, flags, n)
                if n > first + 1:
                    n = _rejoin(codes, kinds, tables, words, chars, flags, first, n)
            if gap > 1 or (gap == 1 and gap_char != 0x20):
                flags[first] |= AFTER_GAP
            lines[first:n] = line
            m, gap = 0, 0
            h, some, every, odd = FNV_OFFSET, np.uint32(0), np.uint32(0xFFFFFFFF), 0
        line += kind & BREAK != 0 and not (gap and gap_char == 0x0D and c == 0x0A)
        gap, gap_char = gap + 1, c
    return n
