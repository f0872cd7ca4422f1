"""How much of a text repeats itself: units seen before, and n-grams of words.

An n-gram can occur twice only if the two (n-1)-grams it is made of do, so each length looks only at the words that the
one below left: prose is done after three or four lengths, and a table of ten lengths costs little more than one.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.text.hash_table import n_slots, stamped_slot
from curate.text.words import FNV_PRIME, fmix64

MAX_GRAM: Final = 10


@nb.njit(nogil=True, cache=True)
def repeats(hashes, lengths, n, table, stamp):  # type: ignore[no-untyped-def]
    """(units, characters) of second and later occurrences among n units. table: (keys, stamps, seen)."""
    keys, stamps, _ = table
    mask = np.uint64(n_slots(n) - 1)
    units, chars = 0, 0
    for i in range(n):
        _, new = stamped_slot(keys, stamps, stamp, hashes[i], mask)
        if not new:
            units += 1
            chars += lengths[i]
    return units, chars


@nb.njit(nogil=True, cache=True)
def _count(hashes, starts, n, table, stamp, slots):  # type: ignore[no-untyped-def]
    """(distinct, most occurrences) of the keys hashes[starts[:n]]; their slots and counts are left in the table."""
    keys, stamps, seen = table
    mask = np.uint64(n_slots(n) - 1)
    distinct, most = 0, 0
    for j in range(n):
        slot, new = stamped_slot(keys, stamps, stamp, hashes[starts[j]], mask)
        seen[slot] = 1 if new else seen[slot] + 1
        distinct += new
        most = max(most, seen[slot])
        slots[j] = slot
    return distinct, most


@nb.njit(nogil=True, cache=True)
def _keep_repeated(starts, n, seen, slots):  # type: ignore[no-untyped-def]
    """Keep, in place, the starts (and their slots) whose key occurs at least twice; returns their number."""
    m = 0
    for j in range(n):
        if seen[slots[j]] > 1:
            starts[m], slots[m] = starts[j], slots[j]
            m += 1
    return m


@nb.njit(nogil=True, cache=True)
def _top(starts, n, chars, length, seen, slots, most, longest):  # type: ignore[no-untyped-def]
    """Characters of the words of one most frequent n-gram: the longest of them, or else the one that comes first."""
    best = 0
    for j in range(n):
        if seen[slots[j]] == most:
            size = 0
            for i in range(starts[j], starts[j] + length):
                size += chars[i]
            if not longest:
                return size
            best = max(best, size)
    return best


@nb.njit(nogil=True, cache=True)
def _covered(starts, n, chars, length, seen, slots, jump):  # type: ignore[no-untyped-def]
    """Characters in n-grams that occurred before. jump: a repeated n-gram is counted whole, and the search goes on
    behind it; else each word is counted once. Counts in seen are lost."""
    total, done = 0, 0
    for j in range(n):
        first = starts[j]
        if jump and first < done:
            continue
        if seen[slots[j]] > 0:
            seen[slots[j]] = 0  # from now on it has occurred
            continue
        for i in range(max(first, done), first + length):
            total += chars[i]
        done = first + length
    return total


@nb.njit(nogil=True, cache=True)
def entropy(seen, slots, n):  # type: ignore[no-untyped-def]
    """Shannon entropy in nats of the words whose counts `_count` left: the sum over words of log(n / count) / n."""
    total = 0.0
    for j in range(n):
        total += np.log(n / seen[slots[j]])
    return total / n if n else 0.0


@nb.njit(nogil=True, cache=True)
def gram_measures(out, words, chars, n, n_chars, spaced, grams, starts, slots, table, stamp):  # type: ignore[no-untyped-def]
    """Fill out[0:11]: share of distinct words, entropy, top 2- to 4-grams, repeated 5- to 10-grams; returns the stamp.

    words, chars: hashes and code points of n words. n_chars: what shares are of. spaced: count as datatrove does: the
    spaces inside a top n-gram count, one that occurs once counts too, and a repeated n-gram is jumped over."""
    seen = table[2]
    for i in range(n):
        grams[i], starts[i] = words[i], i
    stamp += 1
    distinct, _ = _count(grams, starts, n, table, stamp, slots)
    out[0], out[1] = distinct / n, entropy(seen, slots, n)
    if spaced:
        for length in range(2, min(4, n) + 1):
            size = length - 1
            for i in range(length):
                size += chars[i]
            out[length] = size / n_chars
    m = _keep_repeated(starts, n, seen, slots)
    for length in range(2, MAX_GRAM + 1):
        alive = 0
        for j in range(m - 1):  # both (n-1)-grams inside must repeat
            if starts[j + 1] == starts[j] + 1:
                i = starts[j]
                grams[i] = fmix64(grams[i] * FNV_PRIME + words[i + length - 1])
                starts[alive] = i
                alive += 1
        if alive < 2:
            break
        stamp += 1
        _, most = _count(grams, starts, alive, table, stamp, slots)
        m = _keep_repeated(starts, alive, seen, slots)
        if m == 0:
            break
        if length <= 4:
            size = _top(starts, m, chars, length, seen, slots, most, not spaced)
            out[length] = most * (size + length - 1 if spaced else size) / n_chars
        else:
            out[length] = _covered(starts, m, chars, length, seen, slots, spaced) / n_chars
    return stamp
