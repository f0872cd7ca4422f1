"""Passages that a page holds twice: quotations of an earlier post, one card for screens and another for telephones."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.extraction.page import B_END, B_START
from curate.extraction.words import next_word
from curate.text.hash_table import n_slots, slot_of
from curate.text.words import FNV_PRIME, fmix64

NOVELTY: Final = ("seen_before", "seen_after")
"""Share of a block's runs of four words that an earlier block, and that a later one, has too."""
_RUN: Final = 4


@nb.njit(nogil=True, cache=True)
def put_novelty(page, n, log_words, out):  # type: ignore[no-untyped-def]
    """Fill out [n, 2]. log_words: log(1 + words) of each block."""
    room = n
    for i in range(n):
        room += 2 * np.int64(np.expm1(np.float64(log_words[i])) + 1.5)  # of wide characters two make a word
    keys = np.zeros(n_slots(room), np.uint64)
    first, last = np.empty(keys.size, np.int32), np.empty(keys.size, np.int32)
    runs = np.empty(room, np.int64)
    ends = np.empty(n, np.int64)
    found = 0
    for i in range(n):
        found = _runs(page.text, page.blocks[i, B_START], page.blocks[i, B_END], i, keys, first, last, runs, found)
        ends[i] = found
    start = 0
    for i in range(n):
        before = after = 0
        for k in range(start, ends[i]):
            before += first[runs[k]] < i
            after += last[runs[k]] > i
        if ends[i] > start:
            out[i, 0], out[i, 1] = before / np.float32(ends[i] - start), after / np.float32(ends[i] - start)
        start = ends[i]


@nb.njit(nogil=True, cache=True)
def _runs(text, p, end, i, keys, first, last, runs, found):  # type: ignore[no-untyped-def]
    """Note the slots of a block's runs of words; how many there are of all blocks so far."""
    a = b = c = before = np.uint64(0)
    words = 0
    while True:
        h, p, size, before = next_word(text, p, end, before)
        if size == 0 or found == runs.size:
            return found
        words += 1
        if words >= _RUN:
            key = fmix64((((a * FNV_PRIME ^ b) * FNV_PRIME) ^ c) * FNV_PRIME ^ h) | np.uint64(1)
            slot = slot_of(keys, key)
            if keys[slot] == 0:
                keys[slot], first[slot] = key, i
            last[slot] = i
            runs[found] = slot
            found += 1
        a, b, c = b, c, h
