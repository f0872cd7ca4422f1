"""What each task of a run costs: CPU time of this process while it was done, and bytes of what it wrote."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from manifests.errors import CurateError
from manifests.records import TaskRecord
from pipelines.progress import SilentReporter

BETWEEN = "between tasks"


@dataclass(slots=True)
class Costs:
    """By stage and task: CPU seconds, and bytes of outputs. between: CPU seconds of planning and of manifests."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    n_bytes: dict[str, dict[str, float]] = field(default_factory=dict)
    between: float = 0.0


class Clock(SilentReporter):
    """Hears of a run in this process, and notes what its tasks cost; a task that is done again has its last cost."""

    def __init__(self) -> None:
        self.costs = Costs()
        self.peak_memory_bytes = 0
        self._last = time.process_time()

    def _passed(self) -> float:
        now = time.process_time()
        passed, self._last = now - self._last, now
        return passed

    def run_started(self, root: str, stages: Sequence[str]) -> None:
        self._passed()

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        self.costs.between += self._passed()

    def task_done(self, stage: str, record: TaskRecord) -> None:
        task = record.identity.task
        self.costs.seconds.setdefault(stage, {})[task] = self._passed()
        self.costs.n_bytes.setdefault(stage, {})[task] = float(sum(o.n_bytes for o in record.outputs))
        self.peak_memory_bytes = max(self.peak_memory_bytes, record.peak_memory_bytes)

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        self._passed()

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        self.costs.between += self._passed()
