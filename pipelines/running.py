"""Running a recipe: plan what is ready, make what is stale, and leave a folder that depends on nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from curate.sources.config import SourceConfig
from manifests.errors import CurateError, OwnershipError, RecipeError, StageError
from manifests.graph import REMOVALS_INPUT, Source, Stage, View
from manifests.late_imports import put_off_pandas
from manifests.records import Damage
from manifests.removals import DOCUMENTS, PENDING
from manifests.storage import Storage
from manifests.suggestion import meant_or_listed
from manifests.tasks import write_manifest
from pipelines.crawls import scan_crawl
from pipelines.earlier import scan_earlier
from pipelines.ending import ending_noted
from pipelines.engine import Engine, InlineEngine, Outcome
from pipelines.inputs import InputScanner
from pipelines.journal import finish_pending
from pipelines.locking import check_owner, empty, exclusive, write_lock
from pipelines.missing import require_files
from pipelines.planning import Progress, StagePlan, can_plan, keep_up_to_date, plan_stage, put_together
from pipelines.progress import Reporter, SilentReporter
from pipelines.queueing import Job
from pipelines.ray_engine import RayEngine
from pipelines.recipe import Recipe
from pipelines.remaking import Damaged
from pipelines.splitting import split_archives
from pipelines.stages import STAGES, check_stages
from pipelines.stopping import FinishedWhatRan, Stop, stoppable
from pipelines.sweeping import sweep
from pipelines.time_limit import TaskTimeoutError
from pipelines.work_folder import COMMAND_FILE

_SPACE_FACTOR = 3  # a run's folder against its inputs, as measured on compressed archives and on text


@dataclass(slots=True)
class Result:
    """What a run came to. view: the records of every stage that is done. n_done: tasks done by this call. failed: tasks
    over source files that were set aside, with their errors. remade: files of the run that were found to be damaged,
    and made again."""

    view: View
    seconds: float
    n_done: int
    failed: list[tuple[str, CurateError]] = field(default_factory=list)
    remade: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0

    @property
    def damage(self) -> list[Damage]:
        """Every part of the input that was skipped, in the order of stages and tasks."""
        return [d for stage in self.view.done_stages() for r in self.view.records(stage).damaged() for d in r.damage]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run; nothing of it reaches any output.

    engine: ray or inline. address: a Ray cluster's, None for this machine. workers: tasks at a time. worker_memory:
    bytes a task reserves. until: the last stage to do. fresh: delete the folder's run first. only: the stages to do; a
    name that is no stage's, such as `dedup` or `decontaminate/`, means all in that folder; the others count as done,
    with no output. guards: whether a stage that leaves too little stops the run. tracebacks: inline, whether an
    unexpected error is raised as it is, for debugging, or fails its task alone. task_timeout: seconds that a task may
    take; one that takes longer stops the run, which can be continued. check_inputs: whether local inputs are read whole
    before any work, though size and time of change are as they were."""

    engine: str = "ray"
    address: str | None = None
    workers: int | None = None
    worker_memory: int | None = None
    until: str | None = None
    fresh: bool = False
    only: tuple[str, ...] = ()
    guards: bool = True
    tracebacks: bool = True
    task_timeout: float | None = None
    check_inputs: bool = False


def run(recipe: Recipe, out: str, settings: Settings | None = None, reporter: Reporter | None = None,
        stages: Sequence[Stage] | None = None) -> Result:
    """Run a recipe into a folder or a URL, going on where an earlier call stopped.

    Args:
        recipe: What to do.
        out: The run's folder.
        settings: How to run; on Ray unless it says otherwise.
        reporter: Hears of every task.
        stages: The stages there are, `[*STAGES, Stage(...)]` to add some: each after what it needs. The run's lock file
            names those that were added, and a later call without them is refused.
    Returns:
        The records of every stage; source files that could not be read are in `failed`.
    Raises:
        RecipeError: Before any work, where the recipe or the list of stages cannot be run.
        StageError: A stage cannot go on.
        OwnershipError: The folder is in use, or holds a run of another recipe or format, or with other stages.
    """
    settings = settings or Settings()
    storage = Storage(out, recipe.s3.access())
    if storage.local and os.path.isfile(storage.root):
        raise RecipeError("is a file, and a folder is meant", where=f"--output {out}")
    graph = _graph(stages, recipe)
    if not settings.only and storage.exists(COMMAND_FILE):
        raise OwnershipError("is the folder that a command works in, and goes when that is done", where=out,
                             hint="choose another --output")
    chosen = [s for s in _until(settings.until, graph) if not settings.only or _is_among(s, settings.only, graph)]
    check_owner(storage, recipe, settings.fresh, graph)
    if storage.exists(PENDING):
        with exclusive(storage):
            finish_pending(storage)
    put_off_pandas()
    scanner = InputScanner(storage, recipe.http, settings.check_inputs)
    progress = scan(recipe, scanner)
    with exclusive(storage):
        check_owner(storage, recipe, settings.fresh, graph)
        if settings.fresh:
            empty(storage)
        _check_space(storage, progress)
        scanner.save()
        write_lock(storage, progress, graph)
        with ending_noted(storage):
            return run_stages(storage, progress, chosen, settings, reporter, graph)


def _graph(stages: Sequence[Stage] | None, recipe: Recipe) -> Sequence[Stage]:
    """The stages that there are, checked where a caller gives them."""
    if stages is None:
        return STAGES
    check_stages(stages)
    sections = recipe.sections()
    for stage in stages:
        if stage.section is not None and stage.section not in sections:
            raise RecipeError(f"depends on a section {stage.section!r}, which recipes do not have",
                              where=f"stage {stage.name!r}", hint=f"None, or one of: {', '.join(sorted(sections))}")
    return tuple(stages)


def run_stages(storage: Storage, progress: Progress, stages: Sequence[Stage], settings: Settings | None = None,
               reporter: Reporter | None = None, graph: Sequence[Stage] | None = None) -> Result:
    """Run some stages over what `progress` knows already; stages that are not among them count as done.

    Args:
        storage: The run's folder.
        progress: Sources, input files and the records of stages that are done; the new ones are added to it.
        stages: In an order in which each comes after what it needs.
        settings: How to run; on Ray unless it says otherwise.
        reporter: Hears of every task.
        graph: All stages that there are, of which `stages` are some; by default the pipeline's own.
    Returns:
        What came of it, with the tasks over source files that were set aside.
    Raises:
        StageError: A stage cannot go on, or its check says that it cannot serve the next ones.
    """
    graph = STAGES if graph is None else graph
    own = {stage.name for stage in graph}
    every = (*graph, *(stage for stage in STAGES if stage.name not in own))
    chosen = _with_needs_of_absent(stages, every)
    for stage in every:
        if stage not in stages and not progress.is_done(stage.name):
            progress.finish(stage.name, {})
    return _Run(storage, progress, chosen, every, settings or Settings(), reporter or SilentReporter()).execute()


def _with_needs_of_absent(stages: Sequence[Stage], every: Sequence[Stage]) -> list[Stage]:
    """The stages, each needing also what those of its needs need that are left out."""
    by_name = {stage.name: stage for stage in every}
    chosen = {stage.name for stage in stages}

    def needs(stage: Stage) -> set[str]:
        absent = [by_name[name] for name in stage.needs if name not in chosen and name in by_name]
        return {*stage.needs, *(need for other in absent for need in needs(other))}

    return [replace(stage, needs=tuple(sorted(needs(stage)))) for stage in stages]


def _is_among(stage: Stage, names: Sequence[str], graph: Sequence[Stage]) -> bool:
    """Whether a stage is named, or lies in a folder that is named and no stage itself, or ends in a slash."""
    stages = {s.name for s in graph}
    return any(stage.name == name or (name not in stages and f"{stage.name}/".startswith(f"{name.rstrip('/')}/"))
               for name in names)


def dry_run(recipe: Recipe, out: str, until: str | None = None, fresh: bool = False,
            stages: Sequence[Stage] | None = None) -> list[tuple[Stage, StagePlan | None]]:
    """What `run` would do now: each stage with its plan, or None where that depends on stages yet to be done.

    Raises as `run` does before any work."""
    storage = Storage(out, recipe.s3.access())
    graph = _graph(stages, recipe)
    check_owner(storage, recipe, fresh, graph)
    progress = scan(recipe, InputScanner(storage, recipe.http))
    plans: list[tuple[Stage, StagePlan | None]] = []
    for stage in _until(until, graph):
        plan = plan_stage(stage, progress, storage, fresh) if can_plan(stage, progress) else None
        if plan is not None and not plan.stale:
            progress.finish(stage.name, plan.records())
        plans.append((stage, plan))
    return plans


def scan(recipe: Recipe, scanner: InputScanner) -> Progress:
    """Find and fingerprint every input file of a recipe."""
    require_files(recipe)
    sources = tuple(scan_crawl(name, source, recipe.http, scanner) if source.commoncrawl
                    else _scan_files(name, source, recipe, scanner)
                    for name, source in recipe.sources.items() if source.derived_from is None)
    others = {name: scanner.scan(patterns, name) for name, patterns in recipe.other_files().items()}
    others |= scan_earlier(recipe, scanner)
    if (removals := scanner.own_file(DOCUMENTS)) is not None:
        others[REMOVALS_INPUT] = (removals,)
    return Progress(recipe, sources, others)


def _scan_files(name: str, source: SourceConfig, recipe: Recipe, scanner: InputScanner) -> Source:
    files = scanner.scan(source.files, f"sources.{name}.files", source.in_order)
    return Source(name, split_archives(files, source, recipe.http, scanner), source)


def _until(name: str | None, graph: Sequence[Stage]) -> Sequence[Stage]:
    """The stages up to a named one, with only what it needs."""
    if name is None:
        return graph
    by_name = {s.name: s for s in graph}
    # `dedup` means the last stage of that folder.
    wanted = [s for s in by_name if s == name] or [s for s in by_name if s.startswith(f"{name}/")]
    if not wanted:
        raise RecipeError(f"no stage is called {name!r}", where="--until", hint=meant_or_listed(name, list(by_name)))
    needed = set[str]()
    todo = [wanted[-1]]
    while todo:
        stage = todo.pop()
        if stage not in needed:
            needed.add(stage)
            todo += [need for need in by_name[stage].needs if need in by_name]
    return [s for s in graph if s.name in needed]


def _check_space(storage: Storage, progress: Progress) -> None:
    wanted = _SPACE_FACTOR * sum(f.n_bytes for s in progress.sources for f in s.files if f.n_bytes > 0)
    free = storage.free_bytes()
    if free is None or free >= wanted:
        return
    used = sum(storage.size(n) or 0 for n in storage.list("")) if storage.local else 0
    if free + used < wanted:
        raise StageError(f"{free / 1e9:.1f} GB are free where about {wanted / 1e9:.1f} GB will be needed",
                         where=storage.root, hint="free some space or choose another --output")


class _Run:
    """One call of `run`: an event loop over outcomes, starting every stage as soon as what it needs is done."""

    def __init__(self, storage: Storage, progress: Progress, stages: Sequence[Stage], every: Sequence[Stage],
                 settings: Settings, reporter: Reporter) -> None:
        self._storage = storage
        self._progress = progress
        self._stages = list(stages)
        self._waiting = list(stages)
        self._every = every
        self._complete = len(stages) == len(every)
        self._settings = settings
        self._reporter = reporter
        self._active: dict[str, tuple[StagePlan, set[str]]] = {}  # by stage: its plan, and its tasks yet to come
        self._others: set[str] = set()  # files among those of stages that their records do not name
        self._damaged = Damaged(storage)
        self._reported: set[str] = set()  # stages that are done, and told to be
        self._result = Result(progress, 0.0, 0)

    def execute(self) -> Result:
        started = time.monotonic()
        self._reporter.run_started(self._storage.root, [stage.name for stage in self._waiting])
        queue: list[Job] = []
        with stoppable(self._reporter.stopping) as stop:
            self._start_ready(queue.append)
            with self._engine() if queue else nullcontext() as engine:
                while engine is not None:
                    self._work_off(engine, queue, stop)
                    if not self._damaged or stop.requested:
                        break
                    queue = self._begin_again()
            if stop.requested and (self._active or self._waiting):
                self._storage.clear_staging()
                raise FinishedWhatRan
        if not self._result.failed and self._complete:
            sweep(self._storage, self._progress, self._every, self._others)
        self._storage.clear_staging()
        self._result.failed.sort(key=lambda failure: failure[0])  # not in the order in which they ended
        self._result.seconds = time.monotonic() - started
        return self._result

    def _work_off(self, engine: Engine, queue: list[Job], stop: Stop) -> None:
        """Do jobs, and what they make ready, until none is left, somebody asks to stop, or files must be made again."""
        for job in queue:
            engine.submit(job)
        for outcome in engine.outcomes():
            if self._settle(outcome) and not stop.requested and not self._damaged:
                self._start_ready(engine.submit)
            if stop.requested:
                engine.drain()

    def _begin_again(self) -> list[Job]:
        """Remove damaged files and plan every stage anew, as another call of `run` would; the jobs that are ready. What
        wrote these files is stale; what comes out as it was leaves all else up to date."""
        for name in self._damaged.remove():
            self._result.remade.append(name)
            self._reporter.remaking(name)
        self._waiting = list(self._stages)
        self._active.clear()
        self._result.failed.clear()
        self._progress.reopen(stage.name for stage in self._stages)
        queue: list[Job] = []
        self._start_ready(queue.append)
        return queue

    def _engine(self) -> AbstractContextManager[Engine]:
        s, access = self._settings, self._storage.access
        if s.engine == "inline":
            return InlineEngine(self._storage.root, access, s.tracebacks, s.task_timeout)
        return RayEngine(self._storage.root, access, s.address, s.workers, s.worker_memory, s.task_timeout)

    def _start_ready(self, submit: Callable[[Job], None]) -> None:
        """Plan every stage that can be; a stage with nothing to do is done at once and may free others."""
        while ready := [s for s in self._waiting if can_plan(s, self._progress)]:
            for stage in ready:
                self._waiting.remove(stage)
                plan = plan_stage(stage, self._progress, self._storage)
                self._others.update(plan.others)
                if plan.stale or stage.name not in self._reported:
                    self._reported.discard(stage.name)
                    self._reporter.stage_started(stage.name, len(plan.up_to_date), len(plan.stale))
                    self._reporter.stage_sized(stage.name, {task.name: task.n_bytes for task, _ in plan.stale})
                self._active[stage.name] = (plan, {task.name for task, _ in plan.stale})
                if plan.stale:
                    keep_up_to_date(plan, self._storage)
                # The longest first, so that none of them begins when all others are done.
                for task, _ in sorted(plan.stale, key=lambda stale: (-stale[0].n_bytes, stale[0].name)):
                    submit(Job(task, stage.function, stage.name))
                self._finish_if_done(stage)

    def _settle(self, outcome: Outcome) -> bool:
        """Take in what became of a job; whether its stage is done with it."""
        task, name = outcome.job.task, outcome.job.owner
        plan, left = self._active[name]
        if outcome.error is not None and self._damaged.explains(task, outcome.error, self._progress):
            return False
        left.discard(task.name)
        if outcome.record is not None:
            plan.take(outcome.record)
            self._result.n_done += 1
            self._reporter.task_done(name, outcome.record)
        elif outcome.error is not None:
            if not plan.stage.reads_source or isinstance(outcome.error, TaskTimeoutError):
                raise outcome.error
            self._result.failed.append((f"{task.stage}/{task.name}", outcome.error))
            self._reporter.task_failed(name, task.name, outcome.error)
        return self._finish_if_done(plan.stage)

    def _finish_if_done(self, stage: Stage) -> bool:
        plan, left = self._active[stage.name]
        if left:
            return False
        del self._active[stage.name]
        records = plan.records()
        if stage.writes_manifest and not (plan.remembered and plan.is_listed):
            write_manifest(self._storage, stage.path, records)
        if not plan.remembered and plan.n_done == len(plan.stale):
            records = put_together(plan, records, self._storage)
        self._progress.finish(stage.name, records)
        if stage.check is not None and self._settings.guards:
            stage.check(self._progress)
        if stage.name not in self._reported:
            self._reported.add(stage.name)
            self._reporter.stage_done(stage.name, self._progress.counters(stage.name))
        records.forget()
        return True
