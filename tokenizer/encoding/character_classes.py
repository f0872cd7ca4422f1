"""Classes of every code point, as the regular expressions of `tokenizers` see them.

The table is a file and not made from `unicodedata`, whose Unicode is older; a test asks `tokenizers` for every code
point. `python scripts/unicode_tables.py pretokens` writes it anew for another version of `tokenizers`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, pre_tokenizers

LETTER: Final = 1  # \p{L}
NUMBER: Final = 2  # \p{N}
SPACE: Final = 4  # \s
UPPER: Final = 8  # \p{Lu} \p{Lt} \p{Lm} \p{Lo} \p{M}: what o200k lets a word begin with
LOWER: Final = 16  # \p{Ll} \p{Lm} \p{Lo} \p{M}: what o200k lets a word end with
OTHER: Final = 32  # neither letter, number nor space
NEWLINE: Final = 64  # carriage return and line feed
UNASSIGNED: Final = 128  # \p{Cn}: no character of the Unicode that `tokenizers` knows

_EXPRESSIONS: Final = {LETTER: r"\p{L}", NUMBER: r"\p{N}", SPACE: r"\s", UPPER: r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]",
                       LOWER: r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", OTHER: r"[^\s\p{L}\p{N}]", NEWLINE: r"[\r\n]",
                       UNASSIGNED: r"\p{Cn}"}
_CODE_POINTS: Final = 0x110000
_FILE: Final = os.path.splitext(__file__)[0] + ".tsv"

Classes = npt.NDArray[np.uint8]


@cache
def character_classes() -> Classes:
    """uint8 [0x110000], read-only: the classes above that hold for each code point, added up. Surrogates are OTHER."""
    classes = np.full(_CODE_POINTS, OTHER, np.uint8)
    with open(_FILE, encoding="ascii") as lines:
        for line in lines:
            first, last, flags = line.split()
            classes[int(first, 16) : int(last, 16) + 1] = int(flags)
    classes.flags.writeable = False
    return classes


def classes_of_tokenizers() -> Classes:
    """The same table, asked of `tokenizers`: some ten seconds. The oracle of `character_classes`."""
    codes = np.array([c for c in range(_CODE_POINTS) if not 0xD800 <= c < 0xE000])
    text = "".join(map(chr, codes.tolist()))
    classes = np.full(_CODE_POINTS, OTHER, np.uint8)
    classes[codes] = 0
    for flag, expression in _EXPRESSIONS.items():
        has = np.ones(len(codes), np.bool_)
        for _, (first, end) in pre_tokenizers.Split(Regex(f"{expression}+"), "removed").pre_tokenize_str(text):
            has[first:end] = False
        classes[codes[has]] |= flag
    return classes
