"""A fast encoder that is wrong for one text of one part: a whole run notices, falls back, says so, and is right."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from pipelines.loading import load_recipe
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from tests.integration.conftest import tree
from tokenizer.encoding.encode import Encoder, Ids, Offsets

TEXT = "The library keeps a record of every book that was lent, and of the people who have taken it home. "


def recipe(folder: Path) -> Recipe:
    """Two files, so two parts; every document is checked."""
    for name in ("one", "two"):
        lines = [json.dumps({"id": str(i), "text": f"{name} {i}. {TEXT * 3} Note {i * 7919} of {name}'s year."})
                 for i in range(6)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(yaml.safe_dump({
        "name": "tiny", "sources": {"notes": {"files": str(folder / "*.jsonl"), "curated": True}},
        "classifier": None, "select": {"filtered_sources": []}, "dedup": {"partitions": 1, "max_removed_fraction": 1},
        "tokenizer": {"vocab_size": 300}, "mixture": {"weights": {"notes": 1}, "validation_fraction": 0},
        "pack": {"row_length": 16, "shard_tokens": 1024}, "encode": {"check_fraction": 1}}))
    return load_recipe(str(folder / "recipe.yaml"), [])


def wrong(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    """The reference's ids, but one token of one text of the second file is another."""
    ids, offsets = self.encode_reference(texts)
    for i, text in enumerate(texts.to_pylist()):
        if text.startswith("two 3."):
            ids = np.concatenate([ids[: offsets[i] + 5], ids[offsets[i] + 5 : offsets[i] + 6] ^ 1,
                                  ids[offsets[i] + 6 :]])
    return ids, offsets


def execute(folder: Path, out: str) -> Result:
    return run(recipe(folder), str(folder / out), Settings("inline"))


@pytest.mark.timeout(300)
def test_one_wrong_token_in_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        good = execute(tmp_path, "right")
    assert "tokenizers encodes all" not in caplog.text
    assert good.view.counters("tokens")["encoder_fallback"] == 0
    assert good.view.counters("tokenizer/check")["checked_documents"] == 12
    monkeypatch.setattr(Encoder, "encode", wrong)
    with caplog.at_level(logging.INFO):
        bad = execute(tmp_path, "wrong")
    assert "the fast encoder differs from tokenizers on 1 of 12 documents, so tokenizers encodes all" in caplog.text
    assert bad.view.counters("tokenizer/check")["differing_documents"] == 1
    assert bad.view.counters("tokens")["encoder_fallback"] == 2, "every part, not the one that differs"
    assert len(bad.view.tasks("tokens")) == 2
    right, healed = tree(tmp_path / "right"), tree(tmp_path / "wrong")
    for stage in ("tokens/", "packed/"):
        files = {name: digest for name, digest in right.items() if name.startswith(stage)}
        assert any(name.endswith((".tokens", ".bin")) for name in files)
        assert files == {name: digest for name, digest in healed.items() if name.startswith(stage)}
