"""Texts put together from spans of other texts, without leaving Arrow's buffers."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.text.strings import string_buffers


@nb.njit(nogil=True, cache=True)
def _gather(data, starts, ends, out):  # type: ignore[no-untyped-def]
    at = 0
    for i in range(starts.size):
        n = ends[i] - starts[i]
        out[at : at + n] = data[starts[i] : ends[i]]
        at += n


def join_spans(texts: pa.Array | pa.ChunkedArray, rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64],
               ends: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]) -> pa.LargeStringArray:
    """New texts from byte spans: text j is the spans offsets[j]:offsets[j + 1] of texts[rows[...]], joined.

    rows, starts, ends: int64 [m], one a span: which text, and UTF-8 byte positions within it (on code point
    boundaries). offsets: int64 [n + 1]. Returns n texts."""
    data, text_starts = string_buffers(texts)
    lengths = ends - starts
    total = np.concatenate(([0], np.cumsum(lengths)))
    out = np.empty(int(total[-1]), np.uint8)
    _gather(data, text_starts[rows] + starts, text_starts[rows] + ends, out)
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(total[offsets]), pa.py_buffer(out))
