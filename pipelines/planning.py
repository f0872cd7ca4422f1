"""Which tasks of a stage are up to date, which must be done, and why.

A plan is remembered: the table of a stage's records (`manifests.record_tables`) names what the plan looked at of its
view, each with a digest. Where all of that is as it was, the stage's tasks are those of the table, and they are up to
date where their files are there: no task is made to find it out.
"""

from __future__ import annotations

import gc
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import xxhash
from pydantic import BaseModel

from manifests.graph import InputFile, OpenView, Source, Stage, Task, View, bind_all, planned_fingerprints
from manifests.record_tables import read_stage_records, small_records, table_name, write_records
from manifests.records import TaskRecord, record_name, staleness
from manifests.stage_records import StageRecords, record_folders
from manifests.storage import Storage
from manifests.tasks import MANIFEST, StageTask
from pipelines.recipe import Recipe

_PROJECT: Final = Path(__file__).parent.parent
_GATHERED: Final = 4096  # records that are held as objects
_PACKAGES: Final = ("curate", "manifests", "pipelines", "tokenizer")


class Progress(OpenView):
    """What a run knows so far: the `View` that plans see, and the recipe, which they do not."""

    def __init__(self, recipe: Recipe, sources: Sequence[Source], files: Mapping[str, Sequence[InputFile]]) -> None:
        super().__init__(recipe.seed, recipe.digest, recipe.sections(), sources, files)
        self.recipe = recipe

    def plugins(self) -> Any:
        """As of `OpenView`."""
        return self.recipe.plugins()


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage's tasks: those that are up to date, with their records, and those to do, with the reason.

    looked_at: what the plan depended on, by name, with digests. remembered: the stage's table holds all of this
    already. done: records of tasks that were to do, as they come; where they are many, the rest is in `gathered`.
    others: files that lie among those of the stage's table and are in no record of it. is_listed: whether the stage has
    its manifest, where it is remembered and writes one."""

    stage: Stage
    up_to_date: StageRecords
    stale: list[tuple[StageTask, str]]
    looked_at: Mapping[str, str] = field(default_factory=dict)
    remembered: bool = False
    done: dict[str, TaskRecord] = field(default_factory=dict)
    gathered: list[StageRecords] = field(default_factory=list)
    others: Sequence[str] = ()
    is_listed: bool = True

    def take(self, record: TaskRecord) -> None:
        """Add the record of a task that was to do."""
        self.done[record.identity.task] = record
        if len(self.done) >= _GATHERED:
            self.gathered.append(StageRecords.gathered(self.done.values()))
            self.done.clear()

    @property
    def n_done(self) -> int:
        """Tasks that were to do and are done."""
        return len(self.done) + sum(map(len, self.gathered))

    def records(self) -> StageRecords:
        """Those of every task that is done."""
        return StageRecords.joined([self.up_to_date, *self.gathered, StageRecords.of(self.done.values())])


@contextmanager
def _without_collections() -> Iterator[None]:
    """No search for cycles: a plan makes a million objects and no cycle, and looking for some is a third of its time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collections()
def plan_stage(stage: Stage, view: OpenView, storage: Storage, fresh: bool = False) -> StagePlan:
    """Compare every task that the stage should have with the record on disk. fresh: as if there were none."""
    stored = None if fresh else read_stage_records(storage, table_name(stage.path, stage.name))
    there, others = stored[0].compared(storage) if stored is not None else (None, [])
    complete = stored is not None and there is not None and stored[1] is not None and there.all() and not (
        small_records(storage, stored[0].small_folders(stage.path)))
    is_listed = not stage.writes_manifest or storage.exists(f"{stage.path}/{MANIFEST}")
    if complete and stored is not None and _is_same(stage, view, stored[1] or {}):
        stored[0].forget()
        return StagePlan(stage, stored[0], [], remembered=True, others=others, is_listed=is_listed)
    planned, seen = view.noted(stage.plan)
    looked_at = {f"{kind}:{key}": _digest_of(view, kind, key) for kind, key in seen} | _made_by(stage, view)
    wanted = dict(zip((task.name for task in planned), planned_fingerprints(stage, view, planned), strict=True))
    if complete and stored is not None and stored[0].fingerprints == wanted:
        stored[0].forget()
        return StagePlan(stage, stored[0], [], looked_at, remembered=not _is_remembered(stage), others=others,
                         is_listed=is_listed)
    found = StageRecords.of(()) if fresh else _found(
        stage, storage, planned, stored[0].only(there) if stored is not None and there is not None else None)
    is_same = [wanted.get(task) == fingerprint for task, fingerprint in found.fingerprints.items()]
    up_to_date = found.only(np.array(is_same, bool))
    other = found.only(~np.array(is_same, bool))
    todo = [task for task in planned if task.name not in up_to_date.fingerprints]
    stale = [(task, staleness(other.get(task.name), task.identity) or "never done")
             for task in bind_all(stage, view, todo)]
    up_to_date.forget()
    return StagePlan(stage, up_to_date, stale, looked_at, others=others)


def _found(stage: Stage, storage: Storage, planned: Sequence[Task], stored: StageRecords | None) -> StageRecords:
    """The records that a stage has left of planned tasks whose files are there; a small one is newer than that of the
    table. Folders are listed and small records read together, not one after another."""
    tasks = {record_name(stage.path, task.name): task.name for task in planned}
    folders = record_folders(stage.path, pa.array(list(tasks.values()), pa.large_string()))
    names = [name for name in small_records(storage, folders) if name in tasks]
    read = (TaskRecord.from_json(data) for data in storage.read_all(names))
    small = StageRecords.of(record for name, record in zip(names, read, strict=True)
                            if record is not None and record.identity.task == tasks[name])
    small = small.only(small.present(storage))
    if stored is None:
        return small
    newer = {tasks[name] for name in names}
    return StageRecords.joined([stored.only(np.array([task not in newer for task in stored.tasks], bool)), small])


def keep_up_to_date(plan: StagePlan, storage: Storage) -> None:
    """Take out of a stage's table what will be done again, before any of it is: the table then says nothing of files
    that are about to change."""
    name = table_name(plan.stage.path, plan.stage.name)
    if not storage.exists(name):
        return
    if plan.up_to_date:
        write_records(storage, name, plan.up_to_date, None)
    else:
        storage.remove(name)


@_without_collections()
def put_together(plan: StagePlan, records: StageRecords, storage: Storage) -> StageRecords:
    """Make one table of the records of a stage that is done, then remove them one by one; what the table holds. Whoever
    is killed in between leaves records twice, which say the same."""
    stored = write_records(storage, table_name(plan.stage.path, plan.stage.name), records, plan.looked_at)
    own = {record_name(plan.stage.path, task) for task in records}
    there = small_records(storage, records.small_folders(plan.stage.path))
    storage.remove_all([name for name in there if name in own])
    return stored


def can_plan(stage: Stage, view: View) -> bool:
    """Whether everything the stage needs is done."""
    return all(view.is_done(name) for name in stage.needs)


def _is_same(stage: Stage, view: OpenView, looked_at: Mapping[str, str]) -> bool:
    """Whether what a plan looked at is as it was, and what made it too."""
    made_by = _made_by(stage, view)
    if not _is_remembered(stage) or any(looked_at.get(key) != digest for key, digest in made_by.items()):
        return False
    pairs = ((key.partition(":"), digest) for key, digest in looked_at.items() if key not in made_by)
    return all(_digest_of(view, kind, name) == digest for (kind, _, name), digest in pairs)


def _made_by(stage: Stage, view: OpenView) -> dict[str, str]:
    """What a stage's tasks depend on beside the view: its own declaration, its configuration, and the program."""
    own = [stage.path, stage.version, stage.section, stage.unicode, view.seed]
    return {"itself": _digest(own), "program": _program(),
            "configuration": _digest_of(view, "section", stage.section or ""),
            "plug-ins": _digest_of(view, "plug-ins", "")}


def _is_remembered(stage: Stage) -> bool:
    """Whether a plan is known to depend on what it looks at and on the project's own sources alone."""
    source = Path(inspect.getsourcefile(stage.plan) or "")
    return stage.remembered and any(source.is_relative_to(_PROJECT / name) for name in _PACKAGES)


@cache
def _program() -> str:
    """Digest of the project's sources."""
    state = xxhash.xxh3_128()
    for path in sorted(path for name in _PACKAGES for path in (_PROJECT / name).rglob("*.py")):
        state.update(str(path.relative_to(_PROJECT)).encode())
        state.update(path.read_bytes())
    return state.hexdigest()


def _digest_of(view: OpenView, kind: str, name: str) -> str:
    """32 hex digits of one of the things that a plan may depend on."""
    if kind == "stage":
        return view.records(name).content
    if (kind, name) not in view.digests:
        view.digests[kind, name] = _digest(_value(view, kind, name))
    return view.digests[kind, name]


def _value(view: OpenView, kind: str, name: str) -> Any:
    if kind == "section":
        return view.section(name or None)
    if kind == "files":
        return {field: [[f.relative, f.digest] for f in files] for field, files in view.files.items()}
    if kind == "sources":
        return [[s.name, s.config, s.selection, [[f.relative, f.digest] for f in s.files]] for s in view.sources]
    return view.plugins() if kind == "plug-ins" else view.recipe_sha256


def _digest(value: Any) -> str:
    """In the order that mappings have: that of sources matters."""
    return xxhash.xxh3_128_hexdigest(json.dumps(value, default=_plain).encode())


def _plain(value: Any) -> Any:
    """JSON of what a section may be: models, and tables of them."""
    if isinstance(value, BaseModel):
        return [type(value).__qualname__, value.model_dump(mode="json")]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return repr(value)
