"""Features of the containers around a block: how much text they hold, how much of it is links, where the best one is.

The best container follows Readability's rule of thumb: text with commas and sentences counts for the container it
stands in and half for the one above; the container with the highest count is where the article probably is.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.extraction.compiled import kernel
from curate.extraction.page import B_END, B_LINK_BYTES, B_NODE, B_START, N_NODES, N_PARENT

_LEVELS: Final = 4
_FACTS: Final = ("log_bytes", "link_share", "log_blocks", "mean_bytes", "page_share", "sentences")
_BEST: Final = ("in_best", "best_distance", "best_share", "best_log_bytes", "before_best", "after_best")
CONTAINER_FACTS: Final = (*(f"container_{k}_{f}" for k in range(1, _LEVELS + 1) for f in _FACTS), *_BEST)
C_BYTES, C_LINKED, C_BLOCKS, C_SENTENCES, _SCORE = range(5)
"""Columns of the sums."""
_MAX_CLIMB: Final = 24


@nb.njit(nogil=True, cache=True)
def container_sums(page, n, sentences):  # type: ignore[no-untyped-def]
    """float32 [containers, 5]: bytes, linked bytes, blocks and sentences of each with all in it, and its own score.

    sentences: log(1 + sentences) of each block."""
    n_nodes = page.state[N_NODES]
    sums = np.zeros((n_nodes, 5), np.float32)
    for i in range(n):
        _add(page, i, sentences[i], sums)
    for k in range(n_nodes - 1, 0, -1):
        parent = page.nodes[k, N_PARENT]
        for f in range(_SCORE):
            sums[parent, f] += sums[k, f]
    return sums


@kernel
def put_containers(page, n, sums, out):  # type: ignore[no-untyped-def]
    """Fill out [n, len(CONTAINER_FACTS)]."""
    best = 0
    for k in range(sums.shape[0]):
        if sums[k, _SCORE] > sums[best, _SCORE]:
            best = k
    first, last = n, -1
    for i in range(n):
        _put_levels(page, i, sums, out)
        if _put_best(page, i, best, sums, out):
            first, last = min(first, i), i
    c = _LEVELS * len(_FACTS) + 4
    for i in range(n):
        out[i, c], out[i, c + 1] = i < first, i > last


@kernel
def _add(page, i, sentences, sums):  # type: ignore[no-untyped-def]
    b = page.blocks[i]
    node, size, linked = b[B_NODE], np.float32(b[B_END] - b[B_START]), np.float32(b[B_LINK_BYTES])
    sums[node, C_BYTES] += size
    sums[node, C_LINKED] += linked
    sums[node, C_BLOCKS] += 1
    sums[node, C_SENTENCES] += sentences
    score = max(np.float32(0), size - linked) * sentences * np.float32(0.01)
    parent = page.nodes[node, N_PARENT]
    sums[node, _SCORE] += score
    sums[parent, _SCORE] += score
    sums[page.nodes[parent, N_PARENT], _SCORE] += score / np.float32(2)


@kernel
def _put_levels(page, i, sums, out):  # type: ignore[no-untyped-def]
    node, c = page.blocks[i, B_NODE], 0
    for _ in range(_LEVELS):
        size, blocks = max(np.float32(1), sums[node, C_BYTES]), max(np.float32(1), sums[node, C_BLOCKS])
        out[i, c], out[i, c + 1], out[i, c + 2] = np.log(size), sums[node, C_LINKED] / size, np.log(blocks)
        out[i, c + 3], out[i, c + 4] = size / blocks, size / max(np.float32(1), sums[0, C_BYTES])
        out[i, c + 5] = sums[node, C_SENTENCES]
        c += len(_FACTS)
        node = page.nodes[node, N_PARENT]


@kernel
def _put_best(page, i, best, sums, out):  # type: ignore[no-untyped-def]
    """Whether block i is in the best container, and how many containers up that is."""
    c = _LEVELS * len(_FACTS)
    node, climbed = page.blocks[i, B_NODE], 0
    while node != best and node != 0 and climbed < _MAX_CLIMB:
        node = page.nodes[node, N_PARENT]
        climbed += 1
    inside = node == best
    out[i, c], out[i, c + 1] = inside, climbed if inside else -1
    size = max(np.float32(1), sums[best, C_BYTES])
    out[i, c + 2], out[i, c + 3] = size / max(np.float32(1), sums[0, C_BYTES]), np.log(size)
    return inside
