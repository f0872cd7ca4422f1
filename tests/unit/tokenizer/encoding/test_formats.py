"""Other people's tokenizers: GPT-2's files, tiktoken's ranks, any tokenizer.json; special tokens in text stay text."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
import tiktoken_ext.openai_public
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

import tokenizer as package
from manifests.errors import InputError
from tests.counted_words import count_texts
from tests.paths import DATA
from tests.unit.tokenizer.bpe.test_train import text_of
from tokenizer.bpe.pretokenize import pre_tokenizer
from tokenizer.bpe.ranks import tiktoken_ranks
from tokenizer.bpe.train import learn
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.encode import Encoder, load
from tokenizer.encoding.formats import KNOWN_ENCODINGS, read_tokenizer, tokenizer_files
from tokenizer.encoding.patterns import EXPRESSIONS, Pattern
from tokenizer.encoding.reference import split_text
from tokenizer.encoding.token_bytes import byte_alphabet

GPT2 = DATA / "tokenizers/gpt2"
needs_gpt2 = pytest.mark.skipif(not (GPT2 / "vocab.bpe").exists(), reason=f"no GPT-2 vocabulary under {DATA}")
TEXTS = [*(text_of(i) for i in range(60)), "I'll see HTTPServer's 12345 naïve cafés\r\n\n  中文 ひらがな "] * 2
any_text = st.lists(st.one_of(st.sampled_from([t[7:60] for t in TEXTS]), st.text(max_size=30),
                              st.sampled_from(["<|endoftext|>", "  \n", "'S", "\u017f", "'\u017f", "\u00a0 "])),
                    max_size=6).map("".join)


def trained(pattern: Pattern = Pattern.GPT2, vocab_size: int = 400) -> bytes:
    config = TokenizerConfig(vocab_size=vocab_size, pattern=pattern.value)
    return learn(config, count_texts([pa.array(TEXTS, pa.large_string())], pattern)).data


def ids_of(encoder: Encoder, text: str) -> list[int]:
    ids = encoder.encode(pa.array([text]))[0].tolist()
    assert ids == encoder.encode_reference(pa.array([text]))[0].tolist()
    return [int(i) for i in ids]


@cache
def gpt2() -> tuple[Encoder, tiktoken.Encoding]:
    encoder = load(str(GPT2))
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1])
             for line in tiktoken_ranks(encoder.data, "gpt2").splitlines()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiktoken_ext.openai_public, "data_gym_to_mergeable_bpe_ranks", lambda **_: ranks)
        return encoder, tiktoken.Encoding(**tiktoken_ext.openai_public.gpt2())


@needs_gpt2
def test_gpt2_by_folder_and_by_either_file() -> None:
    encoder, _ = gpt2()
    assert (encoder.vocab_size, encoder.eot_id, encoder.fast, encoder.lossless) == (50_257, 50_256, True, True)
    assert ids_of(encoder, "Hello world") == [15496, 995]  # as in OpenAI's repository
    assert package.load(str(GPT2 / "encoder.json")).sha256 == encoder.sha256
    assert read_tokenizer(tokenizer_files(str(GPT2 / "vocab.bpe"))[::-1]) == encoder.data


@needs_gpt2
@settings(max_examples=150, deadline=None)
@given(any_text)
def test_gpt2_gives_the_ids_of_tiktoken(text: str) -> None:
    encoder, theirs = gpt2()
    assert ids_of(encoder, text) == theirs.encode_ordinary(text)
    assert encoder.decode_bytes(encoder.encode(pa.array([text]))[0]) == text.encode()


def write_ranks(folder: Path, name: str, pattern: Pattern) -> tiktoken.Encoding:
    data = tiktoken_ranks(trained(pattern), "t")
    (folder / name).write_bytes(data)
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in data.splitlines()}
    return tiktoken.Encoding("test", pat_str=EXPRESSIONS[pattern], mergeable_ranks=ranks,
                             special_tokens={"<|endoftext|>": 400})


RANKS: dict[Pattern, tuple[Encoder, tiktoken.Encoding]] = {}


@pytest.fixture(scope="module", autouse=True)
def _ranks(tmp_path_factory: pytest.TempPathFactory) -> None:
    for pattern in Pattern:
        folder = tmp_path_factory.mktemp(pattern.value)
        theirs = write_ranks(folder, "mine.tiktoken", pattern)
        RANKS[pattern] = (load(str(folder / "mine.tiktoken"), pattern.value, {"<|endoftext|>": 400}), theirs)


@settings(max_examples=100, deadline=None)
@given(any_text)
def test_ranks_give_the_ids_of_tiktoken(text: str) -> None:
    for pattern, (encoder, theirs) in RANKS.items():
        assert encoder.fast
        assert ids_of(encoder, text) == theirs.encode_ordinary(text), pattern


def test_what_stands_beside_ranks(tmp_path: Path) -> None:
    write_ranks(tmp_path, "tokenizer.model", Pattern.CL100K)
    path = str(tmp_path / "tokenizer.model")
    with pytest.raises(InputError, match="does not say how text is cut"):
        load(path)
    said = {"pat_str": EXPRESSIONS[Pattern.CL100K], "special_tokens": {"<|begin|>": 500, "<|endoftext|>": 400}}
    (tmp_path / "tokenizer.model.json").write_text(json.dumps(said))
    encoder = load(path)
    assert (encoder.eot_id, encoder.vocab_size, encoder.fast) == (400, 501, True)
    assert encoder.decode([400, 500]) == "<|endoftext|><|begin|>"
    assert 500 not in ids_of(encoder, "a<|begin|>b<|endoftext|>")
    assert len({load(path).sha256, load(path, "o200k").sha256, load(path, None, {"<|endoftext|>": 401}).sha256}) == 3
    # What export writes and prints is what load takes, and loses nothing.
    assert tiktoken_ranks(encoder.data, "t") == Path(path).read_bytes()


def test_what_ranks_are_refused(tmp_path: Path) -> None:
    write_ranks(tmp_path, "a.tiktoken", Pattern.GPT2)
    path = str(tmp_path / "a.tiktoken")
    with pytest.raises(InputError, match="possessive"):
        load(path, r"\p{L}{1,3}+|\s+")
    with pytest.raises(InputError, match="an id that a token has"):
        load(path, "gpt2", {"<|endoftext|>": 300})
    lines = Path(path).read_bytes().splitlines()
    for broken, message in (([*lines, b"!! 5"], "a line that is not a rank"), (lines[1:], "no token for byte 33")):
        (tmp_path / "b.tiktoken").write_bytes(b"\n".join(broken))
        with pytest.raises(InputError, match=message):
            load(str(tmp_path / "b.tiktoken"), "gpt2")
    with pytest.raises(InputError, match="holds 2 tokenizers"):
        load(str(tmp_path))


def test_known_encodings_are_those_of_tiktoken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
    for name, known in KNOWN_ENCODINGS.items():
        theirs = getattr(tiktoken_ext.openai_public, name)()
        assert theirs["special_tokens"] == known.special_tokens
        write_ranks(tmp_path, f"{name}.tiktoken", Pattern.GPT2)
        files = tokenizer_files(str(tmp_path / f"{name}.tiktoken"))
        assert read_tokenizer(files) == read_tokenizer(files, theirs["pat_str"], theirs["special_tokens"])


def test_half_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\n")
    with pytest.raises(InputError, match="is half of a tokenizer"):
        load(str(tmp_path))
    (tmp_path / "encoder.json").write_text("{}")
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\na b\n")
    with pytest.raises(InputError, match="token is not in the vocabulary: 'a b'"):
        load(str(tmp_path))


SPECIAL = ["<|endoftext|>", "</s>", "[MASK]", "word", " spaced ", "<unk>"]


def byte_level(pattern: Pattern) -> Tokenizer:
    return Tokenizer.from_str(trained(pattern).decode())


def own_pattern() -> Tokenizer:
    made = byte_level(Pattern.GPT2)
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{L}+|\s+|[^\s\p{L}]+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return made


def unigram() -> Tokenizer:
    pieces = [("<unk>", 0.0), ("</s>", 0.0), ("word", -1.0), *((c, -4.0) for c in "▁abcdefghijklmnopqrstuvwxyz[]<|>/s")]
    made = Tokenizer(models.Unigram(pieces, unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    return made


def word_level() -> Tokenizer:
    made = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "word": 2, "a": 3, "b": 4}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def byte_fallback() -> Tokenizer:
    vocab = {"<unk>": 0, "</s>": 1, **{f"<0x{b:02X}>": 2 + b for b in range(256)}}
    vocab |= {c: 300 + i for i, c in enumerate("▁abcdehlorw")}
    vocab |= {"▁a": 350, "he": 351}
    made = Tokenizer(models.BPE(vocab, [("▁", "a"), ("h", "e")], byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                      decoders.Strip(" ", 1, 0)])
    return made


KINDS: dict[str, tuple[Callable[[], Tokenizer], bool]] = {  # name: (how it is made, whether decoding gives texts back)
    **{pattern.value: (partial(byte_level, pattern), True) for pattern in Pattern},
    "own_pattern": (own_pattern, True), "byte_fallback": (byte_fallback, True), "unigram": (unigram, False),
    "word_level": (word_level, False)}


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_in_text_are_text(kind: str) -> None:
    make, lossless = KINDS[kind]
    made = make()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    encoder = Encoder(made.to_str().encode(), kind)
    assert encoder.lossless == lossless
    special = {i for name, i in encoder.special_tokens.items() if name != "<unk>"}
    assert set(encoder.special_tokens) == set(SPECIAL)
    texts = pa.array([*SPECIAL, *(f"a{name}b" for name in SPECIAL), *(f"a {name} b" for name in SPECIAL),
                      "".join(SPECIAL)])
    for encode in (encoder.encode, encoder.encode_reference):
        ids, offsets = encode(texts)
        assert not special & set(ids.tolist())
        if lossless:
            assert encoder.decode(ids, offsets).to_pylist() == texts.to_pylist()


def test_padding_and_truncation_of_a_file_do_not_count() -> None:
    made = byte_level(Pattern.GPT2)
    plain = Encoder(made.to_str().encode(), "t")
    made.enable_truncation(4)
    made.enable_padding(length=50)
    encoder = Encoder(made.to_str().encode(), "t")
    ids, offsets = encoder.encode_reference(pa.array(TEXTS[:3]))
    assert ids.tolist() == plain.encode(pa.array(TEXTS[:3]))[0].tolist()
    assert offsets.tolist() == encoder.encode(pa.array(TEXTS[:3]))[1].tolist()


def test_decoding_texts() -> None:
    encoder = Encoder(trained(), "t")
    ids, offsets = encoder.encode(pa.array(["", *TEXTS[:5], "中文", ""]))
    assert encoder.decode(ids, offsets).to_pylist() == ["", *TEXTS[:5], "中文", ""]
    assert encoder.decode(ids[:0], np.zeros(1, np.int64)).to_pylist() == []
    alone = Encoder(_bytes_only(), "t")
    ids, _ = alone.encode(pa.array(["é"]))
    assert alone.decode(ids, np.array([0, 1, 2])).to_pylist() == ["\ufffd", "\ufffd"]
    for wrong in ([-1], [10_000]):
        with pytest.raises(IndexError):
            encoder.decode(wrong)


def _bytes_only() -> bytes:
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(byte_alphabet())}, []))
    made.pre_tokenizer = pre_tokenizer(Pattern.GPT2)
    made.decoder = decoders.ByteLevel()
    return str(made.to_str()).encode()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=12), st.sampled_from([" a", "x ", " ", "\n", "\u0301", "'s ", "é "])),
                max_size=12).map("".join), st.integers(1, 20))
def test_the_reference_cuts_long_documents_where_no_token_crosses(text: str, step: int) -> None:
    """With pieces and batches of some bytes instead of a megabyte, for every pattern."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokenizer.encoding.reference._CUT_BYTES", step)
        patch.setattr("tokenizer.encoding.reference.BATCH_BYTES", step)
        pieces = [str(p, "utf-8") for p in split_text(np.frombuffer(text.encode(), np.uint8))]
        assert "".join(pieces) == text
        found = [encoder.encode_reference(pa.array([text, "a b", text]))[0].tolist() for encoder, _ in RANKS.values()]
    assert found == [encoder.encode_reference(pa.array([text, "a b", text]))[0].tolist()
                     for encoder, _ in RANKS.values()]
    for (_, theirs), ids in zip(RANKS.values(), found, strict=True):
        parts = [theirs.encode_ordinary(t) for t in (text, "a b", text)]
        assert ids == [i for part in parts for i in part]


def test_offsets_of_cut_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = RANKS[Pattern.GPT2][0]
    texts = pa.array(["", *TEXTS[:3], "", "x"])
    expected, bounds = encoder.encode(texts)
    monkeypatch.setattr("tokenizer.encoding.reference._CUT_BYTES", 20)
    monkeypatch.setattr("tokenizer.encoding.reference.BATCH_BYTES", 40)
    ids, offsets = encoder.encode_reference(texts)
    assert (ids.tolist(), offsets.tolist()) == (expected.tolist(), bounds.tolist())
    assert all(len(p) for p in split_text(np.frombuffer(TEXTS[0].encode(), np.uint8)))
    for (a, b), text in zip(pairwise(offsets), texts.to_pylist(), strict=True):
        assert encoder.decode(ids[a:b]) == text
