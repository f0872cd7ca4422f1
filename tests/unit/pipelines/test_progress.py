"""Lines and bars: what is said of a run, and what is not."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from manifests.errors import InputError
from manifests.records import Identity, TaskRecord
from pipelines.bars import BarReporter
from pipelines.progress import REMAKING, STOPPING, LineReporter


def _record(task: str) -> TaskRecord:
    return TaskRecord(Identity("first", 1, task, {}, {}), (), {}, (), 1.5, 100_000_000, "", "", "0")


def _drive(reporter: LineReporter | BarReporter) -> None:
    reporter.run_started("/nowhere", ["first", "unused", "second"])
    reporter.stage_started("first", 1, 2)
    reporter.stage_sized("first", {"a": 10, "b": 30})
    reporter.task_done("first", _record("a"))
    reporter.task_failed("first", "b", InputError("is no archive", where="b.warc"))
    reporter.stage_done("first", {"documents": 1234})
    reporter.remaking("second/x.parquet")
    reporter.stage_started("unused", 0, 0)
    reporter.stage_sized("unused", {})
    reporter.stage_done("unused", {})
    for name in ("second", "third"):
        reporter.stage_started(name, 4, 0)
        reporter.stage_done(name, {"documents": 9})


def test_lines(capfd: pytest.CaptureFixture[str]) -> None:
    with LineReporter() as reporter:
        _drive(reporter)
        reporter.stopping()
    said = capfd.readouterr().err
    assert "first: b failed and is set aside: b.warc: is no archive" in said
    assert "first: 2 tasks done, 1 up to date (documents 1,234)" in said
    assert f"second/x.parquet: {REMAKING}" in said
    assert STOPPING in said
    assert "2 stages are up to date, second to third" in said
    assert said.count("up to date") == 2
    assert "a done in" not in said
    assert "unused" not in said


def test_a_line_for_each_task(capfd: pytest.CaptureFixture[str]) -> None:
    with LineReporter(of_tasks=True) as reporter:
        _drive(reporter)
    assert "first: a done in 1.5 s, 100 MB (1 of 2)" in capfd.readouterr().err


def test_a_line_now_and_then_where_no_task_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with LineReporter(of_stages=False, every=0.05) as reporter:
        reporter.run_started("/nowhere", ["first"])
        reporter.stage_started("first", 0, 2)
        reporter.stage_sized("first", {"a": 10, "b": 30})
        time.sleep(0.5)
        reporter.stage_done("first", {})
    assert "first: 0 of 2 tasks" in capfd.readouterr().err


def test_a_command_that_is_done_in_a_moment_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with LineReporter(of_stages=False) as reporter:
        reporter.run_started("/nowhere", ["first"])
        reporter.stage_started("first", 0, 1)
        reporter.stage_sized("first", {"a": 10})
        reporter.task_done("first", _record("a"))
        reporter.stage_done("first", {"documents": 3})
    assert capfd.readouterr().err == ""


def test_bars(tmp_path: Path) -> None:
    out = io.StringIO()
    folder = tmp_path / ".tmp" / "pulse"
    folder.mkdir(parents=True)
    (folder / "1-x").write_text('{"stage": "first", "task": "crawl/part-a", "seconds": 10, "read": 5000000, "size": '
                                '20000000, "counters": {"candidates": 10, "documents": 5}, "compiling": false}')
    with BarReporter(Console(file=out, force_terminal=True, width=120, highlight=False)) as reporter:
        reporter.run_started(str(tmp_path), ["first"])
        reporter.stage_started("first", 0, 2)
        reporter.stage_sized("first", {"a": 10, "b": 30})
        reporter.stopping()
        time.sleep(1.0)
    shown = out.getvalue()
    assert "crawl/part-a:  25% of 20.0 MB, 0.5 MB/s, 30 s left, 10 pages, 50% kept" in shown
    assert "0 of 1 stages" in shown
    assert STOPPING in shown


def test_bars_leave_lines(tmp_path: Path) -> None:
    out = io.StringIO()
    with BarReporter(Console(file=out, force_terminal=True, width=160, highlight=False), of_tasks=True) as reporter:
        _drive(reporter)
    shown = out.getvalue()
    assert "documents 1,234" in shown
    assert "first: a done in 1.5 s" in shown
    assert "is no archive" in shown
    assert shown.count("✓") == 1  # of the stage that had something to do
