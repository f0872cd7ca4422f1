"""A tokenizer.json of somebody else costs bounded time and memory, and what is wrong with it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from manifests.errors import CurateError, InputError, RecipeError
from tokenizer.encoding.encode import Encoder


def config(**model: Any) -> dict[str, Any]:
    vocab = {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}
    added = {"id": 3, "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": [["a", "b"]]} | model}


def replaced(content: str, times: int = 1, **pattern: str) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": pattern, "content": content}] * times}


def nested(depth: int) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "NFC"}
    for _ in range(depth):
        step = {"type": "Sequence", "normalizers": [step]}
    return step


def split(expression: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


WRONG: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("model.vocab", lambda c: c["model"]["vocab"].update(huge=4_000_000_000)),
    ("model.vocab", lambda c: c["model"]["vocab"].update(less=-1)),
    ("model.vocab", lambda c: c["model"]["vocab"].update(half=0.5)),
    ("model.vocab", lambda c: c["model"]["vocab"].update(twice=2)),
    ("added_tokens.0.id", lambda c: c["added_tokens"][0].update(id=4_000_000_000)),
    ("added_tokens.0.id", lambda c: c["added_tokens"][0].update(id=1)),
    ("added_tokens.0.id", lambda c: c["added_tokens"][0].pop("id")),
    ("added_tokens", lambda c: c.update(added_tokens=[3])),
    ("normalizer", lambda c: c.update(normalizer=replaced(String="a", content="ab" * 20, times=3))),
    ("normalizer", lambda c: c.update(normalizer=replaced(Regex="x*", content="b" * 300))),
    ("normalizer", lambda c: c.update(normalizer={"type": "Prepend", "prepend": "a" * 5000})),
    ("decoder", lambda c: c.update(decoder=replaced(String="a", content="b" * 300))),
    ("model.dropout", lambda c: c["model"].update(dropout=0.1)),
    ("nested too deeply", lambda c: c.update(normalizer=nested(400))),
    ("pre_tokenizer", lambda c: c.update(pre_tokenizer=split(r"(x+x+)+y"))),
    ("pre_tokenizer", lambda c: c.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [split(r"(a|aa)+$")]}))]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("field", "change"), WRONG)
def test_what_a_tokenizer_may_not_do_is_exit_code_2_with_its_field(
        field: str, change: Callable[[dict[str, Any]], object]) -> None:
    fields = config()
    change(fields)
    with pytest.raises(RecipeError, match=field.replace(".", r"\.")) as caught:
        Encoder(json.dumps(fields).encode(), "t.json")
    assert caught.value.where == "t.json"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"model": 3}', b"[" * 5000, b"\xff",
                                  json.dumps(config(vocab=3)).encode(), json.dumps(config(merges=[["a"]])).encode(),
                                  json.dumps(config(type="None")).encode()])
def test_what_is_no_tokenizer_is_named(data: bytes) -> None:
    with pytest.raises(CurateError, match=r"t\.json"):
        Encoder(data, "t.json")


def test_a_model_that_has_no_token_for_a_text_is_named() -> None:
    fields = config()
    fields["model"] = {"type": "WordLevel", "vocab": {"a": 0, "<|endoftext|>": 3}, "unk_token": "[UNK]"}
    with pytest.raises(InputError, match=r"t\.json: cannot encode a text: .*UNK"):
        Encoder(json.dumps(fields).encode(), "t.json").encode(["b"])


def test_replacements_that_others_publish_are_taken() -> None:
    """Of sentencepiece: a letter for a space, one before the text, spaces made one."""
    fields = config()
    steps = [{"type": "Prepend", "prepend": "\u2581"},
             {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "NFC"}]
    fields["normalizer"] = {"type": "Sequence", "normalizers": steps}
    fields["model"]["vocab"]["\u2581"] = 4
    assert Encoder(json.dumps(fields).encode(), "t.json").encode(["ab"])[0].tolist() == [4, 2]


def test_an_expression_of_ones_own_is_taken() -> None:
    fields = config()
    fields["pre_tokenizer"] = split(r"\p{L}+|\s+|[0-9]{1,3}")
    assert Encoder(json.dumps(fields).encode(), "t.json").encode(["ab"])[0].tolist() == [2]
