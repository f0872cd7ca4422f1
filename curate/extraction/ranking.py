"""The blocks of a page from the likeliest down."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True)
def falling_order(values):  # type: ignore[no-untyped-def]
    """The places of values from the highest down, equal ones as they stand: `np.argsort(-values, kind="stable")`, which
    takes numba a tenth of the time that it needs for all of extraction.

    Args:
        values: float [n], none of them NaN.
    Returns:
        int64 [n].
    """
    n = values.size
    order, merged = np.arange(n), np.empty(n, np.int64)
    run = 1
    while run < n:
        for start in range(0, n, 2 * run):
            left, middle = start, min(start + run, n)
            right, end = middle, min(start + 2 * run, n)
            for i in range(start, end):
                if right == end or (left < middle and values[order[left]] >= values[order[right]]):
                    merged[i] = order[left]
                    left += 1
                else:
                    merged[i] = order[right]
                    right += 1
        order, merged = merged, order
        run *= 2
    return order
