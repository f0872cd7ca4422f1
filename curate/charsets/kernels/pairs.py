"""Encodings of one byte, and of one and two with what some add: three in EUC-JP, four in GB 18030."""

from __future__ import annotations

from curate.charsets.kernels.writing import REPLACEMENT, put
from curate.text.compiled import kernel

_LEAD = -2


@kernel
def decode_single(data, codes, out):  # type: ignore[no-untyped-def]
    """(bytes written, errors) of a single-byte encoding. codes: int32 [256]."""
    n = n_errors = 0
    for byte in data:
        if byte < 0x80:
            out[n] = byte
            n += 1
            continue
        code = codes[byte]
        if 0 <= code < 0x800:
            out[n] = 0xC0 | code >> 6
            out[n + 1] = 0x80 | code & 0x3F
            n += 2
            continue
        if code < 0:
            n_errors += 1
            code = REPLACEMENT
        n = put(out, n, code)
    return n, n_errors


@kernel
def decode_pairs(data, single, rows, pairs, jis0212, pointers, firsts, out):  # type: ignore[no-untyped-def]
    """(bytes written, errors) of an encoding of pairs.

    A pair that stands for nothing is one error; its second byte is read again where it is ASCII.
    jis0212: of EUC-JP's three bytes, else empty. pointers, firsts: of GB 18030's four, else empty."""
    n = n_errors = i = 0
    while i < len(data):
        byte = data[i]
        i += 1
        if byte < 0x80:
            out[n] = byte
            n += 1
            continue
        code = single[byte]
        if code == _LEAD:
            code = pairs[rows[byte], data[i]] if i < len(data) else -1
            if code >= 0:
                i += 1
            else:
                code, i = _sequence(data, i, byte, jis0212, pointers, firsts)
        if 0x800 <= code < 0x10000:
            out[n] = 0xE0 | code >> 12
            out[n + 1] = 0x80 | code >> 6 & 0x3F
            out[n + 2] = 0x80 | code & 0x3F
            n += 3
            continue
        if code < 0:
            n_errors += 1
            code = REPLACEMENT
        n = put(out, n, code)
    return n, n_errors


@kernel
def _sequence(data, i, lead, jis0212, pointers, firsts):  # type: ignore[no-untyped-def]
    """(code or -1, index after it) of what a lead byte before data[i] begins, where that is no pair with a code."""
    if i >= len(data):
        return -1, i
    trail = data[i]
    if len(pointers) and 0x30 <= trail <= 0x39:
        return _four(data, i, lead, pointers, firsts)
    if len(jis0212) and lead == 0x8F and 0xA1 <= trail <= 0xFE:
        return _three(data, i, jis0212)
    return -1, i + (trail >= 0x80)


@kernel
def _three(data, i, jis0212):  # type: ignore[no-untyped-def]
    """Of EUC-JP, after 0x8F: the two bytes of a character of JIS X 0212, the first of which is in its range."""
    if i + 1 >= len(data):
        return -1, i + 1
    trail = data[i + 1]
    code = jis0212[(data[i] - 0xA1) * 94 + trail - 0xA1] if 0xA1 <= trail <= 0xFE else -1
    return code, i + 1 + (code >= 0 or trail >= 0x80)


@kernel
def _four(data, i, lead, pointers, firsts):  # type: ignore[no-untyped-def]
    """Of GB 18030: what a lead byte and the digit at data[i] begin. What breaks off is read again after the lead."""
    if i + 1 >= len(data):
        return -1, i + 1
    if not 0x81 <= data[i + 1] <= 0xFE:
        return -1, i
    if i + 2 >= len(data):
        return -1, i + 2
    if not 0x30 <= data[i + 2] <= 0x39:
        return -1, i
    pointer = (((lead - 0x81) * 10 + data[i] - 0x30) * 126 + data[i + 1] - 0x81) * 10 + data[i + 2] - 0x30
    code = -1
    if 189000 <= pointer <= 1237575:
        code = pointer - 189000 + 0x10000
    elif pointer < 39420:
        low, high = 0, len(pointers)
        while high - low > 1:
            middle = (low + high) // 2
            if pointers[middle] <= pointer:
                low = middle
            else:
                high = middle
        code = firsts[low] + pointer - pointers[low]
    return code, i + 3
