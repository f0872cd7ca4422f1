"""MinHash signatures and shingle sets of texts given as word hashes.

A shingle is a word n-gram; a text with fewer than n words, but at least one, has one shingle of all its words. The
signature is datasketch 2's scheme `affine32`: shingle hashes of 32 bits (the upper half of the 64-bit n-gram hash) go
through MurmurHash3's fmix32, then permutation k maps h to a_k*h + b_k mod 2**32, and the signature is the minimum of
each permutation. The loop over a block of shingles is the inner one, so that LLVM keeps the running minima in vector
registers.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt
import xxhash

from curate.text.strings import Offsets
from curate.text.utf8 import longest
from curate.text.words import GRAM_BASE, Hashes, fmix64, gram_power

Signatures = npt.NDArray[np.uint32]

_BLOCK: Final = 512  # shingles a pass; 2 KiB, well within the first-level cache
_BAND: Final = np.uint64(0xD6E8FEB86659FD93)


@cache
def permutations(n_permutations: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """(a, b), uint32 [n_permutations] each: datasketch's own parameters for `MinHash(scheme="affine32", seed=seed)`.

    NumPy promises that RandomState's streams never change, so these are constants of the format, not chance."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, n_permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = generator.randint(0, 1 << 32, n_permutations, dtype=np.uint32)
    return a, b


@nb.njit(nogil=True, cache=True)
def _fmix32(h):  # type: ignore[no-untyped-def]
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@nb.njit(nogil=True, cache=True)
def _lower_minima(row, a, b, block, size):  # type: ignore[no-untyped-def]
    for k in range(a.size):
        a_k, b_k, low = a[k], b[k], row[k]
        for j in range(size):
            low = min(low, np.uint32(a_k * block[j] + b_k))
        row[k] = low


@nb.njit(nogil=True, cache=True)
def _shingle(words, first, last, n, power, out):  # type: ignore[no-untyped-def]
    """Shingle hashes of words[first:last] into out; returns how many."""
    if last <= first:
        return 0
    rolling = np.uint64(0)
    for i in range(first, min(first + n, last)):
        rolling = rolling * GRAM_BASE + words[i]
    out[0] = fmix64(rolling)
    m = 1
    for i in range(first + n, last):
        rolling = rolling * GRAM_BASE + words[i] - words[i - n] * power
        out[m] = fmix64(rolling)
        m += 1
    return m


@nb.njit(nogil=True, cache=True)
def _sign(words, offsets, n, a, b, signatures, n_shingles):  # type: ignore[no-untyped-def]
    power = gram_power(n)
    shingles = np.empty(max(1, longest(offsets)), np.uint64)
    block = np.empty(_BLOCK, np.uint32)
    for d in range(offsets.size - 1):
        m = _shingle(words, offsets[d], offsets[d + 1], n, power, shingles)
        n_shingles[d] = m
        row = signatures[d]
        for start in range(0, m, _BLOCK):
            size = min(_BLOCK, m - start)
            for j in range(size):
                block[j] = _fmix32(np.uint32(shingles[start + j] >> np.uint64(32)))
            _lower_minima(row, a, b, block, size)


def sign(words: Hashes, offsets: Offsets, n: int, n_permutations: int, seed: int) -> tuple[Signatures, Signatures]:
    """MinHash signatures of texts: (uint32 [n_texts, n_permutations], shingles a text uint32 [n_texts]).

    words, offsets: as of `hash_words`. n: words a shingle. Shingles are counted with their repetitions. The signature
    of a text without words is all ones. Source: Broder 1997; datasketch 2 for the permutations."""
    a, b = permutations(n_permutations, seed)
    signatures = np.full((len(offsets) - 1, n_permutations), 0xFFFFFFFF, np.uint32)
    n_shingles = np.zeros(len(offsets) - 1, np.uint32)
    _sign(words, offsets, n, a, b, signatures, n_shingles)
    return signatures, n_shingles


def hash_texts(words: Hashes, offsets: Offsets) -> Hashes:
    """128-bit hash of each text's sequence of words, as uint64 [n_texts, 2], upper half first: xxh3-128 of the hashes
    of its words, 8 bytes each, little-endian.

    Two texts with one hash have the same words in the same order, so the same shingle set: copies that differ in case,
    punctuation or spacing are exact duplicates here."""
    data = np.ascontiguousarray(words, "<u8").view(np.uint8).data
    bounds = (8 * offsets).tolist()
    digests = b"".join(xxhash.xxh3_128_digest(data[a:b]) for a, b in pairwise(bounds))  # under half a microsecond each
    return np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)


@nb.njit(nogil=True, cache=True)
def _shingle_sets(words, offsets, n, out, ends):  # type: ignore[no-untyped-def]
    power = gram_power(n)
    shingles = np.empty(max(1, longest(offsets)), np.uint64)
    total = 0
    ends[0] = 0
    for d in range(offsets.size - 1):
        m = _shingle(words, offsets[d], offsets[d + 1], n, power, shingles)
        distinct = np.sort(shingles[:m])
        for j in range(m):
            if j == 0 or distinct[j] != distinct[j - 1]:
                out[total] = distinct[j]
                total += 1
        ends[d + 1] = total
    return total


def shingle_sets(words: Hashes, offsets: Offsets, n: int) -> tuple[Hashes, Offsets]:
    """The set of 64-bit shingle hashes of each text, ascending: (uint64 [total], offsets int64 [n_texts + 1])."""
    out = np.empty(len(words) + len(offsets), np.uint64)
    ends = np.empty(len(offsets), np.int64)
    total = _shingle_sets(words, offsets, n, out, ends)
    return out[:total], ends


@nb.njit(nogil=True, cache=True)
def _band_keys(signatures, n_rows, keys):  # type: ignore[no-untyped-def]
    for d in range(signatures.shape[0]):
        for band in range(keys.shape[1]):
            h = fmix64(np.uint64(band + 1) * GRAM_BASE)
            for i in range(band * n_rows, (band + 1) * n_rows):
                h = (h ^ np.uint64(signatures[d, i])) * _BAND
                h ^= h >> np.uint64(32)
            keys[d, band] = fmix64(h)


def band_keys(signatures: Signatures | Hashes, n_bands: int, n_rows: int) -> Hashes:
    """64-bit keys of each signature's bands, uint64 [n_texts, n_bands]; a key is different for each band number, so
    that keys of all bands can share one table. Permutations beyond n_bands * n_rows are unused."""
    keys = np.empty((len(signatures), n_bands), np.uint64)
    _band_keys(signatures, n_rows, keys)
    return keys
