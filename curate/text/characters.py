"""What each code point is to the heuristic filters, as a table that compiled kernels index.

`PROPERTIES[c]` holds, in its low half, bits for case, script, sentence ends and line breaks, and in its high half the
classes in which spaCy's English tokenizer sorts characters, on which datatrove's word counts rest.
"""

# ruff: noqa: RUF001 (marks and letters of many scripts are what this module is about)
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.spacy_classes import (
    CAPITAL_BUT_UNASSIGNED,
    CASED_LETTERS,
    ICONS,
    SENTENCE_ENDS,
    SMALL_BUT_UNCASED,
    TERMINALS,
    UNCASED_LETTERS,
)
from curate.text.unicode import TABLE_SIZE, Mask, flagged, in_category

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


def _scripts() -> Properties:
    """The script of each code point, were it a letter."""
    codes = np.arange(TABLE_SIZE)
    blocks = {LATIN: ((0, 0x250), (0x1E00, 0x1F00)), CYRILLIC: ((0x400, 0x530),),
              ARABIC: ((0x600, 0x780), (0x8A0, 0x900), (0xFB50, 0xFE00), (0xFE70, 0xFF00)),
              HAN: ((0x1100, 0x1200), (0x3040, 0x3100), (0x3400, 0xA000), (0xAC00, 0xD7B0))}
    scripts = np.full(TABLE_SIZE, OTHER_SCRIPT, np.uint32)
    for script, ranges in blocks.items():
        for first, end in ranges:
            scripts[(codes >= first) & (codes < end)] = script
    return scripts


def _members(chars: Iterable[str] | Iterable[int]) -> Mask:
    mask = np.zeros(TABLE_SIZE, np.bool_)
    mask[[ord(c) if isinstance(c, str) else c for c in chars]] = True
    return mask


def _bits(masks: Mapping[int, Mask]) -> Properties:
    table = np.zeros(TABLE_SIZE, np.uint32)
    for bit, mask in masks.items():
        table[mask[:TABLE_SIZE]] |= np.uint32(bit)
    return table


def _traits() -> Properties:
    codes, marks = np.arange(TABLE_SIZE), in_category("P", "S")[:TABLE_SIZE]
    terminals = _members(c for c in TERMINALS if c < TABLE_SIZE)
    controls = ((codes < 32) & (codes != 9) & (codes != 10)) | ((codes >= 127) & (codes < 160))
    letters = in_category("L")[:TABLE_SIZE]
    return np.where(letters, _scripts(), 0).astype(np.uint32) | _bits({
        SPACE: flagged("s"), LETTER: letters, UPPER: flagged("u"), LOWER: flagged("l"), DIGIT: in_category("N"),
        PUNCTUATION: marks, ONLY_PUNCTUATION: in_category("P"), WORD: in_category("L", "M", "N"), TERMINAL: terminals,
        SYMBOL: terminals | _members(_SYMBOLS) | (marks & (codes < 128)) | controls, BREAK: _members(_BREAKS)})


def _english() -> Properties:
    codes, upper, lower = np.arange(TABLE_SIZE), flagged("u")[:TABLE_SIZE], flagged("l")[:TABLE_SIZE]
    uncased, cased = (_members(c for c in chars if c < TABLE_SIZE) for chars in (UNCASED_LETTERS, CASED_LETTERS))
    alpha_upper = uncased | (cased & (upper | (codes == CAPITAL_BUT_UNASSIGNED)))
    alpha_lower = uncased | (cased & (lower | (codes == SMALL_BUT_UNCASED)))
    icons, digits = _members(ICONS), _members("0123456789")
    ascii_letters = in_category("L")[:TABLE_SIZE] & (codes < 128)
    table = _bits({
        BLANK: flagged("s"), ALPHA: uncased | cased, ALPHA_UPPER: alpha_upper, ALPHA_LOWER: alpha_lower,
        DIGIT_09: digits, DECIMAL: in_category("Nd"), AFFIX: _members(_AFFIXES) | icons, PREFIX: _members(_PREFIXES),
        ICON: icons, QUOTE: _members(_QUOTES), CURRENCY: _members(_CURRENCY), ENDS: _members(SENTENCE_ENDS),
        BEFORE_STOP: _members(_BEFORE_STOPS) | digits | alpha_lower,
        LABEL: digits | ascii_letters | ((codes >= 0xA1) & (codes <= 0xFFFF))})
    splitting = table & ~np.uint32(ALPHA | ALPHA_UPPER | ALPHA_LOWER | BEFORE_STOP | LABEL | DECIMAL)
    return table | _bits({PLAIN: (splitting == 0) & ~_members(_INSIDE)})


ENGLISH_SHIFT: Final = 16
PROPERTIES: Final[Properties] = _traits() | _english() << np.uint32(ENGLISH_SHIFT)
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
