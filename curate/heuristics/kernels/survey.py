"""What a text is made of, whatever a word is: kinds of characters, scripts, sentences, lines like code."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.text.characters import (
    ARABIC,
    CYRILLIC,
    DIGIT,
    HAN,
    LATIN,
    LETTER,
    PUNCTUATION,
    SPACE,
    TERMINAL,
    UPPER,
    properties_of,
)
from curate.text.unicode import decode

(VISIBLE, LETTERS, UPPERS, DIGITS, PUNCTUATIONS, LATINS, CYRILLICS, ARABICS, HANS, CURLIES,
 FULL_LINES, TERMINAL_LINES, SHORT_LINES, CODE_LINES, JAVASCRIPT_LINES, LOREM_CHARS, SENTENCES) = range(17)
N_SURVEY: Final = 17
SHORT_LINE: Final = 30  # code points: FineWeb (Penedo et al. 2024, 3.6)
QUOTES = (0x22, 0x27, 0x29, 0x5D, 0x201D, 0x2019, 0xBB)  # what may stand between a full stop and the space after it
_CODE_ENDS = (0x3B, 0x7B, 0x7D)  # ; { }


def ascii_bytes(text: str) -> npt.NDArray[np.uint8]:
    """A lower-case ASCII phrase, as `spells` takes it."""
    return np.frombuffer(text.encode(), np.uint8)


_LOREM, _JAVASCRIPT = ascii_bytes("lorem ipsum"), ascii_bytes("javascript")


@nb.njit(nogil=True, cache=True)
def spells(data, p, end, phrase):  # type: ignore[no-untyped-def]
    """Whether data[p:] begins with a lower-case ASCII phrase, case ignored."""
    if p + len(phrase) > end:
        return False
    for i in range(len(phrase)):
        byte = data[p + i]
        if (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) != phrase[i]:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _add(found, kind, n):  # type: ignore[no-untyped-def]
    """Count n visible characters of one kind."""
    found[VISIBLE] += n
    if kind & LETTER:
        found[LETTERS] += n
        found[UPPERS] += n if kind & UPPER else 0
        found[LATINS] += n if kind & LATIN else 0
        found[CYRILLICS] += n if kind & CYRILLIC else 0
        found[HANS] += n if kind & HAN else 0
        found[ARABICS] += n if kind & ARABIC else 0
        return
    found[DIGITS] += n if kind & DIGIT else 0
    found[PUNCTUATIONS] += n if kind & PUNCTUATION else 0


@nb.njit(nogil=True, cache=True)
def _end_line(found, length, last, ended, script):  # type: ignore[no-untyped-def]
    """Count a line with a visible character. ended: its last visible character ends a sentence, quotes aside."""
    found[FULL_LINES] += 1
    found[TERMINAL_LINES] += ended
    found[SHORT_LINES] += length <= SHORT_LINE
    found[CODE_LINES] += last in _CODE_ENDS
    found[JAVASCRIPT_LINES] += script


@nb.njit(nogil=True, cache=True)
def survey(data, start, end, properties, ascii_counts, found):  # type: ignore[no-untyped-def]
    """Fill found, int64 [17], in one pass over data[start:end]. ascii_counts: int64 [128], scratch.

    A sentence ends at a mark that ends sentences, with quotes and brackets behind it, before white space, or with its
    line. The length of a line counts the white space inside it."""
    found[:] = 0
    ascii_counts[:] = 0
    p, width, length, last, ended, script, words = start, 0, 0, np.int64(0), False, False, False
    while p <= end:
        at = p
        if p < end:
            c = np.int64(data[p])
            if c < 0x80:
                p += 1
                kind = properties[c]
                ascii_counts[c] += 1
            else:
                c, p = decode(data, p, end)
                kind = properties_of(properties, c)
                if not kind & SPACE:
                    _add(found, kind, 1)
        else:
            c, p, kind = np.int64(0x0A), p + 1, np.uint32(SPACE)
        if kind & SPACE:
            if ended and words:
                found[SENTENCES] += 1
                words = False
            width += 1
            if c == 0x0A:
                if length:
                    found[SENTENCES] += words
                    _end_line(found, length, last, ended, script)
                width, length, last, ended, script, words = 0, 0, np.int64(0), False, False, False
            continue
        width = width + 1 if length else 1  # white space before the line does not count
        length = width
        last = c
        if kind & LETTER:
            ended, words = False, True
            if c == 0x6C or c == 0x4C:
                found[LOREM_CHARS] += 11 if spells(data, at, end, _LOREM) else 0
            elif (c == 0x6A or c == 0x4A) and spells(data, at, end, _JAVASCRIPT):
                script = True
            continue
        words |= kind & DIGIT != 0
        ended = kind & TERMINAL != 0 or (ended and c in QUOTES)
    for code in range(128):
        if ascii_counts[code] and not properties[code] & SPACE:
            _add(found, properties[code], ascii_counts[code])
    found[CURLIES] = ascii_counts[0x7B] + ascii_counts[0x7D]
