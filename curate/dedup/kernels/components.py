"""Connected components over many documents in little memory: a bit for each document, 4 bytes for each that has a
candidate.

Documents are numbered part after part, in one sequence. A bitmap says which of them are nodes; the number of a node
is the number of set bits before its own, found by one table entry for 512 bits and a few population counts. So a
union-find needs neither keys nor a table from documents to nodes.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.words import Hashes
from manifests.hashing import Int64

Forest = npt.NDArray[Any]  # int32 or int64 [n]: the parent of a node, or minus the size of the tree it is the root of

_WORDS_AN_ENTRY: Final = 8
_SMALL: Final = 2**31 - 1


@nb.njit(nogil=True, cache=True)
def _ones(x):  # type: ignore[no-untyped-def]
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@nb.njit(nogil=True, cache=True)
def _add(bits, indices):  # type: ignore[no-untyped-def]
    for index in indices:
        bits[index >> 6] |= np.uint64(1) << np.uint64(index & 63)


@nb.njit(nogil=True, cache=True)
def _directory(bits, entries):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for word in range(bits.size):
        if word % 8 == 0:
            entries[word // 8] = total
        total += np.int64(_ones(bits[word]))
    return total


@nb.njit(nogil=True, cache=True)
def _rank(bits, entries, index):  # type: ignore[no-untyped-def]
    word = index >> 6
    rank = entries[word // 8]
    for before in range(word // 8 * 8, word):
        rank += np.int64(_ones(bits[before]))
    below = (np.uint64(1) << np.uint64(index & 63)) - np.uint64(1)
    return rank + np.int64(_ones(bits[word] & below))


@nb.njit(nogil=True, cache=True)
def _root(parent, i):  # type: ignore[no-untyped-def]
    while parent[i] >= 0:
        up = parent[i]
        if parent[up] >= 0:
            parent[i] = parent[up]
        i = up
    return i


@nb.njit(nogil=True, cache=True)
def _unite(bits, entries, parent, keys, indices):  # type: ignore[no-untyped-def]
    for i in range(1, keys.size):
        if keys[i] != keys[i - 1]:
            continue
        x = _root(parent, _rank(bits, entries, indices[i - 1]))
        y = _root(parent, _rank(bits, entries, indices[i]))
        if x != y:
            x, y = min(x, y), max(x, y)
            parent[x] += parent[y]
            parent[y] = x


@nb.njit(nogil=True, cache=True)
def _roots(bits, entries, parent, indices, out):  # type: ignore[no-untyped-def]
    for i in range(indices.size):
        out[i] = _root(parent, _rank(bits, entries, indices[i]))


@nb.njit(nogil=True, cache=True)
def _index(bits, entries, number):  # type: ignore[no-untyped-def]
    low, high = 0, (bits.size + 7) // 8  # the last entry that is not above the number
    while high - low > 1:
        middle = (low + high) // 2
        if entries[middle] <= number:
            low = middle
        else:
            high = middle
    left = number - entries[low]
    word = low * 8
    while left >= np.int64(_ones(bits[word])):
        left -= np.int64(_ones(bits[word]))
        word += 1
    rest = bits[word]
    for _ in range(left):
        rest &= rest - np.uint64(1)  # without its lowest bit
    return word * 64 + np.int64(_ones((rest & (~rest + np.uint64(1))) - np.uint64(1)))


@nb.njit(nogil=True, cache=True)
def _indices(bits, entries, numbers, out):  # type: ignore[no-untyped-def]
    for i in range(numbers.size):
        out[i] = _index(bits, entries, numbers[i])


@nb.njit(nogil=True, cache=True)
def _set_indices(bits, first, end, out):  # type: ignore[no-untyped-def]
    n = 0
    for index in range(first, end):
        if bits[index >> 6] >> np.uint64(index & 63) & np.uint64(1):
            out[n] = index
            n += 1
    return n


@nb.njit(nogil=True, cache=True)
def _sizes(parent):  # type: ignore[no-untyped-def]
    components = largest = 0
    for size in parent:
        if size < 0:
            components += 1
            largest = max(largest, -size)
    return components, largest


class Nodes:
    """The documents that have a candidate: first all are added, then they are numbered."""

    def __init__(self, n_documents: int) -> None:
        self._bits: Hashes = np.zeros((n_documents >> 6) + 1, np.uint64)
        self._entries: Int64 = np.zeros(len(self._bits) // _WORDS_AN_ENTRY + 1, np.int64)
        self._parent: Forest = np.empty(0, np.int32)

    def add(self, indices: Int64) -> None:
        """Make these documents nodes. indices: of documents, int64, below n_documents."""
        _add(self._bits, indices)

    def number(self) -> int:
        """Number the nodes, each a component of its own; returns how many there are."""
        n = int(_directory(self._bits, self._entries))
        self._parent = np.full(n, -1, np.int32 if n <= _SMALL else np.int64)
        return n

    def unite(self, keys: Hashes, indices: Int64) -> None:
        """Join the components of nodes that are neighbours in `indices` and have equal keys."""
        _unite(self._bits, self._entries, self._parent, keys, indices)

    def roots(self, indices: Int64) -> Int64:
        """The smallest node of the component of each node, whatever the order of the pairs."""
        out = np.empty(len(indices), np.int64)
        _roots(self._bits, self._entries, self._parent, indices, out)
        return out

    def indices(self, numbers: Int64) -> Int64:
        """Int64 of documents, by their numbers as nodes."""
        out = np.empty(len(numbers), np.int64)
        _indices(self._bits, self._entries, numbers, out)
        return out

    def between(self, first: int, end: int) -> Int64:
        """Int64 of the nodes in first..end, ascending."""
        out = np.empty(end - first, np.int64)
        return out[: _set_indices(self._bits, first, end, out)]

    def sizes(self) -> tuple[int, int]:
        """(components, documents in the largest)."""
        components, largest = _sizes(self._parent)
        return int(components), int(largest)
