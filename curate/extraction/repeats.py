"""Repeated containers: posts of a thread, cards of a list, rows of a table, and what stands alike in each of them.

Containers are alike where they have the same parent, the same element and the same first word of their class. A block
is told of the nearest containers above it that have at least two siblings alike, and of all blocks of the page that
stand in the same chain of elements and classes, such as the names of the authors of posts.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.extraction.compiled import kernel
from curate.extraction.containers import C_BLOCKS, C_BYTES, C_LINKED, C_SENTENCES
from curate.extraction.page import B_END, B_LINK_BYTES, B_NODE, B_START, N_NODES, N_PARENT, N_SIGNATURE
from curate.text.hash_table import slot_of
from curate.text.words import FNV_PRIME, fmix64

_LEVELS: Final = 3
_FACTS: Final = ("log_count", "log_bytes", "link_share", "sentences", "page_share", "climb", "index", "own_log_bytes",
                 "own_blocks", "own_link_share", "own_position")
_PATH: Final = ("log_count", "log_bytes", "link_share", "sentences", "page_share", "index")
REPEAT_FACTS: Final = (*(f"repeat_{k}_{f}" for k in range(1, _LEVELS + 1) for f in _FACTS),
                       *(f"path_{f}" for f in _PATH))
REPEAT_TOTALS: Final = ("groups", "share", "log_count", "log_item_bytes", "item_sentences", "item_link_share",
                        "item_blocks")
"""What `put_repeats` says of the page: its groups, and the one with the most text."""
_MIN_ALIKE: Final = 3
_PATH_LEVELS: Final = 4
_COUNT, _BYTES, _LINKED, _SENTENCES, _BLOCKS = range(5)


@nb.njit(nogil=True, cache=True)
def put_repeats(page, n, sums, sentences, out, totals):  # type: ignore[no-untyped-def]
    """Fill out [n, len(REPEAT_FACTS)] and totals [len(REPEAT_TOTALS)]. sums: of `containers.container_sums`.
    sentences: log(1 + sentences) of each block. Returns (group of each container, the nearest container that has
    siblings alike of each, path of each block), numbers below the number of containers, or of blocks."""
    n_nodes = page.state[N_NODES]
    group = np.empty(n_nodes, np.int64)
    order = np.empty(n_nodes, np.float32)
    alike = _groups(page, n_nodes, sums, group, order)
    nearest = np.zeros(n_nodes, np.int64)  # the nearest container, itself or above, that has siblings alike
    for k in range(1, n_nodes):
        nearest[k] = k if alike[group[k], _COUNT] >= _MIN_ALIKE else nearest[page.nodes[k, N_PARENT]]
    first = np.full(n_nodes, np.int64(-1))
    for i in range(n):
        node = page.blocks[i, B_NODE]
        while first[node] < 0:
            first[node] = page.blocks[i, B_START]
            node = page.nodes[node, N_PARENT]
    whole = max(np.float32(1), sums[0, C_BYTES])
    for i in range(n):
        _put_block(page, i, sums, alike, group, order, nearest, first, whole, out)
    paths = _put_paths(page, n, sentences, whole, out)
    _put_totals(alike, whole, totals)
    return group, nearest, paths


@nb.njit(nogil=True, cache=True)
def _groups(page, n_nodes, sums, group, order):  # type: ignore[no-untyped-def]
    """Sums over each group of containers that are alike; group: of each container; order: its number among them."""
    keys = np.zeros(2 << int(np.log2(n_nodes * 2 + 1)), np.uint64)
    ids = np.zeros(keys.size, np.int64)
    alike = np.zeros((n_nodes, 5), np.float32)
    found = 0
    for k in range(n_nodes):
        key = np.uint64(page.nodes[k, N_SIGNATURE]) ^ np.uint64(page.nodes[k, N_PARENT] + 1) * FNV_PRIME
        key = fmix64(key) | np.uint64(1)
        slot = slot_of(keys, key)
        if keys[slot] == 0:
            keys[slot] = key
            ids[slot] = found
            found += 1
        g = ids[slot]
        group[k], order[k] = g, alike[g, _COUNT]
        if sums[k, C_BYTES] > 0:
            alike[g, _COUNT] += 1
            alike[g, _BYTES] += sums[k, C_BYTES]
            alike[g, _LINKED] += sums[k, C_LINKED]
            alike[g, _SENTENCES] += sums[k, C_SENTENCES]
            alike[g, _BLOCKS] += sums[k, C_BLOCKS]
    return alike[:found]


@kernel
def _put_block(page, i, sums, alike, group, order, nearest, first, whole, out):  # type: ignore[no-untyped-def]
    node, c, climbed = page.blocks[i, B_NODE], 0, 0
    for _ in range(_LEVELS):
        k = nearest[node]
        if k == 0:
            return
        while node != k:
            node = page.nodes[node, N_PARENT]
            climbed += 1
        g = alike[group[k]]
        size = max(np.float32(1), sums[k, C_BYTES])
        out[i, c], out[i, c + 1] = np.log(g[_COUNT]), np.log(max(np.float32(1), g[_BYTES] / g[_COUNT]))
        out[i, c + 2] = g[_LINKED] / max(np.float32(1), g[_BYTES])
        out[i, c + 3], out[i, c + 4] = g[_SENTENCES] / g[_COUNT], g[_BYTES] / whole
        out[i, c + 5], out[i, c + 6], out[i, c + 7] = climbed, order[k] / g[_COUNT], np.log(size)
        out[i, c + 8], out[i, c + 9] = sums[k, C_BLOCKS], sums[k, C_LINKED] / size
        out[i, c + 10] = (page.blocks[i, B_START] - first[k]) / size
        c += len(_FACTS)
        node = page.nodes[k, N_PARENT]
        climbed += 1


@nb.njit(nogil=True, cache=True)
def _put_paths(page, n, sentences, whole, out):  # type: ignore[no-untyped-def]
    keys = np.zeros(2 << int(np.log2(n * 2 + 1)), np.uint64)
    numbers = np.zeros(keys.size, np.int64)
    groups = np.zeros((n, 4), np.float32)
    paths = np.empty(n, np.int64)
    found = 0
    c = _LEVELS * len(_FACTS)
    for i in range(n):
        node, key = page.blocks[i, B_NODE], np.uint64(0)
        for _ in range(_PATH_LEVELS):
            key = (key ^ np.uint64(page.nodes[node, N_SIGNATURE])) * FNV_PRIME
            node = page.nodes[node, N_PARENT]
        key = fmix64(key) | np.uint64(1)
        slot = slot_of(keys, key)
        if keys[slot] == 0:
            keys[slot], numbers[slot] = key, found
            found += 1
        slot = paths[i] = numbers[slot]
        out[i, c + 5] = groups[slot, _COUNT]
        groups[slot, _COUNT] += 1
        groups[slot, _BYTES] += page.blocks[i, B_END] - page.blocks[i, B_START]
        groups[slot, _LINKED] += page.blocks[i, B_LINK_BYTES]
        groups[slot, _SENTENCES] += sentences[i]
    for i in range(n):
        g = groups[paths[i]]
        out[i, c], out[i, c + 1] = np.log(g[_COUNT]), np.log(g[_BYTES] / g[_COUNT])
        out[i, c + 2], out[i, c + 3] = g[_LINKED] / g[_BYTES], g[_SENTENCES] / g[_COUNT]
        out[i, c + 4] = g[_BYTES] / whole
        out[i, c + 5] /= g[_COUNT]
    return paths


@kernel
def _put_totals(alike, whole, totals):  # type: ignore[no-untyped-def]
    best, groups = 0, 0
    for g in range(alike.shape[0]):
        if alike[g, _COUNT] >= _MIN_ALIKE:
            groups += 1
            if alike[best, _COUNT] < _MIN_ALIKE or alike[g, _BYTES] > alike[best, _BYTES]:
                best = g
    if not groups:
        return
    b = alike[best]
    count, size = b[_COUNT], max(np.float32(1), b[_BYTES])
    totals[0], totals[1], totals[2] = np.log(np.float32(1 + groups)), size / whole, np.log(count)
    totals[3], totals[4] = np.log(max(np.float32(1), size / count)), b[_SENTENCES] / count
    totals[5], totals[6] = b[_LINKED] / size, b[_BLOCKS] / count
