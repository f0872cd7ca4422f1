"""Kernel of near-duplicate search after signing: the candidates of each document, checked in survivor order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.strings import Offsets
from curate.text.words import Hashes
from manifests.hashing import Int64

ROUND_BYTES: Final = 1 << 27  # of sets and of the graph that are looked at before `release` is called

_ROWS: Final = 1 << 20
_SKETCH_WORDS: Final = 32  # 2,048 bits
_SKETCHES: Final = 1 << 17  # of the kept nodes that others are compared with; those beyond have none
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Sets:
    """What nodes are compared by: values[starts[i]:ends[i]] of node i, numbered in survivor order.

    The first n_minima values are its signature, the rest its ascending shingle hashes. by_minima: all pairs are checked
    by the share of equal minima, not only those with a node that stays. stays: bool [n], nodes that stay whatever
    they resemble: documents of an earlier run, of which only the signature is known. What is known already: kept, bool
    [n], nodes that are compared with none before them; like, int64 [n], a kept node that a node is to be removed for,
    unless another is more similar, and likeness, float64 [n], their similarity; -1 where there is none."""

    values: Hashes
    starts: Offsets
    ends: Offsets
    n_minima: int = 0
    by_minima: bool = False
    stays: npt.NDArray[np.bool_] | None = None
    kept: npt.NDArray[np.bool_] | None = None
    like: Int64 | None = None
    likeness: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """survivor: int64 [n], -1 where kept. similarity: float64 [n].
    met_full: how often a node came to a bucket that had all its pivots; full: buckets that have them; slots: the pivots
    of each bucket, by `Graph.bucket_starts`, n_kept how many it keeps. rounds: how many it took."""

    survivor: Int64
    similarity: npt.NDArray[np.float64]
    pairs_checked: int
    pairs_accepted: int
    met_full: int
    full: int
    slots: npt.NDArray[np.int32]
    n_kept: Int64
    rounds: int


@nb.njit(nogil=True, cache=True)
def _jaccard(shingles, a, a_end, b, b_end, most):  # type: ignore[no-untyped-def]
    """The similarity, or -1 once more than `most` shingles are of one set alone."""
    size = (a_end - a) + (b_end - b)
    common = apart = 0
    while a < a_end and b < b_end:
        x, y = shingles[a], shingles[b]
        if x == y:
            common += 1
        else:
            apart += 1
            if apart > most:
                return -1.0
        a += x <= y
        b += y <= x
    return common / (size - common) if size else 0.0


@nb.njit(nogil=True, cache=True)
def _sketch(shingles, start, end, out):  # type: ignore[no-untyped-def]
    """The odd sketch of a set: which of its slots an odd number of its shingles falls into."""
    out[:] = 0
    for i in range(start, end):
        bit = (shingles[i] * _GOLDEN) >> np.uint64(53)
        out[bit >> np.uint64(6)] ^= np.uint64(1) << (bit & np.uint64(63))


@nb.njit(nogil=True, cache=True)
def _apart(x, y):  # type: ignore[no-untyped-def]
    """Slots in which two sketches differ: no more than there are shingles of one set alone."""
    total = np.uint64(0)
    for i in range(x.size):
        bits = x[i] ^ y[i]
        bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
        bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        total += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return np.int64(total)


@nb.njit(nogil=True, cache=True)
def _agreement(minima, a, b, n):  # type: ignore[no-untyped-def]
    equal = 0
    for i in range(n):
        equal += minima[a + i] == minima[b + i]
    return equal / n if n else 0.0


@nb.njit(nogil=True, cache=True)
def _resolve(first, of_node, node_starts, bucket_starts, n_kept, slots, values, starts, ends, n_minima, by_minima,  # type: ignore[no-untyped-def]
             stays, kept, threshold, pivots, budget, seen, survivor, similarity, counts, sketches, sketch_of):
    """Decide nodes from `first` on until `budget` words of sets were looked at; returns the next node."""
    touched = 0
    share = (1 - threshold) / (1 + threshold)  # of two sets' shingles, that may be of one alone
    own = np.empty(sketches.shape[1], np.uint64)
    for node in range(first, starts.size):
        best, best_similarity = survivor[node], similarity[node]  # what is known already
        if not by_minima and not stays[node]:
            _sketch(values, starts[node] + n_minima, ends[node], own)
        for j in range(node_starts[node], node_starts[node + 1]):
            bucket = of_node[j]
            n = n_kept[bucket]
            if stays[node] or kept[node]:
                n = 0
            elif n >= pivots:
                counts[2] += 1
                n = pivots
            touched += 1536  # three pages of the graph
            for slot in range(bucket_starts[bucket], bucket_starts[bucket] + n):
                a = slots[slot]
                if seen[a] == node:
                    continue
                seen[a] = node
                counts[0] += 1
                if by_minima or stays[a]:
                    touched += max(ends[a] - starts[a], 512)
                    s = _agreement(values, starts[a], starts[node], n_minima)
                else:
                    # One more than rounding could make of it; what is further apart is below the threshold.
                    most = np.int64(share * (ends[a] - starts[a] + ends[node] - starts[node] - 2 * n_minima)) + 1
                    if sketch_of[a] > 0 and _apart(sketches[sketch_of[a] - 1], own) > most:
                        continue
                    touched += max(ends[a] - starts[a], 512)
                    s = _jaccard(values, starts[a] + n_minima, ends[a], starts[node] + n_minima, ends[node], most)
                if s >= threshold:
                    counts[1] += 1
                    if s > best_similarity or (s == best_similarity and a < best):
                        best, best_similarity = a, s
        survivor[node] = best
        similarity[node] = best_similarity
        if best < 0:
            is_pivot = False
            for j in range(node_starts[node], node_starts[node + 1]):
                bucket = of_node[j]
                if n_kept[bucket] < pivots:
                    is_pivot = True
                    slots[bucket_starts[bucket] + n_kept[bucket]] = node
                n_kept[bucket] += 1
            if is_pivot and not by_minima and not stays[node] and counts[3] < len(sketches):
                sketches[counts[3]] = own
                counts[3] += 1
                sketch_of[node] = counts[3]
        touched += max(ends[node] - starts[node], 512)
        if touched > budget:
            return node + 1
    return starts.size


@dataclass(frozen=True, slots=True)
class Graph:
    """Which nodes share buckets: of_node[node_starts[i]:node_starts[i + 1]] are those of node i, in any order. Of
    bucket b as many slots are kept as it has nodes, at most `pivots`: from bucket_starts[b] on. `zeros` makes what else
    it takes to decide about the nodes."""

    of_node: npt.NDArray[np.int32]
    node_starts: Int64
    bucket_starts: Int64
    zeros: Callable[[int, npt.DTypeLike], npt.NDArray[Any]] = np.zeros

    @staticmethod
    def of(keys: Hashes, nodes: Int64, n: int, pivots: int) -> Graph:
        """In memory, from one entry for each (key, node), in any order. n: nodes there are."""
        _, bucket, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        of_node = bucket.ravel()[np.argsort(nodes, kind="stable")].astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(np.minimum(sizes, pivots))]).astype(np.int64)
        return Graph(of_node, np.searchsorted(np.sort(nodes), np.arange(n + 1)).astype(np.int64), starts)


def resolve(graph: Graph, sets: Sets, threshold: float, pivots: int, release: Callable[[], None] | None = None,
            round_bytes: int = ROUND_BYTES) -> Resolution:
    """Greedy removal, in survivor order, among the nodes that share a bucket.

    A node is removed if and only if its similarity with an *earlier node which is kept* is at least the threshold: the
    exact Jaccard similarity of their shingle sets or the share of equal minima of their signatures. Its survivor is the
    most similar of those, the earliest of equals. Chains therefore never delete: if A~B and B~C but not A~C, B goes and
    C stays. Of each bucket a node is compared with the first `pivots` kept ones, so a bucket of n costs at most
    n * pivots checks and, where all resemble the first, n. Most checks of unlike sets end at their odd sketches
    (Mitzenmacher, Pagh and Pham 2014), which bound from below by how many shingles two sets differ: no outcome depends
    on them.

    Args:
        graph: The buckets.
        sets: What nodes are compared by.
        threshold: Similarity from which a node is removed.
        pivots: Kept nodes of a bucket that others are compared with.
        release: Called between rounds, to let go of mapped memory.
        round_bytes: Of sets and of the graph that a round may look at.
    Returns:
        What is removed, and for which node. Memory: up to 32 MB of sketches, and what `graph.zeros` makes: 28 bytes a
        node, 4 a slot and 8 a bucket.
    """
    n, n_buckets, zeros = len(sets.starts), len(graph.bucket_starts) - 1, graph.zeros
    counts, n_kept = np.zeros(4, np.int64), zeros(n_buckets, np.int64)
    slots = zeros(int(graph.bucket_starts[-1]), np.int32)
    sketches, sketch_of = np.empty((min(n, _SKETCHES), _SKETCH_WORDS), np.uint64), zeros(n, np.int32)
    seen, survivor = zeros(n, np.int64), np.full(n, -1) if sets.like is None else sets.like
    similarity = zeros(n, np.float64) if sets.likeness is None else sets.likeness
    stays = np.zeros(n, np.bool_) if sets.stays is None else sets.stays
    kept = np.zeros(n, np.bool_) if sets.kept is None else sets.kept
    first = rounds = 0
    while first < n:
        first = _resolve(first, graph.of_node, graph.node_starts, graph.bucket_starts, n_kept, slots, sets.values,
                         sets.starts, sets.ends, sets.n_minima, sets.by_minima, stays, kept, threshold,
                         pivots, round_bytes // 8, seen, survivor, similarity, counts, sketches, sketch_of)
        rounds += 1
        if release is not None:
            release()
    checked, accepted, met_full = (int(c) for c in counts[:3])
    full = sum(int((n_kept[i : i + _ROWS] >= pivots).sum()) for i in range(0, n_buckets, _ROWS))
    return Resolution(survivor, similarity, checked, accepted, met_full, full, slots, n_kept, rounds)
