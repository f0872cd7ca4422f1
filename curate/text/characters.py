"""What each code point is to the heuristic filters, as a table that compiled kernels index.

`PROPERTIES[c]` holds, in its low half, bits for case, script, sentence ends and line breaks, and in its high half the
classes in which spaCy's English tokenizer sorts characters, on which datatrove's word counts rest.
"""

# ruff: noqa: RUF001 (marks and letters of many scripts are what this module is about)
from __future__ import annotations

import unicodedata
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.spacy_classes import (
    CAPITAL_BUT_UNASSIGNED,
    CASED_LETTERS,
    NO_ICONS,
    SENTENCE_ENDS,
    SMALL_BUT_UNCASED,
    TERMINALS,
    UNCASED_LETTERS,
)
from curate.text.unicode import TABLE_SIZE

Properties = npt.NDArray[np.uint32]

SPACE: Final = 1 << 0  # str.isspace()
LETTER: Final = 1 << 1  # str.isalpha()
UPPER: Final = 1 << 2
LOWER: Final = 1 << 3
DIGIT: Final = 1 << 4  # N*
PUNCTUATION: Final = 1 << 5  # P*, S*
TERMINAL: Final = 1 << 6  # ends a sentence, to datatrove and to the papers' mode
BREAK: Final = 1 << 7  # where str.splitlines() splits
SYMBOL: Final = 1 << 8  # in datatrove's PUNCTUATION_SET: a word of nothing else is no word
ONLY_PUNCTUATION: Final = 1 << 9  # P*: spaCy's Token.is_punct
LATIN: Final = 1 << 10
CYRILLIC: Final = 1 << 11
ARABIC: Final = 1 << 12
HAN: Final = 1 << 13  # Han, kana and hangul
OTHER_SCRIPT: Final = 1 << 14
WORD: Final = 1 << 15  # letter, mark or digit: what makes a word a word by the papers

_BREAKS: Final = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
# What datatrove takes for punctuation beside ASCII's and the terminals; the full-width digit one is among it.
_SYMBOLS: Final = frozenset("\xab\xb4\xbb–—’“”„…∶━►、〈〉《》「」【】％（），：；～１")

# Classes of spaCy's English tokenizer (lang/char_classes.py, lang/punctuation.py).
AFFIX: Final = 1 << 0  # split off at either end of a word
PREFIX: Final = 1 << 1  # only at its start
QUOTE: Final = 1 << 2
BEFORE_STOP: Final = 1 << 3  # a full stop after it is split off
ALPHA: Final = 1 << 4
ALPHA_UPPER: Final = 1 << 5
ALPHA_LOWER: Final = 1 << 6
DIGIT_09: Final = 1 << 7
ICON: Final = 1 << 8
CURRENCY: Final = 1 << 9
LABEL: Final = 1 << 10  # in a host name of a URL
BLANK: Final = 1 << 11
PLAIN: Final = 1 << 12  # never splits a word: a word of these alone is one token, contractions apart
DECIMAL: Final = 1 << 14  # Nd
ENDS: Final = 1 << 13  # spaCy's sentencizer begins a sentence after it

_PUNCT: Final = frozenset("…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪")
_QUOTES: Final = frozenset("'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧\u2329\u232a")
_CURRENCY: Final = frozenset("$£€¥฿₽﷼") | frozenset(map(chr, range(0x20A0, 0x20C0)))
_AFFIXES: Final = _PUNCT | _QUOTES | frozenset("—–")
_PREFIXES: Final = _CURRENCY | frozenset("§%=")
_BEFORE_STOPS: Final = _PUNCT | _QUOTES | frozenset("%²-+|")
_INSIDE: Final = frozenset(".-+/~^@")


def _script(char: str) -> int:
    c = ord(char)
    if c < 0x250 or 0x1E00 <= c < 0x1F00:
        return LATIN
    if 0x400 <= c < 0x530:
        return CYRILLIC
    if 0x600 <= c < 0x780 or 0x8A0 <= c < 0x900 or 0xFB50 <= c < 0xFE00 or 0xFE70 <= c < 0xFF00:
        return ARABIC
    if 0x1100 <= c < 0x1200 or 0x3040 <= c < 0x3100 or 0x3400 <= c < 0xA000 or 0xAC00 <= c < 0xD7B0 or c >= 0x20000:
        return HAN
    return OTHER_SCRIPT


def _traits(char: str) -> int:
    category = unicodedata.category(char)
    bits = SPACE if char.isspace() else 0
    if char.isalpha():
        bits |= LETTER | _script(char)
    bits |= UPPER if char.isupper() else LOWER if char.islower() else 0
    if category[0] in "LMN" and not char.isspace():
        bits |= WORD | (DIGIT if category[0] == "N" else 0)
    if category[0] in "PS":
        bits |= PUNCTUATION | (ONLY_PUNCTUATION if category[0] == "P" else 0)
    if ord(char) in TERMINALS:
        bits |= TERMINAL | SYMBOL
    if char in _SYMBOLS or (char.isascii() and category[0] in "PS"):
        bits |= SYMBOL
    if (ord(char) < 32 and char not in "\t\n") or 127 <= ord(char) < 160:
        bits |= SYMBOL
    return bits | (BREAK if char in _BREAKS else 0)


def _letter(code: int) -> int:
    if code in UNCASED_LETTERS:
        return ALPHA | ALPHA_UPPER | ALPHA_LOWER
    if code not in CASED_LETTERS:
        return 0
    if chr(code).isupper() or code == CAPITAL_BUT_UNASSIGNED:
        return ALPHA | ALPHA_UPPER
    return ALPHA | (ALPHA_LOWER if chr(code).islower() or code == SMALL_BUT_UNCASED else 0)


def _english(char: str) -> int:
    bits = (BLANK if char.isspace() else 0) | _letter(ord(char)) | (ENDS if ord(char) in SENTENCE_ENDS else 0)
    if char in "0123456789":
        bits |= DIGIT_09
    if unicodedata.category(char) == "Nd":
        bits |= DECIMAL
    if char in _AFFIXES:
        bits |= AFFIX
    if char in _PREFIXES:
        bits |= PREFIX
    if unicodedata.category(char) == "So" and ord(char) not in NO_ICONS:
        bits |= ICON | AFFIX
    if char in _QUOTES:
        bits |= QUOTE
    if char in _CURRENCY:
        bits |= CURRENCY
    if char in _BEFORE_STOPS or bits & (DIGIT_09 | ALPHA_LOWER):
        bits |= BEFORE_STOP
    if (char.isascii() and char.isalnum()) or 0xA1 <= ord(char) <= 0xFFFF:
        bits |= LABEL
    if bits & ~(ALPHA | ALPHA_UPPER | ALPHA_LOWER | BEFORE_STOP | LABEL | DECIMAL) == 0 and char not in _INSIDE:
        bits |= PLAIN
    return bits


def _property(code: int) -> int:
    char = chr(code)
    return _traits(char) | _english(char) << ENGLISH_SHIFT


ENGLISH_SHIFT: Final = 16
PROPERTIES: Final[Properties] = np.fromiter(map(_property, range(TABLE_SIZE)), np.uint32, TABLE_SIZE)
"""uint32 by code point: traits in the low 16 bits, English classes above."""

_HAN_BEYOND: Final = 0x323AF  # the last code point of the Han script
_HAN: Final = np.uint32(
    LETTER | WORD | HAN | (ALPHA | ALPHA_UPPER | ALPHA_LOWER | BEFORE_STOP | PLAIN) << ENGLISH_SHIFT)
_NO_LETTER: Final = np.uint32(PLAIN << ENGLISH_SHIFT)


@nb.njit(nogil=True, cache=True, inline="always")
def properties_of(properties, c):  # type: ignore[no-untyped-def]
    """The entry of any code point: above the table lie letters of the Han script, then tags and variation selectors."""
    if c < TABLE_SIZE:
        return properties[c]
    return _HAN if c <= _HAN_BEYOND else _NO_LETTER
