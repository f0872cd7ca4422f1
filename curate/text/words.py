"""What a word is, for deduplication and for decontamination, and its 64-bit hash.

Deduplication: a word is a maximal run of letters and digits, lower-cased; everything else separates. Scripts written
without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) give one word per letter, so that their texts have n-grams too.

Decontamination (GPT-3, appendix C): text is split at white space and lower-cased; punctuation is removed around and
inside a word, and a word that was nothing else is no word. Letters of those scripts are words here too: a question in
Chinese would else be one long word, which no text has.

The hash of a word is FNV-1a over its code points, a 64-bit step each, finished by MurmurHash3's `fmix64`. The hash of
an n-gram of word hashes w_1..w_n is fmix64(w_1*B**(n-1) + ... + w_n mod 2**64), which rolls. Normal forms are not
unified: U+00E9 and U+0065 U+0301 are different words.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.strings import Bytes, Offsets, read_only
from curate.text.unicode import KIND, LETTER, LOWER, PUNCTUATION, SPACE, TABLE_SIZE, case_folded, decode

Hashes = npt.NDArray[np.uint64]

FNV_OFFSET: Final = np.uint64(0xCBF29CE484222325)
FNV_PRIME: Final = np.uint64(0x100000001B3)
GRAM_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
"""B of the rolling n-gram hash: odd, so that no word's contribution is ever lost."""

ALONE: Final = np.uint32(1 << 31)  # flag in WORD: this letter is a word of its own
BREAK: Final = np.uint32(0xFFFFFFFF)  # in TOKEN: white space

_UNSPACED: Final = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B),
    (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F))
_HAN_ABOVE_TABLE: Final = 0x323AF  # last Han code point of planes 2 and 3


def _word_table() -> npt.NDArray[np.uint32]:
    table = np.where(KIND < SPACE, LOWER, 0).astype(np.uint32)
    for first, last in _UNSPACED:
        block = slice(first, last + 1)
        table[block] = np.where(KIND[block] == LETTER, table[block] | ALONE, table[block])
    return table


def _token_table() -> npt.NDArray[np.uint32]:
    table = np.select([KIND == SPACE, KIND == PUNCTUATION], [BREAK, np.uint32(0)], LOWER).astype(np.uint32)
    return np.where((WORD & ALONE != 0) & (KIND != SPACE), WORD, table).astype(np.uint32)


WORD: Final = _word_table()
"""uint32 by code point, for deduplication: 0 separates, else the lower-case code point, perhaps with ALONE."""

def folded_table() -> npt.NDArray[np.uint32]:
    """WORD with simple case folding instead of lower case: a final sigma and a long s are letters like others."""
    table = WORD.copy()
    for c in np.flatnonzero((table != 0) & (table < ALONE)).tolist():
        folded = case_folded(chr(c))
        if len(folded) == 1:
            table[c] = ord(folded)
    return table


TOKEN: Final = _token_table()
"""uint32 by code point, for decontamination: BREAK is white space, 0 punctuation, else the lower-case code point,
perhaps with ALONE."""


@nb.njit(nogil=True, cache=True, inline="always")
def fmix64(x):  # type: ignore[no-untyped-def]
    """MurmurHash3's 64-bit finaliser, a bijection in which every input bit moves every output bit."""
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> np.uint64(33))


@nb.njit(nogil=True, cache=True)
def gram_power(n):  # type: ignore[no-untyped-def]
    """GRAM_BASE ** n mod 2**64: what a word that leaves a window of n must be multiplied by."""
    power = np.uint64(1)
    for _ in range(n):
        power *= GRAM_BASE
    return power


@nb.njit(nogil=True, cache=True, inline="always")
def beyond_table(c):  # type: ignore[no-untyped-def]
    """What a code point above both tables becomes: Han is ALONE."""
    return np.uint32(c) | ALONE if c <= _HAN_ABOVE_TABLE else np.uint32(c)


@nb.njit(nogil=True, cache=True)
def _hash_words(data, offsets, table, hashes, bounds):  # type: ignore[no-untyped-def]
    n = 0
    bounds[0] = 0
    for d in range(offsets.size - 1):
        p, end = offsets[d], offsets[d + 1]
        h = FNV_OFFSET
        inside = False
        while p < end:
            c = np.int64(data[p])
            if c < 0x80:
                p += 1
            else:
                c, p = decode(data, p, end)
            v = table[c] if c < TABLE_SIZE else beyond_table(c)
            if v != 0 and v < ALONE:
                h = (h ^ np.uint64(v)) * FNV_PRIME
                inside = True
                continue
            if inside:
                hashes[n] = fmix64(h)
                n += 1
                h = FNV_OFFSET
                inside = False
            if v != 0:
                hashes[n] = fmix64((FNV_OFFSET ^ np.uint64(v ^ ALONE)) * FNV_PRIME)
                n += 1
        if inside:
            hashes[n] = fmix64(h)
            n += 1
        bounds[d + 1] = n
    return n


@nb.njit(nogil=True, cache=True)
def _hash_characters(data, offsets, table, hashes, bounds):  # type: ignore[no-untyped-def]
    n = 0
    bounds[0] = 0
    space = fmix64((FNV_OFFSET ^ np.uint64(32)) * FNV_PRIME)
    for d in range(offsets.size - 1):
        p, end, first = offsets[d], offsets[d + 1], n
        apart = False
        while p < end:
            c, p = decode(data, p, end)
            v = table[c] if c < TABLE_SIZE else np.uint32(c)
            if v == 0:
                apart = n > first
                continue
            if apart:
                hashes[n] = space
                n += 1
                apart = False
            hashes[n] = fmix64((FNV_OFFSET ^ np.uint64(v & ~ALONE)) * FNV_PRIME)
            n += 1
        bounds[d + 1] = n
    return n


def hash_words(data: Bytes, offsets: Offsets, table: npt.NDArray[np.uint32] = WORD) -> tuple[Hashes, Offsets]:
    """Word hashes of texts for deduplication, in reading order; 8 bytes a word.

    Args:
        data: UTF-8 texts, as of `string_buffers`.
        offsets: Where each begins, and the last ends; int64 [n_texts + 1].
        table: What each code point becomes, where it is not WORD.
    Returns:
        (hashes uint64 [n_words], the first of each text int64 [n_texts + 1]).
    """
    n_bytes = int(offsets[-1] - offsets[0]) if len(offsets) else 0
    # Unused pages of this bound are never touched; a word and its separator take two bytes or more.
    hashes = np.empty(n_bytes // 2 + len(offsets), np.uint64)
    bounds = np.empty(len(offsets), np.int64)
    n = _hash_words(read_only(data), read_only(offsets), table, hashes, bounds)
    return hashes[:n], bounds


def hash_characters(data: Bytes, offsets: Offsets) -> tuple[Hashes, Offsets]:
    """Hashes of the characters of texts, to be used as `hash_words` is: (uint64 [n], offsets int64 [n_texts + 1]).

    The characters are those of the text's words, lower-cased, with one space wherever others stood between two of them;
    a letter of an unspaced script is a character like any other. 8 bytes a character."""
    n_bytes = int(offsets[-1] - offsets[0]) if len(offsets) else 0
    hashes = np.empty(n_bytes + len(offsets), np.uint64)
    bounds = np.empty(len(offsets), np.int64)
    n = _hash_characters(read_only(data), read_only(offsets), WORD, hashes, bounds)
    return hashes[:n], bounds
