"""What is known of a word, as bits, whichever rule made it a word."""

from __future__ import annotations

from typing import Final

IS_WORD: Final = 1  # has a letter or digit; to datatrove, a character that is no punctuation
HAS_LETTER: Final = 2
ALL_CAPS: Final = 4  # has an upper-case letter and no lower-case one
