"""Spark's HashingTF over Arrow buffers: tokens at white space, MurmurHash3 x86 32, a column for each hash."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_SEED = np.uint32(42)  # Spark's


@nb.njit(nogil=True, cache=True, inline="always")
def _rotate(x, n):  # type: ignore[no-untyped-def]
    return np.uint32((x << np.uint32(n)) | (x >> np.uint32(32 - n)))


@nb.njit(nogil=True, cache=True)
def murmur3(data, start, end):  # type: ignore[no-untyped-def]
    """MurmurHash3_x86_32 of data[start:end] with seed 42, uint32, as Spark 3 hashes terms (`hashUnsafeBytes2`)."""
    h = _SEED
    n = end - start
    full = start + (n // 4) * 4
    for p in range(start, full, 4):
        k = (np.uint32(data[p]) | np.uint32(data[p + 1]) << np.uint32(8) | np.uint32(data[p + 2]) << np.uint32(16)
             | np.uint32(data[p + 3]) << np.uint32(24))
        k = np.uint32(_rotate(np.uint32(k * _C1), 15) * _C2)
        h = np.uint32(_rotate(np.uint32(h ^ k), 13) * np.uint32(5) + np.uint32(0xE6546B64))
    k = np.uint32(0)
    for p in range(end - 1, full - 1, -1):
        k = np.uint32((k << np.uint32(8)) ^ np.uint32(data[p]))
    if end > full:
        h = np.uint32(h ^ np.uint32(_rotate(np.uint32(k * _C1), 15) * _C2))
    h = np.uint32(h ^ np.uint32(n))
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@nb.njit(nogil=True, cache=True, inline="always")
def _is_space(c):  # type: ignore[no-untyped-def]
    """Java's \\s: space, tab, line feed, vertical tab, form feed, carriage return."""
    return c == 32 or 9 <= c <= 13


@nb.njit(nogil=True, cache=True, inline="always")
def _column(h, n_columns):  # type: ignore[no-untyped-def]
    """Spark's nonNegativeMod of the hash as a signed number."""
    column = np.int64(np.int32(h)) % n_columns
    return column


@nb.njit(nogil=True, cache=True)
def term_columns(data, offsets, n_columns):  # type: ignore[no-untyped-def]
    """(columns uint32 [n_terms], bounds int64 [n + 1]): the column of every term of every text, repetitions kept.

    As Java's split at single white-space characters: white space next to white space has an empty term between, those
    at the end are dropped, and a text without any character is one empty term."""
    n = offsets.size - 1
    bounds = np.zeros(n + 1, np.int64)
    columns = np.empty(offsets[n] - offsets[0] + 2 * n + 1, np.uint32)
    q = 0
    for i in range(n):
        p, end = offsets[i], offsets[i + 1]
        while end > p and _is_space(data[end - 1]):
            end -= 1
        if p == end:
            if offsets[i] == offsets[i + 1]:
                columns[q] = _column(murmur3(data, p, p), n_columns)
                q += 1
            bounds[i + 1] = q
            continue
        start = p
        while p <= end:
            if p == end or _is_space(data[p]):
                columns[q] = _column(murmur3(data, start, p), n_columns)
                q += 1
                start = p + 1
            p += 1
        bounds[i + 1] = q
    return columns[:q].copy(), bounds


@nb.njit(nogil=True, cache=True, inline="always")
def _logistic(x):  # type: ignore[no-untyped-def]
    return np.float32(1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0)


@nb.njit(nogil=True, cache=True)
def term_scores(data, offsets, rows, weights, intercept, out):  # type: ignore[no-untyped-def]
    """Write the logistic function of intercept + the weights of a text's terms to out[rows], float32."""
    n_columns = np.int64(weights.size)
    for i in rows:
        p, end = offsets[i], offsets[i + 1]
        while end > p and _is_space(data[end - 1]):
            end -= 1
        total = np.float64(intercept)
        if p == end:
            if offsets[i] == offsets[i + 1]:
                total += weights[_column(murmur3(data, p, p), n_columns)]
            out[i] = _logistic(total)
            continue
        start = p
        while p <= end:
            if p == end or _is_space(data[p]):
                total += weights[_column(murmur3(data, start, p), n_columns)]
                start = p + 1
            p += 1
        out[i] = _logistic(total)
