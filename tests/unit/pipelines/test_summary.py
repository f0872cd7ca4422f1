"""What a run says at its end of tokens that its mixture passes by."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.summary import print_plan, print_summary, unused
from tokenizer.mixture.mixture_config import MixtureConfig


def source(name: str, weight: float, available: int, selected: int) -> dict[str, Any]:
    return {"name": name, "requested_weight": weight, "realised_share": weight, "available_tokens": available,
            "selected_tokens": selected, "epochs": selected / available}


SMALL_CRAWL = [source("crawl", 0.6, 130_000, 520_000), source("books", 0.4, 4_100_000, 347_000)]


def test_a_small_source_of_a_large_share_is_named() -> None:
    mixture = MixtureConfig(weights={"crawl": 60, "books": 40}, max_epochs=4)
    found = unused(SMALL_CRAWL, mixture)
    assert found is not None
    assert found["scarce_source"] == "crawl"
    assert found["tokens"] == 4_230_000 - 130_000 - 347_000
    assert found["share"] == pytest.approx(0.887, abs=0.001)


def test_the_source_that_its_own_limit_holds_back_is_named() -> None:
    rows = [source("crawl", 0.5, 100_000, 100_000), source("books", 0.5, 1_000_000, 100_000)]
    mixture = MixtureConfig(weights={"crawl": 1, "books": 1}, max_epochs=4, max_epochs_by_source={"crawl": 1})
    found = unused(rows, mixture)
    assert found is not None
    assert found["scarce_source"] == "crawl"


@pytest.mark.parametrize("mixture", [
    {"weights": {"crawl": 6, "books": 4}, "total_tokens": 867_000}, {"tokens": {"crawl": 520_000, "books": 347_000}},
    {"epochs": {"crawl": 4, "books": 0.1}}])
def test_what_was_asked_for_is_no_waste(mixture: dict[str, Any]) -> None:
    assert unused(SMALL_CRAWL, MixtureConfig(**mixture)) is None


def test_little_left_is_nothing_to_say() -> None:
    rows = [source("crawl", 0.6, 130_000, 520_000), source("books", 0.4, 600_000, 347_000)]
    assert unused(rows, MixtureConfig(weights={"crawl": 6, "books": 4}, max_epochs=4)) is None


def test_the_end_of_a_run_warns(capsys: pytest.CaptureFixture[str]) -> None:
    mixture = MixtureConfig(weights={"crawl": 60, "books": 40}, max_epochs=4)
    splits = {"train": {"n_tokens": 867_000, "n_rows": 10, "shards": 1, "dropped_tokens": 0}}
    facts = {"run": "runs/x", "seconds": 1.0, "tasks_done": 3, "failed": [], "damage": [], "funnel": [],
             "peak_memory_bytes": 1, "dataset": {"digest": "d", "splits": splits, "sources": SMALL_CRAWL,
                                                 "val_too_small": False, "unused": unused(SMALL_CRAWL, mixture)}}
    print_summary(facts)
    printed = " ".join(capsys.readouterr().out.split())
    assert "leaves 89% of 4,230,000 tokens unused: crawl has 130,000 for 60.0%" in printed
    assert "recipe `own`" in printed
    assert "to look at it: curate report runs/x --open" in printed
    facts["dataset"]["unused"] = None  # type: ignore[index]  # one of facts of many types
    print_summary(facts)
    assert "warning" not in capsys.readouterr().out


def plan_row(stage: str, up_to_date: int | None, to_do: int | None, *why: str) -> dict[str, Any]:
    return {"stage": stage, "up_to_date": up_to_date, "to_do": to_do, "why": list(why)}


def test_a_dry_run_says_what_is_done_again_and_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [plan_row("extract", 2, 0), plan_row("classifier", 0, 0), plan_row("select", 2, 0),
            plan_row("dedup/signatures", 0, 2, "threshold: 0.8 -> 0.7"), plan_row("dedup/exact", None, None),
            plan_row("decontaminate/hits", None, None), plan_row("clean", None, None)]
    print_plan(rows, ["decontaminate"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["stage", "dedup/signatures"]
    assert lines[2:] == ["Up to date: 2 stages, extract to select.",
                         "Then, as far as what they read comes out otherwise: deduplication, clean corpus."]
    print_plan([rows[0], rows[2]])
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing is to be done."
