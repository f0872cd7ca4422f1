"""Mixtures at train time: shares within a row, any number of ranks, states, schedules that change, what runs out."""

from __future__ import annotations

import itertools
import json
import logging
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from manifests import DatasetMismatchError, InputError, PackedDataset, RecipeError
from manifests.apportionment import Draws, Phase, draw
from manifests.mixed import MixedBatch, MixedLoader, open_mixture
from pipelines.cli.main import app
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer, corpus

WEIGHT = st.integers(0, 100).map(Fraction)
PHASES = st.integers(1, 7).flatmap(lambda n: st.lists(
    st.tuples(st.integers(1, 60), st.lists(WEIGHT, min_size=n, max_size=n).filter(any)), min_size=1, max_size=5))
SIZES = {"a": 40, "b": 25, "c": 7}


@settings(max_examples=60, deadline=None)
@given(PHASES)
def test_every_source_is_within_a_row_of_its_share_at_all_times(phases: list[tuple[int, list[Fraction]]]) -> None:
    """Whatever the weights and however they change: |rows - target| < 1 after every row."""
    shares = [(n, [w / sum(weights) for w in weights]) for n, weights in phases]
    known = [Phase(n, tuple(w)) for n, w in shares[:-1]] + [Phase(None, tuple(shares[-1][1]))]
    draws = Draws.none_of(len(shares[0][1]))
    target = [Fraction(0)] * len(draws.rows)
    of_rows = [w for n, w in shares for _ in range(n)]
    for weights, source in zip(of_rows, draw(draws, known), strict=False):
        target = [t + w for t, w in zip(target, weights, strict=True)]
        assert 0 <= source < len(target)
        for rows, wanted in zip(draws.rows, target, strict=True):
            assert abs(rows - wanted) < 1
    assert sum(draws.rows) == len(of_rows)
    assert draws.behind == [t - r for t, r in zip(target, draws.rows, strict=True)]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `curate pack --by-source` makes of three sources."""
    root = tmp_path_factory.mktemp("mixture")
    run = SmallRun(root / "run", seed=1)
    run.write_tokens(corpus({name: {"p": [15] * n} for name, n in SIZES.items()}))
    (root / "run/tokenizer").mkdir()
    byte_tokenizer(root / "run/tokenizer/tokenizer.json", 257)
    done = CliRunner().invoke(app, ["pack", *(f"{n}={root}/run/tokens/{n}" for n in SIZES), "--tokenizer",
                                    str(root / "run/tokenizer/tokenizer.json"), "--row-length", "16", "--pad-tail",
                                    "--by-source", "--mixture", "{weights: {a: 5, b: 3, c: 2}}", "--out",
                                    str(root / "out"), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert [s["weight"] for s in json.loads(done.stdout)["sources"]] == [0.5, 0.3, 0.2]
    return root / "out"


@pytest.fixture(scope="module")
def datasets(mixture: Path) -> dict[str, PackedDataset]:
    found, weights = open_mixture(mixture, "train")
    assert weights == {"a": 0.5, "b": 0.3, "c": 0.2}
    return found


def drawn(loader: MixedLoader, steps: int) -> list[tuple[int, int]]:
    """(source, row) of every row of some steps, in order."""
    return [pair for batch in itertools.islice(loader, steps)
            for pair in zip(batch.sources.tolist(), batch.rows.tolist(), strict=True)]


WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}
SCHEDULE: dict[int, dict[str, float]] = {0: WEIGHTS, 7: {"a": 1, "c": 3}, 20: {"a": 1, "b": 1, "c": 1}}


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_the_global_batch_does_not_depend_on_ranks(datasets: dict[str, PackedDataset], world_size: int) -> None:
    whole = MixedLoader(datasets, SCHEDULE, 8)
    ranks = [MixedLoader(datasets, SCHEDULE, 8 // world_size, rank, world_size) for rank in range(world_size)]
    for batch in itertools.islice(whole, 30):
        parts = [next(rank) for rank in ranks]
        for name in MixedBatch._fields:
            assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(batch, name))
        assert all(rank.state_dict() == whole.state_dict() for rank in ranks)
        for name, tokens, row in zip((whole.names[s] for s in batch.sources.tolist()), batch.tokens,
                                     batch.rows.tolist(), strict=True):
            assert np.array_equal(tokens, datasets[name][row])


def test_shares_and_orders(datasets: dict[str, PackedDataset]) -> None:
    loader = MixedLoader(datasets, WEIGHTS, 10)
    rows = drawn(loader, 12)
    assert loader.rows == {"a": 60, "b": 36, "c": 24}
    for number, name in enumerate(loader.names):
        own, size = [row for source, row in rows if source == number], len(datasets[name])
        epochs = [own[i : i + size] for i in range(0, len(own), size)]
        assert all(sorted(set(epoch)) == sorted(epoch) for epoch in epochs)  # each row once an epoch
        whole = [epoch for epoch in epochs if len(epoch) == size]
        assert len(whole) < 2 or whole[0] != whole[1]


@pytest.mark.parametrize("taken", [1, 6, 7, 13])
def test_a_state_goes_on_with_any_number_of_ranks(datasets: dict[str, PackedDataset], taken: int) -> None:
    whole = MixedLoader(datasets, SCHEDULE, 4)
    drawn(whole, taken)
    state = json.loads(json.dumps(whole.state_dict()))
    expected = drawn(whole, 15)
    for world_size in (1, 2, 4):
        ranks = [MixedLoader(datasets, SCHEDULE, 4 // world_size, r, world_size) for r in range(world_size)]
        for rank in ranks:
            rank.load_state_dict(state)
        found: list[tuple[int, int]] = []
        for _ in range(15):
            for rank in ranks:
                found += drawn(rank, 1)
        assert found == expected
    again = pickle.loads(pickle.dumps(MixedLoader(datasets, SCHEDULE, 4)))
    again.load_state_dict(state)
    assert drawn(again, 15) == expected


def test_a_change_of_weights_is_logged(datasets: dict[str, PackedDataset], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "curate.mixed")
    loader = MixedLoader(datasets, SCHEDULE, 4)
    drawn(loader, 9)
    assert caplog.messages == ["step 7: weights {'a': 0.25, 'b': 0.0, 'c': 0.75}"]
    other = MixedLoader(datasets, {"b": 1}, 4)
    other.load_state_dict(loader.state_dict())
    assert caplog.messages[1:] == [
        "step 9: weights {'a': 0.0, 'b': 1.0, 'c': 0.0}, where the checkpoint has {'a': 0.25, 'b': 0.0, 'c': 0.75}"]
    drawn(other, 10)
    assert other.rows["b"] >= 40


def test_what_runs_out(datasets: dict[str, PackedDataset], caplog: pytest.LogCaptureFixture) -> None:
    sizes = {name: len(dataset) for name, dataset in datasets.items()}
    assert sizes["c"] < sizes["b"] < sizes["a"]
    equal = dict.fromkeys(SIZES, 1.0)
    stopped = MixedLoader(datasets, equal, 3, exhausted="stop")
    assert len(drawn(stopped, 1000)) == 3 * sizes["c"]
    with pytest.raises(StopIteration):
        next(stopped)
    assert MixedLoader(datasets, equal, 3, exhausted="stop", epochs={"c": 2}).rows == dict.fromkeys(SIZES, 0)
    assert len(drawn(MixedLoader(datasets, equal, 3, exhausted="stop", epochs={"c": 2}), 1000)) == 6 * sizes["c"]
    caplog.set_level(logging.INFO, "curate.mixed")
    shared = MixedLoader(datasets, {"a": 4, "b": 2, "c": 2}, 1, exhausted="redistribute")
    rows = drawn(shared, 10_000)
    assert sorted(rows) == sorted((i, r) for i, n in enumerate(shared.names) for r in range(sizes[n]))  # all, once
    assert [m.split(" is exhausted")[0].split(": ")[1] for m in caplog.messages][:2] == ["c", "a"]
    after_c = next(i for i in range(len(rows)) if sum(s == 2 for s, _ in rows[:i]) == sizes["c"])
    here = [s for s, _ in rows[after_c : after_c + 9]]
    assert (here.count(0), here.count(1)) == (6, 3)  # the others keep their proportion
    state = shared.state_dict()
    again = MixedLoader(datasets, {"a": 4, "b": 2, "c": 2}, 1, exhausted="redistribute")
    again.load_state_dict(state)
    assert drawn(again, 10) == []


def test_what_is_refused(datasets: dict[str, PackedDataset], mixture: Path, tmp_path: Path) -> None:
    refused: list[tuple[Any, str]] = [
        ({"d": 1}, "no 'd'"), ({}, "at least 0, and one above"), ({"a": -1}, "at least 0"),
        ({5: {"a": 1}}, "no weights for step 0"), ({-1: {"a": 1}}, "not a number from 0")]
    for schedule, words in refused:
        with pytest.raises(RecipeError, match=words):
            MixedLoader(datasets, schedule, 1)
    with pytest.raises(ValueError, match="none of repeat, stop, redistribute"):
        MixedLoader(datasets, WEIGHTS, 1, exhausted="never")
    with pytest.raises(ValueError, match="0 <= rank < world_size"):
        MixedLoader(datasets, WEIGHTS, 1, 2, 2)
    loader = MixedLoader(datasets, WEIGHTS, 1)
    for change, words in (({"seed": 3}, "seed 3"), ({"datasets": {**loader.state_dict()["datasets"], "a": "0"}},
                                                   "another data set of a"), ({"rows": {}}, "lacks 'a'")):
        with pytest.raises(DatasetMismatchError, match=words):
            loader.load_state_dict(loader.state_dict() | change)
    with pytest.raises(InputError, match="cannot be read"):
        open_mixture(tmp_path, "train")
    facts: dict[str, Any] = json.loads((mixture / "mixture.json").read_text())
    facts["sources"][0]["path"] = "../elsewhere"
    (tmp_path / "mixture.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="lies outside"):
        open_mixture(tmp_path, "train")
    empty = PackedDataset(mixture / "c", "val")
    assert len(empty) == 0
    with pytest.raises(InputError, match="has no rows"):
        MixedLoader({"a": datasets["a"], "c": empty}, {"a": 1}, 1)
