"""What a person sees while a run goes on, where there is no terminal: a line now and then; always on stderr.

`bars.py` is what a terminal shows. Both read what tasks at work leave (`pulse.py`), so that an archive of a gigabyte is
not silence for minutes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from manifests.errors import CurateError
from manifests.records import TaskRecord
from pipelines.pace import COMPILING, StagePace
from pipelines.pulse import read_pulses
from pipelines.terminal import printable

_LINE_EVERY_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 2.0
REMAKING: Final = "is not what was written there: it is made again"
STOPPING: Final = "finishing what runs, and beginning nothing more; Ctrl-C again stops at once"


class Reporter(Protocol):
    """Hears of everything that happens in a run. `SilentReporter` is one to begin from."""

    def run_started(self, root: str, stages: Sequence[str]) -> None: ...

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None: ...

    def stage_sized(self, stage: str, sizes: Mapping[str, int]) -> None: ...

    def task_done(self, stage: str, record: TaskRecord) -> None: ...

    def task_failed(self, stage: str, task: str, error: CurateError) -> None: ...

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None: ...

    def remaking(self, file: str) -> None: ...

    def stopping(self) -> None: ...


class SilentReporter:
    """Reports nothing."""

    def run_started(self, root: str, stages: Sequence[str]) -> None:
        """A run begins. root: its folder or URL. stages: those that may be done, by name."""

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        """A stage is planned: so many tasks need nothing, so many are to be done."""

    def stage_sized(self, stage: str, sizes: Mapping[str, int]) -> None:
        """How much the tasks to be done read: bytes by name, 0 where it is not known."""

    def task_done(self, stage: str, record: TaskRecord) -> None:
        """A task is done."""

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        """A task is set aside."""

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        """A stage is done. counters: of all its tasks."""

    def remaking(self, file: str) -> None:
        """A file of the run is damaged, and is made again, with what depends on it. file: its name in the run."""

    def stopping(self) -> None:
        """The run was asked to stop. Called from a signal handler: it may neither print nor lock."""


class LineReporter(SilentReporter):
    """Lines on stderr. Use as a context manager, so that it has something to say while no task ends.

    Args:
        of_stages: Whether each stage that is done has a line; without it there is one now and then alone.
        of_tasks: Whether each task has one: how long it took, and the most memory that its process held.
        every: Seconds without a line after which there is one.
    """

    def __init__(self, of_stages: bool = True, of_tasks: bool = False, every: float = _LINE_EVERY_SECONDS) -> None:
        self._of_stages = of_stages
        self._of_tasks = of_tasks
        self._every = every
        self._started = self._last = time.monotonic()
        self._root = ""
        self._paces: dict[str, StagePace] = {}
        self._compiled = False
        self._up_to_date: list[str] = []
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self._over.set()
        self._thread.join()
        self._say_up_to_date()

    def run_started(self, root: str, stages: Sequence[str]) -> None:
        self._root = root

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        with self._lock:
            self._paces[stage] = StagePace(time.monotonic(), to_do, up_to_date)

    def stage_sized(self, stage: str, sizes: Mapping[str, int]) -> None:
        self._paces[stage].sizes = sizes

    def task_done(self, stage: str, record: TaskRecord) -> None:
        pace = self._paces[stage]
        pace.end(record.identity.task)
        if self._of_tasks:
            self._say(f"{stage}: {record.identity.task} done in {record.seconds:.1f} s, "
                      f"{record.peak_memory_bytes / 1e6:,.0f} MB ({pace.n_done} of {pace.to_do})")

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        self._paces[stage].end(task)
        self._say(f"{stage}: {task} failed and is set aside: {error}")

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        with self._lock:
            pace = self._paces.pop(stage)
        if self._of_stages and pace.to_do:  # else it is up to date, or the recipe asks nothing of it
            self._say_up_to_date()
            facts = ", ".join(f"{name} {value:,}" for name, value in list(counters.items())[:5])
            self._say(f"{stage}: {pace.to_do} {'task' if pace.to_do == 1 else 'tasks'} done"
                      f"{f', {pace.up_to_date} up to date' if pace.up_to_date else ''}{f' ({facts})' if facts else ''}")
        elif self._of_stages and pace.up_to_date:
            self._up_to_date.append(stage)

    def _say_up_to_date(self) -> None:
        """One line for all stages since the last one that had something to do."""
        names, self._up_to_date = self._up_to_date, []
        if names:
            self._say(f"{names[0]}: up to date" if len(names) == 1 else
                      f"{len(names)} stages are up to date, {names[0]} to {names[-1]}")

    def remaking(self, file: str) -> None:
        self._say(f"{file}: {REMAKING}")

    def stopping(self) -> None:
        os.write(2, f"curate: {STOPPING}\n".encode())  # the one way to say something that needs no lock

    def _watch(self) -> None:
        while not self._over.wait(min(_LOOK_SECONDS, self._every)):
            pulses = read_pulses(self._root) if self._root else []
            if not self._compiled and any(p.compiling and not p.here for p in pulses):
                self._compiled = True
                self._say(COMPILING)
            if time.monotonic() - self._last >= self._every:
                with self._lock:
                    at_work = [(name, pace) for name, pace in self._paces.items() if pace.n_done < pace.to_do]
                now = time.monotonic()
                for name, pace in at_work[:3]:
                    self._say(f"{name}: {pace.words(now, [p for p in pulses if p.stage == name])}")

    def _say(self, text: str) -> None:
        with self._lock:
            self._last = time.monotonic()
            print(f"[{self._last - self._started:7.1f}s] {printable(text)}", file=sys.stderr, flush=True)
