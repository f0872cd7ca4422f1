"""What the rules on source files measure, in one pass over a file's bytes."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt


class CodeMeasures(NamedTuple):
    """Characters of a file, of its longest line and of all its lines; how many are letters, and letters or digits."""

    n_characters: int
    n_lines: int
    longest_line: int
    n_letters: int
    n_alphanumeric: int


def measure_code(text: bytes) -> CodeMeasures:
    """Measures of a text in UTF-8. What is not ASCII counts as a letter; line feeds end lines and belong to none."""
    return CodeMeasures(*(int(v) for v in _measure(np.frombuffer(text, np.uint8))))


@nb.njit(nogil=True, cache=True)
def _measure(text: npt.NDArray[np.uint8]) -> tuple[int, int, int, int, int]:
    characters = lines = longest = letters = digits = line = 0
    for c in text:
        if (c & 0xC0) == 0x80:  # continues a character
            continue
        characters += 1
        if c == 10:
            lines += 1
            longest = max(longest, line)
            line = 0
            continue
        line += 1
        if c >= 0x80 or 97 <= (c | 0x20) <= 122:
            letters += 1
        elif 48 <= c <= 57:
            digits += 1
    if line:
        lines += 1
        longest = max(longest, line)
    return characters, lines, longest, letters, letters + digits
