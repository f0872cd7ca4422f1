"""Presets, epochs, token counts and phases: budgets to the token, and what a recipe may not say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tokenizer.mixture.mixture import Counts, Plan, plan_budgets
from tokenizer.mixture.mixture_config import PRESETS, MixtureConfig, PhaseConfig

COUNTS = {"a": Counts(1, 1000, 0, 0), "b": Counts(1, 50, 0, 0), "c": Counts(1, 333, 0, 0)}


def selected(plan: Plan) -> dict[str, int]:
    return {s.name: s.selected_tokens for s in plan.sources}


def test_presets_are_the_papers_tables() -> None:
    assert sum(PRESETS["gpt3"].values()) == 101
    assert sum(PRESETS["llama1"].values()) == 100
    config = MixtureConfig(preset="gpt3", preset_sources={"books1": "books", "books2": "books"})
    assert config.weights == {"common_crawl": 60, "webtext2": 22, "books": 16, "wikipedia": 3}
    # A resolved recipe says both, and means the same; weights of one's own take the place of the paper's.
    assert MixtureConfig(**config.model_dump()) == config
    assert MixtureConfig(preset="gpt3", weights={"wikipedia": 9}).weights["wikipedia"] == 9


def test_epochs() -> None:
    plan = plan_budgets(MixtureConfig(epochs={"a": 0.5, "b": 3, "c": 1.1}), COUNTS, 0)
    assert (selected(plan), plan.limited_by) == ({"a": 500, "b": 150, "c": 366}, None)
    plan = plan_budgets(MixtureConfig(epochs={"a": 0.5, "b": 8, "c": 1}), COUNTS, 0)
    assert plan.limited_by == "b"  # max_epochs of 4 halves everything
    assert selected(plan)["b"] == 200


def test_token_counts() -> None:
    plan = plan_budgets(MixtureConfig(tokens={"a": 700, "b": 60, "c": 0}), COUNTS, 0)
    assert (selected(plan), plan.total_tokens) == ({"a": 700, "b": 60, "c": 0}, 760)
    assert plan.sources[1].cuts[0].epoch == 1
    assert plan.sources[1].cuts[0].tokens == 10


def test_phases_by_share() -> None:
    phases = (PhaseConfig(name="main", weights={"a": 9, "c": 1}, share=90),
              PhaseConfig(name="end", weights={"b": 1, "c": 1}, share=10))
    plan = plan_budgets(MixtureConfig(phases=phases, total_tokens=1000), COUNTS, 0)
    assert [(p.name, p.total_tokens, p.selected_tokens) for p in plan.phases] == [
        ("main", 900, (810, 0, 90)), ("end", 100, (0, 50, 50))]
    assert [c.tokens for c in plan.sources[2].cuts] == [90, 140]
    assert Plan.from_json(plan.to_json()) == plan
    lines = [line.split() for line in plan.table().splitlines()]
    at = lines.index(["phase", "end:", "100", "tokens"])
    assert lines[at + 1 : at + 3] == [["b", "50.00%", "50.00%", "50", "1.00", "epochs"],
                                         ["c", "50.00%", "50.00%", "50", "0.15", "epochs"]]
    most = plan_budgets(MixtureConfig(phases=phases), COUNTS, 0)
    assert most.limited_by == "b"
    assert selected(most)["b"] == 200


def test_phases_by_tokens() -> None:
    phases = (PhaseConfig(name="main", weights={"a": 3, "b": 1}, total_tokens=120),
              PhaseConfig(name="end", tokens={"c": 77}))
    plan = plan_budgets(MixtureConfig(phases=phases), COUNTS, 0)
    assert [p.selected_tokens for p in plan.phases] == [(90, 30, 0), (0, 0, 77)]


def test_rounding_in_phases_never_exceeds_a_limit() -> None:
    phases = tuple(PhaseConfig(name=f"p{i}", weights={"a": 1, "b": 1, "c": 1}, share=1) for i in range(7))
    for limit in (0.1, 0.33, 1.0, 1.7):
        plan = plan_budgets(MixtureConfig(phases=phases, max_epochs=limit), COUNTS, 0)
        for source in plan.sources:
            assert source.selected_tokens <= source.available_tokens * limit
            assert source.selected_tokens == sum(p.selected_tokens[source.source_id] for p in plan.phases)
        assert plan.total_tokens > 0


@pytest.mark.parametrize(("fields", "message"), [
    ({}, "one of weights, epochs or tokens, not none"),
    ({"weights": {"a": 1}, "epochs": {"a": 1}}, "weights and epochs"),
    ({"epochs": {"a": 1}, "total_tokens": 5}, "say the total themselves"),
    ({"preset": "gpt3", "preset_sources": {"c4": "crawl"}}, "gpt3 has no source 'c4'"),
    ({"weights": {"a": 1}, "phases": [{"name": "x", "weights": {"a": 1}, "share": 1}]}, "weights or phases, not both"),
    ({"phases": [{"name": "x", "weights": {"a": 1}}]}, "needs one of share or total_tokens"),
    ({"phases": [{"name": "x", "tokens": {"a": 1}, "share": 1}]}, "needs neither"),
    ({"phases": [{"name": n, "weights": {"a": 1}, "share": 1} for n in "xx"]}, "two phases have one name"),
    ({"phases": [{"name": "x", "weights": {"a": 1}, "share": 1}, {"name": "y", "tokens": {"a": 1}}]},
     "every phase a share, or none"),
    ({"phases": [{"name": "x", "tokens": {"a": 1}}], "total_tokens": 5}, "say the total themselves"),
])
def test_what_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MixtureConfig(**fields)
