"""What the stages of a run on disk add up to: tasks, bytes, seconds of work, damage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests.run_records import every_stage, stage_totals
from manifests.stage_records import StageRecords, Totals
from manifests.storage import Storage
from pipelines.locking import added_stages, other_version
from pipelines.stages import STAGES


def totals_of(storage: Storage, lock: Mapping[str, Any] | None) -> list[tuple[str, str, Totals]]:
    """(stage, its folder, what its records add up to) of every stage, also of those that have no task.

    Args:
        storage: The run.
        lock: What its lock file holds. Of a run whose format is another, stages are those that its records name.
    """
    fields = dict(lock or {})
    if lock is not None and other_version(fields) is not None:
        return [(folder, folder, own.totals(folder)) for folder, own in every_stage(storage)
                if isinstance(own, StageRecords)]
    known = [(stage.name, stage.path, stage.tasks_of) for stage in STAGES]
    known += [(name, facts["folder"], ()) for name, facts in added_stages(fields).items()]
    return [(name, folder, stage_totals(storage, folder, name, tasks)) for name, folder, tasks in known]
