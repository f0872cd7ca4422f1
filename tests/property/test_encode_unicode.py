"""The fast encoder equals the reference, and decoding gives the text back, on any Unicode."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.counted_words import count_texts
from tokenizer.bpe.train import learn
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.encode import Encoder, load
from tokenizer.encoding.patterns import Pattern

# Many spaces, apostrophes, digits and decisions: what the pre-tokenizer's pattern turns on.
nasty = st.text(st.one_of(st.sampled_from(" \t\n\r'\u2019sdtmlvre0٣²ⅷ\u00a0\u2028\u0301\u200d<|>_endoftx"
                                          "\u088f\U000323b0"),
                          st.characters(exclude_categories=["Cs"])), max_size=60)


@cache
def encoder() -> Encoder:
    texts = ["the theory's end didn't end of text", "  two  spaces\n\n", "it's we've they'll 2024 ²³ ⅷ", "中文中文"] * 5
    words = count_texts([pa.array(texts, pa.large_string())], Pattern.GPT2)
    with TemporaryDirectory() as folder:
        path = Path(folder, "tokenizer.json")
        path.write_bytes(learn(TokenizerConfig(vocab_size=400), words).data)
        return load(str(path))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(nasty, st.text(max_size=80)), max_size=8))
def test_any_text(texts: list[str]) -> None:
    array = pa.array(texts, pa.large_string())
    ids, offsets = encoder().encode(array)
    expected, bounds = encoder().encode_reference(array)
    assert (ids.tolist(), offsets.tolist()) == (expected.tolist(), bounds.tolist())
    assert [encoder().decode(ids[a:b]) for a, b in pairwise(offsets)] == texts
    assert encoder().eot_id not in ids.tolist()
