"""Planning: what is refused, what is capped, and boundaries on documents of one token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from manifests.errors import StageError
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mix import read_plan
from tokenizer.mixture.mixture import Counts, Plan, plan_budgets
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

GPT3 = {"crawl": 60, "webtext": 22, "books1": 8, "books2": 8, "wikipedia": 3}  # arXiv 2005.14165, table 2.2


def test_gpt3_table() -> None:
    """300 B tokens of GPT-3's sources: the weights sum to 101 %, and epochs are within 20 % of the paper's."""
    billions = {"crawl": 410, "webtext": 19, "books1": 12, "books2": 55, "wikipedia": 3}
    counts = {n: Counts(1, b * 10**9, 0, 0) for n, b in billions.items()}
    plan = plan_budgets(MixtureConfig(weights=GPT3, total_tokens=300 * 10**9), counts, 0)
    assert (plan.total_tokens, plan.limited_by) == (300 * 10**9, None)
    paper = {"crawl": 0.44, "webtext": 2.9, "books1": 1.9, "books2": 0.43, "wikipedia": 3.4}
    for source in plan.sources:
        assert abs(source.epochs / paper[source.name] - 1) < 0.2
        assert abs(source.selected_tokens / plan.total_tokens - GPT3[source.name] / 101) < 1e-9
    assert [s.name for s in plan.sources] == sorted(GPT3)
    assert [s.source_id for s in plan.sources] == list(range(5))
    assert Plan.from_json(plan.to_json()) == plan
    assert "books1" in plan.table()


def test_the_total_shrinks_to_the_scarcest_source() -> None:
    counts = {"a": Counts(1, 1000, 0, 0), "b": Counts(1, 50, 0, 0)}
    plan = plan_budgets(MixtureConfig(weights={"a": 3, "b": 1}, total_tokens=10_000), counts, 0)
    assert (plan.total_tokens, plan.limited_by) == (800, "b")
    assert {s.name: (s.selected_tokens, s.cuts[-1].epoch, s.cuts[-1].tokens) for s in plan.sources} == {
        "a": (600, 0, 600), "b": (200, 4, 0)}
    own = MixtureConfig(weights={"a": 3, "b": 1}, total_tokens=10_000, max_epochs_by_source={"b": 2.5})
    assert plan_budgets(own, counts, 0).total_tokens == 500


@pytest.mark.parametrize(("weights", "message"), [
    ({"a": 1, "b": 1, "ghost": 2}, "source 'ghost' has a weight of 2 but no training tokens"),
    ({"b": 1}, "source 'a' has tokens but no weight"),
])
def test_sources_must_match(weights: dict[str, float], message: str) -> None:
    counts = {"a": Counts(1, 10, 0, 0), "b": Counts(1, 10, 0, 0)}
    with pytest.raises(StageError, match=message):
        plan_budgets(MixtureConfig(weights=weights), counts, 0)


def test_unknown_override() -> None:
    config = MixtureConfig(weights={"a": 1}, max_epochs_by_source={"typo": 2})
    with pytest.raises(StageError, match=r"'typo' is not in mixture\.weights"):
        plan_budgets(config, {"a": Counts(1, 10, 0, 0)}, 0)


def test_config() -> None:
    refused: list[dict[str, Any]] = [
        {"weights": {}}, {"weights": {"a": 0}}, {"weights": {"a": -1}}, {"weights": {"a": float("nan")}},
        {"weights": {"a": 1}, "max_epochs": 0}, {"weights": {"a": 1}, "validation_fraction": 1}]
    for wrong in refused:
        with pytest.raises(ValidationError):
            MixtureConfig(**wrong)


def test_a_source_of_weight_zero_is_left_out(tmp_path: Path) -> None:
    run = SmallRun(tmp_path)
    run.write_tokens(corpus({"a": {"p": [20] * 10}, "b": {"p": [20] * 10}}))
    mixture = MixtureConfig(weights={"a": 1, "b": 0}, validation_fraction=0.3)
    run.pack(mixture, PackConfig(row_length=4, shard_tokens=64), byte_tokenizer(tmp_path / "t.json"))
    counters = run.records["pack/shuffle", "b/p"].counters
    assert (counters["documents"], counters["unselected_documents"]) == (10, 10)
    assert counters["train_tokens"] == counters["val_tokens"] == 0
    assert [s.selected_tokens for s in read_plan(run.output("mix/plan", "plan")).sources] == [
        run.records["packed", "dataset"].counters["train_selected_tokens"], 0]


@pytest.mark.parametrize("total", range(1, 9))
def test_every_boundary(tmp_path: Path, total: int) -> None:
    """Documents of 0 and 1 tokens: budgets that end after a text, after an end-of-text, and at the whole source."""
    run = SmallRun(tmp_path)
    run.write_tokens(corpus({"a": {"p": [0, 1, 0, 1, 0, 1]}}))
    config = MixtureConfig(weights={"a": 1}, total_tokens=total, validation_fraction=0)
    if total < 2:
        with pytest.raises(StageError, match="the train split has 1 tokens, not enough for one row of 3"):
            run.pack(config, PackConfig(row_length=3, shard_tokens=3), byte_tokenizer(tmp_path / "t.json"))
        return
    run.pack(config, PackConfig(row_length=2, shard_tokens=2), byte_tokenizer(tmp_path / "t.json"))
    assert run.records["pack/layout", "layout"].counters["train_tokens"] == total
    shuffled = run.records["pack/shuffle", "a/p"].counters
    assert shuffled["train_tokens"] == total
    assert shuffled["train_instances"] + shuffled["unselected_documents"] == 6
