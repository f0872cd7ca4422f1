"""Spans of a text that stay, gathered line by line while a kernel edits it.

A span is (start, end, code): bytes of the text, copied where code is -1, else replaced by the text that the code
stands for. Spans are in order, apart, and joined where they touch.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.text.characters import SPACE, properties_of
from curate.text.unicode import decode
from curate.text.utf8 import back

COPIED: Final = -1
LINE_FEED: Final = 0  # code of the text "\n"


@nb.njit(nogil=True, cache=True)
def add_span(spans, n, start, end, code):  # type: ignore[no-untyped-def]
    """Append a span, or lengthen the last one; returns the number of spans. spans: int64 [3, capacity]."""
    if end <= start:
        return n
    if n and code == COPIED and spans[2, n - 1] == COPIED and spans[1, n - 1] == start:
        spans[1, n - 1] = end
        return n
    spans[0, n], spans[1, n], spans[2, n] = start, end, code
    return n + 1


@nb.njit(nogil=True, cache=True)
def _blank_before(data, start, end, properties):  # type: ignore[no-untyped-def]
    """Bytes of the white space that ends data[start:end]; 0 for none."""
    p = back(data, end, start, 1)
    c, _ = decode(data, p, end)
    return end - p if properties_of(properties, c) & SPACE else 0


@nb.njit(nogil=True, cache=True)
def _blank_after(data, start, end, properties):  # type: ignore[no-untyped-def]
    """Bytes of the white space that begins data[start:end]; 0 for none."""
    c, p = decode(data, start, end)
    return p - start if properties_of(properties, c) & SPACE else 0


@nb.njit(nogil=True, cache=True)
def trim_spans(data, base, properties, spans, n):  # type: ignore[no-untyped-def]
    """Strip white space from both ends of what the spans spell; returns (first span, number after the last)."""
    first = 0
    while n > first:
        a, b, blank = base + spans[0, n - 1], base + spans[1, n - 1], 1
        while spans[2, n - 1] == COPIED and b > a and blank:
            blank = _blank_before(data, a, b, properties)
            b -= blank
        spans[1, n - 1] = b - base
        if spans[2, n - 1] == COPIED and b > a:
            break
        n -= 1
    while first < n:
        a, b, blank = base + spans[0, first], base + spans[1, first], 1
        while spans[2, first] == COPIED and b > a and blank:
            blank = _blank_after(data, a, b, properties)
            a += blank
        spans[0, first] = a - base
        if spans[2, first] == COPIED and b > a:
            break
        first += 1
    return first, n


@nb.njit(nogil=True, cache=True)
def intersect(starts_a, ends_a, codes_a, offsets_a, starts_b, ends_b, codes_b, offsets_b):  # type: ignore[no-untyped-def]
    """Spans of a that lie in spans of b, document by document: (starts, ends, codes, offsets, b of each).

    Both lists are in order and apart. A span with a code is never split: it stays as it is where it touches one of the
    other list, and of two codes that of b stays. The last array says which span of b each came from."""
    n_docs = len(offsets_a) - 1
    room = len(starts_a) + len(starts_b) + 1
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    codes, owner = np.empty(room, np.int64), np.empty(room, np.int64)
    offsets = np.zeros(n_docs + 1, np.int64)
    n = 0
    for d in range(n_docs):
        i, j = offsets_a[d], offsets_b[d]
        last_i, last_j = np.int64(-1), np.int64(-1)  # the coded spans that are out already
        while i < offsets_a[d + 1] and j < offsets_b[d + 1]:
            low, high = max(starts_a[i], starts_b[j]), min(ends_a[i], ends_b[j])
            if low < high:
                if codes_b[j] >= 0:
                    if last_j != j:
                        starts[n], ends[n], codes[n], owner[n] = starts_b[j], ends_b[j], codes_b[j], j
                        n, last_j = n + 1, j
                elif codes_a[i] >= 0:
                    if last_i != i:
                        starts[n], ends[n], codes[n], owner[n] = starts_a[i], ends_a[i], codes_a[i], j
                        n, last_i = n + 1, i
                else:
                    starts[n], ends[n], codes[n], owner[n] = low, high, COPIED, j
                    n += 1
            if ends_a[i] < ends_b[j]:
                i += 1
            else:
                j += 1
        offsets[d + 1] = n
    return starts[:n], ends[:n], codes[:n], offsets, owner[:n]
