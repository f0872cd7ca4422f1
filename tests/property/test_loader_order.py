"""The loader's promises, on a dataset of any size: every row once an epoch, any world size, exact resume."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import PackedDataset, PackedLoader
from tests.unit.manifests.test_dataset import make_dataset


@cache
def dataset(n_rows: int) -> PackedDataset:
    """A dataset of n_rows in shards of up to three."""
    sizes = [3] * (n_rows // 3) + ([n_rows % 3] if n_rows % 3 else [])
    return PackedDataset(make_dataset(Path(mkdtemp(prefix="loader-")), sizes), "train")


@settings(max_examples=40, deadline=None)
@given(n_rows=st.integers(1, 20), batch_rows=st.integers(1, 7), seed=st.integers(0, 1000))
def test_every_row_once_an_epoch(n_rows: int, batch_rows: int, seed: int) -> None:
    loader = PackedLoader(dataset(n_rows), batch_rows, seed=seed)
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
@given(n_rows=st.integers(1, 20), seed=st.integers(0, 1000), before=st.integers(0, 9), world=st.sampled_from([1, 2, 4]))
def test_resume_is_exact_for_any_world_size(n_rows: int, seed: int, before: int, world: int) -> None:
    data = dataset(n_rows)
    straight = PackedLoader(data, 4, seed=seed)
    for _ in range(before):
        next(straight)
    resumed = [PackedLoader(data, 4 // world, r, world, seed) for r in range(world)]
    for loader in resumed:
        loader.load_state_dict(straight.state_dict())
    for _ in range(3):
        rows = np.concatenate([next(loader).rows for loader in resumed])
        assert np.array_equal(rows, next(straight).rows)
    assert all(loader.state_dict() == straight.state_dict() for loader in resumed)


def test_two_epochs_have_different_orders() -> None:
    loader = PackedLoader(dataset(20), 20, seed=1)
    assert next(loader).rows.tolist() != next(loader).rows.tolist()
