"""English pages in disguise: the same markup and layout, the words of another language or script.

All pages with gold text are English. Their disguised copies teach the trees what does not depend on it: a page is told
by its layout, lengths and punctuation where no word of it is known, has capitals or is parted by blanks. Used in
training and to measure what an extractor makes of other languages; the text of a copy means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import xxhash

_MARKUP: Final = re.compile(r"(<!--.*?-->|<(script|style)\b.*?</\2\s*>|<[^<>]*>|&#?\w+;)", re.DOTALL | re.IGNORECASE)
_LATIN: Final = str.maketrans("aeioubcdfghjklmnpqrstvwxyzAEIOUBCDFGHJKLMNPQRSTVWXYZ",
                              "eiouacdfghjklmnpqrstvwxyzbEIOUACDFGHJKLMNPQRSTVWXYZB")
_CYRILLIC: Final = str.maketrans("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
                                 "абцдефгхийклмнопярстувжызьАБЦДЕФГХИЙКЛМНОПЯРСТУВЖЫЗЬ")
_WORD: Final = re.compile(r"[A-Za-z]+(?:['\u2019][a-z]+)?")
_BLANK: Final = re.compile(r"(?<=[^\W\d_])(?:[ \t]+\n?[ \t]*|\n[ \t]*)(?=[^\W\d_])")
_JOIN: Final = "\u2060"
_MARK: Final = re.compile(r"([,.!?:;])[ \t]?(?![\w.,])")
_WIDE_MARKS: Final = {",": "\uff0c", ".": "\u3002", "!": "\uff01", "?": "\uff1f", ":": "\uff1a", ";": "\uff1b"}
_LETTERS_A_CHARACTER: Final = 3


def _ideographs(text: str) -> str:
    text = _MARK.sub(lambda m: _WIDE_MARKS[m.group(1)], text)
    return _WORD.sub(_characters, _BLANK.sub(_JOIN, text)).replace(_JOIN, "")


def _characters(word: re.Match[str]) -> str:
    """The characters of a word: the same for the same word, some 3,000 different ones in all."""
    letters = word.group().lower()
    n = max(1, round(len(letters) / _LETTERS_A_CHARACTER))
    h = xxhash.xxh3_64_intdigest(letters.encode())
    return "".join(chr(0x4E00 + (h >> (12 * i)) % 3000) for i in range(min(n, 5)))


DISGUISES: Final[dict[str, Callable[[str], str]]] = {
    "latin": lambda text: text.translate(_LATIN), "cyrillic": lambda text: text.translate(_CYRILLIC),
    "ideographs": _ideographs}
"""Another Latin language; an alphabet beyond ASCII; a script without capitals and without blanks."""


def disguised(html: str, disguise: str) -> str:
    """The page with its text in a disguise; tags, comments, scripts and character references stay."""
    change = DISGUISES[disguise]
    pieces, at = [], 0
    for markup in _MARKUP.finditer(html):
        pieces += [change(html[at : markup.start()]), markup.group()]
        at = markup.end()
    return "".join([*pieces, change(html[at:])])
