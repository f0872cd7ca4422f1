"""Steps through UTF-8 bytes that kernels of several packages take. Texts are valid UTF-8, as Arrow's strings are."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True, inline="always")
def encode(c, out, q):  # type: ignore[no-untyped-def]
    """Write a code point at out[q:]; returns the next offset."""
    if c < 0x80:
        out[q] = c
        return q + 1
    if c < 0x800:
        out[q], out[q + 1] = 0xC0 | (c >> 6), 0x80 | (c & 0x3F)
        return q + 2
    if c < 0x10000:
        out[q], out[q + 1], out[q + 2] = 0xE0 | (c >> 12), 0x80 | ((c >> 6) & 0x3F), 0x80 | (c & 0x3F)
        return q + 3
    out[q], out[q + 1] = 0xF0 | (c >> 18), 0x80 | ((c >> 12) & 0x3F)
    out[q + 2], out[q + 3] = 0x80 | ((c >> 6) & 0x3F), 0x80 | (c & 0x3F)
    return q + 4


@nb.njit(nogil=True, cache=True)
def n_characters(data, p, end):  # type: ignore[no-untyped-def]
    """Code points of data[p:end]."""
    n = np.int64(0)
    for i in range(p, end):
        n += (data[i] & 0xC0) != 0x80
    return n


@nb.njit(nogil=True, cache=True)
def forward(data, p, end, n):  # type: ignore[no-untyped-def]
    """Offset n characters after p, at most end."""
    while n > 0 and p < end:
        p += 1
        while p < end and (data[p] & 0xC0) == 0x80:
            p += 1
        n -= 1
    return p


@nb.njit(nogil=True, cache=True)
def back(data, p, start, n):  # type: ignore[no-untyped-def]
    """Offset n characters before p, at least start."""
    while n > 0 and p > start:
        p -= 1
        while p > start and (data[p] & 0xC0) == 0x80:
            p -= 1
        n -= 1
    return p


@nb.njit(nogil=True, cache=True)
def longest(offsets):  # type: ignore[no-untyped-def]
    """Bytes of the longest text; 0 where there is none."""
    most = np.int64(0)
    for i in range(offsets.size - 1):
        most = max(most, offsets[i + 1] - offsets[i])
    return most
