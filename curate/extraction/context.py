"""What a first judgement of all blocks says about each: of its neighbours, its containers, and its like on the page.

The first trees see a block and what surrounds it; the second see what the first made of the surroundings too. Posts of
a thread, cards of a list and cells of a column are kept or left together that way.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.extraction.compiled import kernel
from curate.extraction.page import B_END, B_LINK_BYTES, B_NODE, B_START, N_NODES, N_PARENT
from curate.extraction.ranking import falling_order

_STEPS: Final = (-1, 1, -2, 2, -3, 3)
_WINDOWS: Final = (4, 12)
_LEVELS: Final = 4
_REPEATS: Final = 3
CONTEXT: Final = (
    "judged", *(f"judged_{step:+d}" for step in _STEPS), *(f"judged_within_{w}" for w in _WINDOWS),
    *(f"judged_container_{k}" for k in range(1, _LEVELS + 1)), "judged_path",
    *(f"judged_{what}_{k}" for k in range(1, _REPEATS + 1) for what in ("item", "repeat")),
    "judged_page", "judged_share_above", "judged_best", "judged_rank", "judged_higher")
"""The names of the features that `put_context` fills."""


@nb.njit(nogil=True, cache=True)
def put_context(page, n, judged, group, nearest, paths, out):  # type: ignore[no-untyped-def]
    """Fill out [n, len(CONTEXT)]. judged: float32 [n], probabilities; group, nearest, paths: of `repeats.put_repeats`.

    Means are weighed by bytes. Beyond the page's ends a neighbour is -1."""
    n_nodes = page.state[N_NODES]
    nodes = np.zeros((n_nodes, 2), np.float32)
    groups = np.zeros((n_nodes, 2), np.float32)
    alike = np.zeros((n, 2), np.float32)
    best = before = np.float32(0)
    for i in range(n):
        b = page.blocks[i]
        size = np.float32(b[B_END] - b[B_START])
        nodes[b[B_NODE], 0] += size
        nodes[b[B_NODE], 1] += size * judged[i]
        alike[paths[i], 0] += size
        alike[paths[i], 1] += size * judged[i]
        best = max(best, judged[i])
    for k in range(n_nodes - 1, 0, -1):
        nodes[page.nodes[k, N_PARENT]] += nodes[k]
        groups[group[k]] += nodes[k]
    total = max(np.float32(1e-6), nodes[0, 1])
    for i in range(n):
        before += judged[i] * np.float32(page.blocks[i, B_END] - page.blocks[i, B_START])
        c = _put_near(judged, i, n, out)
        c = _put_containers(page, i, nodes, out, c)
        out[i, c] = alike[paths[i], 1] / alike[paths[i], 0]
        c = _put_repeats(page, i, nodes, groups, group, nearest, out, c + 1)
        out[i, c], out[i, c + 1], out[i, c + 2] = nodes[0, 1] / nodes[0, 0], before / total, best
    _put_ranks(page, n, judged, out[:, c + 3 :])
    for k in range(len(_WINDOWS)):
        _put_window(judged, _WINDOWS[k], n, out[:, 1 + len(_STEPS) + k])


@kernel
def _put_near(judged, i, n, out):  # type: ignore[no-untyped-def]
    out[i, 0] = judged[i]
    c = 1
    for step in _STEPS:
        j = i + step
        out[i, c] = judged[j] if j >= 0 and j < n else np.float32(-1)
        c += 1
    return c + len(_WINDOWS)


@kernel
def _put_window(judged, w, n, out):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(min(w, n)):
        total += judged[j]
    for i in range(n):
        if i + w < n:
            total += judged[i + w]
        if i - w - 1 >= 0:
            total -= judged[i - w - 1]
        out[i] = total / (min(n - 1, i + w) - max(0, i - w) + 1)


@nb.njit(nogil=True, cache=True)
def _put_ranks(page, n, judged, out):  # type: ignore[no-untyped-def]
    """The share, and the logarithm, of the bytes outside links in blocks that are judged higher: on a page whose text
    is of no known form all probabilities are low, and still in order."""
    order = falling_order(judged)
    total = higher = np.float32(0)
    for i in range(n):
        total += max(np.int64(0), page.blocks[i, B_END] - page.blocks[i, B_START] - page.blocks[i, B_LINK_BYTES])
    for i in order:
        out[i, 0], out[i, 1] = higher / max(np.float32(1), total), np.log(np.float32(1) + higher)
        higher += max(np.int64(0), page.blocks[i, B_END] - page.blocks[i, B_START] - page.blocks[i, B_LINK_BYTES])


@kernel
def _put_containers(page, i, nodes, out, c):  # type: ignore[no-untyped-def]
    node = page.blocks[i, B_NODE]
    for _ in range(_LEVELS):
        out[i, c] = nodes[node, 1] / nodes[node, 0]
        node = page.nodes[node, N_PARENT]
        c += 1
    return c


@kernel
def _put_repeats(page, i, nodes, groups, group, nearest, out, c):  # type: ignore[no-untyped-def]
    node = page.blocks[i, B_NODE]
    for _ in range(_REPEATS):
        k = nearest[node]
        if k == 0:
            out[i, c] = out[i, c + 1] = np.float32(-1)
        else:
            out[i, c], out[i, c + 1] = nodes[k, 1] / nodes[k, 0], groups[group[k], 1] / groups[group[k], 0]
        c += 2
        node = page.nodes[k, N_PARENT]
    return c
