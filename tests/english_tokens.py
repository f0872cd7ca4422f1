"""Words of a text as the English kernel gives them, cut out by their lengths; what tests of datatrove's mode count."""

from __future__ import annotations

import numpy as np

from curate.heuristics.kernels.signals import TABLES
from curate.heuristics.kernels.spacy.english import english_sentences, english_words
from curate.text.characters import PROPERTIES
from curate.text.hash_table import word_hash
from curate.text.strings import read_only


def tokens(text: str) -> tuple[list[str], np.ndarray, int]:
    """(words, flags, sentences) of a text."""
    data = read_only(np.frombuffer(text.encode(), np.uint8))
    room = len(data) + 3
    words, chars, flags = np.zeros(room, np.uint64), np.zeros(room, np.int32), np.zeros(room, np.uint8)
    lines = np.zeros(room, np.int32)
    scratch = (np.zeros(room, np.int32), np.zeros(room, np.uint32), np.zeros(room, np.int32))
    n = english_words(data, 0, len(data), PROPERTIES, TABLES, scratch, words, chars, flags, lines)
    visible, at, found = "".join(text.split()), 0, []
    for i in range(n):
        found.append(visible[at : at + chars[i]])
        at += int(chars[i])
        assert words[i] == word_hash(found[-1])
    assert at == len(visible)
    return found, flags[:n], english_sentences(flags, 0, n)
