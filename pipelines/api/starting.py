"""Running a recipe from Python: what `curate run` does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from curate.caches import keep_kernels
from manifests.errors import RecipeError
from manifests.graph import Stage
from pipelines.api.runs import Run
from pipelines.loading import load_recipe
from pipelines.progress import Reporter
from pipelines.recipe import Recipe
from pipelines.running import Settings, dry_run
from pipelines.running import run as execute
from pipelines.summary import plan_rows

_ENGINES = ("ray", "inline")
PLAN: Final = pa.schema([
    pa.field("stage", pa.string(), nullable=False), pa.field("up_to_date", pa.int64()),
    pa.field("to_do", pa.int64()), pa.field("why", pa.list_(pa.string()), nullable=False)])


def run(recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe, out: str | os.PathLike[str], *,
        overrides: Mapping[str, Any] | Sequence[str] = (), engine: str = "ray", address: str | None = None,
        workers: int | None = None, worker_memory: int | None = None, until: str | None = None, fresh: bool = False,
        task_timeout: float | None = None, check_inputs: bool = False, stages: Sequence[Stage] | None = None,
        reporter: Reporter | None = None) -> Run:
    """Run a recipe into a folder, or go on where an earlier call stopped: what `curate run` does.

    Args:
        recipe: A file, the name of a packaged recipe (`gpt3`), a mapping of a recipe's fields, or a `Recipe`.
        out: The run's folder, or a URL.
        overrides: Values of variables or dotted fields, `{"select.alpha": 3}`; or `--set`'s form, `["select.alpha=3"]`.
        engine: `ray`, or `inline` to run every task in this process. A session of Ray that this process has is used.
        address: Ray cluster to join; without it Ray starts on this machine.
        workers: Tasks at a time; all cores by default.
        worker_memory: Bytes that a worker reserves on its node.
        until: The last stage to do.
        fresh: Whether a run in the folder is deleted first.
        task_timeout: Seconds that a task may take; one that takes longer stops the run, which can be continued.
        check_inputs: Whether local inputs are read whole before any work, though size and time are as they were.
        stages: `[*STAGES, Stage(...)]` to add stages of one's own.
        reporter: Hears of every task; nothing is printed without.
    Returns:
        The run. Its `result` says how many tasks were done, what input was damaged (`result.damage`), and which source
        files could not be read (`result.failed`): they are set aside, and the run goes on.
    Raises:
        RecipeError: Before any work, where the recipe cannot be run.
        StageError: A stage cannot go on.
        OwnershipError: The folder is in use, or holds a run of another recipe, format or list of stages.
    """
    if engine not in _ENGINES:
        raise RecipeError(f"not an engine: {engine!r}", where="run(): engine", hint=" or ".join(_ENGINES))
    keep_kernels()
    settings = Settings(engine, address, workers, worker_memory, until, fresh, task_timeout=task_timeout,
                        check_inputs=check_inputs)
    folder = os.fspath(out)
    result = execute(load_recipe(recipe, overrides), folder, settings, reporter, stages)
    return Run(folder, result)


def plan(recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe, out: str | os.PathLike[str], *,
         overrides: Mapping[str, Any] | Sequence[str] = (), until: str | None = None, fresh: bool = False,
         stages: Sequence[Stage] | None = None) -> pa.Table:
    """What `run` would do now, and why; nothing is written.

    Args:
        recipe: As of `run`.
        out: The run's folder, or a URL.
        overrides: As of `run`.
        until: The last stage to do.
        fresh: As if the folder were empty.
        stages: As of `run`.
    Returns:
        A row for each stage: tasks that are up to date and tasks to do, null where that depends on stages yet to be
        done, and the reasons.
    Raises:
        RecipeError, OwnershipError: As `run`, before any work.
    """
    plans = dry_run(load_recipe(recipe, overrides), os.fspath(out), until, fresh, stages)
    return pa.Table.from_pylist(plan_rows(plans), PLAN)
