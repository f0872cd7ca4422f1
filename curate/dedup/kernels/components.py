"""Connected components of any number of nodes in memory that does not grow with them.

Nodes are numbers; a link joins a node with a smaller one. They are taken in ranges of RANGE numbers, the highest first
(node reduction: Sibeyn 1997, *External connected components*; Dementiev, Sanders, Schultes and Sibeyn 2004, section 2).
A range's inner links are united in memory. Each component so found may still be linked with nodes below the range: with
the least of them, its *way down*, and with others, which are linked with that least one instead, in ranges that are yet
to come. Then nothing below needs the range any more, so one range is in memory at a time, and a link is replaced by at
most one. The ways down are followed from the lowest range upwards: a range that knows its roots answers those that
lead to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.dedup.spool import HELD_BYTES, Spool
from manifests.hashing import Int64, UInt64

RANGE: Final = 1 << 21
_NOWHERE: Final = np.int64(2**63 - 1)

Marks = npt.NDArray[np.bool_]
Forest = npt.NDArray[np.int32]  # the parent of each node of a range; a root is its own, and the least of its tree


@nb.njit(nogil=True, cache=True)
def _root(parent, i):  # type: ignore[no-untyped-def]
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@nb.njit(nogil=True, cache=True)
def _unite(parent, is_node, links, first):  # type: ignore[no-untyped-def]
    """Join what links within the range join, and mark the nodes of the range."""
    for i in range(links.shape[0]):
        high = np.int64(links[i, 0]) - first
        is_node[high] = True
        low = np.int64(links[i, 1]) - first
        if low >= 0:
            is_node[low] = True
            x, y = _root(parent, high), _root(parent, low)
            parent[max(x, y)] = min(x, y)


@nb.njit(nogil=True, cache=True)
def _least(parent, least, links, first):  # type: ignore[no-untyped-def]
    """The least node below the range that each component is linked with."""
    for i in range(links.shape[0]):
        low = np.int64(links[i, 1])
        if low < first:
            root = _root(parent, np.int64(links[i, 0]) - first)
            least[root] = min(least[root], low)


@nb.njit(nogil=True, cache=True)
def _others(parent, least, links, first, out):  # type: ignore[no-untyped-def]
    """(node below the range, its component's way down) of links with other nodes; returns how many."""
    n = 0
    for i in range(links.shape[0]):
        low = np.int64(links[i, 1])
        if low < first:
            way = least[_root(parent, np.int64(links[i, 0]) - first)]
            if low != way:
                out[n, 0], out[n, 1] = low, way
                n += 1
    return n


@nb.njit(nogil=True, cache=True)
def _roots(parent, nodes, out):  # type: ignore[no-untyped-def]
    for i in range(nodes.size):
        out[i] = _root(parent, nodes[i])


def _roots_of(parent: Forest, nodes: Int64) -> Int64:
    out = np.empty(len(nodes), np.int64)
    _roots(parent, nodes, out)
    return out


class Components:
    """Links are added; then `rooted` says of every node that a link names which component it is of.

    Args:
        path: What the names of its files begin with.
        n: Nodes are below it.
        size: Nodes that are taken together. Memory: 29 bytes each.
        held_bytes: Of each of five spools, beside it.
        large: From more nodes than this on a component is `large`.
    """

    def __init__(self, path: str, n: int, size: int = RANGE, held_bytes: int = HELD_BYTES,
                 large: int = 1 << 62) -> None:
        self._size, self._n, self._least_large = max(1, min(size, n)), n, large
        self._links, self._asked, self._answers, self._sizes, self._found = (
            Spool(f"{path}-{name}", 2, held_bytes) for name in ("links", "asked", "answers", "sizes", "found"))
        self.n_components = self.largest = 0
        self.large: Int64 = np.empty((0, 2), np.int64)

    def add(self, high: Int64, low: Int64) -> None:
        """Link nodes with smaller ones."""
        links = np.stack([high, low], axis=1).astype(np.uint64)
        self._links.add(self._range(links[:, 0]), links)

    def _range(self, nodes: UInt64) -> Int64:
        return (nodes // np.uint64(self._size)).astype(np.int64)

    def rooted(self) -> Iterator[tuple[Int64, Int64]]:
        """(nodes, the least node of the component of each), ascending by node, some at a time.

        From the first on `n_components`, `largest`, its number of nodes, and `large` are known: int64 [n, 2], least
        node and number of nodes of large components, ascending."""
        ranges = range(-(-self._n // self._size))
        for number in reversed(ranges):
            self._contract(number)
        for number in ranges:
            found = np.stack(self._resolved(number), axis=1).astype(np.uint64)
            self._found.add(np.full(len(found), number, np.int64), found)
        for number in ranges:
            self._measure(number)
        for number in ranges:
            for found in self._found.read(number):
                yield found[:, 0].astype(np.int64), found[:, 1].astype(np.int64)
            self._found.drop(number)

    def _joined(self, number: int) -> tuple[Forest, Marks, Int64]:
        """(forest, nodes, way down of each root) of a range."""
        first = number * self._size
        parent, is_node = np.arange(self._size, dtype=np.int32), np.zeros(self._size, np.bool_)
        for links in self._links.read(number):
            _unite(parent, is_node, links, first)
        least = np.full(self._size, _NOWHERE)
        for links in self._links.read(number):
            _least(parent, least, links, first)
        return parent, is_node, least

    def _contract(self, number: int) -> None:
        first = number * self._size
        parent, _, least = self._joined(number)
        for links in self._links.read(number):
            out: Any = np.empty((len(links), 2), np.uint64)
            others = distinct_pairs(out[: _others(parent, least, links, first, out)])
            self._links.add(self._range(others[:, 0]), others)
        askers = np.flatnonzero(least != _NOWHERE)
        asked = np.stack([least[askers], askers + first], axis=1).astype(np.uint64)
        self._asked.add(self._range(asked[:, 0]), asked)

    def _resolved(self, number: int) -> tuple[Int64, Int64]:
        first = number * self._size
        parent, is_node, least = self._joined(number)
        self._links.drop(number)
        root = np.where(least == _NOWHERE, np.arange(first, first + self._size), _NOWHERE)
        for answers in self._answers.read(number):
            root[answers[:, 0].astype(np.int64) - first] = answers[:, 1].astype(np.int64)
        self._answers.drop(number)
        for asked in self._asked.read(number):
            nodes = asked[:, 0].astype(np.int64) - first
            is_node[nodes] = True
            answer = np.stack([asked[:, 1], root[_roots_of(parent, nodes)].astype(np.uint64)], axis=1)
            self._answers.add(self._range(answer[:, 0]), answer)
        self._asked.drop(number)
        nodes = np.flatnonzero(is_node)
        roots = root[_roots_of(parent, nodes)]
        ordered = np.sort(roots)
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        sizes = np.stack([ordered[starts], np.diff(starts, append=len(ordered))], axis=1).astype(np.uint64)
        self._sizes.add(self._range(sizes[:, 0]), sizes)
        return nodes + first, roots

    def _measure(self, number: int) -> None:
        total = np.zeros(self._size, np.int64)
        for sizes in self._sizes.read(number):
            np.add.at(total, sizes[:, 0].astype(np.int64) - number * self._size, sizes[:, 1].astype(np.int64))
        self._sizes.drop(number)
        self.n_components += int(np.count_nonzero(total))
        self.largest = max(self.largest, int(total.max(initial=0)))
        large = np.flatnonzero(total > self._least_large)
        self.large = np.concatenate([self.large, np.stack([large + number * self._size, total[large]], axis=1)])


def distinct_pairs(pairs: UInt64) -> UInt64:
    """The rows of uint64 [n, 2], ascending, each once."""
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    fresh = np.ones(len(pairs), np.bool_)
    fresh[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[fresh]
