"""Pre-tokenization: where text is cut before byte pairs are merged. Compiled, over Arrow's buffers.

The patterns are regular expressions that a tokenizer.json holds; the kernels cut exactly where `tokenizers` does, in
one pass. A match depends on the text after its beginning alone, so a document can be split in blocks of pre-tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Regex, pre_tokenizers

from manifests.tables import string_buffers
from tokenizer.encoding.character_classes import LETTER, LOWER, NEWLINE, NUMBER, OTHER, SPACE, UPPER, character_classes
from tokenizer.encoding.patterns import EXPRESSIONS, Pattern

_NUMBER: Final = {Pattern.GPT2: 0, Pattern.CL100K: 1, Pattern.O200K: 2, Pattern.LLAMA: 3}
_BLOCK: Final = 1 << 15  # pre-tokens at a time: 512 KiB of offsets, so they stay in the cache

Offsets = npt.NDArray[np.int64]


def pre_tokenizer(pattern: Pattern) -> Any:
    """The same cuts in `tokenizers`, bytes written in GPT-2's alphabet: what tokenizer.json says, and the oracle."""
    if pattern is Pattern.GPT2:
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(EXPRESSIONS[pattern]), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def cut(texts: pa.Array, pattern: Pattern) -> Iterator[tuple[npt.NDArray[np.uint8], Offsets, Offsets]]:
    """Pre-tokens of every text, in order, some thousands at a time: (UTF-8 data, starts, ends), int64 [n] offsets.

    texts: large_string without nulls. The arrays of offsets are used again for the next block."""
    data, offsets = string_buffers(texts)
    starts, ends = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    cursor = np.array([0, offsets[0] if len(texts) else 0], np.int64)
    classes = character_classes()
    while cursor[0] < len(texts):
        n = _cut_block(data, offsets, classes, _NUMBER[pattern], cursor, starts, ends)
        yield data, starts[:n], ends[:n]


@nb.njit(nogil=True, cache=True)
def _cut_block(data, offsets, classes, pattern, cursor, starts, ends):  # type: ignore[no-untyped-def]
    """Split from cursor (text, offset) on until the block is full or the texts end; returns how many pre-tokens."""
    text, p, n = cursor[0], cursor[1], 0
    while text < len(offsets) - 1:
        end = offsets[text + 1]
        while p < end and n < len(starts):
            if pattern == 0:
                e = _next_gpt2(data, p, end, classes)
            elif pattern == 2:
                e = _next_o200k(data, p, end, classes)
            else:
                e = _next_cl100k(data, p, end, classes, 3 if pattern == 1 else 1)
            starts[n], ends[n] = p, e
            n += 1
            p = e
        if p < end:
            break
        text += 1
    cursor[0], cursor[1] = text, p
    return n


@nb.njit(nogil=True, cache=True)
def _next_gpt2(data, p, end, classes):  # type: ignore[no-untyped-def]
    first = data[p]
    if first == 39:
        e = _contraction(data, p, end, False)
        if e > p:
            return e
    kind, q = _character(data, p, classes)
    if first == 32 and q < end:
        following = _character(data, q, classes)[0]
        if not following & SPACE:
            return _run(data, q, end, classes, following & (LETTER | NUMBER | OTHER))
    if kind & SPACE:
        return _spaces(data, p, end, classes, False)
    return _run(data, q, end, classes, kind & (LETTER | NUMBER | OTHER))


@nb.njit(nogil=True, cache=True)
def _next_cl100k(data, p, end, classes, digits):  # type: ignore[no-untyped-def]
    if data[p] == 39:
        e = _contraction(data, p, end, True)
        if e > p:
            return e
    kind, q = _character(data, p, classes)
    if kind & LETTER:
        return _run(data, q, end, classes, LETTER)
    if kind & NUMBER:
        return _numbers(data, q, end, classes, digits)
    if not kind & NEWLINE and q < end and _character(data, q, classes)[0] & LETTER:
        return _run(data, q, end, classes, LETTER)
    return _punctuation(data, p, q, end, classes, kind, False)


@nb.njit(nogil=True, cache=True)
def _next_o200k(data, p, end, classes):  # type: ignore[no-untyped-def]
    kind, q = _character(data, p, classes)
    leads = not kind & (NEWLINE | LETTER | NUMBER) and q < end
    # The expression's first branch with its leading character, then without, then its second branch likewise.
    e = _cased(data, q, end, classes) if leads else -1
    if e < 0 and kind & (UPPER | LOWER):
        e = _cased(data, p, end, classes)
    if e < 0 and leads:
        e = _run(data, q, end, classes, UPPER)
        e = e if e > q else -1
    if e < 0 and kind & UPPER:
        e = _run(data, p, end, classes, UPPER)
    if e >= 0:
        if e < end and data[e] == 39:
            return _contraction(data, e, end, True)
        return e
    if kind & NUMBER:
        return _numbers(data, q, end, classes, 3)
    return _punctuation(data, p, q, end, classes, kind, True)


@nb.njit(nogil=True, cache=True)
def _cased(data, p, end, classes):  # type: ignore[no-untyped-def]
    """End of UPPER* LOWER+ at p, or -1. Where nothing small follows, a backtracking engine gives characters back until
    one of both kinds is the last."""
    both = -1
    while p < end:
        kind, q = _character(data, p, classes)
        if not kind & UPPER:
            return _run(data, q, end, classes, LOWER) if kind & LOWER else both
        if kind & LOWER:
            both = q
        p = q
    return both


@nb.njit(nogil=True, cache=True)
def _punctuation(data, p, q, end, classes, kind, slashes):  # type: ignore[no-untyped-def]
    """End of the pre-token at p (its second character at q) that is no word and no number: punctuation with the
    newlines after it, or spaces."""
    if data[p] == 32 and q < end and _character(data, q, classes)[0] & OTHER:
        kind = OTHER
    if not kind & OTHER:
        return _spaces(data, p, end, classes, True)
    e = _run(data, q, end, classes, OTHER)
    while e < end and (data[e] == 10 or data[e] == 13 or (slashes and data[e] == 47)):
        e += 1
    return e


@nb.njit(nogil=True, cache=True)
def _spaces(data, p, end, classes, newlines):  # type: ignore[no-untyped-def]
    """End of a pre-token of white space: up to the last newline where those count, else all but the last character
    where something follows, else all."""
    e, last, newline = p, p, p
    while e < end:
        kind, q = _character(data, e, classes)
        if not kind & SPACE:
            break
        last = e
        e = q
        if kind & NEWLINE:
            newline = e
    if newlines and newline > p:
        return newline
    return e if e == end or last == p else last


@nb.njit(nogil=True, cache=True)
def _numbers(data, p, end, classes, most):  # type: ignore[no-untyped-def]
    """End of a number whose second character would be at p: at most so many characters."""
    for _ in range(most - 1):
        if p == end:
            break
        kind, q = _character(data, p, classes)
        if not kind & NUMBER:
            break
        p = q
    return p


@nb.njit(nogil=True, cache=True)
def _run(data, p, end, classes, kinds):  # type: ignore[no-untyped-def]
    while p < end:
        kind, q = _character(data, p, classes)
        if not kind & kinds:
            break
        p = q
    return p


@nb.njit(nogil=True, cache=True)
def _contraction(data, p, end, any_case):  # type: ignore[no-untyped-def]
    """End of 's 't 'm 'd 'll 've 're at p, or p. In any case includes U+017F, the long s that folds to s."""
    if p + 1 >= end:
        return p
    fold = 0x20 if any_case else 0
    a = data[p + 1] | fold
    if a == 115 or a == 116 or a == 109 or a == 100:
        return p + 2
    if p + 2 >= end:
        return p
    b = data[p + 2] | fold
    if (a == 108 and b == 108) or ((a == 118 or a == 114) and b == 101):
        return p + 3
    if any_case and data[p + 1] == 0xC5 and data[p + 2] == 0xBF:
        return p + 3
    return p


@nb.njit(nogil=True, cache=True)
def _character(data, p, classes):  # type: ignore[no-untyped-def]
    """(classes, next offset) of the UTF-8 character at p; Arrow strings are valid UTF-8 by contract."""
    c = np.int64(data[p])
    if c < 0x80:
        return classes[c], p + 1
    if c < 0xE0:
        return classes[((c & 0x1F) << 6) | (np.int64(data[p + 1]) & 0x3F)], p + 2
    c = ((c & 0x0F) << 12) | ((np.int64(data[p + 1]) & 0x3F) << 6) | (np.int64(data[p + 2]) & 0x3F) \
        if c < 0xF0 else \
        ((c & 0x07) << 18) | ((np.int64(data[p + 1]) & 0x3F) << 12) | ((np.int64(data[p + 2]) & 0x3F) << 6) \
        | (np.int64(data[p + 3]) & 0x3F)
    return classes[c], p + (3 if c < 0x10000 else 4)
