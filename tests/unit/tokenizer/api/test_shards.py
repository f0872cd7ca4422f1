"""`tokenizer.pack` writes the shards that the stages of a run write of the same documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tokenizer
from manifests.dataset import PackedDataset
from manifests.errors import CurateError, InputError, OwnershipError, RecipeError
from manifests.verify import verify
from tests.unit.tokenizer.small_run import Corpus, SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

MIXTURE = {"weights": {"books": 2, "crawl": 1}, "validation_fraction": 0.1}


def _given(documents: Corpus) -> dict[str, list[tuple[Any, Any, Any]]]:
    """A corpus as `tokenizer.pack` takes it."""
    return {source: [(np.concatenate([np.array(ids, np.int64) for _, ids in docs]),
                      np.cumsum([0, *(len(ids) for _, ids in docs)]), pa.array([d for d, _ in docs], pa.binary(16)))
                     for docs in parts.values()] for source, parts in documents.items()}


@pytest.fixture(scope="module")
def documents() -> Corpus:
    return corpus({"books": {"a": [5, 90, 33] * 20, "b": [70] * 30}, "crawl": {"c": [11, 40] * 60}})


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_shards_are_those_of_a_run(tmp_path: Path, documents: Corpus, packing: str) -> None:
    path = byte_tokenizer(tmp_path / "tokenizer.json")
    config = PackConfig(row_length=32, shard_tokens=2048, buckets=4, packing=packing)
    run = SmallRun(tmp_path / "run", seed=3)
    run.write_tokens(documents)
    run.pack(MixtureConfig(**MIXTURE), config, path)
    train = tokenizer.pack(_given(documents), tmp_path / "out", path, row_length=32, shard_tokens=2048, buckets=4,
                           packing=packing, mixture=MIXTURE, seed=3)
    stages = PackedDataset(str(tmp_path / "run"), "train")
    assert train.digest == stages.digest
    assert len(train) == len(stages) > 100
    for shard in sorted((tmp_path / "run" / "packed").rglob("*.bin")):
        assert (tmp_path / "out" / shard.relative_to(tmp_path / "run")).read_bytes() == shard.read_bytes()
    assert [finding.problem for finding in verify(str(tmp_path / "out" / "packed")) if finding.problem] == []


def test_what_encode_gives_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"document {i} of a few words" for i in range(200)]
    encoder = tokenizer.train(texts, 300)
    monkeypatch.chdir(tmp_path)
    train = tokenizer.pack(encoder.encode(texts), "dataset", encoder, row_length=16)
    every = np.concatenate([train[i] for i in range(len(train))])
    packed = encoder.decode(every).split("<|endoftext|>")
    assert set(packed[:-1]) - set(texts) == {""}  # the last document may be cut at the end of the last row
    assert len(packed) > 195
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == ["packed"]


def test_a_dataset_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = byte_tokenizer(tmp_path / "tokenizer.json")
    tokens = (np.arange(200) % 200, np.arange(0, 201, 10))
    first = tokenizer.pack(tokens, tmp_path / "out", path, row_length=8)
    with pytest.raises(OwnershipError, match="there is a dataset"):
        tokenizer.pack(tokens, tmp_path / "out", path, row_length=8)
    again = tokenizer.pack(tokens, tmp_path / "out", path, row_length=8, seed=1, overwrite=True)
    assert again.digest != first.digest
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.lock.yaml").write_text("recipe: {name: x}\n")
    with pytest.raises(OwnershipError, match="holds a run"):
        tokenizer.pack(tokens, tmp_path / "run", path)


@pytest.mark.parametrize(("tokens", "error", "match"), [
    (([1, 2, 3], [0, 2]), InputError, "offsets do not rise from 0 to the number of ids"),
    (([1, 2, 3], [0, 3, 2, 3]), InputError, "offsets do not rise"),
    (([1, 2, 300], [0, 3]), InputError, "not within the 257"), (([1, -2], [0, 2]), InputError, "not within the 257"),
    (([1.5, 2.0], [0, 2]), InputError, "ids are of float64"), ((["a"], [0, 1]), InputError, "ids are of"),
    (([1, 2], [0, 2], ["short"]), InputError, "doc_ids are 1 of string"), (7, InputError, "no .ids, offsets."),
    ({"books": 7}, InputError, "tokens of 'books': are no"),
    ([[1, 2]], InputError, r"ids are of int64 \[\], not integers"),
    (([], [0]), CurateError, "token")])
def test_bad_tokens_are_named(tmp_path: Path, tokens: Any, error: type[CurateError], match: str) -> None:
    path = byte_tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(error, match=match):
        tokenizer.pack(tokens, tmp_path / "out", path, row_length=8)
    assert not (tmp_path / "out" / "packed").exists()


def test_bad_settings_are_named(tmp_path: Path) -> None:
    path = byte_tokenizer(tmp_path / "tokenizer.json")
    tokens = ([1, 2], [0, 2])
    with pytest.raises(RecipeError, match=r"pack\(\): packing"):
        tokenizer.pack(tokens, tmp_path, path, packing="none")
    with pytest.raises(RecipeError, match="no source is called 'web'"):
        tokenizer.pack(tokens, tmp_path, path, mixture={"weights": {"web": 1}})
    with pytest.raises(RecipeError, match=r"pack\(\): row_length"):
        tokenizer.pack(tokens, tmp_path, path, row_length=0)
