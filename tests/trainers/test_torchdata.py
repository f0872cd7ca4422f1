"""torchdata's StatefulDataLoader over the stream: `make test-trainers`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torchdata", reason="torchdata is not installed here: make test-trainers")

from torchdata.stateful_dataloader import StatefulDataLoader

from manifests import PackedDataset, PackedLoader
from manifests.torch import PackedStream, TorchLoader
from tests.unit.manifests.test_dataset import make_dataset

pytestmark = pytest.mark.trainers


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batched", [True, False])
def test_resumed_at_every_step(tmp_path: Path, workers: int, batched: bool) -> None:
    data = PackedDataset(make_dataset(tmp_path, [3, 3, 2]), "train")

    def fresh() -> StatefulDataLoader:
        return StatefulDataLoader(PackedStream(data, 2, seed=5, batched=batched), batch_size=None if batched else 2,
                                  num_workers=workers)

    order = PackedLoader(data, 2, seed=5)
    whole = [next(order).tokens.tolist() for _ in range(10)]
    loader = fresh()
    states = []
    for (step, batch), _ in zip(enumerate(loader), range(6), strict=False):
        assert batch["input_ids"].tolist() == whole[step]
        states.append(json.loads(json.dumps(loader.state_dict(), default=str)) if not workers else loader.state_dict())
    for step in (0, 3, 5):
        again = fresh()
        again.load_state_dict(states[step])
        for following, batch in zip(whole[step + 1 : step + 4], again, strict=False):
            assert batch["input_ids"].tolist() == following


def test_the_loader_itself(tmp_path: Path) -> None:
    """Its protocol of a state is torch's: what torchdata calls Stateful."""
    from torchdata.stateful_dataloader.stateful import Stateful

    data = PackedDataset(make_dataset(tmp_path, [3]), "train")
    assert isinstance(TorchLoader(data, 1), Stateful)
    assert isinstance(PackedStream(data, 1), Stateful)
