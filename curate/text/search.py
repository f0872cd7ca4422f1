"""The next byte of some value, found at many bytes an instruction: scripts and style sheets are half of most pages."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

_BLOCK: Final = 64  # bytes that are looked at together, without a branch


@nb.njit(nogil=True, cache=True, _nrt=False)  # type: ignore[call-overload]
def next_byte(data, p, value):  # type: ignore[no-untyped-def]
    """Offset of the first byte of a value at p or after it; the number of bytes where there is none."""
    n = np.int64(data.size)
    while p + _BLOCK <= n:
        block = data[p : p + _BLOCK]
        found = np.uint8(0)
        for i in range(_BLOCK):
            found |= np.uint8(block[i] == value)
        if found:
            break
        p += _BLOCK
    while p < n and data[p] != value:
        p += 1
    return p
