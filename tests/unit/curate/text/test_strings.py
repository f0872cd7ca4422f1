"""Texts become valid UTF-8, and lose nothing but what UTF-8 cannot hold."""

from __future__ import annotations

import json

import pytest

from curate.text.strings import valid_text, without_surrogates


@pytest.mark.parametrize(("spelled", "expected"), [
    ('"plain"', "plain"), (r'"a\ud83d b"', "a\ufffd b"), (r'"a\ude00 b"', "a\ufffd b"),
    (r'"\ude00\ud83d"', "\ufffd" * 2),
    (r'"\ud83d"', "\ufffd"), (r'"\ud83d\ud83d\ude00x"', "\ufffd\U0001f600x"), (r'"\ud83d\ude00"', "\U0001f600"),
    (r'"a\u0000b\ud800?"', "ab\ufffd?")])
def test_half_a_pair_becomes_one_replacement_character(spelled: str, expected: str) -> None:
    text = json.loads(spelled)
    assert valid_text(text) == expected.encode()
    assert without_surrogates(text).replace("\0", "") == expected
