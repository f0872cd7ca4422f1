"""English words as datatrove counts them: spaCy's blank English tokenizer, as a kernel over UTF-8 bytes.

Text splits at white space. From each run, punctuation comes off both ends, one mark at a time, until what is left is a
known word (`contractions`), a URL, or splits no more; then it splits at marks between letters. After spaCy 3.8
(tokenizer.pyx, lang/punctuation.py, lang/char_classes.py).

One difference is left: spaCy also looks for known words across a blank, such as `):` in `.) :D`. It never joins
them, but then leaves `:D` in two, where here it is one word.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.heuristics.kernels.flags import ALL_CAPS, HAS_LETTER, IS_WORD
from curate.heuristics.kernels.spacy.contractions import LONGEST_SPECIAL, OUTER_LETTERS
from curate.heuristics.kernels.spacy.english_affixes import (
    infix_length,
    prefix_length,
    run_hash,
    suffix_length,
)
from curate.heuristics.kernels.spacy.url_shapes import has_class, is_url
from curate.text.characters import (
    AFFIX,
    BEFORE_STOP,
    BLANK,
    BREAK,
    DIGIT_09,
    ENDS,
    ENGLISH_SHIFT,
    LETTER,
    LOWER,
    ONLY_PUNCTUATION,
    PLAIN,
    SYMBOL,
    UPPER,
    properties_of,
)
from curate.text.hash_table import look_up
from curate.text.unicode import decode
from curate.text.words import FNV_OFFSET, FNV_PRIME, fmix64

# Further bits of what is known of a word, beside those of `flags`.
ENDS_SENTENCE: Final = 8  # is one sentence-ending mark
IS_PUNCTUATION: Final = 16  # is punctuation throughout
AFTER_GAP: Final = 32  # white space other than one space stands before it

_PLAIN: Final = np.uint32(PLAIN << ENGLISH_SHIFT)
_SIMPLE: Final = np.uint32((PLAIN | DIGIT_09) << ENGLISH_SHIFT)
_ENDS: Final = np.uint32(ENDS << ENGLISH_SHIFT)
_BLANK: Final = np.uint32(BLANK << ENGLISH_SHIFT)
_DOT: Final = 0x2E
_TAKEN: Final = -1


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
    if n_chars == 1 and traits_any & _ENDS:
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
def _special(codes, a, b, keys, tokens):  # type: ignore[no-untyped-def]
    if b <= a or b - a > LONGEST_SPECIAL:
        return np.int64(0)
    return look_up(run_hash(codes, a, b), keys, tokens)


@nb.njit(nogil=True, cache=True)
def _middle(codes, kinds, a, b, keys, tokens, words, chars, flags, n):  # type: ignore[no-untyped-def]
    """Store what is left of a run after its ends came off: a known word, a URL, or tokens between infixes."""
    value = _special(codes, a, b, keys, tokens)
    while value:
        n = _emit(codes, kinds, a, a + (value & 0xFF), words, chars, flags, n)
        a += value & 0xFF
        value >>= 8
    if a >= b:
        return n
    start, i = a, a + 1
    url = -1
    if infix_length(codes, kinds, a, a, b) > 1:
        i = a + infix_length(codes, kinds, a, a, b)
    while i < b:
        length = infix_length(codes, kinds, i, a, b)
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
    keys, tokens, unit_keys, unit_values = tables
    a, n_ends, last = 0, 0, -1
    while a < b and b - a != last and not _special(codes, a, b, keys, tokens):
        last = b - a
        before = prefix_length(codes, kinds, a, b)
        if before and _special(codes, a + before, b, keys, tokens):
            n = _emit(codes, kinds, a, a + before, words, chars, flags, n)
            a += before
            break
        after = suffix_length(codes, kinds, a + before, b, unit_keys, unit_values) if a + before < b else 0
        if after:
            known = _special(codes, a, b - after, keys, tokens)
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
        n = _middle(codes, kinds, a, b, keys, tokens, words, chars, flags, n)
    for i in range(n_ends - 2, -1, -2):
        n = _emit(codes, kinds, ends[i], ends[i + 1], words, chars, flags, n)
    return n


@nb.njit(nogil=True, cache=True)
def _spelled(codes, kinds, tables, chars, at, i, k):  # type: ignore[no-untyped-def]
    """The tokens of the known word that words i to i + k spell, of which the first begins at `at`; 0 for none.

    They must also be the words into which that one would fall if it were not known."""
    length = 0
    for j in range(i, i + k):
        length += chars[j]
        if length > LONGEST_SPECIAL:
            return np.int64(0)
    if not OUTER_LETTERS[codes[at] & 127, codes[at + length - 1] & 127]:  # the quickest test
        return np.int64(0)
    value = _special(codes, at, at + length, tables[0], tables[1])
    if not value:
        return np.int64(0)
    apart = np.empty(LONGEST_SPECIAL + 1, np.int32)
    unknown = (np.zeros(1, np.uint64), np.zeros(1, np.uint32), tables[2], tables[3])
    n = _split(codes[at:], kinds[at:], length, unknown, np.empty(2 * LONGEST_SPECIAL + 2, np.int32),
               np.empty(LONGEST_SPECIAL + 1, np.uint64), apart, np.empty(LONGEST_SPECIAL + 1, np.uint8), 0)
    return value if n == k and (apart[:n] == chars[i : i + k]).all() else np.int64(0)


@nb.njit(nogil=True, cache=True)
def _claim(codes, kinds, tables, chars, first, n, claims):  # type: ignore[no-untyped-def]
    """Mark which neighbouring words of a run spell a known one, such as `)` and `:`; the longest are asked first.

    claims: int32; of a run's word i it becomes, at i - first, how many words from i on are to be put together, 1 or
    _TAKEN for itself alone, 0 for one inside such a group. A group that overlaps an earlier one is none, but bars later
    ones all the same, as in spaCy. Returns whether there is a group."""
    any_group = False
    claims[: n - first] = 1
    for k in range(min(n - first, LONGEST_SPECIAL), 1, -1):
        at = 0
        for i in range(first, n - k + 1):
            if _spelled(codes, kinds, tables, chars, at, i, k):
                a, b = i - first, i - first + k
                if claims[a] == 1 and claims[b - 1] == 1:
                    claims[a], any_group = k, True
                    claims[a + 1 : b] = 0
                else:
                    for j in range(a, b):
                        claims[j] = _TAKEN if claims[j] == 1 else claims[j]
            at += chars[i]
    return any_group


@nb.njit(nogil=True, cache=True)
def _rejoin(codes, kinds, tables, claims, words, chars, flags, first, n):  # type: ignore[no-untyped-def]
    """Put neighbouring words of a run together where they spell a known one, or into that one's own tokens.

    first: the run's first word; returns the new number of words: `°C.`, of two of which three are made, adds one."""
    if not _claim(codes, kinds, tables, chars, first, n, claims):
        return n
    at, kept = 0, first
    old_words, old_chars, old_flags = words[first:n].copy(), chars[first:n].copy(), flags[first:n].copy()
    for i in range(n - first):
        if claims[i] == 1 or claims[i] == _TAKEN:
            words[kept], chars[kept], flags[kept] = old_words[i], old_chars[i], old_flags[i]
            at, kept = at + old_chars[i], kept + 1
        if claims[i] < 2:
            continue
        value = _spelled(codes, kinds, tables, old_chars, at, i, claims[i])
        while value:
            kept = _emit(codes, kinds, at, at + (value & 0xFF), words, chars, flags, kept)
            at += value & 0xFF
            value >>= 8
    return kept


@nb.njit(nogil=True, cache=True)
def _ends_plainly(codes, kinds, m):  # type: ignore[no-untyped-def]
    """Whether the last mark of a run of letters comes off by itself."""
    if codes[m - 1] == _DOT:
        return has_class(kinds, m - 2, BEFORE_STOP)
    return has_class(kinds, m - 1, AFFIX)


@nb.njit(nogil=True, cache=True)
def _known(stem, key, m, keys, tokens):  # type: ignore[no-untyped-def]
    """Whether a run, or the run without its last mark, is a special word."""
    return m <= LONGEST_SPECIAL + 1 and (look_up(key, keys, tokens) or look_up(stem, keys, tokens)) != 0


@nb.njit(nogil=True, cache=True)
def english_words(data, start, end, properties, tables, scratch, words, chars, flags, lines):  # type: ignore[no-untyped-def]
    """Number of words of data[start:end]; fills their hashes, code points, flags, and lines as of splitlines().

    tables: (SPECIAL_KEYS, SPECIAL_TOKENS, UNIT_KEYS, UNIT_VALUES). scratch: (codes int32, kinds uint32, ends int32),
    each longer than the text's bytes."""
    codes, kinds, ends = scratch
    keys, tokens = tables[0], tables[1]
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
            kind = properties_of(properties, c)
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
            if every & _SIMPLE and (m > LONGEST_SPECIAL or not look_up(key, keys, tokens)):
                words[n], chars[n], flags[n] = key, m, word_flags(some, every, m)
                n += 1
            elif (odd == 1 and m > 1 and not kinds[m - 1] & _PLAIN and _ends_plainly(codes, kinds, m)
                  and not _known(fmix64(stem), key, m, keys, tokens)):  # a word and one mark behind it
                words[n], chars[n], flags[n] = fmix64(stem), m - 1, word_flags(stem_some, stem_every, m - 1)
                n = _emit(codes, kinds, m - 1, m, words, chars, flags, n + 1)
            else:
                n = _split(codes, kinds, m, tables, ends, words, chars, flags, n)
                if n > first + 1 and not (m <= LONGEST_SPECIAL and look_up(key, keys, tokens)):
                    n = _rejoin(codes, kinds, tables, ends, words, chars, flags, first, n)
            if gap > 1 or (gap == 1 and gap_char != 0x20):
                flags[first] |= AFTER_GAP
            lines[first:n] = line
            m, gap = 0, 0
            h, some, every, odd = FNV_OFFSET, np.uint32(0), np.uint32(0xFFFFFFFF), 0
        line += kind & BREAK != 0 and not (gap and gap_char == 0x0D and c == 0x0A)
        gap, gap_char = gap + 1, c
    return n


@nb.njit(nogil=True, cache=True)
def english_sentences(flags, first, n):  # type: ignore[no-untyped-def]
    """Sentences of words first to n by spaCy's sentencizer: one starts at the first word that follows an end mark."""
    count, seen = (1 if n > first else 0), False
    for i in range(first, n):
        ends = flags[i] & ENDS_SENTENCE != 0
        if seen and (flags[i] & AFTER_GAP or not (flags[i] & IS_PUNCTUATION or ends)):
            count, seen = count + 1, ends
        elif ends:
            seen = True
    return count
