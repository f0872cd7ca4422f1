"""The merges are those of `tokenizers`' BpeTrainer: in several languages, with ties, down to the last pair."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tests.counted_words import count_texts
from tokenizer.bpe import merges, words
from tokenizer.bpe.counting import reference_counts
from tokenizer.bpe.pretokenize import pre_tokenizer
from tokenizer.bpe.train import learn
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.bpe.words import WordTable
from tokenizer.encoding.patterns import Pattern

LANGUAGES = [
    "the shore of the sea was calm and the sails of the ships were white as the gulls above the harbour in the morning",
    "Der Hafen lag still, größere Schiffe führen über die süße See; Straße und Häuser glänzten nach dem Regen",
    "море было спокойно и белые паруса кораблей стояли над гаванью ранним утром когда чайки молчали",
    "海は静かで、船の白い帆が朝の港に並んでいた。カモメは岸の上を飛んでいる。海の朝、港の朝。",
    "كان البحر هادئا وكانت اشرعة السفن بيضاء فوق الميناء في الصباح والنوارس صامتة",
    "समुद्र शांत था और सुबह बंदरगाह में जहाजों के पाल सफेद थे समुद्र के ऊपर पक्षी",
    "바다는 고요했고 아침 항구에는 배들의 하얀 돛이 서 있었다 바다 위의 갈매기",
    "def f(x1, x2):\n    return x1 + 1234567 * x2\n\n\nif f(12, 345) == 0:\n        print('x1', \"it's\")\n",
]
few_letters = st.text(st.sampled_from("ab "), max_size=300)
run = st.tuples(st.sampled_from(["a", "ab", " ", "\n", "中", "é", "\x00"]), st.integers(1, 40))
runs = st.lists(run, max_size=12).map(lambda pairs: "".join(piece * n for piece, n in pairs))
prose = st.lists(st.sampled_from(" ".join(LANGUAGES).split(" ")), max_size=80).map(" ".join)


def theirs(texts: list[str], config: TokenizerConfig) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(Pattern(config.pattern))
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=config.vocab_size - 1, min_frequency=config.min_frequency, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return [(a, b) for a, b in json.loads(tokenizer.to_str())["model"]["merges"]]


def ours(texts: list[str], config: TokenizerConfig) -> tuple[list[tuple[str, str]], int]:
    trained = learn(config, count_texts([pa.array(texts, pa.large_string())], Pattern(config.pattern)))
    return [(a, b) for a, b in json.loads(trained.data)["model"]["merges"]], trained.n_tokens


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(few_letters, runs, prose, st.text(max_size=80)), min_size=1, max_size=5).filter(any),
       st.sampled_from(list(Pattern)), st.sampled_from([258, 262, 300, 600, 5000]), st.sampled_from([1, 2, 3, 10]))
def test_any_text(texts: list[str], pattern: Pattern, vocab_size: int, min_frequency: int) -> None:
    config = TokenizerConfig(vocab_size=vocab_size, min_frequency=min_frequency, pattern=pattern.value)
    assert ours(texts, config)[0] == theirs(texts, config)


@pytest.mark.parametrize("text", LANGUAGES)
@pytest.mark.parametrize("pattern", Pattern)
def test_languages_to_the_last_pair(text: str, pattern: Pattern) -> None:
    """Most pairs of a short text occur once or twice: nearly every step is a tie."""
    config = TokenizerConfig(vocab_size=4000, min_frequency=1, pattern=pattern.value)
    found, n_tokens = ours([text, text[: len(text) // 2]], config)
    assert found == theirs([text, text[: len(text) // 2]], config)
    pieces = pre_tokenizer(pattern).pre_tokenize_str
    assert n_tokens == len(pieces(text)) + len(pieces(text[: len(text) // 2]))  # every word became one token


def test_room_is_made_while_training(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(LANGUAGES)
    config = TokenizerConfig(vocab_size=1000, min_frequency=1)
    expected = ours([text], config)
    monkeypatch.setattr(merges, "_FIRST_PAIRS", 1)
    assert ours([text], config) == expected == (theirs([text], config), expected[1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(prose, st.text(max_size=60)), min_size=1, max_size=6))
def test_counts_of_tables_that_grow_and_are_added_up(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_FIRST_SLOTS", 2)
        patch.setattr(words, "_FIRST_BYTES", 1)
        whole, halves = WordTable(), WordTable()
        whole.count_texts(pa.array(texts, pa.large_string()), Pattern.GPT2)
        for part in (texts[::2], texts[1::2]):
            half = WordTable()
            half.count_texts(pa.array(part, pa.large_string()), Pattern.GPT2)
            halves.add(half.table())
    expected = reference_counts(pa.array(texts, pa.large_string()), Pattern.GPT2)
    for table in (whole, halves):
        found = dict(zip(*table.table().to_pydict().values(), strict=True))
        assert found == dict(zip(*expected.to_pydict().values(), strict=True))
        assert len(set(table.hashes.tolist())) == len(table)


def test_a_word_of_a_million_equal_letters() -> None:
    """Its runs halve at every merge, and each merge visits each place once."""
    table = pa.table([pa.array([b"a" * 1_000_000, b"ab"], pa.large_binary()), pa.array([1, 3])], schema=words.WORDS)
    trained = learn(TokenizerConfig(vocab_size=400, min_frequency=1), table)
    tokenizer = Tokenizer.from_str(trained.data.decode())
    sizes = Counter(len(token) for token in tokenizer.get_vocab() if set(token) == {"a"})
    assert sizes[2] == sizes[4] == sizes[1 << 19] == 1
    assert trained.n_tokens == 1 + 3
    assert set(sizes.values()) == {1}
