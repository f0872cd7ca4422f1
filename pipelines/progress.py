"""What a person sees while a run goes on: bars on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from manifests.errors import CurateError
from manifests.records import TaskRecord
from pipelines.terminal import printable

_LINE_EVERY_SECONDS = 10.0


class Reporter(Protocol):
    """Hears of everything that happens in a run."""

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None: ...

    def task_done(self, stage: str, record: TaskRecord) -> None: ...

    def task_failed(self, stage: str, task: str, error: CurateError) -> None: ...

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None: ...


class SilentReporter:
    """Reports nothing."""

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None: ...

    def task_done(self, stage: str, record: TaskRecord) -> None: ...

    def task_failed(self, stage: str, task: str, error: CurateError) -> None: ...

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None: ...


class LineReporter:
    """A line for each finished stage, and one at most every ten seconds within a stage."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = self._started
        self._size: dict[str, tuple[int, int]] = {}
        self._done: dict[str, int] = {}

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        self._size[stage] = (up_to_date, to_do)
        self._done[stage] = 0

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self._done[stage] += 1
        if time.monotonic() - self._last > _LINE_EVERY_SECONDS:
            self._say(f"{stage}: {self._done[stage]} of {self._size[stage][1]} tasks")

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        self._say(f"{stage}: {task} failed and is set aside: {error}")

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        up_to_date, done = self._size[stage]
        facts = ", ".join(f"{name} {value:,}" for name, value in list(counters.items())[:5])
        self._say(f"{stage}: {done} tasks done, {up_to_date} up to date{f' ({facts})' if facts and done else ''}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        print(f"[{self._last - self._started:7.1f}s] {printable(text)}", file=sys.stderr, flush=True)


class TaskReporter(LineReporter):
    """A line for each task, too: how long it took, and the most memory that its worker held."""

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self._done[stage] += 1
        self._say(f"{stage}: {record.identity.task} done in {record.seconds:.1f} s, "
                  f"{record.peak_memory_bytes / 1e6:,.0f} MB ({self._done[stage]} of {self._size[stage][1]})")


class BarReporter:
    """One bar for each stage at work, and a line for each that is done. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(TextColumn("{task.description:<24}", markup=False), BarColumn(), MofNCompleteColumn(),
                              TimeElapsedColumn(), TextColumn("{task.fields[note]}", markup=False), console=console,
                              transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> BarReporter:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        self._tasks[stage] = self._bars.add_task(stage, total=to_do,
                                                   note=f"{up_to_date} up to date" if up_to_date else "")

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self._bars.advance(self._tasks[stage])

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        self._console.print(Text.assemble((f"{stage}: {task} failed and is set aside:", "red"),
                                          printable(f" {error}")))
        self._bars.advance(self._tasks[stage])

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        task = self._bars.tasks[self._bars.task_ids.index(self._tasks[stage])]
        facts = ", ".join(f"{name} {value:,}" for name, value in list(counters.items())[:5])
        done = f"{int(task.total or 0):>4} done in {task.elapsed or 0.0:5.1f} s"
        self._console.print(Text.assemble(("✓", "green"), f" {stage:<24} {done}  ", (printable(facts), "dim")))
        self._bars.remove_task(self._tasks.pop(stage))
