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

LETTER: Final = 1  # \p{L}
NUMBER: Final = 2  # \p{N}
SPACE: Final = 4  # \s
UPPER: Final = 8  # \p{Lu} \p{Lt} \p{Lm} \p{Lo} \p{M}: what o200k lets a word begin with
LOWER: Final = 16  # \p{Ll} \p{Lm} \p{Lo} \p{M}: what o200k lets a word end with
OTHER: Final = 32  # neither letter, number nor space
NEWLINE: Final = 64  # carriage return and line feed
UNASSIGNED: Final = 128  # \p{Cn}: no character of the Unicode that `tokenizers` knows

CODE_POINTS: Final = 0x110000
_FILE: Final = os.path.splitext(__file__)[0] + ".tsv"

Classes = npt.NDArray[np.uint8]


@cache
def character_classes() -> Classes:
    """uint8 [0x110000], read-only: the classes above that hold for each code point, added up. Surrogates are OTHER."""
    classes = np.full(CODE_POINTS, OTHER, np.uint8)
    with open(_FILE, encoding="ascii") as lines:
        for line in lines:
            first, last, flags = line.split()
            classes[int(first, 16) : int(last, 16) + 1] = int(flags)
    classes.flags.writeable = False
    return classes
