"""The data set in Grain and JAX, as NumPy: `make test-trainers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grain", reason="grain is not installed here: make test-trainers")

import grain
import jax
import jax.numpy as jnp

from manifests import PackedDataset, PackedLoader
from tests.unit.manifests.test_dataset import make_dataset, span

pytestmark = pytest.mark.trainers


@pytest.fixture
def data(tmp_path: Path) -> PackedDataset:
    return PackedDataset(make_dataset(tmp_path, [3, 3], packing="pad", spans=[span(1, 3), span(8, 8)]), "train")


def test_a_data_set_is_a_source_of_grain(data: PackedDataset) -> None:
    """Random access by row: shuffled and batched by Grain, in threads and in processes."""
    batches = grain.MapDataset.source(data).shuffle(seed=1).batch(2)
    rows = np.concatenate([batches[i] for i in range(len(batches))])
    assert sorted(map(tuple, rows.tolist())) == sorted(tuple(data[i].tolist()) for i in range(6))
    stream = batches.to_iter_dataset()
    assert np.array_equal(np.concatenate(list(stream)), rows)
    loader = grain.DataLoader(data_source=data, sampler=grain.samplers.IndexSampler(
        len(data), grain.sharding.NoSharding(), shuffle=False, num_epochs=1), worker_count=0)
    assert [row.tolist() for row in loader] == [data[i].tolist() for i in range(6)]


def test_batches_in_jax(data: PackedDataset) -> None:
    """What a jitted step is given: fixed shapes, segment positions, and a loss over targets that are not -100."""
    loader = PackedLoader(data, 2, seed=3)

    @jax.jit  # type: ignore[untyped-decorator]
    def step(tokens: jax.Array, targets: jax.Array) -> jax.Array:
        table = jnp.eye(257)
        logits = jax.nn.log_softmax(table[tokens])
        learned = targets >= 0
        chosen = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], -1)[..., 0]
        return -(chosen * learned).sum() / learned.sum()

    for _ in range(3):
        batch, segments = loader.with_segments(loader.position)
        loss = float(step(jnp.asarray(batch.tokens.astype(np.int32)), jnp.asarray(batch.targets.astype(np.int32))))
        assert abs(loss - np.log(np.e + 256)) < 1e-3  # no token predicts itself here
        assert segments.position_ids.shape == batch.tokens.shape
        next(loader)
