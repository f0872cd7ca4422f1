"""The stage graph: what a stage is, which tasks it has, and what a plan may see.

A stage is data: a name, a version, the import path of a function, the section of the recipe that its outputs depend on,
the stages it needs, and a plan: its tasks, listed when everything it needs is done. A stage is declared beside its
function; each package lists its own in `<package>/stages.py`, and `pipelines.stages` puts the lists together. Importing
them loads no kernel: functions are named, and resolved in the worker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any, cast

import xxhash

from manifests.errors import StageError
from manifests.part_paths import part_name
from manifests.records import Identity, OutputFile, TaskRecord, fingerprints
from manifests.stage_records import DoneTask, StageRecords, StageTasks
from manifests.storage import Storage
from manifests.tasks import MANIFEST, InputRef, StageFunction, StageTask, execute, write_manifest

REMOVALS_INPUT = "removals"


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file. relative: its path below its source's root, which is what identities are made of. n_parts: how
    many parts are made from it: several of a large archive."""

    path: str
    relative: str
    n_bytes: int
    digest: str
    n_parts: int = 1

    @property
    def part(self) -> str:
        """The name of the part made from this file: stem and 8 hex digits of its relative path."""
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(self.relative).name.split(".")[0]) or "file"
        return f"part-{stem}-{xxhash.xxh3_64_hexdigest(self.relative.encode())[:8]}"

    @property
    def parts(self) -> list[str]:
        """The names of all parts made from this file, in its order: numbered where they are several."""
        return [self.part] if self.n_parts == 1 else [f"{self.part}-{i:05d}" for i in range(self.n_parts)]

    @property
    def ranges(self) -> list[tuple[int, int | None]]:
        """(offset, offset of the next) of the bytes of each part; the last goes to the file's end."""
        starts = [i * self.n_bytes // self.n_parts for i in range(self.n_parts)]
        return list(zip(starts, [*starts[1:], None], strict=True))


@dataclass(frozen=True, slots=True)
class Source:
    """A source with files of its own. config: what the recipe says of it. selection: the table, under the run, of the
    records to take from its files (`cc_index.RECORDS`), where that is not all."""

    name: str
    files: tuple[InputFile, ...]
    config: Any = None
    selection: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a stage, as planned: its name, what it reads, and facts of it that no configuration holds.

    name: below the stage's folder, such as `crawl/part-x-1a2b3c4d`; outputs and record are named by it. settings: how
    to work; no output may depend on them."""

    name: str
    inputs: Mapping[str, InputRef]
    variables: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """One arrow of the pipeline.

    name: also its folder under the run, unless `folder` says otherwise. function: `package.module:function`, called as
    `function(config, work)`. section: the section of the recipe that its outputs depend on, or None. needs: stages that
    must be done first. plan: its tasks, from a `View` of what is done. check: raises StageError when the finished stage
    cannot serve the next ones. reads_source: a task that fails is set aside, since it is the user's input that is
    broken; elsewhere a failure ends the run, for a missing partition would be a wrong answer. writes_manifest: whether
    `FOLDER/manifest.parquet` lists the stage's files. tasks_of: how its tasks' names begin, where it shares its folder.
    unicode: version of the tables of characters that its function reads; its records name it. remembered: whether the
    plan depends on nothing but the view, so that it need not be made where what it looked at is as it was.
    """

    name: str
    version: int
    function: str
    section: str | None
    needs: tuple[str, ...]
    plan: Callable[[View], Iterable[Task]]
    check: Callable[[View], None] | None = None
    reads_source: bool = False
    writes_manifest: bool = True
    folder: str = ""
    tasks_of: tuple[str, ...] = ()
    unicode: str | None = None
    remembered: bool = True

    @property
    def path(self) -> str:
        """Its folder under the run."""
        return self.folder or self.name

    def owns(self, identity: Identity) -> bool:
        """Whether a record is of this stage: two stages may share a folder, so the folder alone does not decide it."""
        return identity.stage == self.path and (not self.tasks_of or identity.task.startswith(self.tasks_of))


def resolve(function: str) -> StageFunction:
    """The function at an import path `package.module:name`. Raises StageError where there is none."""
    module, _, name = function.partition(":")
    try:
        return cast(StageFunction, getattr(import_module(module), name))
    except (ImportError, AttributeError) as error:
        raise StageError(f"cannot be imported: {error}", where=function,
                         hint="workers need the package that the stage comes from") from error


@cache
def _no_records() -> StageRecords:
    return StageRecords.of(())


class View:
    """What a plan may see, read-only: the recipe's sections, the inputs, and the records of the stages that are done.

    seed: of the recipe. recipe_sha256: of the resolved recipe. sources: those with files of their own, in order of
    trust. files: input files that are no source, by the field that names them."""

    def __init__(self, seed: int, recipe_sha256: str, sections: Mapping[str, Any], sources: Sequence[Source],
                 files: Mapping[str, Sequence[InputFile]]) -> None:
        self.seed = seed
        self._recipe_sha256 = recipe_sha256
        self._sources = tuple(sources)
        self._files = files
        self._sections = sections
        self._records: dict[str, StageRecords] = {}
        self._seen: set[tuple[str, str]] = set()

    @property
    def recipe_sha256(self) -> str:
        self._seen.add(("recipe", ""))
        return self._recipe_sha256

    @property
    def sources(self) -> tuple[Source, ...]:
        self._seen.add(("sources", ""))
        return self._sources

    @property
    def files(self) -> Mapping[str, Sequence[InputFile]]:
        self._seen.add(("files", ""))
        return self._files

    def section(self, name: str | None) -> Any:
        """What the recipe says under a section's name; None where it says nothing."""
        self._seen.add(("section", name or ""))
        return self._sections[name] if name is not None else None

    def is_done(self, stage: str) -> bool:
        """Whether every task of a stage is done; so it is where there are none."""
        return stage in self._records

    def records(self, stage: str) -> StageRecords:
        """Records of a stage that is done, as columns; empty where it has no task, or is not part of the run."""
        self._seen.add(("stage", stage))
        found = self._records.get(stage)
        return found if found is not None else _no_records()

    def done_stages(self) -> list[str]:
        """Names of the stages that are done, in the order in which they were finished."""
        return list(self._records)

    def tasks(self, stage: str) -> Sequence[DoneTask]:
        """Tasks of a stage that is done, by name; none where it has no task, or is not part of the run."""
        return StageTasks(self.records(stage))

    def output(self, stage: str, task: str, role: str) -> InputRef:
        """One file of one task as an input."""
        return file_ref(self.records(stage).output(task, role))

    def every(self, stage: str, role: str) -> InputRef:
        """Every file of a role of a stage as one input, through the stage's manifest."""
        records = self.records(stage)
        digest = xxhash.xxh3_128_hexdigest(json.dumps(records.digests(role)).encode())
        return InputRef((f"{stage}/{MANIFEST}",), digest, role, seals=(records.listing(role),))

    def outputs(self, stage: str, role: str) -> list[OutputFile]:
        """Every file of a role of a stage, by name."""
        return sorted(self.records(stage).outputs(role), key=lambda o: part_name(o.path))

    def counters(self, stage: str) -> dict[str, int]:
        """Counters of a stage, summed over its tasks."""
        return self.records(stage).counters()

    def removals(self) -> dict[str, InputRef]:
        """The list of documents that were taken out of this run, for the stages that would bring them back."""
        files = self.files.get(REMOVALS_INPUT, ())
        return {"removals": source_ref(files)} if files else {}


class OpenView(View):
    """A view to which stages are added as they are done. digests: of what plans looked at, by (kind, name)."""

    def __init__(self, seed: int, recipe_sha256: str, sections: Mapping[str, Any], sources: Sequence[Source],
                 files: Mapping[str, Sequence[InputFile]]) -> None:
        super().__init__(seed, recipe_sha256, sections, sources, files)
        self.digests: dict[tuple[str, str], str] = {}

    def plugins(self) -> Any:
        """JSON-ready facts of the plug-ins that sections hold; none here."""
        return {}

    def finish(self, stage: str, records: Mapping[str, TaskRecord]) -> None:
        """Take a stage as done. records: of all its tasks, by name."""
        self._records[stage] = records if isinstance(records, StageRecords) else StageRecords.of(records.values())

    def reopen(self, stages: Iterable[str]) -> None:
        """Take stages as not done, by name: they are planned anew."""
        for stage in stages:
            self._records.pop(stage, None)

    def noted(self, plan: Callable[[View], Iterable[Task]]) -> tuple[list[Task], list[tuple[str, str]]]:
        """The tasks of a plan, and what of this view it looked at: (kind, name), sorted."""
        self._seen = set()
        tasks, seen = list(plan(self)), sorted(self._seen)
        for kind, name in seen:
            if kind == "stage":
                self.records(name).forget()
        return tasks, seen


def bind(stage: Stage, view: View, task: Task) -> StageTask:
    """A planned task with the configuration that its record will name."""
    return next(bind_all(stage, view, (task,)))


def bind_all(stage: Stage, view: View, tasks: Iterable[Task]) -> Iterator[StageTask]:
    """Planned tasks with the configuration that their records will name."""
    config, fields = _configuration(stage, view)
    for task in tasks:
        yield StageTask(stage.path, stage.version, task.name, config, fields, task.inputs, task.variables,
                        task.settings)


def planned_fingerprints(stage: Stage, view: View, tasks: Iterable[Task]) -> list[str]:
    """Fingerprints of the identities that `bind_all` gives, in their order."""
    fingerprint = fingerprints(stage.path, stage.version, _configuration(stage, view)[1])
    return [fingerprint(task.name, task.variables, {name: ref.digest for name, ref in task.inputs.items()})
            for task in tasks]


def _configuration(stage: Stage, view: View) -> tuple[Any, dict[str, Any]]:
    """(what the recipe says of the stage, the fields that identities of its tasks name)."""
    config = view.section(stage.section)
    fields: dict[str, Any] = config.model_dump(mode="json") if config is not None else {}
    if stage.unicode is not None:
        fields["unicode"] = stage.unicode
    return config, fields


def run_in_order(storage: Storage, view: OpenView, stages: Sequence[Stage]) -> None:
    """Run stages one after another in this process, from the start: for callers who hold their data in memory.

    Args:
        storage: A folder of its own, which holds what the view's stages left.
        view: What is done already; the stages are added to it.
        stages: In an order in which each comes after what it needs.
    Raises:
        StageError: A stage cannot go on, or its check says that it cannot serve the next ones.
    """
    for stage in stages:
        bound = list(bind_all(stage, view, stage.plan(view)))
        records = {task.name: execute(storage, task, resolve(stage.function)) for task in bound}
        view.finish(stage.name, records)
        if stage.writes_manifest:
            write_manifest(storage, stage.path, view.records(stage.name))
        if stage.check is not None:
            stage.check(view)


def file_ref(output: OutputFile) -> InputRef:
    """An output of one task as an input of another."""
    return InputRef((output.path,), output.digest, output.role, output.n_bytes, seals=(output.seal,))


def source_ref(files: Sequence[InputFile]) -> InputRef:
    """Files of the user as an input, in their order."""
    digests = [[f.relative, f.digest] for f in files]
    digest = files[0].digest if len(files) == 1 else xxhash.xxh3_128_hexdigest(json.dumps(digests).encode())
    return InputRef(tuple(f.path for f in files), digest, None, sum(max(f.n_bytes, 0) for f in files))


def files_under(files: Mapping[str, Sequence[InputFile]], field: str) -> dict[str, InputRef]:
    """Input files whose fields of the recipe lie below one, as inputs under the names of their fields."""
    return {name: source_ref(found) for name, found in files.items() if name.startswith(f"{field}.")}


def part_of(path: str, folder: str) -> str:
    """The task name in an output's path: `clean/crawl/1a/part-x-1a2b3c4d.parquet` in `clean` is
    `crawl/part-x-1a2b3c4d`."""
    if not path.startswith(f"{folder}/"):
        raise ValueError(f"{path!r} does not lie in {folder!r}")
    parent, slash, last = path[len(folder) + 1 :].rpartition("/")
    return part_name(f"{parent}{slash}{last.rpartition('.')[0] or last}")


def documents_and(view: View, stage: str, role: str, name: str) -> Iterator[tuple[str, dict[str, InputRef]]]:
    """(task, its documents and its output of a stage) for every extracted part."""
    documents = view.records("extract").by_task("documents")
    for task in view.tasks(stage):
        yield task.task, {"documents": file_ref(documents[task.task]), name: file_ref(task.output(role))}


def partitions(inputs: Mapping[str, InputRef], n: int, **variables: Any) -> Iterator[Task]:
    """One task a partition, which all read the same inputs."""
    for partition in range(n):
        yield Task(f"part-{partition:05d}", inputs, {"partition": partition, **variables})
