"""Special tokens: ids of their own behind the merges, no text makes one, and every form of the tokenizer has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
from pydantic import ValidationError
from tiktoken.load import load_tiktoken_bpe
from tokenizers import Tokenizer
from typer.testing import CliRunner

from manifests import PackedDataset, RecipeError
from manifests.hashing import document_id
from manifests.tables import read_table
from pipelines.cli.main import app
from tests.unit.tokenizer.small_run import SmallRun
from tokenizer.bpe.special_tokens import PRESETS, with_special_tokens
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.encode import END_OF_TEXT, Encoder, load
from tokenizer.export.formats import FORMATS, export_dataset
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

TEXT = "the tide takes the table and the towel, thirty times; "


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that the command trained, with a preset's tokens and one more."""
    root = tmp_path_factory.mktemp("trained")
    (root / "in.jsonl").write_text("".join(json.dumps({"id": i, "text": TEXT * 9 + "<|im_end|>" * 50}) + "\n"
                                           for i in range(9)))
    done = CliRunner().invoke(app, [
        "tokenizer", "train", str(root / "in.jsonl"), "--vocab-size", "280", "--special-token", "chatml",
        "--special-token", "<|tool|>", "--out", str(root / "tokenizer.json"), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["special_tokens"] == ids_of(root / "tokenizer.json")
    return root / "tokenizer.json"


def ids_of(path: Path) -> dict[str, int]:
    return {t["content"]: t["id"] for t in json.loads(path.read_text())["added_tokens"]}


def test_ids_follow_the_merges(trained: Path) -> None:
    n_merges = len(json.loads(trained.read_text())["model"]["merges"])
    base = 256 + n_merges
    assert ids_of(trained) == {END_OF_TEXT: base, "<|im_start|>": base + 1, "<|im_end|>": base + 2,
                               "<|tool|>": base + 3}
    assert load(str(trained)).vocab_size == base + 4 == 280


def test_no_text_makes_one(trained: Path) -> None:
    encoder = load(str(trained))
    texts = pa.array(["<|im_end|>", "a<|tool|>b", "<|im_start|>user\n", TEXT])
    for ids, offsets in (encoder.encode(texts), encoder.encode_reference(texts)):
        assert not set(ids.tolist()) & set(encoder.special_tokens.values())
        assert encoder.decode(ids, offsets).to_pylist() == texts.to_pylist()


def test_every_form_of_the_tokenizer_has_them(trained: Path, tmp_path: Path) -> None:
    theirs_too = Tokenizer.from_file(str(trained)).encode("<|im_start|>hi<|im_end|>").ids
    assert (theirs_too[0], theirs_too[-1]) == (ids_of(trained)["<|im_start|>"], ids_of(trained)["<|im_end|>"])
    done = CliRunner().invoke(app, ["tokenizer", "export", str(trained), "--tiktoken", str(tmp_path / "t.tiktoken")])
    facts = json.loads(done.stdout)
    assert facts["special_tokens"] == ids_of(trained)
    (tmp_path / "t.tiktoken.json").write_text(done.stdout)
    again = load(str(tmp_path / "t.tiktoken"))
    assert again.special_tokens == load(str(trained)).special_tokens
    ranks = load_tiktoken_bpe(str(tmp_path / "t.tiktoken"))
    theirs = tiktoken.Encoding("t", pat_str=facts["pat_str"], mergeable_ranks=ranks,
                               special_tokens=facts["special_tokens"])
    text = TEXT + "<|im_end|>"
    ids = load(str(trained)).encode(pa.array([text]))[0].tolist()
    assert theirs.encode(text, disallowed_special=()) == ids
    assert theirs.encode("<|tool|>", allowed_special="all") == [ids_of(trained)["<|tool|>"]]


def test_the_manifest_and_every_export_name_them(trained: Path, tmp_path: Path) -> None:
    run = SmallRun(tmp_path / "run", seed=1)
    run.write_tokens({"a": {"p": [(document_id("a", "p", i), [5] * 9) for i in range(9)]}}, np.uint16)
    run.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0),
             PackConfig(row_length=8, shard_tokens=64, buckets=2), str(trained))
    data = PackedDataset(run.root, "train")
    assert data.special_tokens == ids_of(trained)
    rows = read_table(str(run.root / "packed/manifest.parquet")).to_pylist()
    assert all(dict(row["special_tokens"]) == ids_of(trained) for row in rows)
    for form in FORMATS:
        assert export_dataset(str(run.root), form, str(tmp_path / form))["special_tokens"] == ids_of(trained)
        assert (tmp_path / form / "tokenizer.json").read_bytes() == trained.read_bytes()


def test_an_existing_tokenizer_gets_them_behind_its_ids(trained: Path) -> None:
    data = trained.read_bytes()
    assert with_special_tokens(data, ("<|im_end|>",)) == data
    more = Encoder(with_special_tokens(data, ("<|im_end|>", *PRESETS["gpt1"])), "t")
    assert [more.special_tokens[name] for name in PRESETS["gpt1"]] == [280, 281, 282]
    assert more.special_tokens["<|im_end|>"] == ids_of(trained)["<|im_end|>"]
    texts = pa.array([TEXT, "<|extract|>"])
    assert np.array_equal(more.encode(texts)[0], load(str(trained)).encode(texts)[0])
    with pytest.raises(RecipeError, match="'t' is an entry of the vocabulary"):
        with_special_tokens(data, ("t",))


def test_settings() -> None:
    assert TokenizerConfig.model_validate({"special_tokens": "gpt1"}).special_tokens == PRESETS["gpt1"]
    assert TokenizerConfig(special_tokens=("<a>", "chatml")).special_tokens == ("<a>", *PRESETS["chatml"])
    for tokens, words in ((("<a>", "<a>"), "named twice"), (("chatml", "<|im_end|>"), "named twice"), (("",), "empty"),
                          ((" a",), "white space"), ((END_OF_TEXT,), "there in any case")):
        with pytest.raises(ValidationError, match=words):
            TokenizerConfig(special_tokens=tokens)
    with pytest.raises(ValidationError, match="does not hold 256 bytes"):
        TokenizerConfig(vocab_size=258, special_tokens=("a1", "b1"))
