"""English words that spaCy's tokenizer splits, or refuses to split, against its own rules.

Contractions are made by the rule that makes them (`do` + `n't`, `they` + `'ll` + `'ve`), with and without apostrophe;
abbreviations and emoticons are words that keep their punctuation. The table is keyed by the words' hashes.
"""

# ruff: noqa: RUF001 (an apostrophe of print is meant)
from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from curate.text.hash_table import hash_table, word_hash
from curate.text.yaml_tables import yaml_table

_LISTS: Final = {name: words.split()
                 for name, words in yaml_table("curate.heuristics", "kernels/spacy/english.yaml").items()}


def _joined(stem: str, *ends: str) -> Iterator[tuple[str, ...]]:
    """With an apostrophe before each end, and with none at all."""
    yield (stem, *ends)
    yield (stem, *(end.replace("'", "") for end in ends))


def _contractions() -> Iterator[tuple[str, ...]]:
    for word in (*_LISTS["persons"], *_LISTS["asking"]):
        for ends in (("'ll",), ("'ll", "'ve"), ("'d",), ("'d", "'ve")):
            yield from _joined(word, *ends)
    for word in ("i", "you", "we", "they", *_LISTS["asking"]):
        if word not in ("that", "this"):
            yield from _joined(word, "'ve")
            if word != "i":
                yield from _joined(word, "'re")
    for word in ("he", "she", "it", *_LISTS["asking"]):
        if word not in ("these", "those"):
            yield from _joined(word, "'s")
    yield from _joined("i", "'m")
    yield from (("i", "'m", "a"), ("i", "m", "a"))
    for verb in (*_LISTS["verbs"], *_LISTS["more_verbs"]):
        yield from _joined(verb, "n't")
    for verb in _LISTS["verbs"]:
        yield from _joined(verb, "n't", "'ve")
    for verb in ("could", "might", "must", "should", "would"):
        yield from _joined(verb, "'ve")
    yield from (tuple(word.split("|")) for word in _LISTS["split"])


def special_words() -> dict[str, tuple[str, ...]]:
    """Every word with an exception of its own, and the tokens it gives."""
    words: dict[str, tuple[str, ...]] = {}
    for tokens in _contractions():
        for first in (tokens[0], tokens[0][0].upper() + tokens[0][1:]):
            word = first + "".join(tokens[1:])
            if word.lower() not in _LISTS["real_words"]:
                words[word] = (first, *tokens[1:])
    for hour in range(1, 13):
        words |= {f"{hour}{half}": (str(hour), half) for half in ("a.m.", "am", "p.m.", "pm")}
    words |= {"y'all": ("y'", "all"), "yall": ("y", "all")}
    words |= {word: (word,) for word in _LISTS["whole"]}
    for word in _LISTS["whole"]:
        if word.rstrip("'") in _LISTS["capitals"]:
            letter = len(word) - len(word.lstrip("'"))
            capital = word[:letter] + word[letter].upper() + word[letter + 1 :]
            words[capital] = (capital,)
    words |= {f"°{letter}.": ("°", letter, ".") for letter in "cfkCFK"}
    words |= {f"{letter}.": (f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyz"}
    curly = {w.replace("'", "’"): tuple(p.replace("'", "’") for p in tokens) for w, tokens in words.items() if "'" in w}
    return {**curly, **words}


def _packed(tokens: tuple[str, ...]) -> int:
    return sum(len(token) << 8 * index for index, token in enumerate(tokens))


_WORDS: Final = special_words()
LONGEST_SPECIAL: Final = max(map(len, _WORDS))
SPECIAL_KEYS, SPECIAL_TOKENS = hash_table({word_hash(w): _packed(p) for w, p in _WORDS.items()}, np.uint32)
"""Hashes of special words, and the lengths of their tokens in code points, a byte each."""


def _outer_letters() -> npt.NDArray[np.bool_]:
    known = np.zeros((128, 128), np.bool_)
    for word in _WORDS:
        known[ord(word[0]) & 127, ord(word[-1]) & 127] = True
    return known


OUTER_LETTERS: Final = _outer_letters()
"""bool [128, 128]: whether a special word may begin and end with two code points, by their low seven bits."""
