"""Control characters and white space of texts, put right in one compiled pass; and which texts need a slower look."""

from __future__ import annotations

import functools
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.text.strings import read_only, string_buffers
from curate.text.unicode import TABLE_SIZE, combines, decode, flagged

Flags = npt.NDArray[np.uint8]
Actions = npt.NDArray[np.uint8]

DROP: Final = 1
LINE_FEED: Final = 2
BLANK: Final = 3
_FEED_OF_PAIR: Final = 4  # carriage return: a line feed, unless one follows

DROPPED: Final = 1  # flags of a text that was cleaned
RESPACED: Final = 2
NOT_SURELY_NFC: Final = 1  # flags of a text that was looked at
MAYBE_MOJIBAKE: Final = 2

_SOFT_HYPHEN, _WORD_JOINER, _BYTE_ORDER_MARK = 0xAD, 0x2060, 0xFEFF
_COMPATIBILITY_IDEOGRAPHS: Final = (0x2F800, 0x2FA20)  # beyond the table, and never in NFC
_BREAKS: Final = (0x0B, 0x0C, 0x85, 0x2028, 0x2029)
_BLANKS: Final = (0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F)
# What bytes 0x80 to 0xBF turn into when UTF-8 is read as windows-1252 or Latin-1.
_CONTINUATIONS: Final = bytes(range(0x80, 0xC0)).decode("windows-1252", "ignore") + "".join(map(chr, range(0x80, 0xC0)))


def cleaning_actions(control_characters: bool, whitespace: bool) -> Actions:
    """What becomes of each code point, uint8 [TABLE_SIZE]: 0 stays.

    control_characters: drops category Cc except tab and line breaks, the byte order mark, the soft hyphen, the word
    joiner and interlinear annotation marks; joiners and direction marks of living scripts stay. whitespace: other line
    breaks become line feeds, and spaces of other widths become blanks; the ideographic space stays."""
    actions = np.zeros(TABLE_SIZE, np.uint8)
    if control_characters:
        controls = [c for c in (*range(0x20), *range(0x7F, 0xA0)) if c not in (9, 10, 13, *_BREAKS)]
        actions[[*controls, _SOFT_HYPHEN, _WORD_JOINER, _BYTE_ORDER_MARK, 0xFFF9, 0xFFFA, 0xFFFB]] = DROP
    if whitespace:
        actions[list(_BREAKS)] = LINE_FEED
        actions[list(_BLANKS)] = BLANK
        actions[13] = _FEED_OF_PAIR
    return actions


@nb.njit(nogil=True, cache=True)
def _clean_one(data, p, end, actions, whitespace, out, begin):  # type: ignore[no-untyped-def]
    """Write a text to out[begin:]; returns (its end, flags)."""
    index, flags = begin, 0
    line = begin  # end of the last visible character, or of the last line break that stays
    feeds = 0
    while p < end:
        c = np.int64(data[p])
        following = p + 1
        if 0x21 <= c < 0x7F:  # most of most texts
            out[index] = c
            index += 1
            line, feeds, p = index, 0, following
            continue
        if c >= 0x80:
            c, following = decode(data, p, end)
        action = actions[c] if c < actions.size else 0
        if action == DROP:
            flags |= DROPPED
            p = following
            continue
        if action:
            if action == _FEED_OF_PAIR and following < end and data[following] == 10:
                following += 1
            flags |= RESPACED
            c = np.int64(32) if action == BLANK else np.int64(10)
        if whitespace and c == 10:
            if index > line:
                flags |= RESPACED
                index = line
            feeds += 1
            if feeds > 2 or index == begin:
                flags |= RESPACED
            else:
                out[index] = 10
                index += 1
            line = index
        elif action:
            out[index] = c
            index += 1
        else:
            for q in range(p, following):
                out[index] = data[q]
                index += 1
            if c != 32 and c != 9:
                line, feeds = index, 0
        p = following
    if whitespace:
        while index > begin and (out[index - 1] == 10 or out[index - 1] == 32 or out[index - 1] == 9):
            index -= 1
            flags |= RESPACED
    return index, flags


@nb.njit(nogil=True, cache=True)
def _clean(data, offsets, actions, whitespace, out, bounds, flags):  # type: ignore[no-untyped-def]
    index = np.int64(0)
    for i in range(flags.size):
        index, flag = _clean_one(data, offsets[i], offsets[i + 1], actions, whitespace, out, index)
        bounds[i + 1] = index
        flags[i] = flag


def clean_texts(texts: pa.Array | pa.ChunkedArray, actions: Actions, whitespace: bool,
                ) -> tuple[pa.LargeStringArray, Flags]:
    """Texts after `actions`, and what was done to each.

    Blanks within a line and at its start stay: code and tables need them.

    Args:
        texts: string or large_string [n]; a null is empty.
        actions: Of `cleaning_actions`.
        whitespace: Whether blanks at the ends of lines, empty lines beyond one between paragraphs, and all at the ends
            of the text are removed too.
    Returns:
        (large_string [n], uint8 [n]: bits DROPPED and RESPACED).
    """
    data, offsets = string_buffers(texts)
    n = len(offsets) - 1
    out = np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint8)
    bounds, flags = np.zeros(n + 1, np.int64), np.zeros(n, np.uint8)
    _clean(read_only(data), read_only(offsets), actions, whitespace, out, bounds, flags)
    return pa.LargeStringArray.from_buffers(n, pa.py_buffer(bounds), pa.py_buffer(out)), flags


@functools.cache
def _look_table() -> Flags:
    """What each code point may mean, uint8 [TABLE_SIZE].

    A text is in NFC if it has no character with a combining class, none that NFC replaces, and none that composes with
    the one before it (Unicode Standard Annex 15, section 9)."""
    odd = combines() | flagged("n") | flagged("c")
    return np.where(odd[:TABLE_SIZE], NOT_SURELY_NFC, 0).astype(np.uint8)


@functools.cache
def _continuation_table() -> npt.NDArray[np.bool_]:
    table = np.zeros(TABLE_SIZE, np.bool_)
    table[[ord(c) for c in _CONTINUATIONS]] = True
    return table


@nb.njit(nogil=True, cache=True)
def _look(data, offsets, table, continuations, odd, flags):  # type: ignore[no-untyped-def]
    for i in range(flags.size):
        p, end = offsets[i], offsets[i + 1]
        flag, lead = 0, False
        while p < end:
            if data[p] < 0x80:
                p += 1
                lead = False
                continue
            c, p = decode(data, p, end)
            if c < table.size:
                flag |= table[c]
                if (lead and continuations[c]) or 0x80 <= c < 0xA0:
                    flag |= MAYBE_MOJIBAKE
            elif odd[0] <= c < odd[1]:
                flag |= NOT_SURELY_NFC
            lead = 0xC2 <= c <= 0xF4
        flags[i] = flag


def look_at_texts(texts: pa.Array | pa.ChunkedArray) -> Flags:
    """Bits NOT_SURELY_NFC and MAYBE_MOJIBAKE of each text, uint8 [n]: a text without a bit surely has no such need.

    Mojibake: UTF-8 read as windows-1252 or Latin-1 shows a letter from U+00C2 to U+00F4 followed by what a byte from
    0x80 to 0xBF became; and a C1 control is a windows-1252 character read as Latin-1."""
    data, offsets = string_buffers(texts)
    flags = np.zeros(len(offsets) - 1, np.uint8)
    _look(read_only(data), read_only(offsets), _look_table(), _continuation_table(), _COMPATIBILITY_IDEOGRAPHS,
          flags)
    return flags
