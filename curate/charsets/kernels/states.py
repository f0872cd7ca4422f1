"""The decoders that keep a state: ISO-2022-JP, whose escape sequences switch character sets, and UTF-16."""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.charsets.kernels.writing import REPLACEMENT, put
from curate.text.compiled import kernel

_ASCII: Final = 0
_ROMAN: Final = 1
_KATAKANA: Final = 2
_LEAD: Final = 3  # JIS X 0208
_ESCAPE: Final = 0x1B


@kernel
def decode_iso_2022_jp(data, jis0208, out):  # type: ignore[no-untyped-def]
    """(bytes written, errors, characters outside ASCII). jis0208: int32 [94 * 94]."""
    n = n_errors = n_coded = i = 0
    state, written = _ASCII, False  # written: since the last escape sequence, of which two in a row are an error
    while i < len(data):
        byte = data[i]
        i += 1
        if byte == _ESCAPE:
            new = _state_after(data, i)
            error = new < 0 or written
            if new >= 0:
                state, i, written = new, i + 2, True
            else:
                written = False
            if error:
                n_errors += 1
                n = put(out, n, REPLACEMENT)
            continue
        written = False
        code = -1
        if state == _LEAD:
            if 0x21 <= byte <= 0x7E:
                code, i = _pair(data, i, byte, jis0208)
        elif state == _KATAKANA:
            if 0x21 <= byte <= 0x5F:
                code = 0xFF61 - 0x21 + byte
        elif byte < 0x80 and byte != 0x0E and byte != 0x0F:
            code = byte
            if state == _ROMAN:
                code = 0xA5 if byte == 0x5C else 0x203E if byte == 0x7E else code
        n_coded += code >= 0x80
        n_errors += code < 0
        n = put(out, n, code if code >= 0 else REPLACEMENT)
    return n, n_errors, n_coded


@kernel
def _state_after(data, i):  # type: ignore[no-untyped-def]
    """The state that the two bytes after an escape ask for; -1 where they are none of its sequences."""
    if i + 1 < len(data):
        if data[i] == 0x28:
            mark = data[i + 1]
            return _ASCII if mark == 0x42 else _ROMAN if mark == 0x4A else _KATAKANA if mark == 0x49 else -1
        if data[i] == 0x24 and (data[i + 1] == 0x40 or data[i + 1] == 0x42):
            return _LEAD
    return -1


@kernel
def _pair(data, i, lead, jis0208):  # type: ignore[no-untyped-def]
    """(code or -1, index after it) of a pair whose first byte is before data[i]; an escape sequence is left to come."""
    if i >= len(data) or data[i] == _ESCAPE:
        return -1, i
    trail = data[i]
    if 0x21 <= trail <= 0x7E:
        return jis0208[(lead - 0x21) * 94 + trail - 0x21], i + 1
    return -1, i + 1


@kernel
def decode_utf_16(data, big_endian, out):  # type: ignore[no-untyped-def]
    """(bytes written, errors)."""
    n = n_errors = i = 0
    while i + 1 < len(data):
        code = _unit(data, i, big_endian)
        i += 2
        if 0xD800 <= code < 0xE000:
            low = _unit(data, i, big_endian) if code < 0xDC00 and i + 1 < len(data) else 0
            if 0xDC00 <= low < 0xE000:
                code = 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00
                i += 2
            else:
                n_errors += 1
                # The end of the bytes ends a surrogate and a lone byte with one error.
                i = len(data) if code < 0xDC00 and i + 1 >= len(data) else i
                code = REPLACEMENT
        n = put(out, n, code)
    if i < len(data):
        n_errors += 1
        n = put(out, n, REPLACEMENT)
    return n, n_errors


@kernel
def _unit(data, i, big_endian):  # type: ignore[no-untyped-def]
    first, second = np.int64(data[i]), np.int64(data[i + 1])
    return first << 8 | second if big_endian else second << 8 | first
