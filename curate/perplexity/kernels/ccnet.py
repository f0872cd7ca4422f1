"""CCNet's normalisation of text before its language models see it, as one table from code points to bytes.

Small letters, accents off, digits as 0, marks of many scripts as ASCII ones, control characters gone (Wenzek et al.
2020, and the released cc_net/text_normalizer.py, whose table of marks is followed, its full-width one included). One
thing differs: a capital sigma becomes a medial one at the end of words too, where Python writes a final one.
"""

# ruff: noqa: RUF001 (marks of many scripts are what this module is about)
from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.text.strings import read_only, string_buffers
from curate.text.unicode import KIND, SPACE, TABLE_SIZE, decode, decomposed, in_category, lower_case
from curate.text.utf8 import back

_MARKS: Final = {
    "，": ",", "。": ".", "、": ",", "„": '"', "”": '"', "“": '"', "«": '"', "»": '"', "１": '"', "」": '"', "「": '"',
    "《": '"', "》": '"', "´": "'", "∶": ":", "：": ":", "？": "?", "！": "!", "（": "(", "）": ")", "；": ";",
    "–": "-", "—": " - ", "．": ". ", "～": "~", "’": "'", "…": "...", "━": "-", "〈": "<", "〉": ">", "【": "[",
    "】": "]", "％": "%", "►": "-"}
_SIZE: Final = 0x30000  # the planes in which letters decompose
_FIRST_SELECTOR, _LAST_SELECTOR = 0xE0100, 0xE01EF  # the only combining marks above them: variation selectors
_GROWTH: Final = 3  # bytes written for a byte read, at most: a syllable of hangul becomes three letters


def normal_form(char: str) -> str:
    """What one character becomes."""
    accents, digits = in_category("Mn"), in_category("Nd")
    form = ""
    for part in "".join(map(decomposed, lower_case(char))):
        if not accents[ord(part)]:
            mark = "0" if digits[ord(part)] else _MARKS.get(part, part)
            form += "" if ord(mark[0]) < 32 or 127 <= ord(mark[0]) < 160 else mark
    return form


@lru_cache(maxsize=1)
def _table() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(bytes, bounds int64 [_SIZE + 1]): code point c becomes bytes[bounds[c]:bounds[c + 1]]."""
    forms = [b"" if 0xD800 <= c < 0xE000 else normal_form(chr(c)).encode() for c in range(_SIZE)]
    bounds = np.concatenate(([0], np.cumsum([len(form) for form in forms])))
    return read_only(np.frombuffer(b"".join(forms), np.uint8)), read_only(bounds.astype(np.int64))


@nb.njit(nogil=True, cache=True, inline="always")
def _blank(c, kinds):  # type: ignore[no-untyped-def]
    return c < TABLE_SIZE and kinds[c] == SPACE


@nb.njit(nogil=True, cache=True)
def _trimmed(data, start, end, kinds):  # type: ignore[no-untyped-def]
    """(start, end) of what is left of a text without the white space around it."""
    while start < end:
        c, p = decode(data, start, end)
        if not _blank(c, kinds):
            break
        start = p
    while end > start:
        p = back(data, end, start, 1)
        c, _ = decode(data, p, end)
        if not _blank(c, kinds):
            break
        end = p
    return start, end


@nb.njit(nogil=True, cache=True)
def _write(data, p, end, forms, bounds, out, q):  # type: ignore[no-untyped-def]
    """Write what becomes of data[p:end] at q; returns where it ends."""
    while p < end:
        c = np.int64(data[p])
        if c >= 0x80:
            before = p
            c, p = decode(data, p, end)
            if _FIRST_SELECTOR <= c <= _LAST_SELECTOR:
                continue
            if c >= _SIZE:
                for k in range(before, p):
                    out[q] = data[k]
                    q += 1
                continue
        else:
            p += 1
        for k in range(bounds[c], bounds[c + 1]):
            out[q] = forms[k]
            q += 1
    return q


@nb.njit(nogil=True, cache=True)
def _normalise(data, offsets, by_line, forms, bounds, kinds, out, ends):  # type: ignore[no-untyped-def]
    q = 0
    for d in range(offsets.size - 1):
        start, end = offsets[d], offsets[d + 1]
        while True:
            stop = end
            if by_line:
                stop = start
                while stop < end and data[stop] != 0x0A:
                    stop += 1
            first, last = _trimmed(data, start, stop, kinds)
            q = _write(data, first, last, forms, bounds, out, q)
            if stop >= end:
                break
            out[q] = 0x0A
            q, start = q + 1, stop + 1
        ends[d + 1] = q
    return q


def normalise_texts(texts: Any, by_line: bool) -> pa.LargeStringArray:
    """Texts as CCNet's models read them, large_string [n]. by_line: each line is a text of its own, and stays one; else
    line feeds go with the other control characters, as in CCNet, so that words at the ends of lines run together."""
    data, offsets = string_buffers(texts)
    n_bytes = int(offsets[-1] - offsets[0]) if len(offsets) > 1 else 0
    out, ends = np.empty(_GROWTH * n_bytes + 1, np.uint8), np.zeros(len(offsets), np.int64)
    n = _normalise(read_only(data), read_only(offsets), by_line, *_table(), KIND, out, ends)
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(ends), pa.py_buffer(out[:n].copy()))
