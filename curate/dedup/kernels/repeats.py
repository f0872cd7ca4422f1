"""Which runs of bytes repeat, and which of them come first: windows compared byte by byte."""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np

from curate.text.strings import Bytes, Offsets, read_only
from curate.text.words import GRAM_BASE, Hashes, fmix64, gram_power
from manifests.hashing import Int64

_FIRST: Final = -1
_ROOM: Final = 1024


class Runs(NamedTuple):
    """Runs of neighbouring windows of one context that fare alike. contexts: int64 [r], which context. firsts, lasts:
    starts of the run's first and last window within it. owners: the context that holds the windows' first occurrence,
    or -1 for windows that are first themselves and occur again elsewhere."""

    contexts: Int64
    firsts: Int64
    lasts: Int64
    owners: Int64


@nb.njit(nogil=True, cache=True)
def _equal(data, a, b, size):  # type: ignore[no-untyped-def]
    i = 0
    while i < size and data[a + i] == data[b + i]:
        i += 1
    return i == size


@nb.njit(nogil=True, cache=True)
def _slot(data, slots, starts, mask, h, at, size, known):  # type: ignore[no-untyped-def]
    """Slot of the window at `at`, or the free one it belongs in. known: where the window before it was found, or -1:
    the window after that one differs from this by one byte at most."""
    slot = h & mask
    while slots[slot] != 0:
        if slots[slot] == h:
            there = starts[slot]
            if there == known + 1 and known >= 0:
                if data[there + size - 1] == data[at + size - 1]:
                    return slot
            elif _equal(data, there, at, size):
                return slot
        slot = (slot + np.uint64(1)) & mask
    return slot


@nb.njit(nogil=True, cache=True)
def _add(runs, n, context, window, owner):  # type: ignore[no-untyped-def]
    """Lengthen the last run by a window, or begin another; returns (runs, their number)."""
    if n and runs[0, n - 1] == context and runs[2, n - 1] == window - 1 and runs[3, n - 1] == owner:
        runs[2, n - 1] = window
        return runs, n
    if n == runs.shape[1]:
        grown = np.empty((4, 2 * n), np.int64)
        grown[:, :n] = runs
        runs = grown
    runs[0, n], runs[1, n], runs[2, n], runs[3, n] = context, window, window, owner
    return runs, n + 1


@nb.njit(nogil=True, cache=True)
def _grown(slots, starts, owners):  # type: ignore[no-untyped-def]
    """The same table with twice the room."""
    mask = np.uint64(2 * slots.size - 1)
    wide = np.zeros(2 * slots.size, np.uint64), np.empty(2 * slots.size, np.int64), np.empty(2 * slots.size, np.int64)
    for i in range(slots.size):
        if slots[i] != 0:
            slot = slots[i] & mask
            while wide[0][slot] != 0:
                slot = (slot + np.uint64(1)) & mask
            wide[0][slot], wide[1][slot], wide[2][slot] = slots[i], starts[i], owners[i]
    return wide


@nb.njit(nogil=True, cache=True)
def _group(data, offsets, order, first, last, size, documents, again, table, runs, n):  # type: ignore[no-untyped-def]
    """Windows of the contexts order[first:last], in that order; returns (runs, their number, the table)."""
    slots, starts, owners = table
    slots[:] = 0
    used, power = 0, gram_power(size)
    for i in range(first, last):
        context = order[i]
        begin, end = offsets[context], offsets[context + 1]
        rolling, known = np.uint64(0), np.int64(-1)
        for p in range(begin, end):
            rolling = rolling * GRAM_BASE + np.uint64(data[p])
            at = p - size + 1
            if at < begin:
                continue
            if at > begin:
                rolling -= np.uint64(data[at - 1]) * power
            h = max(fmix64(rolling), np.uint64(1))
            slot = _slot(data, slots, starts, np.uint64(slots.size - 1), h, at, size, known)
            if slots[slot] == 0:
                slots[slot], starts[slot], owners[slot] = h, at, context
                used, known = used + 1, np.int64(-1)
                if 2 * used > slots.size:
                    slots, starts, owners = _grown(slots, starts, owners)
                continue
            known = starts[slot]
            again[known] = True
            owner = owners[slot]
            if n and runs[0, n - 1] == context and documents[runs[3, n - 1]] == documents[owner]:
                owner = runs[3, n - 1]  # one document's contexts count as one owner: runs stay long
            runs, n = _add(runs, n, context, at - begin, owner)
    for i in range(first, last):
        context = order[i]
        begin = offsets[context]
        for at in range(begin, offsets[context + 1] - size + 1):
            if again[at]:
                runs, n = _add(runs, n, context, at - begin, np.int64(_FIRST))
    return runs, n, (slots, starts, owners)


@nb.njit(nogil=True, cache=True)
def _repeats(data, offsets, order, grams, size, documents):  # type: ignore[no-untyped-def]
    runs, n = np.empty((4, _ROOM), np.int64), 0
    again = np.zeros(data.size, np.bool_)
    small = np.empty(_ROOM, np.uint64), np.empty(_ROOM, np.int64), np.empty(_ROOM, np.int64)
    first = 0
    while first < order.size:
        last = first
        while last < order.size and grams[order[last]] == grams[order[first]]:
            last += 1
        runs, n, _ = _group(data, offsets, order, first, last, size, documents, again, small, runs, n)
        first = last
    return runs[:, :n]


def find_repeats(data: Bytes, offsets: Offsets, order: Int64, grams: Hashes, size: int, documents: Int64) -> Runs:
    """Windows of `size` bytes that occur more than once among the windows of contexts that share a gram.

    data, offsets: contexts, context i being data[offsets[i]:offsets[i + 1]], with no window in two of them. grams:
    uint64, the anchor of each; documents: int64, whose each is. order: int64, contexts by gram and then as they come
    first. Time is linear in the bytes of the contexts; memory is one byte of each, and 48 to 96 bytes a distinct window
    of one gram. Equality is decided by the bytes."""
    runs = _repeats(read_only(data), read_only(offsets), order, grams, size, documents)
    return Runs(*(np.ascontiguousarray(row) for row in runs))


@nb.njit(nogil=True, cache=True)
def _merge(rows, starts, ends, data, offsets, out):  # type: ignore[no-untyped-def]
    n, i = 0, 0
    while i < rows.size:
        row, start, end, first = rows[i], starts[i], ends[i], i
        i += 1
        while i < rows.size and rows[i] == row and starts[i] <= end:
            end = max(end, ends[i])
            i += 1
        base, n_bytes = offsets[row], offsets[row + 1] - offsets[row]
        while start < end and (data[base + start] & 0xC0) == 0x80:
            start += 1
        while end > start and end < n_bytes and (data[base + end] & 0xC0) == 0x80:
            end -= 1
        if end > start:
            out[0, n], out[1, n], out[2, n], out[3, n] = row, start, end, first
            n += 1
    return n


def merge_removed(rows: Int64, starts: Int64, ends: Int64, data: Bytes, offsets: Offsets) -> tuple[Int64, ...]:
    """(text, start, end, first span) of removed spans: those that overlap or touch are one, shrunk to whole characters.

    rows, starts, ends: int64, byte spans of texts, by text and start. data, offsets: the texts, UTF-8."""
    out = np.empty((4, len(rows)), np.int64)
    n = _merge(rows, starts, ends, read_only(data), read_only(offsets), out)
    return tuple(np.ascontiguousarray(row[:n]) for row in out)
