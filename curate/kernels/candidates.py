"""Kernels of near-duplicate search after signing: pairs of a bucket, connected components, verified resolution."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.kernels.strings import Offsets
from curate.kernels.words import Hashes

Indices = npt.NDArray[np.int64]


@nb.njit(nogil=True, cache=True)
def _bucket_pairs(keys, nodes, pivots, out, skipped):  # type: ignore[no-untyped-def]
    """One pass that counts pairs where `out` is empty, and writes them where it is not."""
    n = start = 0
    for i in range(1, keys.size + 1):
        if i < keys.size and keys[i] == keys[start]:
            continue
        size = i - start
        if size > pivots + 1 and out.size == 0:
            skipped[0] += 1
            rest = size - pivots
            skipped[1] += rest * (rest - 1) // 2
        for later in range(1, size):
            for earlier in range(min(later, pivots)):
                if out.size:
                    a, b = nodes[start + earlier], nodes[start + later]
                    out[n, 0], out[n, 1] = min(a, b), max(a, b)
                n += 1
        start = i
    return n


def bucket_pairs(keys: Hashes, nodes: Indices, pivots: int) -> tuple[Indices, int, int]:
    """Distinct pairs (a < b) of nodes that share a key: (int64 [n, 2] ascending, oversize buckets, pairs not made).

    keys: ascending; within one key, nodes stand in survivor order. Each node is paired with the first `pivots` of its
    bucket alone, so a bucket of n costs at most n * pivots pairs."""
    skipped = np.zeros(2, np.int64)
    n = _bucket_pairs(keys, nodes, pivots, np.empty((0, 2), np.int64), skipped)
    pairs = np.empty((n, 2), np.int64)
    if n:
        _bucket_pairs(keys, nodes, pivots, pairs, skipped)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    fresh = np.ones(len(pairs), np.bool_)
    fresh[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[fresh], int(skipped[0]), int(skipped[1])


@nb.njit(nogil=True, cache=True)
def _root(parent, i):  # type: ignore[no-untyped-def]
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@nb.njit(nogil=True, cache=True)
def unite(parent, a, b):  # type: ignore[no-untyped-def]
    """Union-find in place: join the components of a[i] and b[i]. parent: int64 [n_nodes], at first its own indices.

    The root of a component is its smallest node, whatever the order of the pairs."""
    for i in range(a.size):
        x, y = _root(parent, a[i]), _root(parent, b[i])
        if x < y:
            parent[y] = x
        elif y < x:
            parent[x] = y


@nb.njit(nogil=True, cache=True)
def flatten(parent):  # type: ignore[no-untyped-def]
    """Point every node of a union-find at its root, in place."""
    for i in range(parent.size):
        parent[i] = _root(parent, i)


@nb.njit(nogil=True, cache=True)
def _jaccard(shingles, a, a_end, b, b_end):  # type: ignore[no-untyped-def]
    size = (a_end - a) + (b_end - b)
    common = 0
    while a < a_end and b < b_end:
        x, y = shingles[a], shingles[b]
        if x == y:
            common += 1
        a += x <= y
        b += y <= x
    return common / (size - common) if size else 0.0


@nb.njit(nogil=True, cache=True)
def _agreement(minima, a, b, n):  # type: ignore[no-untyped-def]
    equal = 0
    for i in range(n):
        equal += minima[a + i] == minima[b + i]
    return equal / n if n else 0.0


@nb.njit(nogil=True, cache=True)
def _resolve(earlier, later, shingles, starts, ends, aligned, threshold, survivor, similarity):  # type: ignore[no-untyped-def]
    checked = accepted = i = 0
    while i < later.size:
        node = later[i]
        best, best_similarity = np.int64(-1), 0.0
        while i < later.size and later[i] == node:
            a = earlier[i]
            i += 1
            if survivor[a] >= 0:
                continue
            checked += 1
            if aligned:
                s = _agreement(shingles, starts[a], starts[node], ends[a] - starts[a])
            else:
                s = _jaccard(shingles, starts[a], ends[a], starts[node], ends[node])
            if s >= threshold:
                accepted += 1
                if s > best_similarity:
                    best, best_similarity = a, s
        survivor[node] = best
        similarity[node] = best_similarity
    return checked, accepted


def resolve(pairs: Indices, shingles: Hashes, starts: Offsets, ends: Offsets,
            threshold: float, aligned: bool = False) -> tuple[Indices, npt.NDArray[np.float64], int, int]:
    """Greedy removal: (survivor int64 [n], similarity float64 [n], pairs checked, pairs accepted).

    Nodes are numbered in survivor order. A node is removed if and only if its similarity with an *earlier node which
    is kept* is at least the threshold: the exact Jaccard similarity of their shingle sets or, where `aligned`, the
    share of equal minima of their signatures. Its survivor is the most similar of those (the earliest of equals), -1
    where it is kept. Chains therefore never delete: if A~B and B~C but not A~C, B goes and C stays. Pairs whose earlier
    node is gone need no check.

    pairs: int64 [m, 2]. shingles[starts[i]:ends[i]]: ascending shingle hashes of node i, or its whole signature."""
    n = len(starts)
    survivor, similarity = np.full(n, -1, np.int64), np.zeros(n, np.float64)
    earlier, later = pairs.min(axis=1, initial=n), pairs.max(axis=1, initial=-1)
    order = np.lexsort((earlier, later))
    checked, accepted = _resolve(earlier[order], later[order], shingles, starts, ends, aligned, threshold,
                                 survivor, similarity)
    return survivor, similarity, int(checked), int(accepted)
