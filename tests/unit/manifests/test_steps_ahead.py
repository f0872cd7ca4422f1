"""Rows that are read next, looked up ahead: the same batches, fewer files opened, errors where they belong."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import manifests.shards
import manifests.steps_ahead
from manifests import PackedDataset, PackedLoader, ShardError
from manifests.local_files import DESCRIPTORS
from manifests.objectives import Objective, ObjectiveDataset
from manifests.rows import ReadRows
from tests.unit.manifests.test_dataset import make_dataset, span

SPANS = [span(1, 3), span(4, 2), span(8, 8)]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests.steps_ahead, "_FIRST_ROWS", 8)


def assert_right(loader: PackedLoader, data: PackedDataset, documents: bool = True) -> None:
    """One step of a loader is what the data set gives for its rows."""
    batch, segments = loader.read(loader.state_dict()["rows"], documents)
    there = batch.rows >= 0
    wanted = data.read(batch.rows[there], documents)
    assert np.array_equal(batch.targets[there], wanted[1])
    assert next(loader).rows.tolist() == batch.rows.tolist()
    if segments is not None and wanted[2] is not None and there.all():
        for name in ("cu_seqlens", "source_ids", "position_ids", "is_padding"):
            assert np.array_equal(getattr(segments, name), getattr(wanted[2], name)), name


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
@pytest.mark.parametrize(("batch_rows", "rank", "world_size", "passes"), [
    (2, 0, 1, None), (1, 2, 3, None), (3, 1, 2, 2), (5, 0, 1, 3)])
def test_batches_are_those_of_their_rows(tmp_path: Path, packing: str, batch_rows: int, rank: int, world_size: int,
                                         passes: int | None) -> None:
    root = make_dataset(tmp_path, [3, 1, 2] * 9, packing=packing, spans=SPANS)
    data = PackedDataset(root, "train", validate="open")
    loader = PackedLoader(PackedDataset(root, "train", mmap=False), batch_rows, rank, world_size, 4, passes=passes)
    for step in range(len(loader) if passes else 60):
        assert_right(loader, data, documents=step % 7 != 3)
    if passes:
        assert next(loader, None) is None


def test_another_place_or_order_begins_anew(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, [3, 1, 2] * 9, packing="best_fit", spans=SPANS)
    data, read = PackedDataset(root, "train"), PackedDataset(root, "train", mmap=False)
    loader = PackedLoader(read, 2, seed=4)
    for _ in range(7):
        assert_right(loader, data)
    state = loader.state_dict()
    loader.skip_rows([(20, 33)])
    for _ in range(9):
        assert_right(loader, data)
    loader.load_state_dict(state)
    assert_right(loader, data)
    again = pickle.loads(pickle.dumps(loader))
    for _ in range(12):
        assert_right(again, data)
        assert next(loader).rows.tolist() == again.at(again.state_dict()["rows"] - 2).rows.tolist()


def test_one_of_several_workers_looks_up_its_own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third step, as the processes of a DataLoader take them; then all of them again, as one process does."""
    root = make_dataset(tmp_path, [3, 1, 2] * 40, packing="best_fit", spans=SPANS)
    data = PackedDataset(root, "train")
    looked_up: Counter[str] = Counter()
    bytes_of = ReadRows.bytes_of

    def counted(file: ReadRows, row: int) -> bytes:
        looked_up[file.path] += 1
        return bytes_of(file, row)

    monkeypatch.setattr(ReadRows, "bytes_of", counted)
    loader = PackedLoader(PackedDataset(root, "train", mmap=False), 2, seed=4)
    for handed_out in range(0, 480, 6):
        loader.go_to(handed_out)
        assert_right(loader, data)
    assert 160 <= looked_up.total() < 2 * 160 + 64
    for handed_out in range(480, 600, 2):
        assert loader.state_dict()["rows"] == loader.position
        loader.go_to(handed_out)
        assert_right(loader, data)


def test_a_file_is_opened_once_for_several_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More shards than may be open: each index is opened at most once for a block of several epochs, and none stays."""
    root = make_dataset(tmp_path, [2] * 20, packing="best_fit", spans=SPANS)
    monkeypatch.setattr(DESCRIPTORS, "most", lambda: 30)
    data = PackedDataset(root, "train", mmap=False)
    opened: Counter[str] = Counter()

    class Counted(ReadRows):
        def __init__(self, path: str, *facts: Any) -> None:
            opened[path] += 1
            super().__init__(path, *facts)

    monkeypatch.setattr(manifests.shards, "ReadRows", Counted)
    looked_up = data.look_ups(np.random.default_rng(1).permuted(np.tile(np.arange(40), 4)).reshape(20, 8))
    for _ in range(2):
        looked_up.advance(80)
    assert max(opened.values()) <= 2
    assert sum(opened.values()) <= 21
    assert len(opened) == 20
    assert not data._shards.rows
    wanted = data.segments(np.arange(8))
    assert data.look_ups(np.arange(16).reshape(2, 8)).facts(0, 1).segments(0).cu_seqlens.tolist() == (
        wanted.cu_seqlens.tolist())


def test_objectives_have_documents_looked_up(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, [3, 1, 2] * 9, spans=SPANS)
    data = ObjectiveDataset(root, "train", Objective(eod_mask_loss=True), mmap=False)
    assert data.rows_looked_up(False) > 0
    assert PackedDataset(root, "train", mmap=False).rows_looked_up(False) == 0
    loader = PackedLoader(data, 2, seed=4)
    for _ in range(30):
        assert_right(loader, data, documents=False)


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, [2] * 12, packing="best_fit", spans=SPANS)
    loader = PackedLoader(PackedDataset(root, "train", mmap=False), 2, order="sequence")
    next(loader)
    path = root / "packed/train/000009.rows"
    data = bytearray(path.read_bytes())
    data[64:76] = np.array([0, 9999, 2], "<u4").tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(ShardError, match=r"no runs for row") as raised:
        list(islice(loader, 10))
    assert str(path) in str(raised.value)
