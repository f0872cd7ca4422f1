"""The 64-bit MinHash signatures of datatrove 0.10, which FineWeb was deduplicated with, from simplified texts.

A simplified text is words with one space between them, so a shingle of n words is a run of its bytes, and is hashed by
XXH64 where it lies. Permutation k maps h to (a_k*h + b_k mod 2**64) mod (2**61 - 1): datatrove's product wraps before
the remainder is taken, and so does this one.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.text.strings import Bytes, Offsets, read_only
from curate.text.words import Hashes

MERSENNE: Final = np.uint64((1 << 61) - 1)
_P1: Final = np.uint64(0x9E3779B185EBCA87)
_P2: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_P3: Final = np.uint64(0x165667B19E3779F9)
_P4: Final = np.uint64(0x85EBCA77C2B2AE63)
_P5: Final = np.uint64(0x27D4EB2F165667C5)
_BLOCK: Final = 256

_DECIMAL: Final = r"\p{Nd}+(?:[.,\x{60C}\x{66B}\x{2396}-\x{2398}]\p{Nd}+)?"
_SEPARATORS: Final = (  # datatrove's punctuation and Python's white space; every run of them becomes one space
    r"[\x{0}-\x{20}!\"#$%&'()*+,\-./:;<=>?@\[\\\]\^_`{|}~\x{7F}-\x{A0}\x{AB}\x{B4}\x{BB}\x{1680}\x{2000}-\x{200A}\x{2013}"
    r"\x{2014}\x{2019}\x{201C}-\x{201E}\x{2026}\x{2028}\x{2029}\x{202F}\x{205F}\x{2236}\x{2501}\x{25BA}\x{3000}-\x{3002}"
    r"\x{3008}-\x{300D}\x{3010}\x{3011}\x{FF01}\x{FF05}\x{FF08}\x{FF09}\x{FF0C}\x{FF0E}\x{FF11}\x{FF1A}\x{FF1B}"
    r"\x{FF1F}\x{FF5E}]+")


def simplify(texts: pa.Array | pa.ChunkedArray) -> Any:
    """datatrove's `simplify_text` with its defaults, over an Arrow column: lower case, numbers as 0, punctuation and
    white space as one space, marks taken off letters.

    One difference: a capital sigma at a word's end becomes the middle form, not the final one."""
    out = pc.replace_substring_regex(pc.utf8_lower(texts), _DECIMAL, "0")
    out = pc.utf8_trim(pc.replace_substring_regex(out, _SEPARATORS, " "), " ")
    return pc.utf8_trim(pc.replace_substring_regex(pc.utf8_normalize(out, "NFD"), r"\p{Mn}+", ""), " ")


@cache
def permutations64(n_permutations: int, seed: int) -> tuple[Hashes, Hashes]:
    """(a, b), uint64 [n_permutations] each: datatrove's parameters for this seed, constants of its format."""
    generator = np.random.RandomState(seed)
    a = generator.randint(1, int(MERSENNE), (1, n_permutations), np.uint64)
    return a[0], generator.randint(0, int(MERSENNE), (1, n_permutations), np.uint64)[0]


@nb.njit(nogil=True, cache=True, inline="always")
def _rotate(x, n):  # type: ignore[no-untyped-def]
    return (x << np.uint64(n)) | (x >> np.uint64(64 - n))


@nb.njit(nogil=True, cache=True, inline="always")
def _word(data, p, size):  # type: ignore[no-untyped-def]
    x = np.uint64(0)
    for i in range(size):
        x |= np.uint64(data[p + i]) << np.uint64(8 * i)
    return x


@nb.njit(nogil=True, cache=True, inline="always")
def _round(lane, x):  # type: ignore[no-untyped-def]
    return _rotate(lane + x * _P2, 31) * _P1


@nb.njit(nogil=True, cache=True)
def xxh64(data, start, end):  # type: ignore[no-untyped-def]
    """XXH64 with seed 0 of data[start:end] (Collet, xxHash specification 0.1.1)."""
    p = start
    if end - start >= 32:
        zero = np.uint64(0)
        v1, v2, v3, v4 = _P1 + _P2, _P2, zero, zero - _P1
        while p + 32 <= end:
            v1, v2 = _round(v1, _word(data, p, 8)), _round(v2, _word(data, p + 8, 8))
            v3, v4 = _round(v3, _word(data, p + 16, 8)), _round(v4, _word(data, p + 24, 8))
            p += 32
        h = _rotate(v1, 1) + _rotate(v2, 7) + _rotate(v3, 12) + _rotate(v4, 18)
        for v in (v1, v2, v3, v4):
            h = (h ^ _round(zero, v)) * _P1 + _P4
    else:
        h = _P5
    h += np.uint64(end - start)
    while p + 8 <= end:
        h = _rotate(h ^ _round(np.uint64(0), _word(data, p, 8)), 27) * _P1 + _P4
        p += 8
    if p + 4 <= end:
        h = _rotate(h ^ (_word(data, p, 4) * _P1), 23) * _P2 + _P3
        p += 4
    while p < end:
        h = _rotate(h ^ (np.uint64(data[p]) * _P5), 11) * _P1
        p += 1
    h = (h ^ (h >> np.uint64(33))) * _P2
    h = (h ^ (h >> np.uint64(29))) * _P3
    return h ^ (h >> np.uint64(32))


@nb.njit(nogil=True, cache=True)
def _lower_minima(row, a, b, block, size):  # type: ignore[no-untyped-def]
    for k in range(a.size):
        a_k, b_k, low = a[k], b[k], row[k]
        for j in range(size):
            x = a_k * block[j] + b_k
            x = (x & MERSENNE) + (x >> np.uint64(61))
            low = min(low, x - MERSENNE if x >= MERSENNE else x)
        row[k] = low


@nb.njit(nogil=True, cache=True)
def _sign64(data, offsets, n, a, b, signatures, n_shingles):  # type: ignore[no-untyped-def]
    block = np.empty(_BLOCK, np.uint64)
    starts, ends = np.empty(n, np.int64), np.int64(0)
    for d in range(offsets.size - 1):
        words = size = 0
        p, end = offsets[d], offsets[d + 1]
        while p < end:
            starts[words % n] = p
            while p < end and data[p] != 32:
                p += 1
            ends = p
            p += 1
            words += 1
            if words < n:
                continue
            block[size] = xxh64(data, starts[words % n], ends)
            size += 1
            if size == _BLOCK:
                _lower_minima(signatures[d], a, b, block, size)
                size = 0
        _lower_minima(signatures[d], a, b, block, size)
        n_shingles[d] = max(0, words - n + 1)


def sign64(data: Bytes, offsets: Offsets, n: int, n_permutations: int,
           seed: int) -> tuple[Hashes, npt.NDArray[np.uint32]]:
    """Signatures of simplified texts: (uint64 [n_texts, n_permutations], shingles a text uint32 [n_texts]).

    A text of fewer than n words has no shingle, its signature is all ones, and datatrove keeps it. Words end at spaces,
    where datatrove's English tokenizer (spaCy's) splits some further, such as `cannot`: texts with such words sign
    differently."""
    a, b = permutations64(n_permutations, seed)
    signatures = np.full((len(offsets) - 1, n_permutations), 0xFFFFFFFFFFFFFFFF, np.uint64)
    n_shingles = np.zeros(len(offsets) - 1, np.uint32)
    _sign64(read_only(data), read_only(offsets), n, a, b, signatures, n_shingles)
    return signatures, n_shingles
