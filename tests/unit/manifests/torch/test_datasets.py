"""The data set as torch.utils.data takes it: DataLoader however it starts its workers, forks, and checkpoints."""

from __future__ import annotations

import json
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here: make test-torch")

from torch.utils.data import DataLoader  # noqa: E402

from manifests import DatasetMismatchError, PackedDataset, PackedLoader  # noqa: E402
from manifests.torch import PackedRows, PackedStream, TorchLoader  # noqa: E402
from tests.unit.manifests.test_dataset import make_dataset, span  # noqa: E402

pytestmark = pytest.mark.torch
SPANS = [span(1, 3), span(4, 2), span(8, 8), span(16, 5)]


@pytest.fixture
def data(tmp_path: Path) -> PackedDataset:
    return PackedDataset(make_dataset(tmp_path / "data", [3, 3, 3, 2], packing="best_fit", spans=SPANS), "train")


def wanted(data: PackedDataset, steps: int, batch_rows: int, **options: Any) -> list[list[list[int]]]:
    loader = PackedLoader(data, batch_rows, **options)
    return [next(loader).tokens.tolist() for _ in range(steps)]


def test_a_row_as_an_example(data: PackedDataset) -> None:
    rows = PackedRows(data)
    assert len(rows) == 11
    example = rows[0]
    assert example["input_ids"].tolist() == list(range(8))
    assert example["labels"].tolist() == [-100, 1, 2, 3, 4, 5, -100, -100]  # unshifted: a model shifts them
    assert example["position_ids"].tolist() == [0, 0, 1, 2, 0, 1, 0, 1]
    assert {v.dtype for v in example.values()} == {torch.int64}
    assert rows[-1]["input_ids"].tolist() == data[10].tolist()
    with pytest.raises(IndexError):
        rows[11]


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_workers_however_they_start(data: PackedDataset, context: str) -> None:
    """Rows by number and the stream, over two workers: the data set's rows, and the order's batches."""
    data[0]  # something is open when the workers start
    by_number = DataLoader(PackedRows(data), batch_size=4, num_workers=2, multiprocessing_context=context)
    assert torch.cat([b["input_ids"] for b in by_number]).tolist() == [data[i].tolist() for i in range(11)]
    plain = DataLoader(data, batch_size=4, num_workers=2, multiprocessing_context=context,
                       collate_fn=as_lists)
    assert [row for batch in plain for row in batch] == [data[i].tolist() for i in range(11)]
    stream = PackedStream(data, 2, seed=3, passes=1)
    batches = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context=context)
    steps = wanted(data, 6, 2, seed=3, passes=1)
    assert [b["input_ids"].tolist() for b in batches] == steps
    single = DataLoader(PackedStream(data, 2, seed=3, batched=False, passes=1), batch_size=2, num_workers=2,
                        multiprocessing_context=context)
    rows = [row for step in steps for row in step][:11]
    assert [row for b in single for row in b["input_ids"].tolist()] == rows


def as_lists(rows: list[Any]) -> list[list[int]]:
    """A collate function that can be pickled."""
    return [row.tolist() for row in rows]


@pytest.mark.parametrize("batched", [True, False])
def test_a_stream_goes_on_where_it_stopped(data: PackedDataset, batched: bool) -> None:
    straight = PackedStream(data, 2, 1, 2, seed=3, batched=batched, passes=3)
    whole = [e["input_ids"].tolist() for e in straight]
    stream = PackedStream(data, 2, 1, 2, seed=3, batched=batched, passes=3)
    states, seen = [], []
    for example in stream:
        seen.append(example["input_ids"].tolist())
        states.append(json.loads(json.dumps(stream.state_dict())))
    assert seen == whole
    for i, state in enumerate(states):
        again = PackedStream(data, 2, 1, 2, seed=3, batched=batched, passes=3)
        again.load_state_dict(state)
        assert [e["input_ids"].tolist() for e in again] == whole[i + 1 :]
    with pytest.raises(DatasetMismatchError, match="seed"):
        PackedStream(data, 2, 1, 2, seed=4).load_state_dict(states[0])


def test_a_loader_is_pickled(data: PackedDataset) -> None:
    loader = TorchLoader(data, 2, seed=3, documents=True)
    for _ in range(3):
        next(loader)
    again = pickle.loads(pickle.dumps(loader))
    assert again.state_dict() == loader.state_dict()
    assert next(again).rows.tolist() == next(loader).rows.tolist()
    loader.close()
    again.close()


def test_a_fork_goes_on(data: PackedDataset) -> None:
    """The thread that prepares batches does not exist in a child; it starts again there, from the same step."""
    loader = TorchLoader(data, 2, seed=3, ahead=2)
    expected = [b for step in wanted(data, 12, 2, seed=3) for b in step]
    seen = [row for _ in range(3) for row in next(loader).tokens.tolist()]
    process = os.fork()
    if not process:
        signal.alarm(20)
        rows = [row for _ in range(8) for row in next(loader).tokens.tolist()]
        os._exit(0 if rows == expected[6:22] else 1)
    seen += [row for _ in range(9) for row in next(loader).tokens.tolist()]
    assert os.waitpid(process, 0)[1] == 0
    assert seen == expected
    loader.close()


def test_distributed_checkpoint(data: PackedDataset, tmp_path: Path) -> None:
    """torch.distributed.checkpoint saves a loader and a stream as it saves a model, and loads them where they were."""
    import torch.distributed.checkpoint as dcp

    loader, stream = TorchLoader(data, 2, seed=3), PackedStream(data, 2, seed=3)
    loader.skip_rows([(7, 9), (30, 34)])
    for _ in range(4):
        next(loader)
    running = iter(stream)
    next(running)
    dcp.save({"loader": loader, "stream": stream}, checkpoint_id=str(tmp_path / "checkpoint"), no_dist=True)
    fresh, other = TorchLoader(data, 2, seed=3), PackedStream(data, 2, seed=3)
    dcp.load({"loader": fresh, "stream": other}, checkpoint_id=str(tmp_path / "checkpoint"), no_dist=True)
    assert fresh.state_dict() == loader.state_dict()
    for _ in range(4):
        assert next(fresh).rows.tolist() == next(loader).rows.tolist()
    assert next(iter(other))["input_ids"].tolist() == next(running)["input_ids"].tolist()
    fresh.close()
    loader.close()
