"""The records that a run has left, stage by stage as columns: what status, reports and checks ask of all tasks.

No object is made for a task, and a stage is let go of when the next is looked at. What is asked of every stage at once,
such as how much work it was, is kept beside its table when that is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.record_tables import TABLE_SUFFIX, read_stage_records, read_totals, small_records, table_name
from manifests.records import RECORDS_FOLDER, TaskRecord
from manifests.stage_records import StageRecords, Totals
from manifests.storage import Storage

_BELOW: Final = f"/{RECORDS_FOLDER}/"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that should hold records and does not. path: relative to the run."""

    path: str


def stage_records(storage: Storage, folder: str) -> StageRecords:
    """The records of every task whose stage has this folder; a small one is newer than that of a table."""
    tables = [name for name in storage.sizes([f"{folder}/{RECORDS_FOLDER}"])[0] if name.endswith(TABLE_SUFFIX)]
    stored = [found for name in sorted(tables) if (found := read_stage_records(storage, name)) is not None]
    if stored and all(plan is not None for _, plan in stored):
        own = sorted({name for records, _ in stored for name in records.small_folders(folder)})
        small = small_records(storage, own)
    else:
        small = [name for name in storage.list(folder) if _is_small(name)]
    newer = {r.identity.task: r for r in _read(storage, small, []) if r.identity.stage == folder}
    return _joined([records for records, _ in stored], newer)


def every_stage(storage: Storage, names: Sequence[str] | None = None
                ) -> Iterator[tuple[str, StageRecords | Unreadable]]:
    """(folder, records) of every stage that has left some, by folder; then each file that should hold records and does
    not, under its path.

    names: those of all files of the run, where they are known."""
    names = storage.list("") if names is None else names
    tables = [name for name in names if _BELOW in name and name.endswith(TABLE_SUFFIX) and name[0] != "."]
    unreadable: list[str] = []
    small: dict[str, dict[str, TaskRecord]] = {}
    for record in _read(storage, [name for name in names if _is_small(name)], unreadable):
        small.setdefault(record.identity.stage, {})[record.identity.task] = record
    for folder in sorted({*small, *(name.partition(_BELOW)[0] for name in tables)}):
        stored = []
        for name in (name for name in tables if name.partition(_BELOW)[0] == folder):
            found = read_stage_records(storage, name)
            if found is None:
                unreadable.append(name)
            else:
                stored.append(found[0])
        yield folder, _joined(stored, small.get(folder, {}))
    for name in sorted(set(unreadable)):
        yield name, Unreadable(name)


def every_record(storage: Storage, names: Sequence[str] | None = None, folder: str = "") -> Iterator[TaskRecord]:
    """Every complete record of a run, stage by stage and by task, of which none is kept.

    Args:
        storage: The run.
        names: Those of all its files, or of those that hold records, where they are known.
        folder: Only of stages whose folder this is, or lies in this.
    """
    names = storage.list(folder) if names is None else names
    inside = [name for name in names if not folder or name.startswith(f"{folder}/")]
    for _, found in every_stage(storage, inside):
        if isinstance(found, StageRecords):
            yield from found.each()


def stage_totals(storage: Storage, folder: str, stage: str, tasks_of: tuple[str, ...] = ()) -> Totals:
    """What the records of a stage add up to.

    Args:
        storage: The run.
        folder: Of the stage.
        stage: Its name.
        tasks_of: How its tasks' names begin, where it shares its folder.
    """
    kept = read_totals(storage, table_name(folder, stage))
    if kept is not None and not small_records(storage, kept.folders):
        return kept
    records = stage_records(storage, folder)
    if tasks_of:
        records = records.only(np.array([task.startswith(tasks_of) for task in records.tasks], bool))
    return records.totals(folder)


def _is_small(name: str) -> bool:
    return _BELOW in name and name.endswith(".json") and name[0] != "."


def _read(storage: Storage, names: Sequence[str], unreadable: list[str]) -> Iterator[TaskRecord]:
    """Small records; names of files that hold none go to `unreadable`."""
    for name, data in zip(names, storage.read_all(names), strict=True):
        record = TaskRecord.from_json(data)
        if record is None:
            unreadable.append(name)
        else:
            yield record


def _joined(stored: Sequence[StageRecords], newer: Mapping[str, TaskRecord]) -> StageRecords:
    """Tables and small records of a stage; of a task that has both, the small one."""
    if newer:
        alone = pa.array(sorted(newer), pa.large_string())
        stored = [records.only(np.asarray(pc.invert(pc.is_in(records.table["task"], value_set=alone))))
                  for records in stored]
    return StageRecords.joined([*stored, StageRecords.of(newer.values())])
