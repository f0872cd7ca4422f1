"""What looks like a URL, an e-mail address or a host name to spaCy's tokenizer (lang/tokenizer_exceptions.py)."""

from __future__ import annotations

import numba as nb
import numpy as np

from curate.kernels.characters import ALPHA, ALPHA_LOWER, DIGIT_09, ENGLISH_SHIFT, LABEL


@nb.njit(nogil=True, cache=True, inline="always")
def has_class(kinds, i, english):  # type: ignore[no-untyped-def]
    """Whether the character at i has one of these English classes. kinds: uint32, from PROPERTIES."""
    return (kinds[i] >> np.uint32(ENGLISH_SHIFT)) & np.uint32(english) != 0


@nb.njit(nogil=True, cache=True)
def _is_host(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    """Whether codes[a:b] is a host name with a top-level domain, and perhaps a port and a path."""
    q, dot, label_start, n_labels = a, -1, a, 0
    while q < b:
        c = codes[q]
        if c == 0x2E:
            n = q - label_start
            if n < 1 or n > 64 or not (has_class(kinds, label_start, LABEL) and has_class(kinds, q - 1, LABEL)):
                return False
            dot, label_start, n_labels = q, q + 1, n_labels + 1
        elif not (has_class(kinds, q, LABEL) or c == 0x2D or c == 0x5F):
            break
        q += 1
    if n_labels == 0 or q - dot - 1 < 2 or q - dot - 1 > 63:
        return False
    for i in range(dot + 1, q):
        if not has_class(kinds, i, ALPHA_LOWER):
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
    """Whether codes[a:b] is a URL, an e-mail address or a host name, by the shape that spaCy asks for."""
    has_dot, start, scheme = False, a, True
    for i in range(a, b):
        c = codes[i]
        has_dot |= c == 0x2E
        if scheme and c == 0x3A and i + 2 < b and codes[i + 1] == 0x2F and codes[i + 2] == 0x2F:
            start, scheme = (i + 3 if i - a >= 2 else a), False
        scheme &= has_class(kinds, i, ALPHA | DIGIT_09) or c in (0x2B, 0x2D, 0x2E, 0x5F)
    if not has_dot:
        return False
    if _is_host(codes, kinds, start, b) or (start != a and _is_host(codes, kinds, a, b)):
        return True
    for i in range(start + 1, b - 1):  # noqa: SIM110 (a kernel)
        if codes[i] == 0x40 and _is_host(codes, kinds, i + 1, b):
            return True
    return False
