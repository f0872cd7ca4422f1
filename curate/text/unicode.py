"""Unicode facts as flat tables that compiled kernels can index by code point.

They are read from files of one version, `UNICODE_VERSION`, and not asked of the interpreter, whose Unicode differs from
one Python to the next: the same text must give the same bytes under each. `LOWER[c]` is the simple lower case of a code
point; `KIND[c]` says what it is. Both cover code points below `TABLE_SIZE` (the two planes that have case or
punctuation); anything above is a letter without case.

What is still left to the interpreter or a library, and which Unicode that has, says docs/unicode.md.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

TABLE_SIZE: Final = 0x20000
CODE_POINTS: Final = 0x110000
LETTER: Final = 1  # categories L* and M*: what words are made of
DIGIT: Final = 2  # N*
SPACE: Final = 3  # what str.split() splits at
PUNCTUATION: Final = 4  # everything else: P*, S*, C*
_HANGUL: Final = range(0xAC00, 0xD7A4)
_UNASSIGNED: Final = "Cn"


def _lines(name: str) -> list[list[str]]:
    text = (files(__package__) / name).read_text("ascii")
    return [line.split("\t") for line in text.splitlines()[1:]]  # the first names the version


@cache
def _runs() -> tuple[npt.NDArray[np.int64], list[str], list[str], list[str]]:
    """(first and last code points int64 [2, n], categories, combining classes, flags) of runs of code points."""
    first, last, categories, combining, flags = zip(*_lines("unicode.tsv"), strict=True)
    return np.array([[int(c, 16) for c in first], [int(c, 16) for c in last]]), [*categories], [*combining], [*flags]


def _mask(holds: list[bool], otherwise: bool) -> Mask:
    (first, last), *_ = _runs()
    mask = np.full(CODE_POINTS, otherwise)
    for a, b, value in zip(first.tolist(), last.tolist(), holds, strict=True):
        mask[a : b + 1] = value
    return mask


@cache
def in_category(*names: str) -> Mask:
    """Whether each code point has one of these general categories, such as `Nd`, or `L` for L*: bool [0x110000]."""
    return _mask([category.startswith(names) for category in _runs()[1]], _UNASSIGNED.startswith(names))


@cache
def combines() -> Mask:
    """Whether each code point has a canonical combining class other than 0."""
    return _mask([value != "0" for value in _runs()[2]], False)


@cache
def flagged(flag: str) -> Mask:
    """Whether a flag holds of each code point. s: white space, as of `str.isspace`; u: capital; l: small; n: never in a
    text in NFC; c: may compose with the character before it."""
    return _mask([flag in flags for flags in _runs()[3]], False)


@cache
def _mappings() -> dict[str, tuple[str | None, str | None, str | None]]:
    """(lower case, case folding, NFD) of a character, None where it stays as it is, or folds to its lower case."""
    def text(field: str) -> str | None:
        return None if field == "-" else "".join(chr(int(c, 16)) for c in field.split(" "))

    return {chr(int(code, 16)): (text(lower), text(fold), text(apart))
            for code, lower, fold, apart in _lines("unicode_mappings.tsv")}


_NO_MAPPING: Final = (None, None, None)


def lower_case(char: str) -> str:
    """The lower case of one character, as of `str.lower`."""
    return _mappings().get(char, _NO_MAPPING)[0] or char


def case_folded(char: str) -> str:
    """The case folding of one character, as of `str.casefold`."""
    return _mappings().get(char, _NO_MAPPING)[1] or lower_case(char)


def decomposed(char: str) -> str:
    """The canonical decomposition (NFD) of one character."""
    code = ord(char)
    if code in _HANGUL:  # by rule: Unicode Standard, 3.12
        syllable, last = divmod(code - _HANGUL.start, 28)
        return "".join(map(chr, (0x1100 + syllable // 21, 0x1161 + syllable % 21, *([0x11A7 + last] if last else ()))))
    return _mappings().get(char, _NO_MAPPING)[2] or char


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.select([flagged("s"), in_category("L", "M"), in_category("N")], [SPACE, LETTER, DIGIT], PUNCTUATION)
    return kinds[:TABLE_SIZE].astype(np.uint8)


def _lowers() -> npt.NDArray[np.uint32]:
    table = np.arange(TABLE_SIZE, dtype=np.uint32)
    for char, (lower, _, _) in _mappings().items():
        # A few characters lower to several code points; they keep their own, so that lengths never change.
        if lower is not None and len(lower) == 1:
            table[ord(char)] = ord(lower)
    return table


KIND, LOWER = _kinds(), _lowers()


@nb.njit(nogil=True, cache=True)
def decode(data, p, end):  # type: ignore[no-untyped-def]
    """(code point, next position) of the UTF-8 character at p; Arrow strings are valid UTF-8 by contract."""
    c = np.int64(data[p])
    if c < 0x80:
        return c, p + 1
    if c < 0xE0:
        return ((c & 0x1F) << 6) | (np.int64(data[p + 1]) & 0x3F), p + 2
    if c < 0xF0:
        return ((c & 0x0F) << 12) | ((np.int64(data[p + 1]) & 0x3F) << 6) | (np.int64(data[p + 2]) & 0x3F), p + 3
    high = ((c & 0x07) << 18) | ((np.int64(data[p + 1]) & 0x3F) << 12)
    return high | ((np.int64(data[p + 2]) & 0x3F) << 6) | (np.int64(data[p + 3]) & 0x3F), p + 4
