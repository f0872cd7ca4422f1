"""What a terminal shows of a run: a bar for each stage at work, a line for each task at work, and one for the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from manifests.errors import CurateError
from manifests.records import TaskRecord
from pipelines.pace import StagePace, duration, task_words
from pipelines.progress import REMAKING, STOPPING, SilentReporter
from pipelines.pulse import Pulse, read_pulses
from pipelines.terminal import printable

_MOST_TASKS: Final = 6  # lines of tasks at work
_LOOK_SECONDS: Final = 0.5
_REFRESHES: Final = 4  # a second: a redraw takes a millisecond or two of CPU from the tasks


class BarReporter(SilentReporter):
    """One bar for each stage at work, and a line for each that is done. Use as a context manager.

    Args:
        console: Of the terminal.
        of_tasks: Whether each task that is done leaves a line.
        of_stages: Whether each stage that is done leaves one.
    """

    def __init__(self, console: Console, of_tasks: bool = False, of_stages: bool = True) -> None:
        self._console = console
        self._of_tasks = of_tasks
        self._of_stages = of_stages
        self._tasks: dict[str, TaskID] = {}
        self._paces: dict[str, StagePace] = {}
        self._stages: Sequence[str] = ()
        self._stages_done: set[str] = set()
        self._root = ""
        self._pulses: list[Pulse] = []
        self._looked = 0.0
        self._stopping = False
        self._began = time.monotonic()
        self._bars = _Bars(console, self._below)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self._bars.stop()

    def run_started(self, root: str, stages: Sequence[str]) -> None:
        self._root, self._stages = root, stages

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        note = f"{up_to_date} up to date" if up_to_date else ""
        if stage in self._tasks:  # planned anew
            self._bars.remove_task(self._tasks[stage])
        self._paces[stage] = StagePace(time.monotonic(), to_do, up_to_date)
        self._tasks[stage] = self._bars.add_task(stage, total=to_do, note=note)

    def stage_sized(self, stage: str, sizes: Mapping[str, int]) -> None:
        self._paces[stage].sizes = sizes

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self._paces[stage].end(record.identity.task)
        self._bars.advance(self._tasks[stage])
        if self._of_tasks:
            self._console.print(printable(f"{stage}: {record.identity.task} done in {record.seconds:.1f} s, "
                                          f"{record.peak_memory_bytes / 1e6:,.0f} MB"))

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        self._console.print(Text.assemble((f"{stage}: {task} failed and is set aside:", "red"),
                                          printable(f" {error}")))
        self._paces[stage].end(task)
        self._bars.advance(self._tasks[stage])

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        task = self._bars.tasks[self._bars.task_ids.index(self._tasks[stage])]
        self._stages_done.add(stage)
        if self._of_stages and task.total:  # else there was nothing to do
            facts = ", ".join(f"{name} {value:,}" for name, value in list(counters.items())[:5])
            done = f"{int(task.total or 0):>4} done in {task.elapsed or 0.0:5.1f} s"
            self._console.print(Text.assemble(("✓", "green"), f" {stage:<24} {done}  ", (printable(facts), "dim")))
        self._bars.remove_task(self._tasks.pop(stage))
        self._paces.pop(stage)

    def remaking(self, file: str) -> None:
        self._console.print(Text.assemble((f"{printable(file)}:", "yellow"), f" {REMAKING}"))

    def stopping(self) -> None:
        self._stopping = True  # shown when the bars are drawn next

    def _below(self) -> list[RenderableType]:
        """What stands under the bars: tasks at work, and how far the whole is."""
        now = time.monotonic()
        if self._root and now - self._looked > _LOOK_SECONDS:
            self._looked, self._pulses = now, read_pulses(self._root)
        lines = [Text(printable(f"  {p.task}: {task_words(p)}"), "dim", no_wrap=True, overflow="ellipsis")
                 for p in self._pulses[:_MOST_TASKS]]
        if len(self._pulses) > _MOST_TASKS:
            lines.append(Text(f"  and {len(self._pulses) - _MOST_TASKS} tasks more", "dim"))
        lines.append(Text(self._overall(now)))
        if self._stopping:
            lines.append(Text(STOPPING, "yellow"))
        return list(lines)

    def _overall(self, now: float) -> str:
        """Stages that are done, the time that has passed, and what is left of the stages at work."""
        said = [f"{len(self._stages_done)} of {len(self._stages)} stages", duration(now - self._began)]
        for name, pace in list(self._paces.items())[:2]:
            left = pace.seconds_left(now, [p for p in self._pulses if p.stage == name])
            if left is not None and pace.n_done < pace.to_do:
                said.append(f"{name}: about {duration(left)} left")
        return ", ".join(said)


class _Bars(Progress):
    """Bars with lines under them."""

    def __init__(self, console: Console, below: Callable[[], list[RenderableType]]) -> None:
        self._lines_below = below
        super().__init__(TextColumn("{task.description:<24}", markup=False), BarColumn(), MofNCompleteColumn(),
                         TimeElapsedColumn(), TextColumn("{task.fields[note]}", markup=False), console=console,
                         transient=True, refresh_per_second=_REFRESHES,
                         redirect_stdout=False)  # which may go to a file

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield from self._lines_below()
