"""A data set of so many shards that they lie in folders of a thousand: whoever reads one finds it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curate.why import explain
from manifests import PackedDataset, PackedLoader, part_paths
from manifests.tables import read_table
from manifests.trace import trace
from manifests.verify import verify
from pipelines.recipe import Recipe
from pipelines.removal import remove
from pipelines.running import Result, Settings, run
from pipelines.verification import verify_run
from tokenizer.export.formats import export_dataset

INLINE = Settings(engine="inline")


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_paths, "_FLAT", 1)


@pytest.fixture
def out(small_demo: tuple[Path, Result], small_web: Path, recipe_of: Callable[..., Recipe], tmp_path: Path) -> Path:
    """The small demo run, packed again in rows of another length: shard 0 lies flat, the others in a folder."""
    shutil.copytree(small_demo[0], tmp_path / "run")
    run(recipe_of(small_web, "pack.row_length=256", "pack.shard_tokens=65536"), str(tmp_path / "run"), INLINE)
    return tmp_path / "run"


def test_every_reader_finds_its_shard(out: Path, tmp_path: Path) -> None:
    names = sorted(str(path.relative_to(out / "packed")) for path in (out / "packed").rglob("*.bin"))
    assert names[:2] == ["train/000/000001.bin", "train/000/000002.bin"]
    assert names[-2:] == ["train/000000.bin", "val/000000.bin"]
    manifest = read_table(str(out / "packed/manifest.parquet"))
    assert sorted(manifest["path"].to_pylist()) == names
    assert [finding for finding in verify_run(str(out)) if finding.problem] == []

    dataset = PackedDataset(out, "train")
    row = int(manifest.filter(np.char.startswith(manifest["path"].to_pylist(), "train/000/"))["first_row"][0].as_py())
    shutil.copytree(out / "packed", tmp_path / "alone")
    assert [finding for finding in verify(str(tmp_path / "alone")) if finding.problem] == []
    other = PackedDataset(tmp_path / "alone", "train")
    assert (dataset[row] == other[row]).all()
    assert len(next(iter(PackedLoader(dataset, batch_rows=4, seed=1)))) > 0

    (origin, *_) = trace(str(out), "train/000001", 0)
    assert trace(str(out), "packed/train/000/000001.bin", 0)[0].document == origin.document
    assert (origin.tokens == dataset[row][origin.first_token : origin.first_token + origin.n_tokens]).all()
    (history,) = explain(str(out), origin.document["doc_id"].hex())
    assert "000001" in str(history)

    export_dataset(str(out), "megatron", str(tmp_path / "megatron"), zero_copy=True)
    assert (tmp_path / "megatron/train/000/000001.idx").exists()


def test_a_document_is_removed_from_a_shard_in_a_folder(out: Path) -> None:
    (origin, *_) = trace(str(out), "train/000001", 0)
    remove(str(out), [], [origin.document["doc_id"]])
    assert [finding for finding in verify_run(str(out)) if finding.problem] == []
    spans = read_table(str(out / "packed/train/000/000001.spans.parquet"), ["doc_id"])
    assert origin.document["doc_id"] not in spans["doc_id"].to_pylist()
