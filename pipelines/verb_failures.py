"""What a command over files keeps of its run, which a person is shown: errors of files that could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from manifests.errors import CurateError, InputError, no_input
from manifests.records import TaskRecord
from pipelines import work_folder
from pipelines.progress import Reporter


class Failures:
    """Keeps the errors of files that could not be read, which the command names when it is done; all else goes on to
    the reporter that a person sees.

    Args:
        shown: That reporter.
    """

    def __init__(self, shown: Reporter) -> None:
        self._errors: dict[str, CurateError] = {}
        self._shown = shown

    @property
    def errors(self) -> list[CurateError]:
        """By task, whatever the order in which they ended."""
        return [error for _, error in sorted(self._errors.items())]

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        self._errors[task] = error

    def run_started(self, root: str, stages: Sequence[str]) -> None:
        self._shown.run_started(root, stages)

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        self._shown.stage_started(stage, up_to_date, to_do)

    def stage_sized(self, stage: str, sizes: Mapping[str, int]) -> None:
        self._shown.stage_sized(stage, sizes)

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self._shown.task_done(stage, record)

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        self._shown.stage_done(stage, counters)

    def remaking(self, file: str) -> None:
        self._errors.clear()  # every task that failed is tried again
        self._shown.remaking(file)

    def stopping(self) -> None:
        self._shown.stopping()

    def raise_if_all(self, n_files: int, work: str) -> None:
        """One InputError for all of them, where no file is left: the work folder then holds nothing worth going on
        with, and goes."""
        if self.errors and len(self.errors) >= n_files:
            work_folder.remove(work)
            raise no_input([InputError(e.what, where=e.where, hint=e.hint) for e in self.errors])
