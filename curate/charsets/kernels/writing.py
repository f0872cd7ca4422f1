"""Characters written as UTF-8, and ASCII copied: what every decoder does."""

from __future__ import annotations

from typing import Final

from curate.text.compiled import kernel

MAX_BYTES: Final = 3
"""UTF-8 bytes that a byte of any encoding can become: U+FFFD has three, a letter with its mark five for two bytes."""
REPLACEMENT: Final = 0xFFFD
_MARKED: Final = 1 << 30


@kernel
def put(out, n, code):  # type: ignore[no-untyped-def]
    """Write a code point, or a letter and its mark (`tables.MARKED`), at out[n]; where the next one goes."""
    if code < 0x80:
        out[n] = code
        return n + 1
    if code >= _MARKED:
        n = put_one(out, n, (code >> 16) & 0x3FFF)
        return put_one(out, n, code & 0xFFFF)
    return put_one(out, n, code)


@kernel
def put_one(out, n, code):  # type: ignore[no-untyped-def]
    """Write a code point above ASCII."""
    if code < 0x800:
        out[n] = 0xC0 | code >> 6
        out[n + 1] = 0x80 | code & 0x3F
        return n + 2
    if code < 0x10000:
        out[n] = 0xE0 | code >> 12
        out[n + 1] = 0x80 | code >> 6 & 0x3F
        out[n + 2] = 0x80 | code & 0x3F
        return n + 3
    out[n] = 0xF0 | code >> 18
    out[n + 1] = 0x80 | code >> 12 & 0x3F
    out[n + 2] = 0x80 | code >> 6 & 0x3F
    out[n + 3] = 0x80 | code & 0x3F
    return n + 4
