"""Anchors: a sparse choice of offsets in texts such that equal runs of bytes have equal anchors, wherever they are.

Of the grams (runs of `gram` bytes) that a window of `size` bytes holds, the one of least hash is the window's anchor:
winnowing (Schleimer, Wilkerson and Aiken 2003), with the least hash kept while it stays in the window, so that text
that repeats itself has few anchors too. Windows of equal bytes have anchors of equal hash: what must be compared with
what is known from the hashes alone. About 2 of size - gram + 2 offsets are anchors.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.strings import Bytes, Offsets, read_only
from curate.text.words import GRAM_BASE, Hashes, fmix64, gram_power
from manifests.hashing import Int64

_NONE: Final = -1


class Anchors(NamedTuple):
    """Anchors of texts, in reading order. hashes: uint64 [m]. texts: whose each is. firsts, lasts: starts of the first
    and of the last window it is the anchor of, in bytes of the text; together they are every window, each once. twice:
    bool, whether its gram occurs twice in one of these windows, so that they may repeat each other."""

    hashes: Hashes
    texts: Int64
    firsts: Int64
    lasts: Int64
    twice: npt.NDArray[np.bool_]

    def of(self, mask: npt.NDArray[np.bool_]) -> Anchors:
        """Those that a mask names."""
        return Anchors(self.hashes[mask], self.texts[mask], self.firsts[mask], self.lasts[mask], self.twice[mask])


@nb.njit(nogil=True, cache=True)
def _least(ring, mask, first, last):  # type: ignore[no-untyped-def]
    """Index of the least hash in first..last; of equals the last, which stays in windows longest."""
    best = last
    for p in range(last - 1, first - 1, -1):
        if ring[p & mask] < ring[best & mask]:
            best = p
    return best


@nb.njit(nogil=True, cache=True)
def _anchors(data, offsets, size, gram, hashes, texts, firsts, lasts, twice):  # type: ignore[no-untyped-def]
    power, width = gram_power(gram), size - gram + 1
    mask = 1
    while mask < width:
        mask *= 2
    ring = np.zeros(mask, np.uint64)
    mask -= 1
    n_found = 0
    for d in range(offsets.size - 1):
        base, n = offsets[d], offsets[d + 1] - offsets[d]
        if n < size:
            continue
        rolling, anchor, first = np.uint64(0), np.int64(_NONE), np.int64(0)
        for i in range(n):
            rolling = rolling * GRAM_BASE + np.uint64(data[base + i])
            if i >= gram:
                rolling -= np.uint64(data[base + i - gram]) * power
            gram_start = i - gram + 1
            if gram_start < 0:
                continue
            ring[gram_start & mask] = fmix64(rolling)
            window = i - size + 1
            if window < 0:
                continue
            if anchor >= window and ring[gram_start & mask] >= ring[anchor & mask]:
                # The least hash of equals that is kept is the last one there was: another comes after it or never.
                if ring[gram_start & mask] == ring[anchor & mask] and n_found < hashes.size:
                    twice[n_found] = True
                continue
            best = gram_start if anchor >= window else _least(ring, mask, window, gram_start)
            if anchor != _NONE:
                if n_found < hashes.size:
                    texts[n_found], firsts[n_found], lasts[n_found] = d, first, window - 1
                n_found += 1
            anchor, first = best, window
            if n_found < hashes.size:
                hashes[n_found], twice[n_found] = ring[best & mask], False
        if n_found < hashes.size:
            texts[n_found], firsts[n_found], lasts[n_found] = d, first, n - size
        n_found += 1
    return n_found


def gram_bytes(size: int) -> int:
    """Bytes of a gram for windows of `size` bytes: half, so that few grams of shorter repeats are anchors by chance."""
    return max(1, size // 2)


def find_anchors(data: Bytes, offsets: Offsets, size: int) -> Anchors:
    """Anchors of every window of `size` bytes of texts; a text shorter than that has none.

    data, offsets: as of `string_buffers`. One pass, in time that does not depend on how the text repeats, but for a
    factor of size / 2 at worst; 33 bytes an anchor."""
    gram = gram_bytes(size)
    room = 4 * int(offsets[-1] - offsets[0]) // (size - gram + 1) + len(offsets)
    while True:
        hashes = np.empty(room, np.uint64)
        texts, firsts, lasts = (np.empty(room, np.int64) for _ in range(3))
        twice = np.empty(room, np.bool_)
        n_found = _anchors(read_only(data), read_only(offsets), size, gram, hashes, texts, firsts, lasts, twice)
        if n_found <= room:
            return Anchors(hashes[:n_found], texts[:n_found], firsts[:n_found], lasts[:n_found], twice[:n_found])
        room = n_found
