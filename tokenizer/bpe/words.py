"""Distinct pre-tokens and how often each occurs: a hash table over bytes that grows with what is distinct alone."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.tables import string_buffers
from tokenizer.bpe.pretokenize import cut
from tokenizer.encoding.hashes import hash_bytes
from tokenizer.encoding.patterns import Pattern

WORDS: Final = pa.schema([
    pa.field("word", pa.large_binary(), nullable=False, metadata={"comment": "UTF-8 bytes of a pre-token"}),
    pa.field("n", pa.int64(), nullable=False, metadata={"comment": "how often it occurs"}),
])
_ONE: Final = np.ones(1, np.int64)
_FIRST_SLOTS: Final = 1 << 16
_FIRST_BYTES: Final = 1 << 20

Offsets = npt.NDArray[np.int64]


class WordTable:
    """Counts of byte strings, in the order in which they were first seen.

    A word takes its bytes, 24 bytes for hash, count and offset, and 8 to 16 of slots; growing copies them once."""

    def __init__(self) -> None:
        self._slots = np.zeros(_FIRST_SLOTS, np.int32)
        self._data = np.empty(_FIRST_BYTES, np.uint8)
        # hash, count, and where the bytes end; together, since a word met again needs all three. Row 0 is no word.
        self._rows = np.zeros((_FIRST_SLOTS // 2 + 1, 3), np.int64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def n_bytes(self) -> int:
        """Memory that the table holds."""
        return self._slots.nbytes + self._data.nbytes + self._rows.nbytes

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """uint64 [n]: a hash of each word's bytes, the same everywhere."""
        return self._rows[1 : self._n + 1, 0].astype(np.uint64)

    def count_texts(self, texts: pa.Array, pattern: Pattern) -> None:
        """Count every pre-token of large_string texts without nulls."""
        for data, starts, ends in cut(texts, pattern):
            self._add(data, starts, ends, np.broadcast_to(_ONE, len(starts)))

    def add(self, table: pa.Table) -> None:
        """Add counts of another table (WORDS)."""
        for batch in table.to_batches():
            words: pa.Array = batch.column("word")
            data, offsets = string_buffers(words)
            self._add(data, offsets[:-1], offsets[1:], batch.column("n").to_numpy())

    def table(self) -> pa.Table:
        """The words and their counts (WORDS). The bytes are this table's own: do not count on while it is used."""
        ends, counts = self._rows[: self._n + 1, 2].copy(), self._rows[1 : self._n + 1, 1].copy()
        words = pa.Array.from_buffers(pa.large_binary(), self._n, [None, pa.py_buffer(ends), pa.py_buffer(self._data)])
        return pa.table([words, pa.array(counts)], schema=WORDS)

    def _add(self, data: npt.NDArray[np.uint8], starts: Offsets, ends: Offsets, counts: Offsets) -> None:
        done = 0
        while done < len(starts):
            done, self._n = _count(data, starts, ends, counts, done, self._slots, self._data, self._rows, self._n)
            if done < len(starts):
                self._make_room(int(ends[done] - starts[done]))

    def _make_room(self, length: int) -> None:
        if self._n + 1 == len(self._rows):
            self._slots = np.zeros(2 * len(self._slots), np.int32)
            _fill_slots(self._rows, self._n, self._slots)
            self._rows = _longer(self._rows, 2 * self._n + 1)
        if self._rows[self._n, 2] + length > len(self._data):
            self._data = _longer(self._data, 2 * len(self._data) + length)


def _longer(array: npt.NDArray, length: int) -> npt.NDArray:  # type: ignore[type-arg]
    longer = np.zeros((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


@nb.njit(nogil=True, cache=True)
def _count(data, starts, ends, counts, done, slots, kept, rows, n):  # type: ignore[no-untyped-def]
    """Count words from `done` on until one needs more room; returns (words done, distinct words)."""
    mask = np.int64(len(slots) - 1)
    for i in range(done, len(starts)):
        start, length = starts[i], ends[i] - starts[i]
        hashed = hash_bytes(data, start, length)
        slot = hashed & mask
        while True:
            entry = slots[slot]
            if entry == 0:
                if n + 1 == len(rows) or rows[n, 2] + length > len(kept):
                    return i, n
                for k in range(length):
                    kept[rows[n, 2] + k] = data[start + k]
                n += 1
                rows[n, 0], rows[n, 1], rows[n, 2] = hashed, counts[i], rows[n - 1, 2] + length
                slots[slot] = n
                break
            if rows[entry, 0] == hashed and _same(data, start, length, kept, rows, entry):
                rows[entry, 1] += counts[i]
                break
            slot = (slot + 1) & mask
    return len(starts), n


@nb.njit(nogil=True, cache=True)
def _same(data, start, length, kept, rows, entry):  # type: ignore[no-untyped-def]
    """Whether a word of the same hash is the same. Short ones are: their hash can be undone."""
    first = rows[entry - 1, 2]
    if rows[entry, 2] - first != length:
        return False
    if length > 7:
        for k in range(length):
            if data[start + k] != kept[first + k]:
                return False
    return True


@nb.njit(nogil=True, cache=True)
def _fill_slots(rows, n, slots):  # type: ignore[no-untyped-def]
    """Give the first n words slots in an empty table."""
    mask = np.int64(len(slots) - 1)
    for i in range(1, n + 1):
        slot = rows[i, 0] & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = i
