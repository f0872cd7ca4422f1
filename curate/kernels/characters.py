"""What each code point is to the heuristic filters, as a table that compiled kernels index.

`PROPERTIES[c]` holds, in its low half, bits for case, script, sentence ends and line breaks, and in its high half the
classes in which spaCy's English tokenizer sorts characters, on which datatrove's word counts rest. Code points above
the table are letters of the Han script.
"""

# ruff: noqa: RUF001 (marks and letters of many scripts are what this module is about)
from __future__ import annotations

import unicodedata
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.kernels.unicode import TABLE_SIZE

Properties = npt.NDArray[np.uint32]

SPACE: Final = 1 << 0  # str.isspace()
LETTER: Final = 1 << 1  # str.isalpha()
UPPER: Final = 1 << 2
LOWER: Final = 1 << 3
DIGIT: Final = 1 << 4  # N*
PUNCTUATION: Final = 1 << 5  # P*, S*
TERMINAL: Final = 1 << 6  # ends a sentence: Unicode's Sentence_Terminal, and the full stops of other scripts
BREAK: Final = 1 << 7  # where str.splitlines() splits
SYMBOL: Final = 1 << 8  # in datatrove's PUNCTUATION_SET: a word of nothing else is no word
ONLY_PUNCTUATION: Final = 1 << 9  # P*: spaCy's Token.is_punct
LATIN: Final = 1 << 10
CYRILLIC: Final = 1 << 11
ARABIC: Final = 1 << 12
HAN: Final = 1 << 13  # Han, kana and hangul
OTHER_SCRIPT: Final = 1 << 14
WORD: Final = 1 << 15  # letter, mark or digit: what makes a word a word by the papers

# Unicode's Sentence_Terminal, which Python's unicodedata does not know, without the rarest historic scripts.
_TERMINALS: Final = frozenset(
    "!.?\u0589\u061d\u061e\u061f\u06d4\u0700\u0701\u0702\u07f9\u0837\u0839\u083d\u083e\u0964\u0965\u104a\u104b\u1362"
    "\u1367\u1368\u166e\u1735\u1736\u17d4\u17d5\u17d6\u17d9\u17da\u1803\u1809\u1944\u1945\u1aa8\u1aa9\u1aaa\u1aab"
    "\u1b5a\u1b5b\u1b5e\u1b5f\u1b7d\u1b7e\u1c3b\u1c3c\u1c7e\u1c7f\u203c\u203d\u2047\u2048\u2049\u2e2e\u2e3c\u2e53"
    "\u2e54\u3002\ua4ff\ua60e\ua60f\ua6f3\ua6f7\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d\uaa5e\uaa5f\uaaf0"
    "\uaaf1\uabeb\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61")
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

_PUNCT: Final = frozenset("…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪")
_QUOTES: Final = frozenset("'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧\u2329\u232a")
_CURRENCY: Final = frozenset("$£€¥฿₽﷼") | frozenset(map(chr, range(0x20A0, 0x20C0)))
_AFFIXES: Final = _PUNCT | _QUOTES | frozenset("—–")
_PREFIXES: Final = _CURRENCY | frozenset("§%=")
_BEFORE_STOPS: Final = _PUNCT | _QUOTES | frozenset("%²-+|\\")
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
    if char in _TERMINALS:
        bits |= TERMINAL | SYMBOL
    if char in _SYMBOLS or (char.isascii() and category[0] in "PS"):
        bits |= SYMBOL
    if (ord(char) < 32 and char not in "\t\n") or 127 <= ord(char) < 160:
        bits |= SYMBOL
    return bits | (BREAK if char in _BREAKS else 0)


def _english(char: str) -> int:
    bits = BLANK if char.isspace() else 0
    cased = char.isupper() or char.islower()
    if char.isalpha():
        bits |= ALPHA | (ALPHA_UPPER if char.isupper() or not cased else 0)
        bits |= ALPHA_LOWER if char.islower() or not cased else 0
    if char in "0123456789":
        bits |= DIGIT_09
    if char in _AFFIXES:
        bits |= AFFIX
    if char in _PREFIXES:
        bits |= PREFIX
    if unicodedata.category(char) == "So":
        bits |= ICON | AFFIX
    if char in _QUOTES:
        bits |= QUOTE
    if char in _CURRENCY:
        bits |= CURRENCY
    if char in _BEFORE_STOPS or bits & (DIGIT_09 | ALPHA_LOWER):
        bits |= BEFORE_STOP
    if (char.isascii() and char.isalnum()) or 0xA1 <= ord(char) <= 0xFFFF:
        bits |= LABEL
    if bits & ~(ALPHA | ALPHA_UPPER | ALPHA_LOWER | BEFORE_STOP | LABEL) == 0 and char not in _INSIDE:
        bits |= PLAIN
    return bits


def _property(code: int) -> int:
    char = chr(code)
    return _traits(char) | _english(char) << ENGLISH_SHIFT


ENGLISH_SHIFT: Final = 16
PROPERTIES: Final[Properties] = np.fromiter(map(_property, range(TABLE_SIZE)), np.uint32, TABLE_SIZE)
"""uint32 by code point: traits in the low 16 bits, English classes above."""

BEYOND: Final = np.uint32((LETTER | WORD | HAN) | (ALPHA | ALPHA_UPPER | ALPHA_LOWER | BEFORE_STOP | PLAIN) << 16)
"""Of any code point above the table."""
