"""Kernel of near-duplicate search after signing: the candidates of each document, checked in survivor order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.strings import Offsets
from curate.text.words import Hashes
from manifests.hashing import Int64

ROUND_BYTES: Final = 1 << 28  # of sets that are compared before `release` is called


@dataclass(frozen=True, slots=True)
class Sets:
    """What nodes are compared by: values[starts[i]:ends[i]] of node i, numbered in survivor order.

    The first n_minima values are its signature, the rest its ascending shingle hashes. by_minima: all pairs are checked
    by the share of equal minima, not only those with a node that stays. stays: bool [n], nodes that stay whatever
    they resemble: documents of an earlier run, of which only the signature is known."""

    values: Hashes
    starts: Offsets
    ends: Offsets
    n_minima: int = 0
    by_minima: bool = False
    stays: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """survivor: int64 [n], -1 where kept. similarity: float64 [n]. pairs_left_out: how often a document was not
    compared with a kept one of its bucket; full: buckets of more kept documents than pivots. rounds: how many it took.
    """

    survivor: Int64
    similarity: npt.NDArray[np.float64]
    pairs_checked: int
    pairs_accepted: int
    pairs_left_out: int
    full: int
    rounds: int


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
def _resolve(first, of_node, node_starts, bucket_starts, n_kept, slots, values, starts, ends, n_minima, by_minima,  # type: ignore[no-untyped-def]
             stays, threshold, pivots, budget, seen, survivor, similarity, counts):
    """Decide nodes from `first` on until `budget` words of sets were looked at; returns the next node."""
    touched = 0
    for node in range(first, starts.size):
        best, best_similarity = np.int64(-1), 0.0
        for j in range(node_starts[node], node_starts[node + 1]):
            bucket = of_node[j]
            n = n_kept[bucket]
            if stays[node]:
                n = 0
            elif n > pivots:
                counts[2] += n - pivots
                n = pivots
            for slot in range(bucket_starts[bucket], bucket_starts[bucket] + n):
                a = slots[slot]
                if seen[a] == node:
                    continue
                seen[a] = node
                counts[0] += 1
                touched += max(ends[a] - starts[a], 512)
                if by_minima or stays[a]:
                    s = _agreement(values, starts[a], starts[node], n_minima)
                else:
                    s = _jaccard(values, starts[a] + n_minima, ends[a], starts[node] + n_minima, ends[node])
                if s >= threshold:
                    counts[1] += 1
                    if s > best_similarity or (s == best_similarity and a < best):
                        best, best_similarity = a, s
        survivor[node] = best
        similarity[node] = best_similarity
        if best < 0:
            for j in range(node_starts[node], node_starts[node + 1]):
                bucket = of_node[j]
                slots[bucket_starts[bucket] + n_kept[bucket]] = node  # its own slot or an earlier one
                n_kept[bucket] += 1
        touched += max(ends[node] - starts[node], 512)
        if touched > budget:
            return node + 1
    return starts.size


def resolve(keys: Hashes, nodes: Int64, sets: Sets, threshold: float, pivots: int,
            release: Callable[[], None] | None = None, round_bytes: int = ROUND_BYTES) -> Resolution:
    """Greedy removal, in survivor order, among the nodes that share a key.

    A node is removed if and only if its similarity with an *earlier node which is kept* is at least the threshold: the
    exact Jaccard similarity of their shingle sets or the share of equal minima of their signatures. Its survivor is the
    most similar of those, the earliest of equals. Chains therefore never delete: if A~B and B~C but not A~C, B goes and
    C stays. Of each bucket a node is compared with the first `pivots` kept ones, so a bucket of n costs at most
    n * pivots checks and, where all resemble the first, n.

    keys, nodes: one entry for each (key, node), in any order. release: called between rounds, when `round_bytes` of
    sets have been looked at, to let go of mapped memory. Memory: 40 bytes an entry, 33 a node."""
    n = len(sets.starts)
    order = np.lexsort((nodes, keys))
    slots = np.ascontiguousarray(nodes[order], np.int64)
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = keys[order][1:] != keys[order][:-1]
    starts = np.flatnonzero(fresh).astype(np.int64)
    of_node = (np.cumsum(fresh) - 1)[np.argsort(slots, kind="stable")].astype(np.int64)
    node_starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(slots, minlength=n), out=node_starts[1:])
    n_kept, counts = np.zeros(len(starts), np.int64), np.zeros(3, np.int64)
    survivor, similarity, seen = np.full(n, -1, np.int64), np.zeros(n, np.float64), np.full(n, -1, np.int64)
    stays = np.zeros(n, np.bool_) if sets.stays is None else sets.stays
    first = rounds = 0
    while first < n:
        first = _resolve(first, of_node, node_starts, starts, n_kept, slots, sets.values, sets.starts, sets.ends,
                         sets.n_minima, sets.by_minima, stays, threshold, pivots, round_bytes // 8, seen, survivor,
                         similarity, counts)
        rounds += 1
        if release is not None:
            release()
    checked, accepted, left_out = (int(c) for c in counts)
    return Resolution(survivor, similarity, checked, accepted, left_out, int((n_kept > pivots).sum()), rounds)
