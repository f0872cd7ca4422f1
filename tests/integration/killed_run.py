"""A demo run that kills itself with SIGKILL: `python -m tests.integration.killed_run WEB OUT STAGE POINT [SET…]`.

POINT is where, in the first shard that the named stage makes: `start` before its function, `staged` when its files are
written but have no name yet, `named` between the last rename and the record, `recorded` after the record, `tabled` when
the records of the stage are one table and the small ones are still there.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from manifests import tasks
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tasks import StageTask, Work
from pipelines.loading import load_recipe
from pipelines.running import Settings, run

POINTS = ("start", "staged", "named", "recorded", "tabled")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(place: str, point: str) -> None:
    """Make this process die at a point of the next shard of a stage's folder."""
    init, publish, write, remove = Work.__init__, Work.publish, Storage.write_bytes, Storage.remove_all

    def on_start(self: Work, storage: Storage, task: StageTask, staging: str) -> None:
        init(self, storage, task, staging)
        if task.stage == place and point == "start":
            _die()

    def on_publish(self: Work) -> Any:
        mine = self.task.stage == place
        if mine and point == "staged":
            _die()
        done = publish(self)
        if mine and point == "named":
            _die()
        return done

    def on_write(self: Storage, name: str, data: bytes) -> None:
        write(self, name, data)
        if point == "recorded" and (record := TaskRecord.from_json(data)) and record.identity.stage == place:
            _die()

    def on_remove(self: Storage, names: Sequence[str]) -> None:
        if point == "tabled" and any(name.startswith(f"{place}/") and "/_records/" in name for name in names):
            _die()
        remove(self, names)

    Storage.remove_all = on_remove  # type: ignore[method-assign]
    tasks.Work.__init__ = on_start  # type: ignore[method-assign]
    tasks.Work.publish = on_publish  # type: ignore[method-assign]
    Storage.write_bytes = on_write  # type: ignore[method-assign]


if __name__ == "__main__":
    web, out, stage, where, *changes = sys.argv[1:]
    arm(stage, where)
    run(load_recipe("demo", [f"web={web}", *changes]), out, Settings(engine="inline"))
