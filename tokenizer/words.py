"""Distinct pre-tokens and how often each occurs: a hash table over bytes that grows with what is distinct alone."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.pretokenize import Pattern, cut

WORDS: Final = pa.schema([
    pa.field("word", pa.large_binary(), nullable=False, metadata={"comment": "UTF-8 bytes of a pre-token"}),
    pa.field("n", pa.int64(), nullable=False, metadata={"comment": "how often it occurs"}),
])
_ONE: Final = np.ones(1, np.int64)
_FIRST_SLOTS: Final = 1 << 16
_FIRST_BYTES: Final = 1 << 20

Places = npt.NDArray[np.int64]


class WordTable:
    """Counts of byte strings, in the order in which they were first seen.

    A word takes its bytes, 24 bytes for place, count and hash, and 8 to 16 bytes of slots; growing copies them once."""

    def __init__(self) -> None:
        self._slots = np.zeros(_FIRST_SLOTS, np.int32)
        self._data = np.empty(_FIRST_BYTES, np.uint8)
        self._ends = np.zeros(_FIRST_SLOTS // 2 + 1, np.int64)
        self._counts = np.zeros(_FIRST_SLOTS // 2, np.int64)
        self._hashes = np.zeros(_FIRST_SLOTS // 2, np.uint64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def n_bytes(self) -> int:
        """Memory that the table holds."""
        return sum(a.nbytes for a in (self._slots, self._data, self._ends, self._counts, self._hashes))

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """uint64 [n]: a hash of each word's bytes, the same everywhere."""
        return self._hashes[: self._n]

    def count_texts(self, texts: pa.Array, pattern: Pattern) -> None:
        """Count every pre-token of large_string texts without nulls."""
        for data, starts, ends in cut(texts, pattern):
            self._add(data, starts, ends, _ONE)

    def add(self, table: pa.Table) -> None:
        """Add counts of another table (WORDS)."""
        for batch in table.to_batches():
            words: pa.Array = batch.column("word")
            _, places, buffer = words.buffers()
            offsets = np.frombuffer(places, np.int64)[words.offset : words.offset + len(words) + 1]
            self._add(np.frombuffer(buffer or b"", np.uint8), offsets[:-1], offsets[1:], batch.column("n").to_numpy())

    def table(self) -> pa.Table:
        """The words and their counts (WORDS), over this table's own memory: not to be counted into while it is used."""
        words = pa.Array.from_buffers(pa.large_binary(), self._n,
                                      [None, pa.py_buffer(self._ends[: self._n + 1]), pa.py_buffer(self._data)])
        return pa.table([words, pa.array(self._counts[: self._n])], schema=WORDS)

    def _add(self, data: npt.NDArray[np.uint8], starts: Places, ends: Places, counts: npt.NDArray[np.int64]) -> None:
        done = 0
        while done < len(starts):
            done, self._n = _count(data, starts, ends, counts, done, self._slots, self._data, self._ends, self._counts,
                                   self._hashes, self._n)
            if done < len(starts):
                self._make_room(int(ends[done] - starts[done]))

    def _make_room(self, length: int) -> None:
        if self._n == len(self._counts):
            self._slots = np.zeros(2 * len(self._slots), np.int32)
            _place(self._hashes, self._n, self._slots)
            self._ends, self._counts, self._hashes = (_longer(a, 2 * len(a)) for a in
                                                      (self._ends, self._counts, self._hashes))
        if self._ends[self._n] + length > len(self._data):
            self._data = _longer(self._data, 2 * len(self._data) + length)


def _longer(array: npt.NDArray, length: int) -> npt.NDArray:  # type: ignore[type-arg]
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer


@nb.njit(nogil=True, cache=True)
def _count(data, starts, ends, counts, done, slots, kept, kept_ends, kept_counts, kept_hashes, n):  # type: ignore[no-untyped-def]
    """Count words from `done` on until one needs more room; returns (words done, distinct words)."""
    mask = np.uint64(len(slots) - 1)
    for i in range(done, len(starts)):
        start, length = starts[i], ends[i] - starts[i]
        hashed = _hash(data, start, length)
        slot = hashed & mask
        while True:
            entry = slots[slot] - 1
            if entry < 0:
                if n == len(kept_counts) or kept_ends[n] + length > len(kept):
                    return i, n
                slots[slot] = n + 1
                for k in range(length):
                    kept[kept_ends[n] + k] = data[start + k]
                kept_ends[n + 1] = kept_ends[n] + length
                kept_hashes[n] = hashed
                entry = n
                n += 1
            elif kept_hashes[entry] != hashed or not _same(data, start, length, kept, kept_ends, entry):
                slot = (slot + np.uint64(1)) & mask
                continue
            kept_counts[entry] += counts[i] if len(counts) > 1 or len(starts) == 1 else counts[0]
            break
    return len(starts), n


@nb.njit(nogil=True, cache=True)
def _same(data, start, length, kept, kept_ends, entry):  # type: ignore[no-untyped-def]
    first = kept_ends[entry]
    if kept_ends[entry + 1] - first != length:
        return False
    for k in range(length):
        if data[start + k] != kept[first + k]:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _hash(data, start, length):  # type: ignore[no-untyped-def]
    """64 bits of a string: FNV-1a's steps and splitmix64's finaliser, which spreads them over all bits."""
    x = np.uint64(0xCBF29CE484222325)
    for k in range(length):
        x = (x ^ np.uint64(data[start + k])) * np.uint64(0x100000001B3)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@nb.njit(nogil=True, cache=True)
def _place(hashes, n, slots):  # type: ignore[no-untyped-def]
    """Give the first n words slots in an empty table."""
    mask = np.uint64(len(slots) - 1)
    for i in range(n):
        slot = hashes[i] & mask
        while slots[slot]:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = i + 1
