"""What is said of the pace of tasks: shares by bytes, what is left, pages and the share that stays."""

from __future__ import annotations

import pytest

from pipelines.pace import COMPILING, StagePace, duration, task_words
from pipelines.pulse import Pulse


def _pulse(read: int | None = None, size: int = 0, seconds: float = 10, compiling: bool = False, **counters: int
           ) -> Pulse:
    return Pulse("extract", "crawl/part-a", seconds, read, size, counters, compiling)


def test_a_stage_counts_bytes_within_tasks() -> None:
    pace = StagePace(started=100.0, to_do=2, sizes={"a": 30_000_000, "b": 10_000_000})
    assert pace.share() == 0
    assert pace.seconds_left(110.0) is None  # nothing tells yet
    pace.end("b")
    at_work = [_pulse(read=10_000_000, size=30_000_000, candidates=400, documents=100)]
    assert pace.share(at_work) == 0.5
    assert pace.seconds_left(120.0, at_work) == 20.0
    assert pace.words(120.0, at_work) == "1 of 2 tasks, 1.0 MB/s, 400 pages, 25% kept, 20 s left"


def test_a_stage_whose_sizes_nobody_knows_counts_tasks() -> None:
    pace = StagePace(started=0.0, to_do=4, sizes={"a": 0, "b": 0, "c": 0, "d": 0})
    pace.end("a")
    assert pace.share() == 0.25
    assert pace.seconds_left(10.0) == 30.0
    assert pace.seconds_left(1.0) is None  # too early to mean anything
    assert pace.words(10.0, [_pulse(compiling=True)]) == f"1 of 4 tasks, 30 s left, {COMPILING}"


def test_a_task() -> None:
    assert task_words(_pulse(read=5_000_000, size=20_000_000, candidates=1234, documents=617)) == (
        " 25% of 20.0 MB, 0.5 MB/s, 30 s left, 1,234 pages, 50% kept")
    assert task_words(_pulse(seconds=400, documents=5)) == "7 min, 5 documents"


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (720, "12 min"), (12240, "3.4 h")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
