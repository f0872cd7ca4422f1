"""What comes off the ends of an English word, and where it splits inside: spaCy's affixes and infixes.

After spaCy 3.8 (lang/punctuation.py, lang/en/punctuation.py, lang/char_classes.py). A run of characters is given by its
code points (int32) and their properties (uint32).
"""

# ruff: noqa: RUF001, SIM905 (units of many scripts are what this module is about)
from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.heuristics.kernels.spacy.url_shapes import has_class
from curate.text.characters import (
    AFFIX,
    ALPHA,
    ALPHA_LOWER,
    ALPHA_UPPER,
    BEFORE_STOP,
    CURRENCY,
    DIGIT_09,
    ICON,
    PREFIX,
    QUOTE,
)
from curate.text.hash_table import hash_table, look_up, word_hash
from curate.text.words import FNV_OFFSET, FNV_PRIME, fmix64

_UNITS: Final = (  # тбكم is spaCy's: two of its lines meet without a space
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph"
    " hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм кг г мг м/с"
    " км/ч кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ тбكم كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³ كم غرام جرام جم كغ"
    " ملغ كوب اكواب").split()
_LONGEST_UNIT: Final = max(map(len, _UNITS))
UNIT_KEYS, UNIT_VALUES = hash_table({word_hash(unit): 1 for unit in _UNITS}, np.uint32)
_DOT, _ELLIPSIS, _APOSTROPHE, _CURLY, _DEGREE = 0x2E, 0x2026, 0x27, 0x2019, 0xB0
_HYPHEN, _EN_DASH, _EM_DASH, _TILDE, _PLUS = 0x2D, 0x2013, 0x2014, 0x7E, 0x2B


@nb.njit(nogil=True, cache=True)
def run_hash(codes, a, b):  # type: ignore[no-untyped-def]
    h = FNV_OFFSET
    for i in range(a, b):
        h = (h ^ np.uint64(codes[i])) * FNV_PRIME
    return fmix64(h)


@nb.njit(nogil=True, cache=True)
def prefix_length(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    """Code points that come off the start of codes[a:b]."""
    c = codes[a]
    if has_class(kinds, a, AFFIX | PREFIX):
        return 1
    if c == _PLUS:
        return 0 if a + 1 < b and has_class(kinds, a + 1, DIGIT_09) else 1
    if c == _DOT:
        n = 1
        while a + n < b and codes[a + n] == _DOT:
            n += 1
        return n if n > 1 else 0
    if c == 0x55 and a + 2 < b and codes[a + 1] == 0x53 and codes[a + 2] == 0x24:  # US$
        return 3
    if (c == 0x43 or c == 0x41) and a + 1 < b and codes[a + 1] == 0x24:  # C$, A$
        return 2
    return 0


@nb.njit(nogil=True, cache=True)
def suffix_length(codes, kinds, a, b, unit_keys, unit_values):  # type: ignore[no-untyped-def]
    """Code points that come off the end of codes[a:b]: the longest that may."""
    c = codes[b - 1]
    if c == _DOT:
        return _stop_suffix(codes, kinds, a, b)
    if (c == 0x73 or c == 0x53) and b - a >= 2 and (codes[b - 2] == _APOSTROPHE or codes[b - 2] == _CURLY):
        return 2
    for n in range(min(_LONGEST_UNIT, b - a - 1), 0, -1):
        if has_class(kinds, b - n - 1, DIGIT_09) and look_up(run_hash(codes, b - n, b), unit_keys, unit_values):
            return n
    if c == _ELLIPSIS and b - a >= 2 and codes[b - 2] == _ELLIPSIS:
        return 2
    if c == 0x24 and b - a >= 2 and has_class(kinds, b - 2, ALPHA):  # 5US$
        for n in (3, 2):
            if b - a > n and has_class(kinds, b - n - 1, DIGIT_09) and prefix_length(codes, kinds, b - n, b) == n:
                return n
    if has_class(kinds, b - 1, AFFIX):
        return 1
    before = b - a >= 2 and has_class(kinds, b - 2, DIGIT_09)
    return 1 if before and (c == _PLUS or has_class(kinds, b - 1, CURRENCY)) else 0


@nb.njit(nogil=True, cache=True)
def _stop_suffix(codes, kinds, a, b):  # type: ignore[no-untyped-def]
    n = 1
    while b - n - 1 >= a and codes[b - n - 1] == _DOT:
        n += 1
    if n > 1:
        return n
    if b - a < 2:
        return 0
    if has_class(kinds, b - 2, BEFORE_STOP):
        return 1
    if b - a >= 3 and has_class(kinds, b - 2, ALPHA_UPPER) and has_class(kinds, b - 3, ALPHA_UPPER):
        return 1
    degrees = b - a >= 3 and codes[b - 3] == _DEGREE
    return 1 if degrees and (codes[b - 2] | 0x20) in (0x63, 0x66, 0x6B) else 0


@nb.njit(nogil=True, cache=True)
def infix_length(codes, kinds, i, a, b):  # type: ignore[no-untyped-def]
    """Code points of the infix at i inside codes[a:b]; 0 where there is none."""
    c = codes[i]
    if c == _DOT:
        n = 1
        while i + n < b and codes[i + n] == _DOT:
            n += 1
        if n > 1:
            return n
        inside = i > a and i + 1 < b and has_class(kinds, i - 1, ALPHA_LOWER | QUOTE)
        return 1 if inside and has_class(kinds, i + 1, ALPHA_UPPER | QUOTE) else 0
    if c == _ELLIPSIS or has_class(kinds, i, ICON):
        return 1
    if i == a or i + 1 >= b:
        return 0
    after_letter, after_digit = has_class(kinds, i - 1, ALPHA), has_class(kinds, i - 1, DIGIT_09)
    before_digit = has_class(kinds, i + 1, DIGIT_09) or codes[i + 1] == _HYPHEN
    if after_digit and before_digit and c in (_PLUS, _HYPHEN, 0x2A, 0x5E):
        return 1
    if c == 0x2C:
        return 1 if after_letter and has_class(kinds, i + 1, ALPHA) else 0
    if not (after_letter or after_digit):
        return 0
    if c in (0x3A, 0x3C, 0x3E, 0x3D, 0x2F):
        return 1 if has_class(kinds, i + 1, ALPHA) else 0
    if c in (_HYPHEN, _EN_DASH, _EM_DASH, _TILDE):
        n = 1
        longest = 3 if c == _HYPHEN else 2 if c == _EM_DASH else 1
        while n < longest and i + n < b and codes[i + n] == c:
            n += 1
        return n if i + n < b and has_class(kinds, i + n, ALPHA) else 0
    return 0
