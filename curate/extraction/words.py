"""The words of a text as hashes: runs of letters and digits, and pairs of characters in scripts that part no words."""

from __future__ import annotations

import numpy as np

from curate.extraction.compiled import kernel
from curate.text.words import FNV_OFFSET, FNV_PRIME

_NONE = np.uint64(0)


@kernel
def next_word(text, p, end, before):  # type: ignore[no-untyped-def]
    """(hash, offset after it, bytes, wide) of the first word at or after p; of no bytes where none is left.

    ASCII letters count in lower case, and any other character beyond ASCII is a letter but for U+2000 to U+203F and
    U+3000 to U+303F, which are punctuation. Kana and ideographs (U+3040 to U+9FFF) are wide: each is a word together
    with the one before it. before and wide: the hash of such a character alone, 0 where there is none."""
    h, size = FNV_OFFSET, 0
    while p < end:
        c = text[p]
        if c < 0x80:
            if ((c | 32) >= 97 and (c | 32) <= 122) or (c >= 48 and c <= 57):
                h = (h ^ np.uint64(c | 32)) * FNV_PRIME
                size += 1
                p += 1
                continue
            if size:
                break
            before = _NONE
            p += 1
        elif c >= 0xE2 and c <= 0xE9 and p + 3 <= end and (c > 0xE2 or text[p + 1] == 0x80):
            if size:
                break
            if c == 0xE2 or (c == 0xE3 and text[p + 1] == 0x80):
                before = _NONE
                p += 3
                continue
            return _wide(text, p, before), p + 3, 3, _wide(text, p, _NONE)
        else:
            h = (h ^ np.uint64(c)) * FNV_PRIME
            size += 1
            p += 1
    return h, p, size, _NONE


@kernel
def _wide(text, p, before):  # type: ignore[no-untyped-def]
    h = FNV_OFFSET if before == _NONE else before
    for k in range(3):
        h = (h ^ np.uint64(text[p + k])) * FNV_PRIME
    return h
