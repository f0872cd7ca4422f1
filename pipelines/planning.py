"""Which shards of a stage stand, which must be made, and why."""

from __future__ import annotations

from dataclasses import dataclass

from manifests.records import ShardRecord, read_record, staleness
from manifests.storage import Storage
from manifests.tasks import ShardTask
from pipelines.graph import Progress, Stage


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage's shards: those that stand, with their records, and those to make, with the reason."""

    stage: Stage
    standing: dict[str, ShardRecord]
    stale: list[tuple[ShardTask, str]]

    @property
    def names(self) -> set[str]:
        """Every shard the stage has, made or not."""
        return {*self.standing, *(task.shard for task, _ in self.stale)}


def plan_stage(stage: Stage, progress: Progress, storage: Storage) -> StagePlan:
    """Compare every shard that the stage should have with the record on disk."""
    standing: dict[str, ShardRecord] = {}
    stale: list[tuple[ShardTask, str]] = []
    for shard in stage.plan(progress):
        task = stage.task(progress.recipe, shard)
        record = read_record(storage, task.stage, task.shard)
        reason = staleness(record, task.identity)
        if reason is None and record is not None:
            standing[shard.name] = record
        else:
            stale.append((task, reason or "never made"))
    return StagePlan(stage, standing, stale)


def can_plan(stage: Stage, progress: Progress) -> bool:
    """Whether everything the stage needs is whole."""
    return all(name in progress.records for name in stage.needs)
