"""How much of a line is letters: prices, dates, scores and codes are in no language."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.text.strings import read_only, string_buffers
from curate.text.unicode import KIND, LETTER, LOWER, SPACE, TABLE_SIZE, decode

Shares = npt.NDArray[np.float32]


@nb.njit(nogil=True, cache=True)
def _shares(data, offsets, kinds, lowers, shares, capitals):  # type: ignore[no-untyped-def]
    for i in range(shares.size):
        p, end = offsets[i], offsets[i + 1]
        letters = visible = upper = 0
        while p < end:
            c, p = decode(data, p, end)
            kind = kinds[c] if c < TABLE_SIZE else LETTER
            letters += kind == LETTER
            visible += kind != SPACE
            upper += kind == LETTER and c < TABLE_SIZE and lowers[c] != c
        shares[i] = letters / visible if visible else 0.0
        capitals[i] = upper / letters if letters else 0.0


def letter_shares(lines: pa.Array) -> tuple[Shares, Shares]:
    """How much of each line is letters, and how much of these is capitals.

    Args:
        lines: string or large_string [n].
    Returns:
        (letters and marks among the characters that are no white space, capitals among the letters), each float32 [n];
        0 where there is nothing to be a share of.
    """
    data, offsets = string_buffers(lines)
    shares, capitals = (np.empty(len(offsets) - 1, np.float32) for _ in range(2))
    _shares(read_only(data), read_only(offsets), KIND, LOWER, shares, capitals)
    return shares, capitals
