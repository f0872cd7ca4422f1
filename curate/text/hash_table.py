"""Open addressing, in one place: tables of 64-bit keys that are hashes already, as compiled kernels index them.

A table is an array `keys`, uint64 [a power of two], at most half full, in which 0 is an empty slot; a key's slot is
found from its low bits by linear probing, and what belongs to it lies in arrays beside, at the same index. Keys must be
well mixed (finish a hash by `fmix64`) and not 0. The functions are compiled into their callers. A table that compares
more than a key (words of fastText's dictionary, windows of repeated passages) probes by itself.

    slot = slot_of(keys, key)           # of the key, or of the empty slot where it belongs
    if keys[slot] == EMPTY:             # it is new
        keys[slot], values[slot] = key, value
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.words import FNV_OFFSET, FNV_PRIME, Hashes

Value = TypeVar("Value", bound=np.generic)
EMPTY: Final = np.uint64(0)


@nb.njit(nogil=True, cache=True)
def n_slots(n):  # type: ignore[no-untyped-def]
    """Slots of a table for n keys: a power of two, at least twice n."""
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@nb.njit(nogil=True, cache=True, inline="always")
def slot_of(keys, key):  # type: ignore[no-untyped-def]
    """The slot of a key, or the empty one where it belongs."""
    mask = np.uint64(keys.size - 1)
    slot = key & mask
    while keys[slot] != EMPTY and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@nb.njit(nogil=True, cache=True)
def stamped_slot(keys, stamps, stamp, key, mask):  # type: ignore[no-untyped-def]
    """(slot of a key, whether it is new) in a table that is never cleared: live slots carry this stamp.

    For many small tables in one array, of which each uses the first mask + 1 slots. The key takes its slot."""
    slot = np.int64(key & mask)
    while stamps[slot] == stamp:
        if keys[slot] == key:
            return slot, False
        slot = (slot + 1) & np.int64(mask)
    stamps[slot] = stamp
    keys[slot] = key
    return slot, True


def hash_table(entries: Mapping[Any, int], of: type[Value]) -> tuple[Hashes, npt.NDArray[Value]]:
    """(keys uint64, values) of a table at most a quarter full, for `look_up`. of: the type of its values."""
    size = int(n_slots(2 * len(entries)))
    keys, values = np.zeros(size, np.uint64), np.zeros(size, of)
    for key, value in entries.items():
        slot = int(key) % size
        while keys[slot]:
            slot = (slot + 1) % size
        keys[slot], values[slot] = key, value
    return keys, values


@nb.njit(nogil=True, cache=True)
def look_up(key, keys, values):  # type: ignore[no-untyped-def]
    """The value of a key in a table of `hash_table`; 0 where it is not there."""
    return np.int64(values[slot_of(keys, key)])


def word_hash(word: str) -> np.uint64:
    """The hash that kernels give a word: FNV-1a over code points, finished by MurmurHash3's 64-bit finaliser."""
    h, prime, mask = int(FNV_OFFSET), int(FNV_PRIME), 2**64 - 1
    for char in word:
        h = (h ^ ord(char)) * prime & mask
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * factor & mask
    return np.uint64(h ^ h >> 33)
