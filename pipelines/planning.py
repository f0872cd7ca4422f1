"""Which tasks of a stage are up to date, which must be done, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manifests.graph import InputFile, OpenView, Source, Stage, View, bind
from manifests.records import TaskRecord, read_record, staleness
from manifests.storage import Storage
from manifests.tasks import StageTask
from pipelines.recipe import Recipe


class Progress(OpenView):
    """What a run knows so far: the `View` that plans see, and the recipe, which they do not."""

    def __init__(self, recipe: Recipe, sources: Sequence[Source], files: Mapping[str, Sequence[InputFile]]) -> None:
        super().__init__(recipe.seed, recipe.digest, recipe.sections(), sources, files)
        self.recipe = recipe


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage's tasks: those that are up to date, with their records, and those to do, with the reason."""

    stage: Stage
    up_to_date: dict[str, TaskRecord]
    stale: list[tuple[StageTask, str]]

    @property
    def names(self) -> set[str]:
        """Every task the stage has, done or not."""
        return {*self.up_to_date, *(task.name for task, _ in self.stale)}


def plan_stage(stage: Stage, view: View, storage: Storage, fresh: bool = False) -> StagePlan:
    """Compare every task that the stage should have with the record on disk. fresh: as if there were none."""
    up_to_date: dict[str, TaskRecord] = {}
    stale: list[tuple[StageTask, str]] = []
    for planned in stage.plan(view):
        task = bind(stage, view, planned)
        record = None if fresh else read_record(storage, task.stage, task.name)
        reason = staleness(record, task.identity)
        if reason is None and record is not None:
            up_to_date[task.name] = record
        else:
            stale.append((task, reason or "never done"))
    return StagePlan(stage, up_to_date, stale)


def can_plan(stage: Stage, view: View) -> bool:
    """Whether everything the stage needs is done."""
    return all(view.is_done(name) for name in stage.needs)
