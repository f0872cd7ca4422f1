"""Windows of texts as single lines: what a language identifier reads of a document, cut in one compiled pass."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.text.strings import read_only, string_buffers
from curate.text.unicode import KIND, SPACE, TABLE_SIZE, decode
from curate.text.utf8 import forward, n_characters

N_WINDOWS: Final = 3
_REACH: Final = 48  # characters a window's edge moves at most, to fall between words


@nb.njit(nogil=True, cache=True, inline="always")
def _is_space(c, kinds):  # type: ignore[no-untyped-def]
    return c < TABLE_SIZE and kinds[c] == SPACE


@nb.njit(nogil=True, cache=True)
def _after_word(data, p, end, kinds):  # type: ignore[no-untyped-def]
    """Where the next white space begins, if it is near; scripts without spaces are cut anywhere."""
    q = p
    for _ in range(_REACH):
        if q >= end:
            return end
        c, following = decode(data, q, end)
        if _is_space(c, kinds):
            return q
        q = following
    return p


@nb.njit(nogil=True, cache=True)
def _line(data, p, end, kinds, out, index):  # type: ignore[no-untyped-def]
    """Copy data[p:end] to out[index:] with runs of white space as one blank and none at the ends; returns its end."""
    begin, gap = index, False
    while p < end:
        c, following = decode(data, p, end)
        if _is_space(c, kinds):
            gap = True
        else:
            if gap and index > begin:
                out[index] = 32
                index += 1
            gap = False
            for q in range(p, following):
                out[index] = data[q]
                index += 1
        p = following
    return index


@nb.njit(nogil=True, cache=True)
def _cut(data, offsets, size, kinds, out, ends, rows):  # type: ignore[no-untyped-def]
    """Fill out, the lines' ends and their texts; returns the number of lines."""
    n, index = 0, np.int64(0)
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        length = n_characters(data, start, end)
        n_windows = N_WINDOWS if 2 * length >= N_WINDOWS * size else 1
        width = min(size, length // n_windows) if n_windows > 1 else length
        p, at = start, 0  # byte and character of the window's start
        last = start
        for k in range(n_windows):
            wanted = (length - width) * k // max(1, n_windows - 1) if n_windows > 1 else 0
            p = forward(data, p, end, wanted - at)
            at = wanted
            left = max(p, last) if k == 0 else max(_after_word(data, p, end, kinds), last)
            right = forward(data, p, end, width)
            last = end if right >= end else _after_word(data, right, end, kinds)
            stop = _line(data, left, last, kinds, out, index)
            if stop > index:
                ends[n], rows[n] = stop, i
                n, index = n + 1, stop
    return n


def cut_windows(texts: pa.Array | pa.ChunkedArray, size: int) -> tuple[pa.LargeStringArray, npt.NDArray[np.int64]]:
    """Up to three windows of each text, from its start, middle and end, as lines with single blanks.

    Args:
        texts: string or large_string [n]; a null is empty.
        size: Characters of a window; a text of less than one and a half windows gives one, a text of white space none.
    Returns:
        (lines, the text of each line as int64, ascending).
    """
    data, offsets = string_buffers(texts)
    n = len(offsets) - 1
    lengths = np.diff(offsets)
    bound = int(np.minimum(lengths, N_WINDOWS * (size + _REACH) * 4 + 16).sum())
    out = np.empty(bound + 1, np.uint8)
    ends, rows = np.empty(N_WINDOWS * n, np.int64), np.empty(N_WINDOWS * n, np.int64)
    count = _cut(read_only(data), read_only(offsets), size, KIND, out, ends, rows)
    bounds = np.concatenate((np.zeros(1, np.int64), ends[:count]))
    lines = pa.LargeStringArray.from_buffers(count, pa.py_buffer(bounds), pa.py_buffer(out))
    return lines, rows[:count]
