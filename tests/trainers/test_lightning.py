"""A training by Lightning on the loader, stopped and resumed from its checkpoint: `make test-trainers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="lightning is not installed here: make test-trainers")

import lightning
import torch

from manifests import PackedDataset, PackedLoader
from manifests.torch import TorchLoader
from tests.unit.manifests.test_dataset import make_dataset

pytestmark = pytest.mark.trainers


class Model(lightning.LightningModule):  # type: ignore[misc]
    """One embedding; it keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(257, 257)
        self.rows: list[list[int]] = []

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        self.rows.append(batch.rows.tolist())
        return torch.nn.functional.cross_entropy(self.table(batch.tokens).flatten(0, 1), batch.targets.flatten())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder: Path, steps: int) -> lightning.Trainer:
    return lightning.Trainer(max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False,
                             enable_model_summary=False, default_root_dir=folder, use_distributed_sampler=False,
                             enable_checkpointing=False)


def test_resumed_from_a_checkpoint(tmp_path: Path) -> None:
    data = PackedDataset(make_dataset(tmp_path / "data", [5, 6]), "train")
    order = PackedLoader(data, 2, seed=3)
    wanted = [next(order).rows.tolist() for _ in range(9)]
    first, model = trainer(tmp_path, 4), Model()
    first.fit(model, TorchLoader(data, 2, seed=3))
    first.save_checkpoint(tmp_path / "checkpoint")
    assert model.rows == wanted[:4]
    later = Model()
    trainer(tmp_path, 9).fit(later, TorchLoader(data, 2, seed=3), ckpt_path=tmp_path / "checkpoint",
                             weights_only=False)
    assert later.rows == wanted[4:]
