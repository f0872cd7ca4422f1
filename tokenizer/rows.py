"""Rows of whole documents: best-fit packing and padding, where `concat` would cut a document at every row's end.

Documents longer than a row are cut into rows' lengths; nothing is discarded. best_fit is best-fit decreasing over the
fragments (Ding et al. 2024, arXiv 2404.10830, section 3): the longest first, each into the fullest row that still has
room for it, so that only documents longer than a row are ever cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Fragments in the order they stand in their rows, int64 [n].

    instance: number of the instance. offset: its first token within that. n_tokens: 1 to the row length. row: from 0.
    place: where it begins in the row. n_rows: rows in all."""

    instance: Ints
    offset: Ints
    n_tokens: Ints
    row: Ints
    place: Ints
    n_rows: int


def fill_rows(packing: str, lengths: Ints, row_length: int) -> Rows:
    """Rows of `row_length` tokens for instances of given lengths, int64 [n], each at least 1. Deterministic.

    packing: `best_fit` or `pad`. A row stands where the document that opened it stands among the instances, so that
    rows are as shuffled as documents are."""
    n_fragments = -(-lengths // row_length)
    instance = np.repeat(np.arange(len(lengths)), n_fragments)
    number = np.arange(len(instance)) - np.repeat(np.cumsum(n_fragments) - n_fragments, n_fragments)
    offset = number * row_length
    n_tokens = np.minimum(lengths[instance] - offset, row_length)
    if packing == "pad":
        return Rows(instance, offset, n_tokens, np.arange(len(instance)), np.zeros(len(instance), np.int64),
                    len(instance))
    longest_first = np.argsort(-n_tokens, kind="stable")
    row, place = np.empty(len(instance), np.int64), np.empty(len(instance), np.int64)
    n_rows = int(_best_fit(n_tokens[longest_first], row_length, row, place))
    openers = longest_first[place == 0]  # fragments that opened a row, in the order of the rows
    rank = np.empty(n_rows, np.int64)
    rank[np.argsort(openers)] = np.arange(n_rows)
    row = rank[row]
    order = np.lexsort((place, row))
    chosen = longest_first[order]
    return Rows(instance[chosen], offset[chosen], n_tokens[chosen], row[order], place[order], n_rows)


@nb.njit(nogil=True, cache=True)
def _best_fit(lengths, capacity, row, place):  # type: ignore[no-untyped-def]
    """Fill `row` and `place` of every length, descending, and return the number of rows.

    Rows with equal room left form a stack; a binary tree over the amounts of room says which stacks hold any, so the
    fullest row that fits is found in O(log capacity). Of equal rows, the one filled last is taken."""
    size = 1
    while size <= capacity:
        size *= 2
    tree = np.zeros(2 * size, np.bool_)
    top = np.full(capacity + 1, -1, np.int64)
    below = np.empty(len(lengths), np.int64)
    n_rows = 0
    for i in range(len(lengths)):
        need = lengths[i]
        node = size + need
        if not tree[node]:
            while node > 1 and (node % 2 == 1 or not tree[node + 1]):
                node //= 2
            if node > 1:
                node += 1
                while node < size:
                    node *= 2
                    if not tree[node]:
                        node += 1
        if node > 1:
            room = node - size
            chosen = top[room]
            top[room] = below[chosen]
            if top[room] < 0:
                tree[node] = False
                while node > 1:
                    node //= 2
                    tree[node] = tree[2 * node] or tree[2 * node + 1]
        else:
            room, chosen = capacity, n_rows
            n_rows += 1
        row[i], place[i] = chosen, capacity - room
        room -= need
        if room > 0:
            below[chosen] = top[room]
            top[room] = chosen
            node = size + room
            while node >= 1 and not tree[node]:
                tree[node] = True
                node //= 2
    return n_rows
