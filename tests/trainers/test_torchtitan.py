"""The data loader for torchtitan, built as its trainer builds it: `make test-trainers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torchtitan", reason="torchtitan is not installed here: make test-trainers")

import torch
import torch.distributed.checkpoint as dcp
from torchtitan.components.dataloader import BaseDataLoader, DataloaderExhaustedError

from manifests import PackedDataset, PackedLoader, RecipeError
from manifests.examples.torchtitan_loader import PackedDataLoader
from tests.unit.manifests.test_dataset import T, make_dataset, span

pytestmark = pytest.mark.trainers


def build(path: Path, rank: int = 0, size: int = 1, rows: int = 2, **options: Any) -> Any:
    config = PackedDataLoader.Config(dataset_path=str(path), **options)
    return config.build(dp_world_size=size, dp_rank=rank, tokenizer=None, seq_len=T, local_batch_size=rows,
                        snapshot_every_n_steps=1)


def test_batches_and_checkpoints(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "data", [3, 3], spans=[span(1, 7), span(8, 8), span(16, 8)])
    order = PackedLoader(PackedDataset(path, "train"), 2, seed=4)
    loader = build(path, seed=4)
    assert isinstance(loader, BaseDataLoader)
    stream = iter(loader)
    for _ in range(4):
        inputs, labels = next(stream)
        expected = next(order)
        assert inputs["input"].tolist() == expected.tokens.tolist()
        assert torch.equal(labels, torch.from_numpy(expected.targets))
        assert inputs["positions"].shape == labels.shape
    dcp.save({"dataloader": loader}, checkpoint_id=str(tmp_path / "checkpoint"), no_dist=True)
    ranks = [build(path, rank, 2, 1, seed=4) for rank in range(2)]  # torchtitan's own loaders refuse another number
    for one in ranks:
        dcp.load({"dataloader": one}, checkpoint_id=str(tmp_path / "checkpoint"), no_dist=True)
    streams = [iter(one) for one in ranks]
    for _ in range(4):
        rows = [row for one in streams for row in next(one)[0]["input"].tolist()]
        assert rows == next(order).tokens.tolist()


def test_the_end_is_torchtitans(tmp_path: Path) -> None:
    path = make_dataset(tmp_path, [3])
    stream = iter(build(path, passes=1))
    next(stream)
    next(stream)
    with pytest.raises(DataloaderExhaustedError):
        next(stream)
    with pytest.raises(RecipeError, match=r"training\.seq_len"):
        PackedDataLoader.Config(dataset_path=str(path)).build(dp_world_size=1, dp_rank=0, tokenizer=None, seq_len=T + 1,
                                                              local_batch_size=1)
