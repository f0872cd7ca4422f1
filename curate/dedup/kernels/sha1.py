"""The first 64 bits of SHA-1 (FIPS 180-4), compiled, for keys that must be those of other tools."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

BLOCK: Final = 64  # bytes


@nb.njit(nogil=True, cache=True, inline="always")
def _rotate(x, n):  # type: ignore[no-untyped-def]
    return np.uint32((x << np.uint32(n)) | (x >> np.uint32(32 - n)))


@nb.njit(nogil=True, cache=True)
def _compress(message, p, state, w):  # type: ignore[no-untyped-def]
    for t in range(16):
        q = p + 4 * t
        w[t] = (np.uint32(message[q]) << np.uint32(24) | np.uint32(message[q + 1]) << np.uint32(16)
                | np.uint32(message[q + 2]) << np.uint32(8) | np.uint32(message[q + 3]))
    for t in range(16, 80):
        w[t] = _rotate(np.uint32(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]), 1)
    a, b, c, d, e = state[0], state[1], state[2], state[3], state[4]
    # A loop for each of the four round functions: no branch within.
    for t in range(20):
        f = np.uint32(d ^ (b & (c ^ d)))
        a, b, c, d, e = np.uint32(_rotate(a, 5) + f + e + np.uint32(0x5A827999) + w[t]), a, _rotate(b, 30), c, d
    for t in range(20, 40):
        f = np.uint32(b ^ c ^ d)
        a, b, c, d, e = np.uint32(_rotate(a, 5) + f + e + np.uint32(0x6ED9EBA1) + w[t]), a, _rotate(b, 30), c, d
    for t in range(40, 60):
        f = np.uint32((b & c) | (d & (b | c)))
        a, b, c, d, e = np.uint32(_rotate(a, 5) + f + e + np.uint32(0x8F1BBCDC) + w[t]), a, _rotate(b, 30), c, d
    for t in range(60, 80):
        f = np.uint32(b ^ c ^ d)
        a, b, c, d, e = np.uint32(_rotate(a, 5) + f + e + np.uint32(0xCA62C1D6) + w[t]), a, _rotate(b, 30), c, d
    state[0] = np.uint32(state[0] + a)
    state[1] = np.uint32(state[1] + b)
    state[2] = np.uint32(state[2] + c)
    state[3] = np.uint32(state[3] + d)
    state[4] = np.uint32(state[4] + e)


@nb.njit(nogil=True, cache=True, inline="always")
def _swapped(x):  # type: ignore[no-untyped-def]
    x = np.uint64(x)
    return (x >> np.uint64(24) | x >> np.uint64(8) & np.uint64(0xFF00) | (x & np.uint64(0xFF00)) << np.uint64(8)
            | (x & np.uint64(0xFF)) << np.uint64(24))


@nb.njit(nogil=True, cache=True)
def sha1_64(message, n, state, w):  # type: ignore[no-untyped-def]
    """First 8 bytes of the digest of message[:n], read little-endian as CCNet reads them: uint64.

    message: uint8, with room for 72 bytes behind n, which are written to. state: uint32 [5], w: uint32 [80],
    scratch."""
    state[0], state[1], state[2] = 0x67452301, 0xEFCDAB89, 0x98BADCFE
    state[3], state[4] = 0x10325476, 0xC3D2E1F0
    n_blocks = (n + 9 + BLOCK - 1) // BLOCK
    message[n] = 0x80
    end = n_blocks * BLOCK
    for p in range(n + 1, end - 8):
        message[p] = 0
    for i in range(8):
        message[end - 1 - i] = (np.uint64(8 * n) >> np.uint64(8 * i)) & np.uint64(0xFF)
    for block in range(n_blocks):
        _compress(message, block * BLOCK, state, w)
    return _swapped(state[0]) | _swapped(state[1]) << np.uint64(32)
