"""The kernels cut where `tokenizers` cuts, on any Unicode, for every pattern."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from scripts.unicode_tables import classes_of_tokenizers
from tokenizer.bpe import pretokenize
from tokenizer.bpe.pretokenize import cut
from tokenizer.encoding.character_classes import LETTER, UNASSIGNED, character_classes
from tokenizer.encoding.patterns import EXPRESSIONS, Pattern
from tokenizer.encoding.stages import UNICODE_VERSION

# What the expressions turn on: contractions in both cases and with the long s, capitals before small letters, letters
# that are both (modifiers, CJK) and neither, marks, digits of other scripts, every kind of space and newline, slashes.
PIECES = ["'", "'s", "'S", "'ll", "'LL", "'Re", "'ve", "'m", "'d", "'\u017f", "'\u017ft", "\u017f", "a", "B", "é", "É",
          "ǅ", "ʰ", "中", "\u0301", "한국", "ß", "1", "23", "4567", "٣", "²", "ⅷ", ".", "!", "//", "_", "😀", "\u200d",
          "\ufeff", " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "\x0b", "\u00a0", "\u2028", "\u3000", "\x85", "\x1c",
          "\x00"]
ODD = st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES), st.characters(exclude_categories=["Cs"])),
               max_size=16).map("".join)


def kernels(texts: pa.Array, pattern: Pattern) -> list[str]:
    return [bytes(data[a:b]).decode() for data, starts, ends in cut(texts, pattern)
            for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def reference(text: str, pattern: Pattern) -> list[str]:
    return [piece for piece, _ in pre_tokenizers.Split(Regex(EXPRESSIONS[pattern]), "isolated").pre_tokenize_str(text)]


@settings(max_examples=200, deadline=None)
@given(ODD)
@example("中A").via("o200k gives the Han character back")
@example("!\u0301A 's'S HTTPServer's  \r\n x")
def test_any_text(text: str) -> None:
    for pattern in Pattern:
        assert kernels(pa.array([text], pa.large_string()), pattern) == reference(text, pattern), pattern


def test_gpt2s_expression_is_the_byte_level_pre_tokenizers() -> None:
    for text in ["".join(PIECES), "I've 12 cats, they'LL\n\n go  on"]:
        theirs = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str(text)
        assert [text[a:b] for _, (a, b) in theirs] == reference(text, Pattern.GPT2)


def test_every_code_point_is_classed_as_tokenizers_classes_it() -> None:
    assert character_classes().tolist() == classes_of_tokenizers()


@settings(max_examples=30, deadline=None)
@given(st.lists(ODD, max_size=6), st.integers(0, 3))
def test_texts_are_cut_alone_and_in_blocks(texts: list[str], skip: int) -> None:
    array = pa.array(["x y", *texts, "z"], pa.large_string()).slice(skip)
    expected = [p for text in array.to_pylist() for p in reference(text, Pattern.O200K)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretokenize, "_BLOCK", 3)
        assert kernels(array, Pattern.O200K) == expected


@pytest.mark.parametrize("text", ["a" * 1_000_000, " " * 1_000_000, "\n" * 999_999 + "x", " \n" * 500_000,
                                  "'" * 1_000_000, "A" * 1_000_000, "中A" * 200_000, "1" * 1_000_000])
def test_long_texts_take_linear_time(text: str) -> None:
    """A million characters: a cut that looks back or ahead further than its own piece would take minutes."""
    for pattern in Pattern:
        assert "".join(kernels(pa.array([text], pa.large_string()), pattern)) == text


def test_the_table_is_of_the_version_that_records_name() -> None:
    assert UNICODE_VERSION == "16.0.0"
    classes = character_classes()
    assert classes[0x1C89] & LETTER  # came with 16.0
    assert classes[0x16EA0] & UNASSIGNED  # comes with 17.0
