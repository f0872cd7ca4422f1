"""Words as spaCy's English tokenizer gives them; every expectation below was read off spaCy 3.8."""

# ruff: noqa: RUF001 (quotation marks are what is split off)
from __future__ import annotations

import numpy as np
import pytest

from curate.kernels.c4 import english_sentences
from curate.kernels.characters import PROPERTIES
from curate.kernels.contractions import special_words, word_hash
from curate.kernels.english import IS_WORD, english_words
from curate.kernels.signals import TABLES
from curate.kernels.words import read_only


def tokens(text: str) -> tuple[list[str], np.ndarray, int]:
    """(words, flags, sentences) of a text, the words cut out of it by their lengths."""
    data = read_only(np.frombuffer(text.encode(), np.uint8))
    room = len(data) + 3
    words, chars, flags = np.zeros(room, np.uint64), np.zeros(room, np.int32), np.zeros(room, np.uint8)
    lines = np.zeros(room, np.int32)
    scratch = (np.zeros(room, np.int32), np.zeros(room, np.uint32), np.zeros(room, np.int32))
    n = english_words(data, 0, len(data), PROPERTIES, TABLES, scratch, words, chars, flags, lines)
    visible, place, found = "".join(text.split()), 0, []
    for i in range(n):
        found.append(visible[place : place + chars[i]])
        place += int(chars[i])
        assert words[i] == word_hash(found[-1])
    assert place == len(visible)
    return found, flags[:n], english_sentences(flags, 0, n)


@pytest.mark.parametrize(("text", "expected"), [
    ("I don't know, she'll go.", ["I", "do", "n't", "know", ",", "she", "'ll", "go", "."]),
    ("(It's 5km away, e.g. in the U.S.)",
     ["(", "It", "'s", "5", "km", "away", ",", "e.g.", "in", "the", "U.S.", ")"]),
    ("well-known and/or 3,000 vs. $5.99...", ["well", "-", "known", "and/or", "3,000", "vs.", "$", "5.99", "..."]),
    ("see http://a.b.com/x?y=1, or me@x.org!", ["see", "http://a.b.com/x?y=1", ",", "or", "me@x.org", "!"]),
    ("John’s “cannot” 10am end.Start", ["John", "’s", "“", "can", "not", "”", "10", "am", "end", ".", "Start"]),
    ("great:) 350°F a/b x=y 2-3 C++",
     ["great", ":)", "350", "°", "F", "a", "/", "b", "x", "=", "y", "2", "-", "3", "C++"]),
    ("", []),
])
def test_words(text: str, expected: list[str]) -> None:
    assert tokens(text)[0] == expected


def test_flags_and_sentences() -> None:
    words, flags, sentences = tokens('He said: "Stop!" Then, at 5 p.m., he left... Why? "No." So.')
    assert [w for w, f in zip(words, flags, strict=True) if not f & IS_WORD] == [
        ":", '"', "!", '"', ",", ",", "...", "?", '"', ".", '"', "."]
    assert sentences == 4  # an ellipsis ends none


def test_a_special_word_is_made_of_its_pieces() -> None:
    table = special_words()
    assert len(table) > 1300
    assert all("".join(pieces) == word for word, pieces in table.items())
    assert table["won't"] == ("wo", "n't")
    assert "well" not in table
