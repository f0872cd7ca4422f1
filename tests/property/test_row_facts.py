"""What is worked out for the rows of many batches at once is what each batch says by itself, in every packing."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import PackedDataset, PackedLoader
from manifests.row_facts import runs_of
from manifests.rows import join_runs
from tests.unit.manifests.test_dataset import T, make_dataset, span


@pytest.fixture(scope="module")
def folders() -> Any:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def dataset(folder: Path, packing: str, seed: int, shards: int, mmap: bool = True) -> PackedDataset:
    """Shards of 70 rows, of documents of chance lengths with gaps between some of them, and one of a few rows."""
    path = folder / f"{packing}-{seed}-{shards}"
    if not path.exists():
        generator = np.random.default_rng(seed)
        spans = []
        for row in range(70):
            cuts = np.unique(generator.integers(0, T + 1, generator.integers(2, 6)))
            spans += [span(row * T + int(low), int(high - low)) for low, high in pairwise(cuts)
                      if generator.random() < 0.8]
        make_dataset(path, [70] * (shards - 1) + [3], packing, [s | {"doc_id": bytes(16)} for s in spans])
    return PackedDataset(path, "train", mmap=mmap)


@settings(max_examples=60, deadline=None)  # a data set is made in some of them
@given(packing=st.sampled_from(["concat", "best_fit", "pad"]), seed=st.integers(0, 5), shards=st.sampled_from([2, 5]),
       batch_rows=st.integers(1, 7), world=st.integers(1, 3), as_int64=st.booleans(), mmap=st.booleans())
def test_loaders_give_what_rows_by_themselves_give(folders: Path, packing: str, seed: int, shards: int,
                                                   batch_rows: int, world: int, as_int64: bool, mmap: bool) -> None:
    data = dataset(folders, packing, seed, shards, mmap)
    mapped = dataset(folders, packing, seed, shards)
    loader = PackedLoader(data, batch_rows, world - 1, world, seed=seed, passes=None)
    for step in range(2 * len(data) // (batch_rows * world) + 3):
        first = step * loader.rows_per_step
        batch, segments = loader.read(first, documents=True, as_int64=as_int64)
        tokens, targets, alone = mapped.read(batch.rows)
        assert np.array_equal(batch.tokens, tokens)
        assert np.array_equal(batch.targets, targets)
        assert segments is not None
        assert alone is not None
        for name in ("cu_seqlens", "source_ids", "position_ids", "is_padding"):
            assert np.array_equal(getattr(segments, name), getattr(alone, name)), name
        assert np.array_equal(loader.at(first).targets, targets)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 5), picks=st.lists(st.integers(0, 10**6), min_size=1, max_size=80), mmap=st.booleans())
def test_rows_looked_up_a_shard_at_a_time(folders: Path, seed: int, picks: list[int], mmap: bool) -> None:
    data = dataset(folders, "best_fit", seed, 5, mmap)
    rows = [p % len(data) for p in picks]
    together = runs_of(data._places(np.array(rows)), data._shards, T)
    of_rows = [data._shards.index(int(s)).of(r - int(data.first_rows[s]))
               for r in rows for s in [np.searchsorted(data.first_rows, r, "right") - 1]]
    alone = join_runs(np.concatenate(of_rows), np.array([len(r) for r in of_rows]), T)
    for name in ("start", "source", "begins", "learned"):
        assert np.array_equal(getattr(together, name), getattr(alone, name)), name


def test_what_a_batch_was_given_is_its_own(folders: Path) -> None:
    data = dataset(folders, "pad", 1, 5)
    loader = PackedLoader(data, 2, seed=1)
    for _ in range(2):
        _, segments = loader.with_segments(4)
        segments.source_ids[:], segments.is_padding[:], segments.cu_seqlens[:] = 9, True, 0
    _, segments = loader.with_segments(4)
    assert np.array_equal(segments.source_ids, data.segments(loader.rows(4, 2)).source_ids)
    assert np.array_equal(segments.cu_seqlens, data.segments(loader.rows(4, 2)).cu_seqlens)
