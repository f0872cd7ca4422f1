"""TorchFeed: mixtures and lengths as tensors, with states that count what was handed out."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here: make test-torch")

from manifests import DatasetMismatchError, PackedDataset  # noqa: E402
from manifests.length_loader import LengthLoader  # noqa: E402
from manifests.lengths import build_lengths  # noqa: E402
from manifests.mixed import MixedLoader  # noqa: E402
from manifests.torch import TorchFeed  # noqa: E402
from tests.unit.manifests.test_dataset import T, make_dataset, span  # noqa: E402

pytestmark = pytest.mark.torch
Make = Callable[..., Any]


@pytest.fixture(params=["mixture", "lengths"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes the loader anew."""
    spans = [span(row * T, T, doc_id=bytes([row]) * 16) for row in range(7)]
    sets = {name: make_dataset(tmp_path / name, [7, n], "pad", spans) for name, n in (("a", 7), ("b", 2))}
    if request.param == "lengths":
        build_lengths(sets["a"], 2, T)
        return lambda seed=3: LengthLoader(sets["a"], "train", 2 * T, seed=seed)
    return lambda seed=3: MixedLoader({name: PackedDataset(path, "train") for name, path in sets.items()},
                                      {0: {"a": 3, "b": 1}, 4: {"a": 1, "b": 1}}, 3, seed=seed)


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_batches_and_states_are_the_loaders_own(make: Make, ahead: int) -> None:
    feed, plain = TorchFeed(make(), ahead=ahead), make()
    assert feed.state_dict() == plain.state_dict()
    for _ in range(11):
        batch, expected = next(feed), next(plain)
        assert batch.tokens.dtype == batch.targets.dtype == torch.int64
        assert np.array_equal(batch.tokens.numpy(), expected.tokens)
        assert np.array_equal(batch.targets.numpy(), expected.targets)
        assert np.array_equal(batch.rows.numpy(), expected[-1])
        assert (batch.sources is None) == (not hasattr(expected, "sources"))
        if batch.sources is not None:
            assert np.array_equal(batch.sources.numpy(), expected.sources)
        assert feed.state_dict() == plain.state_dict()
    feed.close()
    assert np.array_equal(next(feed).tokens.numpy(), next(plain).tokens)
    feed.close()


def test_a_state_is_gone_on_with(make: Make) -> None:
    feed = TorchFeed(make())
    for _ in range(3):
        next(feed)
    state = json.loads(json.dumps(feed.state_dict()))
    wanted = [next(feed).tokens.tolist() for _ in range(4)]
    again = TorchFeed(make())
    next(again)
    again.load_state_dict(state)
    assert [next(again).tokens.tolist() for _ in range(4)] == wanted
    copy = pickle.loads(pickle.dumps(again))
    assert next(copy).tokens.tolist() == next(again).tokens.tolist() == next(feed).tokens.tolist()
    with pytest.raises(DatasetMismatchError):
        TorchFeed(make(9)).load_state_dict(state)
    for one in (feed, again, copy):
        one.close()


def _next_tokens(feed: TorchFeed, pipe: Any) -> None:
    pipe.send(next(feed).tokens.tolist())
    feed.close()


def test_a_feed_goes_on_after_a_fork(make: Make) -> None:
    feed = TorchFeed(make())
    next(feed)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_next_tokens, args=(feed, there))
    child.start()
    assert here.poll(30)
    assert here.recv() == next(feed).tokens.tolist()
    child.join(10)
    feed.close()


def test_the_end_is_the_loaders(tmp_path: Path) -> None:
    data = PackedDataset(make_dataset(tmp_path, [7]), "train")
    feed = TorchFeed(MixedLoader({"a": data}, {"a": 1}, 2, exhausted="stop"), ahead=4)
    assert len(list(feed)) == 3
    assert list(feed) == []
    assert feed.state_dict()["step"] == 3
    feed.close()
    with pytest.raises(ValueError, match="ahead"):
        TorchFeed(MixedLoader({"a": data}, {"a": 1}, 2), ahead=-1)
