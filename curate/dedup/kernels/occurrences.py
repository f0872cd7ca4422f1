"""Which occurrences of a unit are later ones."""

from __future__ import annotations

import numba as nb
import numpy as np

from curate.text.words import Hashes


@nb.njit(nogil=True, cache=True)
def _later(keys, parts, rows, starts, ends, first):  # type: ignore[no-untyped-def]
    head = last = 0
    for i in range(keys.size):
        first[i] = -1
        if i == 0 or keys[i] != keys[i - 1]:
            head = last = i
        elif parts[i] != parts[last] or rows[i] != rows[last] or starts[i] >= ends[last]:
            first[i], last = head, i


def later_occurrences(keys: Hashes, parts: Hashes, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray,
                      ) -> np.ndarray:
    """int64 [n]: the index of the first occurrence of a unit's key, -1 where it is that or overlaps one before it.

    Sorted by key, then in the order in which occurrences are met. Of runs of sentences that repeat within themselves,
    those that overlap an occurrence that counted do not count."""
    first = np.empty(len(keys), np.int64)
    _later(keys, parts, rows, starts, ends, first)
    return first
