"""A tokenizer.json of somebody else costs bounded time and memory, and what is wrong with it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from manifests.errors import CurateError, RecipeError
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


def test_an_expression_of_ones_own_is_taken() -> None:
    fields = config()
    fields["pre_tokenizer"] = split(r"\p{L}+|\s+|[0-9]{1,3}")
    assert Encoder(json.dumps(fields).encode(), "t.json").encode(["ab"])[0].tolist() == [2]
