"""A Bloom filter of n-grams, and the pass of documents through it that DCLM calls `old-both`.

A filter of b bits is b / 64 words. Probe i of an n-gram with hash g is x = g + i * (fmix64(g) | 1) mod 2**64: bit x %
64 of word (x >> 32) * n_words >> 32. Source: Bloom 1970; Kirsch and Mitzenmacher 2006 for two hashes instead of
many.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.strings import Bytes, Offsets, read_only
from curate.text.unicode import TABLE_SIZE, decode
from curate.text.words import ALONE, FNV_OFFSET, FNV_PRIME, GRAM_BASE, WORD, Hashes, fmix64, gram_power

_FIRST_ROOM: Final = 1024
_MAX_WORDS: Final = (1 << 32) - 1


class FilterSize(NamedTuple):
    """Bits of a filter in words of 64, and probes a look-up."""

    n_words: int
    n_probes: int

    @property
    def n_bytes(self) -> int:
        return 8 * self.n_words


def filter_size(n_grams: int, rate: float) -> FilterSize:
    """The smallest filter whose false-positive rate with so many n-grams in it is at most `rate`.

    (1 - exp(-k n / m)) ** k, least at k = m / n * ln 2 (Bloom 1970); k is whole, so m is computed for it."""
    n_probes = max(1, round(-math.log2(rate)))
    bits = -n_probes * max(1, n_grams) / math.log(1 - rate ** (1 / n_probes))
    return FilterSize(min(_MAX_WORDS, -(-math.ceil(bits) // 64)), n_probes)


def false_positive_rate(bits: Hashes, n_probes: int) -> float:
    """Chance that an n-gram which was never added is found, by the share of bits that are set."""
    return float(np.bitwise_count(bits).sum() / (64 * len(bits))) ** n_probes


@nb.njit(nogil=True, cache=True, inline="always")
def _holds(bits, gram, n_probes):  # type: ignore[no-untyped-def]
    step, n_words = fmix64(gram) | np.uint64(1), np.uint64(bits.size)
    x = gram
    for _ in range(n_probes):
        if not bits[((x >> np.uint64(32)) * n_words) >> np.uint64(32)] >> (x & np.uint64(63)) & np.uint64(1):
            return False
        x += step
    return True


@nb.njit(nogil=True, cache=True, inline="always")
def _add(bits, gram, n_probes):  # type: ignore[no-untyped-def]
    step, n_words = fmix64(gram) | np.uint64(1), np.uint64(bits.size)
    x = gram
    for _ in range(n_probes):
        bits[((x >> np.uint64(32)) * n_words) >> np.uint64(32)] |= np.uint64(1) << (x & np.uint64(63))
        x += step


@nb.njit(nogil=True, cache=True)
def _line_words(data, p, end, table, words):  # type: ignore[no-untyped-def]
    """Word hashes of data[p:end] into words; returns how many."""
    n, h, inside = 0, FNV_OFFSET, False
    while p < end:
        c = np.int64(data[p])
        if c < 0x80:
            p += 1
        else:
            c, p = decode(data, p, end)
        v = table[c] if c < TABLE_SIZE else np.uint32(c) | ALONE
        if v != 0 and v < ALONE:
            h, inside = (h ^ np.uint64(v)) * FNV_PRIME, True
            continue
        if inside:
            words[n] = fmix64(h)
            n, h, inside = n + 1, FNV_OFFSET, False
        if v != 0:
            words[n] = fmix64((FNV_OFFSET ^ np.uint64(v ^ ALONE)) * FNV_PRIME)
            n += 1
    if inside:
        words[n] = fmix64(h)
        n += 1
    return n


@nb.njit(nogil=True, cache=True)
def _grams(words, m, ngram, min_ngram, power, grams):  # type: ignore[no-untyped-def]
    """n-grams of a paragraph's m words; one of all where they are fewer than ngram but not than min_ngram."""
    if m < min_ngram or m == 0:
        return 0
    rolling = np.uint64(0)
    for i in range(min(ngram, m)):
        rolling = rolling * GRAM_BASE + words[i]
    grams[0] = fmix64(rolling)
    for i in range(ngram, m):
        rolling = rolling * GRAM_BASE + words[i] - words[i - ngram] * power
        grams[i - ngram + 1] = fmix64(rolling)
    return max(1, m - ngram + 1)


@nb.njit(nogil=True, cache=True)
def _pass(data, offsets, table, bits, n_probes, ngram, min_ngram, threshold):  # type: ignore[no-untyped-def]
    spans, size = np.empty((3, _FIRST_ROOM), np.int64), 0
    bounds, shares = np.zeros(offsets.size, np.int64), np.zeros((2, offsets.size - 1), np.int64)
    words, grams = np.empty(_FIRST_ROOM, np.uint64), np.empty(_FIRST_ROOM, np.uint64)
    power, added = gram_power(ngram), 0
    for d in range(offsets.size - 1):
        base, end = offsets[d], offsets[d + 1]
        p, stop, owned, started = base, np.int64(0), np.int64(-1), False
        while p < end:
            q = p
            while q < end and data[q] != 0x0A:
                q += 1
            if q - p >= words.size:
                words, grams = np.empty(2 * (q - p), np.uint64), np.empty(2 * (q - p), np.uint64)
            m = _line_words(data, p, q, table, words)
            if m:
                start = p - base if started else np.int64(0)
                started = True
                if owned >= 0:
                    spans[1, owned] = start
                    owned = np.int64(-1)
                n = _grams(words, m, ngram, min_ngram, power, grams)
                seen = 0
                for i in range(n):
                    seen += _holds(bits, grams[i], n_probes)
                shares[0, d] += seen
                shares[1, d] += n
                if seen > threshold * n:
                    if size == spans.shape[1]:
                        spans = np.concatenate((spans, np.empty((3, size), np.int64)), axis=1)
                    spans[0, size], spans[1, size], spans[2, size] = start, end - base, stop
                    owned = np.int64(size)
                    size += 1
                else:
                    for i in range(n):
                        _add(bits, grams[i], n_probes)
                    added += n
                stop = q - base
            p = q + 1
        bounds[d + 1] = size
    return spans[:, :size], bounds, shares, added


class Seen(NamedTuple):
    """Paragraphs that were mostly seen: start, end, before and bounds as of `Units`. seen, n_grams: int64 [n], of each
    text. added: n-grams that went into the filter."""

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]
    bounds: Offsets
    seen: npt.NDArray[np.int64]
    n_grams: npt.NDArray[np.int64]
    added: int


def pass_texts(data: Bytes, offsets: Offsets, bits: Hashes, n_probes: int, ngram: int, min_ngram: int,
               threshold: float) -> Seen:
    """Pass texts, in their order, through a filter, which is changed.

    A paragraph is a line; its n-grams are looked up, and where no more than `threshold` of them are there, all are
    added. bits: uint64 [n_words]. Source: BFF, `old-both`, with the words of `curate.text.words` for tokens."""
    spans, bounds, shares, added = _pass(read_only(data), read_only(offsets), WORD, bits, n_probes, ngram,
                                         min_ngram, threshold)
    return Seen(spans[0].copy(), spans[1].copy(), spans[2].copy(), bounds, shares[0].copy(), shares[1].copy(),
                int(added))
