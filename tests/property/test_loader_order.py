"""The loader's promises, on a dataset of any size: every row once an epoch, any world size, exact resume."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import PackedDataset, PackedLoader
from manifests.order import ORDERS
from manifests.tables import read_table
from tests.unit.manifests.test_dataset import make_dataset, write_tables

_FOLDERS: list[TemporaryDirectory[str]] = []  # removed when the process ends


def folder() -> Path:
    """A fresh folder: Hypothesis calls a test many times, and pytest gives it one `tmp_path`."""
    _FOLDERS.append(TemporaryDirectory(prefix="loader-"))
    return Path(_FOLDERS[-1].name)


@cache
def dataset(n_rows: int) -> PackedDataset:
    """A dataset of n_rows in shards of up to three."""
    sizes = [3] * (n_rows // 3) + ([n_rows % 3] if n_rows % 3 else [])
    return PackedDataset(make_dataset(folder(), sizes), "train")


@settings(max_examples=40, deadline=None)
@given(n_rows=st.integers(1, 20), batch_rows=st.integers(1, 7), seed=st.integers(0, 1000),
       order=st.sampled_from(ORDERS), window=st.integers(1, 4))
def test_every_row_once_an_epoch(n_rows: int, batch_rows: int, seed: int, order: str, window: int) -> None:
    loader = PackedLoader(dataset(n_rows), batch_rows, seed=seed, order=order, window_shards=window)
    rows = np.concatenate([next(loader).rows for _ in range(-(-3 * n_rows // batch_rows))])
    for epoch in range(3):
        assert sorted(rows[epoch * n_rows : (epoch + 1) * n_rows].tolist()) == list(range(n_rows))


@settings(max_examples=30, deadline=None)
@given(n_rows=st.integers(1, 20), seed=st.integers(0, 1000), steps=st.integers(1, 6))
def test_the_global_batch_does_not_depend_on_the_world_size(n_rows: int, seed: int, steps: int) -> None:
    data = dataset(n_rows)
    whole = PackedLoader(data, 8, seed=seed)
    ranks = {w: [PackedLoader(data, 8 // w, r, w, seed) for r in range(w)] for w in (2, 4, 8)}
    for _ in range(steps):
        expected = next(whole)
        for loaders in ranks.values():
            parts = [next(loader) for loader in loaders]
            for name in ("tokens", "targets", "rows"):
                assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(expected, name))


@settings(max_examples=30, deadline=None)
@given(n_rows=st.integers(1, 20), seed=st.integers(0, 1000), before=st.integers(0, 9), world=st.sampled_from([1, 2, 4]),
       order=st.sampled_from(ORDERS))
def test_resume_is_exact_for_any_world_size(n_rows: int, seed: int, before: int, world: int, order: str) -> None:
    data = dataset(n_rows)
    straight = PackedLoader(data, 4, seed=seed, order=order)
    for _ in range(before):
        next(straight)
    resumed = [PackedLoader(data, 4 // world, r, world, seed, order) for r in range(world)]
    for loader in resumed:
        loader.load_state_dict(straight.state_dict())
    for _ in range(3):
        rows = np.concatenate([next(loader).rows for loader in resumed])
        assert np.array_equal(rows, next(straight).rows)
    assert all(loader.state_dict() == straight.state_dict() for loader in resumed)


def test_two_epochs_have_different_orders() -> None:
    loader = PackedLoader(dataset(20), 20, seed=1)
    assert next(loader).rows.tolist() != next(loader).rows.tolist()


STEPS, GLOBAL_ROWS = 200, 8


@cache
def uninterrupted() -> tuple[PackedDataset, list[list[int]], list[str]]:
    """200 steps of one rank, and the state after each as a checkpoint would hold it."""
    data = dataset(500)
    loader = PackedLoader(data, GLOBAL_ROWS, seed=11)
    states = [json.dumps(loader.state_dict())]
    steps = []
    for _ in range(STEPS + 1):
        steps.append(next(loader).rows.tolist())
        states.append(json.dumps(loader.state_dict()))
    return data, steps, states


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_killed_at_every_step_and_resumed(world: int) -> None:
    """Whatever step a training dies at, ranks of any number go on with the batch that was next."""
    data, steps, states = uninterrupted()
    for step in range(STEPS + 1):
        rows: list[int] = []
        for rank in range(world):
            loader = PackedLoader(data, GLOBAL_ROWS // world, rank, world, seed=11)
            loader.load_state_dict(json.loads(states[step]))
            rows += loader.at(step * GLOBAL_ROWS).rows.tolist() if step % 2 else next(loader).rows.tolist()
        assert rows == steps[step]
    epoch = [row for rows in steps for row in rows]
    for start in range(0, len(epoch) - 500, 500):
        assert sorted(epoch[start : start + 500]) == list(range(500))


def test_the_world_may_change_at_every_step() -> None:
    data, steps, _ = uninterrupted()
    state = PackedLoader(data, GLOBAL_ROWS, seed=11).state_dict()
    for step in range(STEPS):
        world = (1, 2, 4, 8)[step % 4]
        loaders = [PackedLoader(data, GLOBAL_ROWS // world, r, world, 11) for r in range(world)]
        for loader in loaders:
            loader.load_state_dict(state)
        assert [row for loader in loaders for row in next(loader).rows.tolist()] == steps[step]
        state = loaders[0].state_dict()


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 7), min_size=2, max_size=4), batch_rows=st.integers(1, 5))
def test_phases_follow_one_another(sizes: list[int], batch_rows: int) -> None:
    """Every epoch gives all rows of a phase, in an order of their own, before any of the next phase; unless another
    epoch is asked for, the last phase is the end."""
    path = folder()
    make_dataset(path, sizes)
    manifest = read_table(str(path / "packed/manifest.parquet"))
    phases = [0, *(min(i, 1) for i in range(1, len(sizes)))]  # the second phase may have several shards
    write_tables(path / "packed", [r | {"phase": p} for r, p in zip(manifest.to_pylist(), phases, strict=True)])
    data, n_rows = PackedDataset(path, "train"), sum(sizes)
    once = PackedLoader(data, batch_rows, seed=2)
    seen = [(once.epoch, once.phase, row) for batch in once for row in batch.rows.tolist() if row >= 0]
    assert sorted(row for _, _, row in seen) == list(range(n_rows))
    assert (once.epoch, once.phase, len(once)) == (1, 1, -(-n_rows // batch_rows))
    loader = PackedLoader(data, batch_rows, seed=2, passes=None)
    rows = np.concatenate([next(loader).rows for _ in range(-(-2 * n_rows // batch_rows))])
    for epoch in range(2):
        mine = rows[epoch * n_rows : (epoch + 1) * n_rows].tolist()
        assert sorted(mine[: sizes[0]]) == list(range(sizes[0]))
        assert sorted(mine[sizes[0] :]) == list(range(sizes[0], n_rows))
