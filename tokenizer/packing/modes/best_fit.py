"""Best-fit decreasing (Ding et al. 2024, arXiv 2404.10830, section 3): the longest first, each into the fullest row
that still has room for it, so that only documents longer than a row are ever cut."""

from __future__ import annotations

import numba as nb
import numpy as np

from tokenizer.packing.packers import RowPacker
from tokenizer.packing.rows import DocumentParts, Rows


def _fill(parts: DocumentParts, row_length: int, kept_free: int) -> Rows:
    """A row comes where the document that opened it comes among the instances, so that rows are as shuffled as
    documents are."""
    n = len(parts.instance)
    longest_first = np.argsort(-parts.needed, kind="stable")
    row, start = np.empty(n, np.int64), np.empty(n, np.int64)
    n_rows = int(_best_fit(parts.needed[longest_first], row_length, row, start))
    openers = longest_first[start == 0]  # parts that opened a row, in the order of the rows
    rank = np.empty(n_rows, np.int64)
    rank[np.argsort(openers)] = np.arange(n_rows)
    row = rank[row]
    order = np.lexsort((start, row))
    chosen, row = longest_first[order], row[order]
    n_tokens = parts.n_tokens[chosen]
    if kept_free:  # the free tokens go to the end of their rows
        begins = np.cumsum(n_tokens) - n_tokens
        start = begins - begins[np.searchsorted(row, row)]
    else:
        start = start[order]
    return Rows(parts.instance[chosen], parts.offset[chosen], n_tokens, row, start, n_rows)


@nb.njit(nogil=True, cache=True)
def _best_fit(lengths, capacity, row, start):  # type: ignore[no-untyped-def]
    """Fill `row` and `start` of every length, descending, and return the number of rows.

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
        row[i], start[i] = chosen, capacity - room
        room -= need
        if room > 0:
            below[chosen] = top[room]
            top[room] = chosen
            node = size + room
            while node >= 1 and not tree[node]:
                tree[node] = True
                node //= 2
    return n_rows


PACKER = RowPacker(_fill)
