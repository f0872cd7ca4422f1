"""What looks like a URL, an e-mail address or a host name to spaCy's tokenizer (lang/tokenizer_exceptions.py)."""

from __future__ import annotations

import numba as nb
import numpy as np

from curate.text.characters import ALPHA_LOWER, DIGIT, ENGLISH_SHIFT, LABEL, LETTER


@nb.njit(nogil=True, cache=True, inline="always")
def has_class(kinds, i, english):  # type: ignore[no-untyped-def]
    """Whether the character at i has one of these English classes. kinds: uint32, from PROPERTIES."""
    return (kinds[i] >> np.uint32(ENGLISH_SHIFT)) & np.uint32(english) != 0


@nb.njit(nogil=True, cache=True)
def _host_end(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    """Where the host name with a top-level domain at a ends; -1 where there is none."""
    q, dot, label_start, n_labels, odd = a, -1, a, 0, False
    while q < b:
        if codes[q] == 0x2E:
            n = q - label_start
            if odd or n < 1 or n > 64 or not (has_class(kinds, label_start, LABEL) and has_class(kinds, q - 1, LABEL)):
                return -1
            dot, label_start, n_labels = q, q + 1, n_labels + 1
        elif not (has_class(kinds, q, LABEL) or codes[q] in (0x2D, 0x5F)):
            if not has_class(kinds, q, ALPHA_LOWER):
                break
            odd = True  # a letter of the top-level domain alone
        q += 1
    if n_labels == 0 or q - dot - 1 < 2 or q - dot - 1 > 63:
        return -1
    for i in range(dot + 1, q):
        if not has_class(kinds, i, ALPHA_LOWER):
            return -1
    return q


@nb.njit(nogil=True, cache=True)
def _address_end(codes, a, b):  # type: ignore[no-untyped-def]
    """Where the public IPv4 address at a ends; -1 where there is none. As there, 172.16 to 172.31 are not public."""
    numbers, q = np.zeros(4, np.int64), a
    for i in range(4):
        if i:
            if q >= b or codes[q] != 0x2E:
                return -1
            q += 1
        first = q
        while q < b and q - first < 3 and 0x30 <= codes[q] <= 0x39:
            numbers[i] = 10 * numbers[i] + codes[q] - 0x30
            q += 1
        zero = codes[first] == 0x30 if q > first else True
        if q == first or numbers[i] > 255 or (zero and i in (0, 3)) or (zero and q - first == 3):
            return -1
    one, two = numbers[0], numbers[1]
    private = one in (10, 127) or (one == 169 and two == 254) or (one == 192 and two == 168)
    if private or (one == 172 and 16 <= two <= 31) or one > 223 or numbers[3] > 254:
        return -1
    return q


@nb.njit(nogil=True, cache=True)
def _is_place(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    """Whether codes[a:b] is a host or an address, and perhaps a port and a path."""
    q = _host_end(codes, kinds, a, b)
    if q < 0:
        q = _address_end(codes, a, b)
    if q < 0:
        return False
    if q < b and codes[q] == 0x3A:
        digits = 0
        while q + 1 + digits < b and 0x30 <= codes[q + 1 + digits] <= 0x39:
            digits += 1
        if digits < 2 or digits > 5:
            return False
        q += 1 + digits
    return q == b or codes[q] in (0x2F, 0x3F, 0x23)


@nb.njit(nogil=True, cache=True)
def is_url(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    """Whether codes[a:b] is a URL, an e-mail address or a host, by the shape that spaCy asks for."""
    has_dot, start, scheme = False, a, True
    for i in range(a, b):
        c = codes[i]
        has_dot |= c == 0x2E
        if scheme and c == 0x3A and i + 2 < b and codes[i + 1] == 0x2F and codes[i + 2] == 0x2F:
            start, scheme = (i + 3 if i - a >= 2 else a), False
        scheme &= kinds[i] & (LETTER | DIGIT) != 0 or c in (0x2B, 0x2D, 0x2E, 0x5F)
    if not has_dot:
        return False
    if _is_place(codes, kinds, start, b) or (start != a and _is_place(codes, kinds, a, b)):
        return True
    for i in range(a + 1, b - 1):  # noqa: SIM110 (a kernel)
        if codes[i] == 0x40 and _is_place(codes, kinds, i + 1, b):
            return True
    return False
