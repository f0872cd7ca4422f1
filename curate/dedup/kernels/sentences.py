"""Runs of sentences of texts, with a 64-bit key each, for C4's rule.

A sentence ends at a line feed; behind characters that end sentences (Unicode's Sentence_Terminal) and whatever closes
quotations and brackets there (Pe, Pf, `"` and `'`), where white space or the text's end follows; and behind a full stop
of a script without spaces. What has no word goes with the sentence before. Words are those of `curate.text.words`,
and each character above U+1FFFF is one. Two sentences are one if they have the same words in the same order.
"""

from __future__ import annotations

import functools
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.dedup.kernels.paragraphs import Units
from curate.text.characters import PROPERTIES, TERMINAL
from curate.text.strings import Bytes, Offsets, read_only
from curate.text.unicode import KIND, SPACE, TABLE_SIZE, decode, in_category
from curate.text.words import ALONE, FNV_OFFSET, FNV_PRIME, GRAM_BASE, WORD, fmix64, gram_power

_BLANK, _ENDS, _CLOSES, _ENDS_AT_ONCE = 1, 2, 3, 4
_WIDE_STOPS: Final = (0x3002, 0xFF01, 0xFF1F, 0xFF61)
_FIRST_ROOM: Final = 1024


@functools.cache
def sentence_kinds() -> npt.NDArray[np.uint8]:
    """uint8 by code point: 1 white space, 2 what ends a sentence, 3 what may close it, 4 what ends it at once."""
    kinds = np.where(KIND == SPACE, _BLANK, np.where(PROPERTIES & TERMINAL, _ENDS, 0)).astype(np.uint8)
    closing = np.flatnonzero(in_category("Pe", "Pf")[:TABLE_SIZE])
    kinds[[*closing, 0x22, 0x27]] = _CLOSES
    kinds[list(_WIDE_STOPS)] = _ENDS_AT_ONCE
    return kinds


@nb.njit(nogil=True, cache=True, inline="always")
def _with_word(h, word):  # type: ignore[no-untyped-def]
    h = (h ^ fmix64(word)) * GRAM_BASE
    return h ^ (h >> np.uint64(29))


@nb.njit(nogil=True, cache=True)
def _split(data, base, end, words, kinds, hashes, spans):  # type: ignore[no-untyped-def]
    """Sentences of data[base:end]: fills hashes [n] and spans [2, n] (start, stop); returns n."""
    n, p, start, stop = 0, base, np.int64(-1), np.int64(0)
    h, word, inside, some, ended, wide = FNV_OFFSET, FNV_OFFSET, False, False, False, False
    while p <= end:
        c, q, v, kind = np.int64(0x0A), p + 1, np.uint32(0), np.uint8(_BLANK)
        if p < end:
            c = np.int64(data[p])
            if c >= 0x80:
                c, q = decode(data, p, end)
            v = words[c] if c < TABLE_SIZE else np.uint32(c) | ALONE
            kind = kinds[c] if c < TABLE_SIZE else np.uint8(0)
        if inside and (v == 0 or v >= ALONE):
            h, word, inside = _with_word(h, word), FNV_OFFSET, False
        if (kind == _BLANK and (ended or c == 0x0A)) or (wide and kind < _ENDS):
            if some:
                hashes[n], spans[0, n], spans[1, n] = fmix64(h), start - base, stop - base
                n += 1
            h, start, some, ended, wide = FNV_OFFSET, np.int64(-1), False, False, False
        if kind != _BLANK:
            start = p if start < 0 else start
            stop = q
            wide = bool(kind == _ENDS_AT_ONCE or (wide and kind >= _ENDS))
            ended = bool(kind == _ENDS or kind == _ENDS_AT_ONCE or (ended and kind == _CLOSES))  # noqa: SIM109
        if v >= ALONE:
            h, some = _with_word(h, (FNV_OFFSET ^ np.uint64(v)) * FNV_PRIME), True
        elif v != 0:
            word, inside, some = (word ^ np.uint64(v)) * FNV_PRIME, True, True
        p = q
    return n


@nb.njit(nogil=True, cache=True)
def _sentence_runs(data, offsets, span, words, kinds):  # type: ignore[no-untyped-def]
    keys, runs, size = np.empty(_FIRST_ROOM, np.uint64), np.empty((3, _FIRST_ROOM), np.int64), 0
    hashes, spans = np.empty(_FIRST_ROOM, np.uint64), np.empty((2, _FIRST_ROOM), np.int64)
    bounds, power = np.zeros(offsets.size, np.int64), gram_power(span)
    for d in range(offsets.size - 1):
        base, end = offsets[d], offsets[d + 1]
        if end - base >= hashes.size:  # a sentence has a byte at least
            hashes, spans = np.empty(2 * (end - base), np.uint64), np.empty((2, 2 * (end - base)), np.int64)
        n = _split(data, base, end, words, kinds, hashes, spans)
        while size + n > keys.size:
            keys = np.append(keys, np.empty(keys.size, np.uint64))
            runs = np.concatenate((runs, np.empty((3, runs.shape[1]), np.int64)), axis=1)
        rolling = np.uint64(0)
        for i in range(n):
            rolling = rolling * GRAM_BASE + hashes[i]
            if i >= span:
                rolling -= hashes[i - span] * power
            first = i - span + 1
            if first < 0:
                continue
            keys[size] = fmix64(rolling)
            runs[0, size] = spans[0, first] if first else 0
            runs[1, size] = spans[0, i + 1] if i + 1 < n else end - base
            runs[2, size] = spans[1, first - 1] if first else 0
            size += 1
        bounds[d + 1] = size
    return keys[:size], runs[:, :size], bounds


def find_sentence_runs(data: Bytes, offsets: Offsets, span: int) -> Units:
    """Every run of `span` sentences of texts; they overlap. data, offsets: as of `string_buffers`."""
    keys, runs, bounds = _sentence_runs(read_only(data), read_only(offsets), span, WORD, sentence_kinds())
    return Units(keys.copy(), runs[0].copy(), runs[1].copy(), runs[2].copy(), bounds)
