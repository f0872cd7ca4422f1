"""Millions of strings as sorted hashes: whether a host, one of its parent domains, or a word of a URL is among them.

Strings are hashed from their end, so that one pass over a host gives the hash of each domain above it on the way. Keys
are 64 bits: with 5 million entries, one other string in 3.7e12 is taken for one of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.strings import Bytes, Offsets, read_only
from curate.text.words import FNV_OFFSET, FNV_PRIME, fmix64

Keys = npt.NDArray[np.uint64]
Starts = npt.NDArray[np.uint32]
Categories = npt.NDArray[np.int32]
ABSENT: Final = -1


class KeyIndex(NamedTuple):
    """A table of strings. keys: ascending uint64 [n]. starts: of `index_keys`. categories: int32 [n]."""

    keys: Keys
    starts: Starts
    categories: Categories


@nb.njit(nogil=True, cache=True, inline="always")
def _finish(h, salt):  # type: ignore[no-untyped-def]
    return fmix64(h ^ (np.uint64(salt) * FNV_PRIME))


@nb.njit(nogil=True, cache=True)
def _hash(data, start, end, salt):  # type: ignore[no-untyped-def]
    h = FNV_OFFSET
    for p in range(end - 1, start - 1, -1):
        h = (h ^ np.uint64(data[p])) * FNV_PRIME
    return _finish(h, salt)


@nb.njit(nogil=True, cache=True)
def _hash_all(data, offsets, salt, keys):  # type: ignore[no-untyped-def]
    for i in range(keys.size):
        keys[i] = _hash(data, offsets[i], offsets[i + 1], salt)


@nb.njit(nogil=True, cache=True)
def _find(keys, starts, shift, key):  # type: ignore[no-untyped-def]
    """Slot of a key, or -1: its first bits name a short run of neighbours."""
    bucket = np.int64(key >> np.uint64(shift))
    for slot in range(np.int64(starts[bucket]), np.int64(starts[bucket + 1])):
        if keys[slot] == key:
            return slot
    return -1


@nb.njit(nogil=True, cache=True)
def _match_domains(data, offsets, keys, starts, shift, categories, domain, host, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        begin, end = offsets[i], offsets[i + 1]
        h = FNV_OFFSET
        best = ABSENT
        for p in range(end - 1, begin - 1, -1):
            if data[p] == 46:
                slot = _find(keys, starts, shift, _finish(h, domain))
                if slot >= 0 and (best < 0 or categories[slot] < best):
                    best = categories[slot]
            h = (h ^ np.uint64(data[p])) * FNV_PRIME
        if end > begin:
            for salt in (domain, host):
                slot = _find(keys, starts, shift, _finish(h, salt))
                if slot >= 0 and (best < 0 or categories[slot] < best):
                    best = categories[slot]
        out[i] = best


@nb.njit(nogil=True, cache=True)
def _match_whole(data, offsets, keys, starts, shift, categories, salt, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        slot = _find(keys, starts, shift, _hash(data, offsets[i], offsets[i + 1], salt))
        out[i] = categories[slot] if slot >= 0 else ABSENT


@nb.njit(nogil=True, cache=True)
def _match_words(data, offsets, keys, starts, shift, categories, salt, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        best, begin = ABSENT, offsets[i]
        for p in range(offsets[i], offsets[i + 1] + 1):
            c = np.int64(data[p]) if p < offsets[i + 1] else 32
            if c >= 0x80 or 48 <= c <= 57 or 97 <= (c | 0x20) <= 122:
                continue
            if p > begin:
                slot = _find(keys, starts, shift, _hash(data, begin, p, salt))
                if slot >= 0 and (best < 0 or categories[slot] < best):
                    best = categories[slot]
            begin = p + 1
        out[i] = best


def hash_strings(data: Bytes, offsets: Offsets, salt: int) -> Keys:
    """Key of each string, uint64 [n]; salt: what kind of string it is, so that kinds share one table."""
    keys = np.empty(len(offsets) - 1, np.uint64)
    _hash_all(read_only(data), read_only(offsets), salt, keys)
    return keys


def index_keys(keys: Keys) -> Starts:
    """Where the keys of each bucket start, uint32 [2 ** b + 1], for ascending keys: four or so, half a cache line,
    share a bucket."""
    bits = max(1, len(keys).bit_length() - 3)
    bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    return np.concatenate(([0], np.searchsorted(keys, bounds), [len(keys)])).astype(np.uint32)


def match_domains(data: Bytes, offsets: Offsets, index: KeyIndex, domain: int, host: int) -> Categories:
    """Lowest category of each host, its parent domains under the salt `domain` and itself under `host`; -1 for none.
    data, offsets: lower-case hosts."""
    out = np.empty(len(offsets) - 1, np.int32)
    _match_domains(read_only(data), read_only(offsets), *_arrays(index), domain, host, out)
    return out


def match_whole(data: Bytes, offsets: Offsets, index: KeyIndex, salt: int) -> Categories:
    """Category of each string, compared in full; -1 for none."""
    out = np.empty(len(offsets) - 1, np.int32)
    _match_whole(read_only(data), read_only(offsets), *_arrays(index), salt, out)
    return out


def match_words(data: Bytes, offsets: Offsets, index: KeyIndex, salt: int) -> Categories:
    """Lowest category of the words of each lower-case string: runs of letters, digits and bytes beyond ASCII."""
    out = np.empty(len(offsets) - 1, np.int32)
    _match_words(read_only(data), read_only(offsets), *_arrays(index), salt, out)
    return out


def _arrays(index: KeyIndex) -> tuple[Keys, Starts, int, Categories]:
    """What the kernels take: plain read-only views, for which they are compiled once, and the bits below a bucket."""
    keys, starts, categories = np.asarray(index.keys), np.asarray(index.starts), np.asarray(index.categories)
    keys, starts, categories = keys.view(), starts.view(), categories.view()
    for array in (keys, starts, categories):
        array.flags.writeable = False
    return keys, starts, 65 - (len(index.starts) - 1).bit_length(), categories
