"""Rows of whole documents: best-fit packing and padding, where `concat` would cut a document at every row's end.

Documents longer than a row are cut into rows' lengths; nothing is discarded. best_fit is best-fit decreasing over the
fragments (Ding et al. 2024, arXiv 2404.10830, section 3): the longest first, each into the fullest row that still has
room for it, so that only documents longer than a row are ever cut.

Every shard begins with an end-of-text token that belongs to no document. It takes a free place of a row, so the first
row of a shard is one that is not full. Where there are too few of those, which takes documents that fill rows exactly,
places are kept free, and only where even that is not enough is a document cut a token before a row's end.
"""

from __future__ import annotations

from bisect import bisect_left
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


def fill_rows(packing: str, lengths: Ints, row_length: int, shard_rows: int) -> Rows:
    """Rows of `row_length` tokens for instances of given lengths, int64 [n], each at least 1. Deterministic.

    packing: `best_fit` or `pad`. A row stands where the document that opened it stands among the instances, so that
    rows are as shuffled as documents are. However the rows are cut into shards of `shard_rows`, enough of them are not
    full: one for each shard that begins among them (`begin_shards`)."""
    kept_free = 0
    while True:
        rows = _fill(packing, lengths, row_length, kept_free)
        missing = -(-rows.n_rows // shard_rows) - np.count_nonzero(_used(rows) < row_length)
        if missing <= 0:
            return rows
        kept_free = max(2 * kept_free, kept_free + int(missing))


def begin_shards(rows: Rows, row_length: int, first_row: int, shard_rows: int) -> Rows:
    """The same rows, with one that is not full wherever a shard begins, and its fragments one place further on.

    first_row: number of the first of these rows among all that are cut into shards of `shard_rows`. The first row that
    is not full from there on is moved up, or where there is none, the last one before it back; other rows stay in
    order. Raises ValueError where too few rows are not full."""
    starts = np.arange(-first_row % shard_rows, rows.n_rows, shard_rows)
    free = np.flatnonzero(_used(rows) < row_length).tolist()
    if len(free) < len(starts):
        raise ValueError(f"{len(starts)} shards begin, but only {len(free)} rows have a free place")
    chosen = [free.pop(min(bisect_left(free, start), len(free) - 1)) for start in starts.tolist()]
    position = np.empty(rows.n_rows, np.int64)
    position[chosen] = starts
    others = np.ones(rows.n_rows, np.bool_)
    others[chosen] = False
    left = np.ones(rows.n_rows, np.bool_)
    left[starts] = False
    position[others] = np.flatnonzero(left)
    row, place = position[rows.row], rows.place + ~others[rows.row]
    order = np.lexsort((place, row))
    return Rows(rows.instance[order], rows.offset[order], rows.n_tokens[order], row[order], place[order], rows.n_rows)


def _used(rows: Rows) -> Ints:
    """Tokens of documents in each row, int64 [n_rows]."""
    return np.bincount(rows.row, rows.n_tokens, rows.n_rows).astype(np.int64)


def _fill(packing: str, lengths: Ints, row_length: int, kept_free: int) -> Rows:
    """`fill_rows` with so many places kept free, each beside a fragment of its own.

    First beside the ends of documents that fill no row; then behind fragments made a token shorter than a row."""
    fills_none = lengths % row_length != 0
    most = lengths // (row_length - 1)
    before = int(np.count_nonzero(fills_none)) + np.cumsum(most) - most
    shorter = np.clip(kept_free - before, 0, most)  # fragments of each instance that are a token shorter than a row
    at_end = fills_none & (np.cumsum(fills_none) <= kept_free) | (shorter > 0)
    n_fragments = shorter - (-(lengths - shorter * (row_length - 1)) // row_length)
    instance = np.repeat(np.arange(len(lengths)), n_fragments)
    number = np.arange(len(instance)) - np.repeat(np.cumsum(n_fragments) - n_fragments, n_fragments)
    is_shorter = number < shorter[instance]
    offset = number * row_length - np.minimum(number, shorter[instance])
    n_tokens = np.minimum(lengths[instance] - offset, row_length - is_shorter)
    if packing == "pad":
        return Rows(instance, offset, n_tokens, np.arange(len(instance)), np.zeros(len(instance), np.int64),
                    len(instance))
    is_last = number == n_fragments[instance] - 1
    needed = n_tokens + (is_shorter | (is_last & at_end[instance] & (n_tokens < row_length)))
    longest_first = np.argsort(-needed, kind="stable")
    row, place = np.empty(len(instance), np.int64), np.empty(len(instance), np.int64)
    n_rows = int(_best_fit(needed[longest_first], row_length, row, place))
    openers = longest_first[place == 0]  # fragments that opened a row, in the order of the rows
    rank = np.empty(n_rows, np.int64)
    rank[np.argsort(openers)] = np.arange(n_rows)
    row = rank[row]
    order = np.lexsort((place, row))
    chosen, row = longest_first[order], row[order]
    if kept_free:  # the free places go to the end of their rows
        begins = np.cumsum(n_tokens[chosen]) - n_tokens[chosen]
        place = begins - begins[np.searchsorted(row, row)]
    else:
        place = place[order]
    return Rows(instance[chosen], offset[chosen], n_tokens[chosen], row, place, n_rows)


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
