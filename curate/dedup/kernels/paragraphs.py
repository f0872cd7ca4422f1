"""Paragraphs of texts, as CCNet sees them: lines, each known by 64 bits of the SHA-1 of its normal form.

A line lies between line feeds. Two normal forms (Wenzek et al. 2020, 3.1), both made character by character:

*paper*: the lower case of a character, decomposed (NFD); of that, marks without width (Mn), punctuation (P*) and
controls (Cc) are dropped, decimal digits (Nd) become `0`, the rest stays; a run of white space is one blank, none
is at either end.
*cc_net*: as in CCNet's released code: white space at both ends is cut off, then the lower case of each character,
decimal digits as `0`, without the 34 marks of `CC_NET_PUNCTUATION` and without U+0000..1F and U+007F..9F. ASCII
punctuation, accents and inner white space stay. (At a word's end Python makes another small sigma of a capital one;
here there is one.)

Characters above U+1FFFF stay as they are. A line whose normal form is empty, such as a blank one or a rule of dashes,
is no paragraph: it goes with the one before it.
"""

# ruff: noqa: RUF001 (marks of many scripts are what this module is about)
from __future__ import annotations

import functools
from hashlib import sha1
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.strings import Bytes, Offsets, read_only
from curate.text.unicode import KIND, SPACE, TABLE_SIZE, decode, decomposed, in_category, lower_case
from curate.text.words import Hashes

CC_NET_PUNCTUATION: Final = "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
_FIRST_ROOM: Final = 1024
_FIRST_BYTES: Final = 1 << 16


class FormTable(NamedTuple):
    """What each code point becomes: UTF-8 bytes[starts[c]:starts[c + 1]]. growth: at most so many times its bytes.

    collapse: whether white space is made one blank."""

    bytes: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]
    growth: int
    collapse: bool


def paper_character(char: str) -> str:
    """What the paper's normal form makes of one character that is no white space."""
    dropped, digits = in_category("Mn", "Cc", "P"), in_category("Nd")
    apart = "".join(map(decomposed, lower_case(char)))
    return "".join("0" if digits[ord(c)] else c for c in apart if not dropped[ord(c)])


def cc_net_character(char: str) -> str:
    """What the normal form of CCNet's code makes of one character."""
    if in_category("Nd")[ord(char)]:
        return "0"
    if char in CC_NET_PUNCTUATION or ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0:
        return ""
    return lower_case(char)


@functools.cache
def form_table(paper: bool) -> FormTable:
    """The table of a normal form: the paper's, or that of CCNet's code."""
    def one(code: int) -> bytes:
        if 0xD800 <= code < 0xE000 or (paper and KIND[code] == SPACE):
            return b""
        char = chr(code)
        return (paper_character(char) if paper else cc_net_character(char)).encode()

    forms = [one(code) for code in range(TABLE_SIZE)]
    starts = np.zeros(TABLE_SIZE + 1, np.int32)
    np.cumsum([len(b) for b in forms], out=starts[1:])
    growth = max(-(-len(b) // len(chr(code).encode("utf-8", "surrogatepass"))) for code, b in enumerate(forms))
    return FormTable(np.frombuffer(b"".join(forms), np.uint8), starts, growth, paper)


@nb.njit(nogil=True, cache=True)
def _normalise(data, p, end, blob, starts, kind, collapse, out):  # type: ignore[no-untyped-def]
    """Write the normal form of data[p:end] to out; returns its length."""
    n, seen, visible, apart = 0, False, 0, False
    while p < end:
        c, q = np.int64(data[p]), p + 1
        if c >= 0x80:
            c, q = decode(data, p, end)
        space = c < TABLE_SIZE and kind[c] == SPACE
        if collapse and space:
            apart = n > 0
        elif seen or not space:
            seen = True
            if c >= TABLE_SIZE:
                first, last = p, q
            else:
                first, last = np.int64(starts[c]), np.int64(starts[c + 1])
            if apart and last > first:
                out[n] = 0x20
                n += 1
                apart = False
            if c >= TABLE_SIZE:
                for i in range(first, last):
                    out[n] = data[i]
                    n += 1
            else:
                for i in range(first, last):
                    out[n] = blob[i]
                    n += 1
            if not space:
                visible = n
        p = q
    return n if collapse else visible


@nb.njit(nogil=True, cache=True)
def _paragraphs(data, offsets, blob, starts, kind, collapse, growth, min_bytes):  # type: ignore[no-untyped-def]
    ends, spans, size = np.empty(_FIRST_ROOM, np.int64), np.empty((3, _FIRST_ROOM), np.int64), 0
    bounds = np.zeros(offsets.size, np.int64)
    message = np.empty(_FIRST_BYTES, np.uint8)
    forms, used = np.empty(_FIRST_BYTES, np.uint8), np.int64(0)
    for d in range(offsets.size - 1):
        base, end = offsets[d], offsets[d + 1]
        p, stop, owned = base, np.int64(0), np.int64(-1)  # stop: of the paragraph before; owned: its row, if it has one
        started = False
        while p < end:
            q = p
            while q < end and data[q] != 0x0A:
                q += 1
            if (q - p) * growth > message.size:
                message = np.empty(2 * (q - p) * growth, np.uint8)
            n = _normalise(data, p, q, blob, starts, kind, collapse, message)
            if n:
                start = p - base if started else np.int64(0)
                started = True
                if owned >= 0:
                    spans[1, owned] = start
                owned = np.int64(-1)
                if n >= min_bytes:
                    if size == ends.size:
                        ends = np.append(ends, np.empty(size, np.int64))
                        spans = np.concatenate((spans, np.empty((3, size), np.int64)), axis=1)
                    if used + n > forms.size:
                        forms = np.append(forms, np.empty(forms.size + n, np.uint8))
                    forms[used : used + n] = message[:n]
                    used += n
                    ends[size] = used
                    spans[0, size], spans[1, size], spans[2, size] = start, end - base, stop
                    owned = np.int64(size)
                    size += 1
                stop = q - base
            p = q + 1
        bounds[d + 1] = size
    return forms[:used], ends[:size], spans[:, :size], bounds


class Units(NamedTuple):
    """Units of texts that may be removed: keys uint64 [m]; byte offsets in their text, int64 [m]; bounds int64 [n + 1].

    start: where the removed span begins. end: where it ends: at the next unit, or at the text's end. before: where it
    begins if nothing behind it stays: at the end of the unit before."""

    keys: Hashes
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]
    bounds: Offsets


def find_paragraphs(data: Bytes, offsets: Offsets, paper: bool, min_bytes: int = 1) -> Units:
    """Every paragraph of texts whose normal form has min_bytes. data, offsets: as of `string_buffers`."""
    table = form_table(paper)
    forms, ends, spans, bounds = _paragraphs(read_only(data), read_only(offsets), read_only(table.bytes),
                                             table.starts, KIND, table.collapse, table.growth, min_bytes)
    return Units(_keys(forms, ends), spans[0].copy(), spans[1].copy(), spans[2].copy(), bounds)


def _keys(forms: Bytes, ends: Offsets) -> Hashes:
    """The first 64 bits of the SHA-1 of each normal form, as CCNet has them: one call of hashlib a paragraph.

    Compiled, it saved a fifth of this function's time, which is 0.3 % of a run's."""
    view, bounds = forms.data, ends.tolist()
    digests = b"".join([sha1(view[a:b], usedforsecurity=False).digest()[:8] for a, b in pairwise([0, *bounds])])
    return np.frombuffer(digests, "<u8").copy()


def normal_form(text: str, paper: bool) -> bytes:
    """The normal form of one line, by the kernel; for tests and for looking at."""
    table = form_table(paper)
    line: Any = np.frombuffer(text.encode(), np.uint8)
    out = np.empty(len(line) * table.growth, np.uint8)
    n = _normalise(read_only(line), 0, len(line), read_only(table.bytes), table.starts, KIND, table.collapse, out)
    return bytes(out[:n])
