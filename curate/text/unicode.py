"""Unicode facts as flat tables that compiled kernels can index by code point.

`LOWER[c]` is the simple lower case of a code point; `KIND[c]` says what it is. Both cover code points below
`TABLE_SIZE` (the two planes that have case or punctuation); anything above is a letter without case.
"""

from __future__ import annotations

import sys
import unicodedata
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

TABLE_SIZE: Final = 0x20000
LETTER: Final = 1  # categories L* and M*: what words are made of
DIGIT: Final = 2  # N*
SPACE: Final = 3  # what str.split() splits at
PUNCTUATION: Final = 4  # everything else: P*, S*, C*


def _kind(char: str) -> int:
    if char.isspace():
        return SPACE
    return {"L": LETTER, "M": LETTER, "N": DIGIT}.get(unicodedata.category(char)[0], PUNCTUATION)


def _lower(char: str) -> int:
    # A few characters lower to several code points; they keep their own, so that lengths never change.
    low = char.lower()
    return ord(low) if len(low) == 1 else ord(char)


def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    chars = [chr(c) for c in range(TABLE_SIZE)]
    return (np.fromiter(map(_kind, chars), np.uint8, TABLE_SIZE),
            np.fromiter(map(_lower, chars), np.uint32, TABLE_SIZE))


KIND, LOWER = _tables()
UNICODE_VERSION: Final = f"{unicodedata.unidata_version}/{sys.version_info.major}.{sys.version_info.minor}"


@nb.njit(nogil=True, cache=True)
def decode(data, p, end):  # type: ignore[no-untyped-def]
    """(code point, next position) of the UTF-8 character at p; Arrow strings are valid UTF-8 by contract."""
    c = np.int64(data[p])
    if c < 0x80:
        return c, p + 1
    if c < 0xE0:
        return ((c & 0x1F) << 6) | (np.int64(data[p + 1]) & 0x3F), p + 2
    if c < 0xF0:
        return ((c & 0x0F) << 12) | ((np.int64(data[p + 1]) & 0x3F) << 6) | (np.int64(data[p + 2]) & 0x3F), p + 3
    high = ((c & 0x07) << 18) | ((np.int64(data[p + 1]) & 0x3F) << 12)
    return high | ((np.int64(data[p + 2]) & 0x3F) << 6) | (np.int64(data[p + 3]) & 0x3F), p + 4
