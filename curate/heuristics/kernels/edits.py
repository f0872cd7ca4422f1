"""The spans that line rules leave of texts, over Arrow string buffers."""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from curate.heuristics.kernels import c4, refinedweb
from curate.text.characters import PROPERTIES
from curate.text.strings import Bytes, Offsets, read_only
from curate.text.utf8 import longest

C4_OPEN, C4_STRICT, REFINEDWEB = range(3)
_FIRST_ROOM: Final = 1024


@nb.njit(nogil=True, cache=True)
def _edit_texts(data, offsets, kind, c4_rules, web_rules, properties):  # type: ignore[no-untyped-def]
    n_texts = len(offsets) - 1
    room = longest(offsets) + 4
    spans, line = np.empty((3, room), np.int64), np.empty(7, np.int64)
    units = (np.empty(room, np.uint64), np.empty(room, np.int32))
    scratch = (np.empty((2, c4.N_FACTS), np.int64), np.empty(room, np.uint8), np.empty((2, room), np.int64))
    text = (np.empty(0, np.uint8), np.empty(0, np.int32), np.int64(-1))
    counts = np.zeros(c4.N_C4, np.int64)
    out, bounds = np.empty((3, _FIRST_ROOM), np.int64), np.zeros(n_texts + 1, np.int64)
    size = 0
    for d in range(n_texts):
        start, end = offsets[d], offsets[d + 1]
        if kind == REFINEDWEB:
            first, n = refinedweb.refinedweb_lines(data, start, end, properties, web_rules, line, counts, spans)
        else:
            rules = (c4_rules[0], c4_rules[1], kind == C4_STRICT, c4_rules[3])
            first, n = c4.c4_lines(data, start, end, properties, rules, text, scratch, counts, units, spans)
        while size + n - first > out.shape[1]:
            grown = np.empty((3, 2 * out.shape[1]), np.int64)
            grown[:, :size] = out[:, :size]
            out = grown
        out[:, size : size + n - first] = spans[:, first:n]
        size += n - first
        bounds[d + 1] = size
    return out[:, :size], bounds


def edit_texts(data: Bytes, offsets: Offsets, kind: int, c4_rules: tuple[int, int, bool, bool],
               web_rules: tuple[float, int]) -> tuple[Any, Any, Any, Any]:
    """(starts, ends, codes, bounds): bytes of each text that stay, within the text; int64. bounds: int64 [n + 1].

    codes: -1 for a span that is copied, 0 for one that a line feed replaces. kind: C4_OPEN, C4_STRICT, REFINEDWEB."""
    out, bounds = _edit_texts(read_only(data), read_only(offsets), kind, c4_rules, web_rules, PROPERTIES)
    return out[0].copy(), out[1].copy(), out[2].copy(), bounds
