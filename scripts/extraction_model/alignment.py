"""Which words of a page a person's text was made of: the best alignment of both, word by word.

A page may hold a passage twice (a card for telephones and one for screens) while the gold text holds it once; shares of
4-grams call both main content, an alignment one. Words match in order; a match that continues a run counts four times
a lone one, so that a passage is found where it is, not gathered from menus. What stays unmatched of both is aligned a
second time, for passages that the person moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

MAX_CELLS: Final = 300_000_000
"""Words of the page times words of the gold text, a byte each; above, there is no alignment."""
_LONE, _RUN = 1, 4
_FIRST_OF_MOVED: Final = -6  # of a run in the second alignment: it begins with a loss, so that only passages are found


def matched_words(page: Sequence[str], gold: Sequence[str]) -> npt.NDArray[np.bool_] | None:
    """bool [words of the page]: those that the gold text has, each of its words once; None where both are too long."""
    numbers: dict[str, int] = {}
    a = np.array([numbers.setdefault(w, len(numbers)) for w in page], np.int32)
    b = np.array([numbers.setdefault(w, len(numbers)) for w in gold], np.int32)
    if a.size * b.size > MAX_CELLS:
        return None
    matched = np.zeros(a.size, np.bool_)
    if a.size and b.size:
        used = np.zeros(b.size, np.bool_)
        _align(a, b, _LONE, matched, used)
        rest, wanted = np.flatnonzero(~matched), np.flatnonzero(~used)
        if rest.size and wanted.size:
            moved, taken = np.zeros(rest.size, np.bool_), np.zeros(wanted.size, np.bool_)
            _align(a[rest], b[wanted], _FIRST_OF_MOVED, moved, taken)
            matched[rest[moved]] = True
    return matched


@nb.njit(nogil=True, cache=True)
def _align(a, b, first, matched, used):  # type: ignore[no-untyped-def]
    """Mark the words of a and b that the best alignment pairs."""
    n, m = a.size, b.size
    trace = np.zeros((n, m), np.uint8)
    best = np.zeros(m + 1, np.int32)  # of the row above, then of this one
    run = np.full(m + 1, np.int32(-1_000_000))
    for i in range(n):
        corner, corner_run = np.int32(0), np.int32(-1_000_000)
        for j in range(m):
            above, above_run = best[j + 1], run[j + 1]
            value, step = best[j + 1], 0
            if best[j] > value:
                value, step = best[j], 1
            here = np.int32(-1_000_000)
            if a[i] == b[j]:
                begun, continued = corner + first, corner_run + _RUN
                here = max(begun, continued)
                step |= 4 if continued >= begun else 0
                if here >= value:
                    value, step = here, 2 | (step & 4)
            best[j + 1], run[j + 1] = value, here
            trace[i, j] = step
            corner, corner_run = above, above_run
        best[0] = 0
    i, j, inside = n - 1, m - 1, False
    while i >= 0 and j >= 0:
        step = trace[i, j]
        if inside or step & 3 == 2:
            matched[i] = used[j] = True
            inside = step & 4 != 0
            i, j = i - 1, j - 1
        elif step & 3 == 1:
            j -= 1
        else:
            i -= 1
