"""TorchLoader, with real torch: `make test-torch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here: make test-torch")

from manifests import DatasetMismatchError, PackedDataset, PackedLoader, ShardError  # noqa: E402
from manifests.tables import read_table  # noqa: E402
from manifests.torch import TorchLoader  # noqa: E402
from tests.unit.manifests.test_dataset import T, make_dataset, span, write_tables  # noqa: E402
from tests.unit.manifests.test_removals import write_succession  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def data(tmp_path: Path) -> PackedDataset:
    make_dataset(tmp_path, [3, 3, 1], packing="best_fit", spans=[span(0, 4), span(4, 2), span(8, 8)])
    return PackedDataset(tmp_path, "train")


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_loaders_own(data: PackedDataset, workers: int) -> None:
    loader, plain = TorchLoader(data, 2, seed=5, workers=workers), PackedLoader(data, 2, seed=5)
    for _ in range(9):
        batch, expected = next(loader), next(plain)
        assert batch.tokens.dtype == batch.targets.dtype == torch.int64
        for name in ("tokens", "targets", "rows"):
            assert np.array_equal(getattr(batch, name).numpy(), getattr(expected, name))
        assert loader.state_dict() == plain.state_dict()  # and never what was only made ahead
    loader.close()


def test_documents(data: PackedDataset) -> None:
    loader = TorchLoader(data, 2, documents=True)
    batch = next(loader)
    segments = data.segments(batch.rows.numpy())
    assert batch.cu_seqlens is not None
    assert batch.position_ids is not None
    assert batch.segment_sources is not None
    assert batch.source_tokens is not None
    assert batch.cu_seqlens.tolist() == segments.cu_seqlens.tolist()
    assert batch.max_seqlen == int(np.diff(segments.cu_seqlens).max())
    assert batch.position_ids.tolist() == segments.position_ids.tolist()
    assert batch.segment_sources.tolist() == segments.source_ids.tolist()
    in_documents = {0: 6, 1: T, 2: 0, 3: 6, 4: T, 5: 0, 6: 6}  # the same spans lie in every shard
    assert batch.source_tokens.tolist() == [[in_documents[r]] for r in batch.rows.tolist()]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_resume_with_any_world_size(data: PackedDataset, world: int) -> None:
    straight = TorchLoader(data, 4, seed=1)
    for _ in range(5):
        next(straight)
    state = json.loads(json.dumps(straight.state_dict()))
    ranks = [TorchLoader(data, 4 // world, rank, world, seed=1) for rank in range(world)]
    for loader in ranks:
        next(loader)  # a loader that has already begun, and worked ahead, goes where the state says
        loader.load_state_dict(state)
    for _ in range(6):
        assert torch.equal(torch.cat([next(loader).tokens for loader in ranks]), next(straight).tokens)


STEPS, GLOBAL_ROWS = 200, 8


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_killed_at_every_step_of_200(tmp_path: Path, world: int) -> None:
    """Whatever step a training dies at, what it was given counts and what was made ahead does not: any number of ranks
    go on with the same global batches, and each row comes once an epoch."""
    data = PackedDataset(make_dataset(tmp_path, [3] * 150), "train")
    whole = TorchLoader(data, GLOBAL_ROWS, seed=4)
    states, steps = [], []
    for _ in range(STEPS + 1):
        states.append(json.dumps(whole.state_dict()))
        steps.append(next(whole).rows.tolist())
    whole.close()
    epoch = [row for step in steps for row in step]
    for start in range(0, len(epoch) - len(data), len(data)):
        assert sorted(epoch[start : start + len(data)]) == list(range(len(data)))
    ranks = [TorchLoader(data, GLOBAL_ROWS // world, rank, world, seed=4, ahead=2) for rank in range(world)]
    for step in range(STEPS + 1):
        for loader in ranks:
            loader.load_state_dict(json.loads(states[step]))
        assert [row for loader in ranks for row in next(loader).rows.tolist()] == steps[step]
    for loader in ranks:
        loader.close()


def test_killed_with_workers(tmp_path: Path) -> None:
    """Worker processes run further ahead; what is resumed is what the training loop was given."""
    data = PackedDataset(make_dataset(tmp_path, [3] * 20), "train")
    straight = PackedLoader(data, GLOBAL_ROWS, seed=4)
    state = straight.state_dict()
    for world in (1, 2, 4):
        ranks = [TorchLoader(data, GLOBAL_ROWS // world, rank, world, seed=4, workers=1) for rank in range(world)]
        for loader in ranks:
            loader.load_state_dict(state)
        for _ in range(3):
            assert [row for loader in ranks for row in next(loader).rows.tolist()] == next(straight).rows.tolist()
        state = json.loads(json.dumps(ranks[0].state_dict()))
        for loader in ranks:
            loader.close()


def test_phases_follow_one_another(tmp_path: Path) -> None:
    """All rows of a phase come before any of the next, resumed within a phase or on its end."""
    make_dataset(tmp_path, [3, 3, 2, 4])
    manifest = read_table(str(tmp_path / "packed/manifest.parquet")).to_pylist()
    write_tables(tmp_path / "packed", [r | {"phase": p} for r, p in zip(manifest, [0, 0, 1, 1], strict=True)])
    data = PackedDataset(tmp_path, "train")
    loader = TorchLoader(data, 3, seed=9, passes=2)
    steps, states = [], []
    for _ in range(8):
        states.append(loader.state_dict())
        steps.append(next(loader).rows.tolist())
    assert (loader.epoch, loader.phase, loader.position) == (2, 1, 24)
    with pytest.raises(StopIteration):
        next(loader)
    rows = [row for step in steps for row in step]
    for epoch in (rows[:12], rows[12:24]):
        assert sorted(epoch[:6]) == list(range(6))
        assert sorted(epoch[6:]) == list(range(6, 12))
    for step, state in enumerate(states):
        ranks = [TorchLoader(data, 1, rank, 3, seed=9, passes=2) for rank in range(3)]
        for one in ranks:
            one.load_state_dict(state)
        assert [row for one in ranks for row in next(one).rows.tolist()] == steps[step]


def test_other_data_is_refused(data: PackedDataset, tmp_path: Path) -> None:
    state = TorchLoader(data, 2).state_dict()
    other = PackedDataset(make_dataset(tmp_path / "other", [4]), "train")
    for change in ({"tokenizer": "ab" * 32}, {"dataset": other.digest}, {"rows": "many"}):
        with pytest.raises(DatasetMismatchError):
            TorchLoader(data, 2).load_state_dict(state | change)
    with pytest.raises(DatasetMismatchError, match="dataset"):
        TorchLoader(other, 2).load_state_dict(state)


def test_a_successor_is_accepted_where_asked(data: PackedDataset) -> None:
    state = TorchLoader(data, 2).state_dict() | {"rows": 2, "dataset": "old"}
    write_succession(data.folder, [("old", data.digest)])
    loader = TorchLoader(data, 2)
    with pytest.raises(DatasetMismatchError, match="accept_successor=True"):
        loader.load_state_dict(state)
    loader.load_state_dict(state, accept_successor=True)
    assert next(loader).rows.tolist() == loader.order.rows(2, 2).tolist()


def test_what_goes_wrong_ahead_is_raised_to_the_reader(data: PackedDataset) -> None:
    path = data.folder / "train/000001.bin"
    path.write_bytes(path.read_bytes()[:-2])
    loader = TorchLoader(data, 7)
    for _ in range(2):
        with pytest.raises(ShardError, match="its header says"):
            next(loader)


def test_one_rank_of_a_process_group(data: PackedDataset, tmp_path: Path) -> None:
    """DDP's ranks are found without being told."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        loader: Any = TorchLoader(data, 2)
        assert (loader.order.rank, loader.order.world_size) == (0, 1)
        assert len(next(loader).rows) == 2
    finally:
        torch.distributed.destroy_process_group()
