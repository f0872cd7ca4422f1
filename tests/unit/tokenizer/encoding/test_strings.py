"""What encoders take: every kind of Arrow strings, and characters that only one of two libraries knows."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import InputError
from tokenizer.encoding.character_classes import UNASSIGNED, character_classes
from tokenizer.encoding.encode import Encoder
from tokenizer.encoding.formats import _tokenizer_json
from tokenizer.encoding.patterns import EXPRESSIONS, Pattern
from tokenizer.encoding.strings import as_strings, rows_with_unassigned
from tokenizer.encoding.token_bytes import byte_alphabet

TEXTS = ["it's re", "", "'re \U000323b0're", " \n", "naïve 😀"]
OF_UNICODE_17 = [*range(0x10940, 0x1095A), *range(0x16EA0, 0x16EB9), 0x088F, 0x0C5C, 0x0CDC, 0x1ACF, 0xA7CE, 0xA7D2,
                 0xA7F1, 0x11DE0, 0x1E6E3, 0x2B73A, 0x323B0, 0x33479]
"""Letters, digits, decisions of 2025: gigatoken 0.10 knows them, tokenizers 0.23 does not."""


@cache
def encoder(pattern: Pattern) -> Encoder:
    """One whose ids show where a text was cut around a character: merges of `'re`, and of the bytes of any character
    with a letter before it and with letters and a digit behind it."""
    letters = byte_alphabet()
    merges = [("r", "e"), ("'", "re")]
    merges += [(letters[b], following) for b in range(0x80, 0xC0) for following in "ab1"]
    merges += [("a", letters[b]) for b in range(0xC2, 0xF5)]
    vocab = {letter: i for i, letter in enumerate(letters)}
    for left, right in merges:
        vocab.setdefault(left + right, len(vocab))
    made = Encoder(_tokenizer_json(vocab, merges, EXPRESSIONS[pattern], {"<|endoftext|>": len(vocab)}, False), "probe")
    assert made.fast
    return made


def around(code: int) -> str:
    return f"{chr(code)}'re a{chr(code)}b {chr(code)}1 {chr(code)}a"


def differing(pattern: Pattern, codes: list[int]) -> list[str]:
    texts = pa.array([around(code) for code in codes])
    (ids, offsets), (expected, bounds) = encoder(pattern).encode(texts), encoder(pattern).encode_reference(texts)
    return [hex(code) for i, code in enumerate(codes) if not np.array_equal(
        ids[offsets[i] : offsets[i + 1]], expected[bounds[i] : bounds[i + 1]])]


@pytest.mark.parametrize("pattern", Pattern)
def test_characters_newer_than_those_of_tokenizers(pattern: Pattern) -> None:
    before = encoder(pattern).texts_apart
    assert differing(pattern, OF_UNICODE_17) == []
    assert encoder(pattern).texts_apart - before == len(OF_UNICODE_17)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("pattern", Pattern)
def test_every_character(pattern: Pattern) -> None:
    """Whatever Unicode the installed gigatoken has: all planes but those that nobody has assigned anything in."""
    planes = [*range(0x80, 0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000), *range(0xF0000, 0xF0100),
              sys.maxunicode]
    assert [bad for i in range(0, len(planes), 10_000) for bad in differing(pattern, planes[i : i + 10_000])] == []


def test_texts_around_one_that_is_left_to_the_reference() -> None:
    for places in ([2], [0, 1], [4], [0, 2, 4], range(5)):
        texts = [f"a{chr(0x323B0) * (i + 1)}'re" if i in places else text
                 for i, text in enumerate(["x're", "", "b 12", "ü", "'re"])]
        made = encoder(Pattern.GPT2)
        (ids, offsets), (expected, bounds) = made.encode(pa.array(texts)), made.encode_reference(pa.array(texts))
        assert (ids.tolist(), offsets.tolist()) == (expected.tolist(), bounds.tolist())
        assert ids.dtype == expected.dtype
        assert offsets.dtype == np.int64
        assert made.decode(ids, offsets).to_pylist() == texts


def test_rows_with_unassigned_are_found_in_every_plane_and_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenizer.encoding.strings._BLOCK", 7)
    codes = [0x41, 0xE9, 0x378, 0x4E2D, 0x088F, 0xE000, 0xFFFE, 0x1F600, 0x323B0, 0x10FFFF, 0x10FFFD, 0x50000]
    texts = ["", *(f"é中😀{chr(code)}é中😀" for code in codes), "\u0378", ""]
    expected = [i for i, text in enumerate(texts) if any(character_classes()[ord(c)] & UNASSIGNED for c in text)]
    assert len(expected) == 7
    strings = pa.array(texts, pa.large_string())
    assert rows_with_unassigned(strings).tolist() == expected
    assert rows_with_unassigned(strings.slice(3, 6)).tolist() == [i - 3 for i in expected if 3 <= i < 9]
    assert rows_with_unassigned(strings.slice(0, 0)).tolist() == []


@pytest.mark.parametrize("texts", [
    pa.array(TEXTS), pa.array(TEXTS, pa.large_string()), pa.array(["no", *TEXTS, "no"]).slice(1, 5),
    pa.array(TEXTS, pa.string_view()), pa.array(TEXTS).dictionary_encode(),
    pa.chunked_array([TEXTS[:2], [], TEXTS[2:]]),
    pa.array([text.encode() for text in TEXTS]), pa.array([text or None for text in TEXTS])],
    ids=["string", "large", "slice", "view", "dictionary", "chunks", "bytes", "null"])
def test_every_kind_of_strings(texts: Any) -> None:
    made = encoder(Pattern.GPT2)
    for encode in (made.encode, made.encode_reference):
        ids, offsets = encode(texts)
        assert ids.dtype == np.uint16
        assert offsets.dtype == np.int64
        assert made.decode(ids, offsets).to_pylist() == TEXTS


@pytest.mark.parametrize("texts", [pa.array([], pa.string()), pa.array([], pa.large_string()), pa.nulls(0),
                                   pa.chunked_array([], pa.string()), pa.array(TEXTS).slice(5)])
def test_no_texts(texts: Any) -> None:
    ids, offsets = encoder(Pattern.GPT2).encode(texts)
    assert (ids.tolist(), offsets.tolist(), ids.dtype.name) == ([], [0], "uint16")


def test_a_null_hides_what_lies_under_it() -> None:
    hidden = pa.Array.from_buffers(pa.string(), 2, [
        pa.py_buffer(b"\x02"), pa.py_buffer(np.array([0, 3, 4], np.int32)), pa.py_buffer(b"abcd")])
    assert hidden.to_pylist() == [None, "d"]
    assert encoder(Pattern.GPT2).encode(hidden)[1].tolist() == [0, 0, 1]


@pytest.mark.parametrize("texts", ["abc", [1], None, pa.array([1, 2]), pa.array([["a"]]), pa.scalar("a")])
def test_what_is_no_array_of_strings(texts: Any) -> None:
    with pytest.raises(TypeError, match="Arrow array of strings"):
        encoder(Pattern.GPT2).encode(texts)


def test_texts_that_are_no_utf8() -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, 3], np.int32)),
                                                 pa.py_buffer(b"\xed\xa0\x80")])
    for texts in (bad, pa.array([b"\xff"])):
        with pytest.raises(InputError, match="UTF-8"):
            as_strings(texts)
