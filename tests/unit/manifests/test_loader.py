"""PackedLoader: its orders, finite passes, rows that are skipped, and whose rows a rank reads."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from manifests import DatasetMismatchError, PackedDataset, PackedLoader, RecipeError
from manifests.order import RowOrder, Skips
from tests.unit.manifests.test_dataset import T, make_dataset, span


@pytest.fixture
def data(tmp_path: Path) -> PackedDataset:
    spans = [span(1, 5), span(8, 8)]
    return PackedDataset(make_dataset(tmp_path, [4, 4, 4, 4, 3], packing="pad", spans=spans), "train")


def test_shards_are_read_a_window_at_a_time() -> None:
    """Whatever the seed, the rows of k shards are handed out, shuffled, before any row of others is."""
    n_shards, rows, window = 40, 100, 4
    order = RowOrder(np.arange(n_shards) * rows, [n_shards * rows], 7, "shards", window)
    epochs = [order.rows_at(np.arange(i * n_shards * rows, (i + 1) * n_shards * rows)) for i in range(2)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(n_shards * rows))
        windows = (epoch // rows).reshape(-1, window * rows)
        assert all(len(set(w.tolist())) == window for w in windows)
        assert all(len(set(w[:50].tolist())) == window for w in windows)  # shuffled, not one after another
        assert abs(np.corrcoef(np.arange(len(epoch)), epoch)[0, 1]) < 0.2
    assert epochs[0].tolist() != epochs[1].tolist()
    again = pickle.loads(pickle.dumps(order))
    assert np.array_equal(again.rows_at(np.arange(4000)), epochs[0])


def test_sequence_is_as_rows_lie(data: PackedDataset) -> None:
    loader = PackedLoader(data, 4, order="sequence", seed=3)
    assert [row for _ in range(6) for row in next(loader).rows.tolist()] == [*range(19), *range(5)]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_a_finite_pass_over_all_ranks(data: PackedDataset, world: int) -> None:
    """Every row once, as many steps and as many rows on every rank; what fills the last step is not learned."""
    ranks = [list(PackedLoader(data, 2, rank, world, order="sequence", passes=1)) for rank in range(world)]
    n_steps = -(-19 // (2 * world))
    assert {len(steps) for steps in ranks} == {len(PackedLoader(data, 2, 0, world, passes=1))} == {n_steps}
    rows = [row for step in zip(*ranks, strict=True) for batch in step for row in batch.rows.tolist()]
    assert rows == [*range(19), *[-1] * (len(rows) - 19)]
    for batch in (batch for steps in ranks for batch in steps):
        assert batch.tokens.shape == batch.targets.shape == (2, T)
        for tokens, targets, row in zip(*batch, strict=True):
            assert targets.tolist() == (data.targets(int(row)).tolist() if row >= 0 else [-100] * T)
            assert row >= 0 or tokens.tolist() == [data.eot_id] * T


def test_segments_of_rows_that_are_none(data: PackedDataset) -> None:
    loader = PackedLoader(data, 4, order="sequence", passes=1)
    batch, segments = loader.with_segments(16)
    assert batch.rows.tolist() == [16, 17, 18, -1]
    assert segments.cu_seqlens[-2:].tolist() == [3 * T, 4 * T]
    assert (segments.source_ids[-1], segments.is_padding[-1]) == (-1, True)
    assert segments.position_ids[-1].tolist() == list(range(T))
    assert PackedLoader(data, 1, 3, 4, order="sequence", passes=1).with_segments(16)[1].cu_seqlens.tolist() == [0, T]


def test_padding_is_told_from_documents(tmp_path: Path) -> None:
    """The stretch behind a row's documents is padding; before a document the last token of a gap is not."""
    spans = [span(1, 3), span(8, 2), span(13, 3)]  # 4 to 7, and 10 to 12, are in none
    data = PackedDataset(make_dataset(tmp_path, [2], packing="best_fit", spans=spans), "train")
    segments = data.segments(np.array([0, 1]))
    assert segments.cu_seqlens.tolist() == [0, 1, 4, 8, 10, 12, 13, 16]
    assert segments.is_padding.tolist() == [False, False, True, False, True, False, False]
    assert segments.source_ids.tolist() == [-1, 0, -1, 0, -1, -1, 0]
    assert segments.position_ids[1].tolist() == [0, 1, 0, 1, 0, 0, 1, 2]


def test_rows_are_skipped_and_the_state_keeps_it(data: PackedDataset) -> None:
    plain = PackedLoader(data, 1, seed=4)
    order = [next(plain).rows.tolist()[0] for _ in range(60)]
    loader = PackedLoader(data, 2, seed=4)
    next(loader)
    loader.skip_rows([(30, 33), (5, 7), (7, 9)])
    wanted = [order[p] for p in range(2, 60) if not (5 <= p < 9 or 30 <= p < 33)]
    states, rows = [], []
    for _ in range(20):
        states.append(json.loads(json.dumps(loader.state_dict())))
        rows += next(loader).rows.tolist()
    assert rows == wanted[:40]
    assert loader.position == 42 + 4 + 3
    with pytest.raises(ValueError, match="handed out"):
        loader.skip_rows([(10, 60)])
    for step, state in enumerate(states):
        ranks = [PackedLoader(data, 1, rank, 2, seed=4) for rank in range(2)]
        for one in ranks:
            one.load_state_dict(state)
        assert [row for one in ranks for row in next(one).rows.tolist()] == wanted[2 * step : 2 * step + 2]
    for wrong in ([(3, 3)], [(5, 2)], [(-1, 2)]):
        with pytest.raises(ValueError, match="first < last"):
            Skips(wrong)
    finite = PackedLoader(data, 3, passes=1)
    finite.skip_rows([(0, 4), (18, 25)])
    assert (len(finite), sum(int((b.rows >= 0).sum()) for b in finite)) == (5, 14)


def test_another_order_is_refused(data: PackedDataset) -> None:
    state = PackedLoader(data, 2, order="shards", window_shards=2).state_dict()
    for other in (PackedLoader(data, 2), PackedLoader(data, 2, order="shards", window_shards=3)):
        with pytest.raises(DatasetMismatchError, match="order 'shards-2'"):
            other.load_state_dict(state)
    old = {name: value for name, value in PackedLoader(data, 2).state_dict().items() if name != "order"}
    PackedLoader(data, 2).load_state_dict(old)  # of 0.1.0
    with pytest.raises(ValueError, match="rows, shards, sequence"):
        PackedLoader(data, 2, order="random")


def test_epoch_and_phase(data: PackedDataset) -> None:
    loader = PackedLoader(data, 5)
    assert (len(loader), loader.epoch, loader.phase, loader.position) == (4, 0, 0, 0)
    for _ in range(8):
        next(loader)
    assert (loader.epoch, loader.phase, loader.position) == (2, 0, 40)
    with pytest.raises(ValueError, match="passes"):
        PackedLoader(data, 5, passes=0)


def test_ranks_that_nobody_told_are_refused(data: PackedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun every rank would read the same rows, and nothing would say so."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(RecipeError, match="WORLD_SIZE 4"):
        PackedLoader(data, 2)
    assert next(PackedLoader(data, 2, 1, 4)).rows.shape == (2,)
    monkeypatch.setenv("WORLD_SIZE", "1")
    PackedLoader(data, 2)
