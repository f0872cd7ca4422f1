"""One line a document, as the quality classifier reads it: in training and in scoring alike.

fastText splits at white space alone, so `word,` and `word` would be strangers and Chinese one long word. Here letters
are lower-cased, and every punctuation character, and every character of a script written without spaces, stands alone.
White space and control characters, NUL included, become one space. It also makes text harmless to fastText: `__label__`
and `</s>` cannot survive it. A line ends after `max_bytes`, never inside a character: the first few
kilobytes of a page tell what it is, and the rest only costs time.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import pyarrow as pa

from curate.text.strings import string_buffers
from curate.text.unicode import KIND, LOWER, PUNCTUATION, SPACE, TABLE_SIZE, decode
from curate.text.utf8 import encode

NORMALISATION = "lower-case; punctuation and unspaced scripts one token a character; white space collapsed; cut"


@nb.njit(nogil=True, cache=True, inline="always")
def _unspaced(c):  # type: ignore[no-untyped-def]
    """Whether a code point is of a script written without spaces (Thai to Myanmar, Khmer, Han, kana)."""
    if c < 0x0E00:
        return False
    return (c < 0x0F00 or 0x1000 <= c < 0x10A0 or 0x1780 <= c < 0x1800 or 0x3040 <= c < 0x3100
            or 0x3400 <= c < 0x4DC0 or 0x4E00 <= c < 0xA000 or 0xF900 <= c < 0xFB00 or c >= 0x20000)


@nb.njit(nogil=True, cache=True)
def _line(data, start, end, out, q, max_bytes, kinds, lowers):  # type: ignore[no-untyped-def]
    """Write one normalised text at q; returns its end. It takes at most max_bytes + 5 bytes while it is written."""
    first = q
    p = start
    gap = False  # a space is due before the next character
    while p < end:
        c, p = decode(data, p, end)
        kind = kinds[c] if c < TABLE_SIZE else 0
        if kind == SPACE or c < 0x20 or 0x7F <= c < 0xA0:
            gap = True
            continue
        alone = kind == PUNCTUATION or _unspaced(c)
        before = q
        if (gap or alone) and q > first:
            out[q] = 0x20
            q += 1
        q = encode(np.int64(lowers[c]) if c < TABLE_SIZE else c, out, q)
        if q - first > max_bytes:
            return before
        gap = alone
    return q


@nb.njit(nogil=True, cache=True)
def _lines(data, offsets, max_bytes, kinds, lowers):  # type: ignore[no-untyped-def]
    n = offsets.size - 1
    room = np.int64(8)
    for i in range(n):
        # Every character may gain a space, and a few lower to one byte more: never over thrice the bytes.
        room += min(3 * (offsets[i + 1] - offsets[i]), max_bytes)
    out = np.empty(room, np.uint8)
    bounds = np.zeros(n + 1, np.int64)
    for i in range(n):
        bounds[i + 1] = _line(data, offsets[i], offsets[i + 1], out, bounds[i], max_bytes, kinds, lowers)
    return out, bounds


def classifier_lines(texts: pa.Array[Any] | pa.ChunkedArray[Any], max_bytes: int) -> pa.Array[Any]:
    """Texts as single normalised lines, the only form in which text reaches the classifier.

    Applied twice it changes nothing. (Tokenisation after fastText's own advice, "separate punctuation and lower-case";
    GPT-3, appendix A, used a lower-casing tokenizer.)

    Args:
        texts: string or large_string [n].
        max_bytes: UTF-8 bytes after which a line ends, never inside a character.
    Returns:
        large_string [n]; a null or blank text is an empty line.
    """
    data, offsets = string_buffers(texts)
    out, bounds = _lines(data, np.ascontiguousarray(offsets), np.int64(max_bytes), KIND, LOWER)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(out[: bounds[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(bounds) - 1, buffers)
