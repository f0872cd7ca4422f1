"""Connected components over many documents in little memory: a bit for each document, 4 bytes for each that has a
candidate.

Documents stand on one line, part after part. A bitmap says which of them are nodes; the number of a node is the number
of set bits before its own, found by one table entry for 512 bits and a few population counts. So a union-find needs
neither keys nor a table from documents to nodes.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.words import Hashes

Indices = npt.NDArray[np.int64]
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
def _mark(bits, places):  # type: ignore[no-untyped-def]
    for place in places:
        bits[place >> 6] |= np.uint64(1) << np.uint64(place & 63)


@nb.njit(nogil=True, cache=True)
def _directory(bits, entries):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for word in range(bits.size):
        if word % 8 == 0:
            entries[word // 8] = total
        total += np.int64(_ones(bits[word]))
    return total


@nb.njit(nogil=True, cache=True)
def _rank(bits, entries, place):  # type: ignore[no-untyped-def]
    word = place >> 6
    rank = entries[word // 8]
    for before in range(word // 8 * 8, word):
        rank += np.int64(_ones(bits[before]))
    below = (np.uint64(1) << np.uint64(place & 63)) - np.uint64(1)
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
def _unite(bits, entries, parent, keys, places):  # type: ignore[no-untyped-def]
    for i in range(1, keys.size):
        if keys[i] != keys[i - 1]:
            continue
        x = _root(parent, _rank(bits, entries, places[i - 1]))
        y = _root(parent, _rank(bits, entries, places[i]))
        if x != y:
            x, y = min(x, y), max(x, y)
            parent[x] += parent[y]
            parent[y] = x


@nb.njit(nogil=True, cache=True)
def _roots(bits, entries, parent, places, out):  # type: ignore[no-untyped-def]
    for i in range(places.size):
        out[i] = _root(parent, _rank(bits, entries, places[i]))


@nb.njit(nogil=True, cache=True)
def _place(bits, entries, number):  # type: ignore[no-untyped-def]
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
def _places(bits, entries, numbers, out):  # type: ignore[no-untyped-def]
    for i in range(numbers.size):
        out[i] = _place(bits, entries, numbers[i])


@nb.njit(nogil=True, cache=True)
def _set_places(bits, first, end, out):  # type: ignore[no-untyped-def]
    n = 0
    for place in range(first, end):
        if bits[place >> 6] >> np.uint64(place & 63) & np.uint64(1):
            out[n] = place
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
    """The documents that have a candidate: first all are `mark`ed, then they are `number`ed."""

    def __init__(self, n_places: int) -> None:
        self._bits: Hashes = np.zeros((n_places >> 6) + 1, np.uint64)
        self._entries: Indices = np.zeros(len(self._bits) // _WORDS_AN_ENTRY + 1, np.int64)
        self._parent: Forest = np.empty(0, np.int32)

    def mark(self, places: Indices) -> None:
        """Make these documents nodes. places: int64, below n_places."""
        _mark(self._bits, places)

    def number(self) -> int:
        """Number the nodes, each a component of its own; returns how many there are."""
        n = int(_directory(self._bits, self._entries))
        self._parent = np.full(n, -1, np.int32 if n <= _SMALL else np.int64)
        return n

    def unite(self, keys: Hashes, places: Indices) -> None:
        """Join the components of marked documents that stand next to each other and have equal keys."""
        _unite(self._bits, self._entries, self._parent, keys, places)

    def roots(self, places: Indices) -> Indices:
        """The smallest node of the component of each marked document, whatever the order of the pairs."""
        found = np.empty(len(places), np.int64)
        _roots(self._bits, self._entries, self._parent, places, found)
        return found

    def places(self, numbers: Indices) -> Indices:
        """Where nodes stand on the line, by their numbers."""
        found = np.empty(len(numbers), np.int64)
        _places(self._bits, self._entries, numbers, found)
        return found

    def between(self, first: int, end: int) -> Indices:
        """The marked places in first..end, ascending."""
        found = np.empty(end - first, np.int64)
        return found[: _set_places(self._bits, first, end, found)]

    def sizes(self) -> tuple[int, int]:
        """(components, documents in the largest)."""
        components, largest = _sizes(self._parent)
        return int(components), int(largest)
