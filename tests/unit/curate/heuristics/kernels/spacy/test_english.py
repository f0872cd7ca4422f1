"""Words as spaCy's English tokenizer gives them; every expectation here was made by spaCy 3.8 itself."""

# ruff: noqa: RUF001 (quotation marks are what is split off)
from __future__ import annotations

import pytest

from curate.heuristics.kernels.flags import IS_WORD
from curate.heuristics.kernels.spacy.contractions import special_words
from tests.english_tokens import tokens
from tests.paths import ROOT


@pytest.mark.parametrize(("text", "expected"), [
    ("I don't know, she'll go.", ["I", "do", "n't", "know", ",", "she", "'ll", "go", "."]),
    ("(It's 5km away, e.g. in the U.S.)",
     ["(", "It", "'s", "5", "km", "away", ",", "e.g.", "in", "the", "U.S.", ")"]),
    ("well-known and/or 3,000 vs. $5.99...", ["well", "-", "known", "and/or", "3,000", "vs.", "$", "5.99", "..."]),
    ("see http://a.b.com/x?y=1, or me@x.org!", ["see", "http://a.b.com/x?y=1", ",", "or", "me@x.org", "!"]),
    ("John’s “cannot” 10am end.Start", ["John", "’s", "“", "can", "not", "”", "10", "am", "end", ".", "Start"]),
    ("great:) 350°F a/b x=y 2-3 C++",
     ["great", ":)", "350", "°", "F", "a", "/", "b", "x", "=", "y", "2", "-", "3", "C++"]),
    ("at 1a.m.'s end (._.) :-)) :-)))) ¯\\(ツ)/¯",
     ["at", "1", "a.m.", "'s", "end", "(._.)", ":-))", ":-)))", ")", "¯\\(ツ)/¯"]),
    ("http://1.2.3.4/a-b 10.0.0.1/a-b x.中国/a-b ftp:@a.bc/d-e",
     ["http://1.2.3.4/a-b", "10.0.0.1", "/", "a", "-", "b", "x.中国/a-b", "ftp:@a.bc/d-e"]),
    ("5кг 7км². д.Я ა-ბ ก.ข अ-ब अ। 中,文 🙂x🥲y",
     ["5", "кг", "7", "км²", ".", "д", ".", "Я", "ა-ბ", "ก.ข", "अ", "-", "ब", "अ", "।", "中", ",", "文", "🙂", "x🥲y"]),
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


def test_words_and_sentences_are_those_that_spacy_itself_gives() -> None:
    """The file is made by scripts/spacy_golden.py. One known difference is left: see `english`."""
    lines = (ROOT / "tests/fixtures/spacy/english.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert len(lines) > 1500
    different = []
    for line in lines:
        marked, n_sentences = line.split("\t")
        words, _, sentences = tokens(marked.replace("¦", ""))
        if words != marked.replace("¦", " ").split() or sentences != int(n_sentences):
            different.append(marked)
    assert [line for line in different if ".¦) :¦3" not in line] == []
    assert len(different) == 1
