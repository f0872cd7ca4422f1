"""Encoding: the fast encoder against the reference, decoding, and what is refused."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from manifests.errors import InputError
from tests.counted_words import count_texts
from tests.paths import DATA
from tests.unit.tokenizer.small_run import byte_tokenizer
from tokenizer.bpe.train import learn
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.encode import load
from tokenizer.encoding.patterns import Pattern

TEXTS = ["", " ", "\n\n\n", "it's we'll I'D", "<|endoftext|>", "a<|endoftext|>b", "中文 ひらがな العربية", "👩‍👩‍👧‍👦🇩🇪",
         "\u00a0\u2003\u200b\ufeff",
         "a" * 20_000, " " * 5_000, "1234567890 12,345.67", "Straße naïve\r\n\tx", "\x00\x01"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = [*TEXTS, *(f"the cat number {i} sat on the mat's edge, didn't it?" for i in range(300))]
    words = count_texts([pa.array(texts, pa.large_string())], Pattern.GPT2)
    path.write_bytes(learn(TokenizerConfig(vocab_size=600), words).data)
    return str(path)


def test_fast_equals_reference(trained: str) -> None:
    encoder = load(trained)
    assert encoder.fast
    for texts in (pa.array(TEXTS, pa.large_string()), pa.array(TEXTS, pa.string()), pa.array(TEXTS).slice(3, 5),
                  pa.array([], pa.large_string()), pa.array(["", ""], pa.large_string())):
        ids, offsets = encoder.encode(texts)
        expected, bounds = encoder.encode_reference(texts)
        assert ids.dtype == expected.dtype == np.uint16
        assert offsets.tolist() == bounds.tolist()
        assert ids.tolist() == expected.tolist()
        assert [encoder.decode(ids[a:b]) for a, b in pairwise(offsets)] == texts.to_pylist()


def test_special_tokens_in_text_are_text(trained: str) -> None:
    encoder = load(trained)
    for encode in (encoder.encode, encoder.encode_reference):
        ids, _ = encode(pa.array(["a<|endoftext|>b"]))
        assert encoder.eot_id not in ids.tolist()
        assert encoder.decode(ids) == "a<|endoftext|>b"


def test_decoding_is_exact_inside_a_character(tmp_path: Path) -> None:
    encoder = load(byte_tokenizer(tmp_path / "t.json"))
    ids, _ = encoder.encode(pa.array(["é"]))
    assert ids.tolist() == [0xC3, 0xA9]
    assert encoder.decode_bytes(ids[:1]) == b"\xc3"
    assert encoder.decode(ids[:1]) == "\ufffd"
    assert encoder.decode([*ids, encoder.eot_id]) == "é<|endoftext|>"


def test_wide_vocabularies_use_uint32(tmp_path: Path) -> None:
    encoder = load(byte_tokenizer(tmp_path / "t.json", 70_000))
    assert (encoder.vocab_size, encoder.eot_id) == (70_000, 69_999)
    assert encoder.encode(pa.array(["abc"]))[0].dtype == np.uint32
    assert encoder.encode_reference(pa.array(["abc"]))[0].dtype == np.uint32


def test_refused_tokenizers(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"is not a tokenizer\.json"):
        load(str(path))
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    path.write_text(Tokenizer(models.BPE(vocab, [])).to_str())
    with pytest.raises(InputError, match="no end-of-text token"):
        load(str(path)).eot_id  # noqa: B018
    with pytest.raises(InputError, match="no such tokenizer"):
        load(str(tmp_path / "nothing"))


@pytest.mark.skipif(not (DATA / "tokenizers/gpt2/vocab.bpe").exists(), reason=f"no GPT-2 vocabulary under {DATA}")
def test_gpt2_merges_on_real_text(tmp_path: Path) -> None:
    vocab = json.loads((DATA / "tokenizers/gpt2/encoder.json").read_text())
    lines = (DATA / "tokenizers/gpt2/vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    tokenizer = Tokenizer(models.BPE(vocab, [(a, b) for a, b in map(str.split, filter(None, lines))]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    (tmp_path / "t.json").write_text(tokenizer.to_str(), encoding="utf-8")
    encoder = load(str(tmp_path / "t.json"))
    assert (encoder.eot_id, encoder.vocab_size, encoder.fast) == (50_256, 50_257, True)
    assert encoder.encode(pa.array(["Hello world"]))[0].tolist() == [15496, 995]  # as in OpenAI's repository
    with gzip.open(DATA / "text/news.jsonl.gz") as file:
        texts = pa.array([json.loads(line)["text"] for line in file][:200] + TEXTS)
    assert encoder.encode(texts)[0].tolist() == encoder.encode_reference(texts)[0].tolist()
