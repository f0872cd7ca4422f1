"""A run over N archives whose tasks only touch files: the real plans and the real event loop over the whole graph.

A demo run of few pages is made first. Its records say which files the tasks of each stage leave and how long they took;
what a stage leaves that had nothing to do in it, such as merges, is said here. Every task of the large run then leaves
such files, empty, where the real one would, and its record. So the driver's work is real: plans, fingerprints, the
queue, outcomes, tables of records, manifests. What workers would open and ask for is counted from the inputs that the
plans give to tasks.
"""

from __future__ import annotations

import heapq
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self
from unittest import mock

import xxhash

from manifests.graph import Stage
from manifests.part_paths import part_name, part_path
from manifests.partitioned import SUFFIX
from manifests.records import OutputFile, TaskRecord, record_name
from manifests.storage import Storage
from manifests.tasks import MANIFEST, StageTask
from pipelines import planning, running
from pipelines.demo.web import render
from pipelines.engine import Engine, Outcome
from pipelines.inputs import InputScanner
from pipelines.loading import load_recipe
from pipelines.locking import write_lock
from pipelines.planning import Progress, StagePlan
from pipelines.progress import SilentReporter
from pipelines.queueing import Attempt, Job, JobQueue
from pipelines.recipe import Recipe
from pipelines.running import Settings, run, scan
from pipelines.stages import STAGES

PARTS_A_SHARD: Final = 10
_WORKERS: Final = 1000
_PAGES: Final = 400
_PAGES_A_PART: Final = 33_000  # of an archive of Common Crawl
_LONGER: Final = 8 * _PAGES_A_PART / _PAGES  # the demo web has eight archives
_LEFT: Final = {"pack/merged": (("tokens", ".tokens"), ("index", ".parquet")), "pack/rows": (("rows", ".parquet"),)}


def recipe_of(web: Path) -> Recipe:
    """The demo's recipe on a web."""
    return load_recipe("demo", [f"web={web}"])


@dataclass(slots=True)
class StageCost:
    """What a stage came to. driver: CPU seconds of its plan, its outcomes and its table. opens: files that its tasks
    read. written: files that they leave. calls: of workers."""

    tasks: int = 0
    calls: int = 0
    opens: int = 0
    written: int = 0
    driver: float = 0.0


@dataclass(slots=True)
class Simulation:
    """What a simulated run came to. driver: CPU seconds of the whole driver, without what tasks do."""

    stages: dict[str, StageCost] = field(default_factory=lambda: defaultdict(StageCost))
    driver: float = 0.0


def make(folder: Path, parts: int) -> Simulation:
    """`folder/web` with so many archives, and a finished run of it in `folder/run`."""
    render(folder / "small", n_pages=_PAGES)
    template = run(recipe_of(folder / "small"), str(folder / "template"), Settings("inline")).view
    like = {stage.name: list(template.records(stage.name).values()) for stage in STAGES}
    shutil.copytree(folder / "small", folder / "web")
    for archive in (folder / "web/crawl").iterdir():
        archive.unlink()
    for number in range(parts):
        (folder / f"web/crawl/part-{number:06d}.warc.gz").write_bytes(number.to_bytes(4, "little"))
    recipe, storage = recipe_of(folder / "web"), Storage(str(folder / "run"))
    scanner = InputScanner(storage)
    progress = scan(recipe, scanner)
    scanner.save()
    write_lock(storage, progress)
    simulation = Simulation()
    started = time.process_time()
    with _Driver(storage, progress, simulation, like, parts) as driver:
        driver.execute()
    simulation.driver = time.process_time() - started - driver.tasks_seconds
    return simulation


class _Driver(running._Run):
    """The real event loop, with its CPU by stage, over an engine that only touches files."""

    def __init__(self, storage: Storage, progress: Progress, simulation: Simulation,
                 like: dict[str, list[TaskRecord]], parts: int) -> None:
        super().__init__(storage, progress, STAGES, STAGES, Settings("inline", guards=False), SilentReporter())
        self._simulation = simulation
        self._tasks = _Tasks(storage, progress, like, parts)
        self._plan = planning.plan_stage
        self.tasks_seconds = 0.0

    def __enter__(self) -> Self:
        self._patch = mock.patch.object(running, "plan_stage", self._planned)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _engine(self) -> AbstractContextManager[Engine]:
        return SimulatedEngine(self)

    def _planned(self, stage: Stage, *arguments: Any) -> StagePlan:
        with self._driving(stage.name):
            return self._plan(stage, *arguments)

    def _settle(self, outcome: Outcome) -> bool:
        with self._driving(outcome.job.owner):
            return super()._settle(outcome)

    @contextmanager
    def _driving(self, stage: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self._simulation.stages[stage].driver += time.process_time() - started

    def done(self, job: Job) -> tuple[TaskRecord, float]:
        """A job as its worker would leave it, and the seconds that the one like it took, for as many pages."""
        started = time.process_time()
        record = self._tasks.leave(job)
        cost = self._simulation.stages[job.owner]
        cost.tasks += 1
        cost.opens += self._tasks.opens(job.task)
        cost.written += len(record.outputs)
        self.tasks_seconds += time.process_time() - started
        return record, record.seconds * _LONGER

    def called(self, stage: str) -> None:
        """Count a call."""
        self._simulation.stages[stage].calls += 1


class SimulatedEngine:
    """Workers in simulated time; jobs are queued and shared among calls as on Ray."""

    workers = _WORKERS

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self._queue = JobQueue(self.workers)

    def submit(self, job: Job) -> None:
        self._queue.add(Attempt(job))

    def outcomes(self) -> Iterator[Outcome]:
        calls: list[tuple[float, int, float, list[Attempt]]] = []
        now, number = 0.0, 0
        records: dict[int, list[TaskRecord]] = {}
        while self._queue or calls:
            while len(calls) < self.workers and (call := self._queue.take()):
                self._driver.called(call[0].job.owner)
                done = [self._driver.done(attempt.job) for attempt in call]
                seconds = sum(taken for _, taken in done)
                number += 1
                records[number] = [record for record, _ in done]
                heapq.heappush(calls, (now + seconds, number, seconds, call))
            now, ended, seconds, call = heapq.heappop(calls)
            self._queue.ended(call, seconds)
            for attempt, record in zip(call, records.pop(ended), strict=True):
                yield Outcome(attempt.job, record)

    def drain(self) -> None:
        """Nobody asks a simulation to stop."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class _Tasks:
    """What tasks leave and open. like: records of the small run, by stage. parts: archives of the large one."""

    def __init__(self, storage: Storage, progress: Progress, like: dict[str, list[TaskRecord]], parts: int) -> None:
        self._storage, self._progress, self._parts = storage, progress, parts
        self._like: dict[tuple[str, str], TaskRecord] = {}
        for stage, records in like.items():
            for record in sorted(records, key=lambda r: sum(o.n_rows for o in r.outputs)):
                self._like[stage, record.identity.task.split("/")[0]] = record  # of a source, the largest
                self._like.setdefault((stage, ""), record)
        self._folders: set[str] = set()
        self._listed: Counter[tuple[str, str | None]] = Counter()

    def leave(self, job: Job) -> TaskRecord:
        """Touch the files of a task, and its record; what the record would say."""
        task = job.task
        like = self._like.get((job.owner, task.name.split("/")[0])) or self._like.get((job.owner, ""))
        identity = task.identity
        outputs = tuple(self._outputs(job.owner, task, like))
        for path in (*(output.path for output in outputs), record_name(task.stage, task.name)):
            self._touch(path)
        if like is None:
            return TaskRecord(identity, outputs, {}, fingerprint=identity.fingerprint)
        return replace(like, identity=identity, outputs=outputs, counters=self._counters(job.owner, like),
                       fingerprint=identity.fingerprint)

    def opens(self, task: StageTask) -> int:
        """Files that a task reads: those of its inputs, and those that a manifest among them lists."""
        n = 0
        for ref in task.inputs.values():
            for path in ref.paths:
                n += 1
                if path.endswith(f"/{MANIFEST}"):
                    n += self._n_listed(path.removesuffix(f"/{MANIFEST}"), ref.role)
        return n

    def _n_listed(self, stage: str, role: str | None) -> int:
        if (stage, role) not in self._listed:
            roles = self._progress.records(stage).files()["role"].to_pylist()
            self._listed[stage, role] = len(roles) if role is None else roles.count(role)
        return self._listed[stage, role]

    def _outputs(self, stage: str, task: StageTask, like: TaskRecord | None) -> Iterator[OutputFile]:
        if like is None:
            for role, suffix in _LEFT.get(stage) or ((task.variables["role"], SUFFIX),):
                yield _file(role, part_path(f"{task.stage}/{task.name}{suffix}"), 1)
            return
        # Not by the task's whole name: `clean/webtext` has files of tasks that are called `crawl/…`.
        known, last = like.identity.task.rpartition("/")[2], task.name.rpartition("/")[2]
        for output in like.outputs:
            yield _file(output.role, part_path(part_name(output.path).replace(known, last)), output.n_rows)

    def _counters(self, stage: str, like: TaskRecord) -> dict[str, int]:
        counters, shards = dict(like.counters), max(1, self._parts // PARTS_A_SHARD)
        if stage == "pack/layout":
            counters |= {"train_shards": shards, "val_shards": max(1, shards // 100)}
        elif stage == "pack/shuffle":  # there are about two of them for an archive
            counters["train_tokens"] = self._progress.recipe.pack.shard_tokens // (2 * PARTS_A_SHARD)
        return counters

    def _touch(self, name: str) -> None:
        path = self._storage.path(name)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def _file(role: str, path: str, n_rows: int) -> OutputFile:
    return OutputFile(role, path, 0, xxhash.xxh3_128_hexdigest(path.encode()), n_rows)


def fullest_folder(root: Path) -> tuple[int, str]:
    """(names, folder) of the folder of a run that holds most names."""
    most = (0, "")
    for folder, folders, names in os.walk(root):
        most = max(most, (len(names) + len(folders), os.path.relpath(folder, root)))
    return most


def groups_of(costs: dict[str, StageCost]) -> Sequence[tuple[str, StageCost]]:
    """Costs of groups of stages, in the order of the graph."""
    groups: dict[str, StageCost] = {}
    for stage in STAGES:
        cost = costs.get(stage.name)
        if cost is not None and cost.tasks:
            total = groups.setdefault(stage.name.split("/")[0], StageCost())
            for name in ("tasks", "calls", "opens", "written", "driver"):
                setattr(total, name, getattr(total, name) + getattr(cost, name))
    return list(groups.items())
