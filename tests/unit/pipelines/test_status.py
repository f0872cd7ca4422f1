"""Status: what a recipe does not use is left out, groups add up, and one sentence says where the run stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from manifests.records import Identity, TaskRecord
from pipelines.status import print_status, remaining, sentence, used


def stage(name: str, tasks: int, done: bool, damaged: int = 0) -> dict[str, Any]:
    return {"stage": name, "tasks": tasks, "done": done, "n_bytes": 2_000_000, "seconds": 36.0, "damaged": damaged}


FINISHED = [stage("extract", 3, True, 2), stage("classifier", 0, True), stage("dedup/bands", 3, True),
            stage("dedup/decisions", 3, True)]
HALF = [stage("extract", 3, True), stage("dedup/bands", 2, False), stage("dedup/decisions", 0, False)]


def test_what_is_asked_nothing_is_left_out() -> None:
    assert [row["stage"] for row in used(FINISHED)] == ["extract", "dedup/bands", "dedup/decisions"]


def test_one_sentence_says_where_it_stands() -> None:
    assert sentence(FINISHED) == ("Finished: all 3 stages are done, 6.0 MB in 108 core-seconds; 2 places of the "
                                  "input could not be read.")
    assert "0.20 core-hours." in sentence([{**FINISHED[2], "seconds": 720.0}])
    assert sentence(HALF) == ("Not finished: 1 stage is done, at work or stopped in dedup/bands; "
                              "`curate run` goes on.")
    assert "next is extract" in sentence([stage("extract", 0, False)])
    assert "1 stage is done, it stopped: a: is full; `curate run` goes on" in sentence(HALF, "a: is full")


def test_groups_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    run = {"run": "runs/x", "recipe": "mine", "other_version": None, "stages": HALF}
    print_status([run])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["documents", "3", "yes", "2.0", "36.0"] in lines
    assert ["deduplication", "2", "in", "part", "4.0", "72.0"] in lines
    print_status([run], every=True)
    assert "dedup/bands" in capsys.readouterr().out


def test_a_run_at_work_shows_its_files_and_not_what_its_recipe_turns_off(capsys: pytest.CaptureFixture[str]) -> None:
    stages = [stage("extract", 2, False), stage("classifier/labels", 0, False), stage("classifier", 0, False),
              stage("select", 0, False), stage("decontaminate", 0, False)]
    run = {"run": "runs/x", "recipe": "mine", "other_version": None, "stages": stages, "files": 8,
           "unused": ["classifier", "decontaminate"]}
    print_status([run])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:-1]] == ["documents", "selection"]
    assert lines[2].split()[1:5] == ["2", "of", "about", "8"]


def test_what_is_left_follows_from_the_pace() -> None:
    records = [TaskRecord(Identity("dedup/bands", 1, f"part-{i}", {}, {}), (), {},
                          finished_at=f"2026-01-01T00:00:{10 * i:02d}+00:00") for i in range(2)]
    now = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert remaining(lambda _: records, HALF, 5, now) == "dedup/bands: 2 of about 5 tasks, about 30 s left for it"
    assert remaining(lambda _: records, FINISHED, 5, now) is None
