"""What `curate status` prints: the stages that the recipe uses, in groups, and one sentence on where the run stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from rich.table import Table

from manifests.records import TaskRecord
from manifests.run_records import every_record
from manifests.storage import Storage
from pipelines.terminal import console

_GROUPS: Final = {
    "extract": "documents", "classifier": "classifier", "classifier/labels": "selection", "signals": "selection",
    "select": "selection", "dedup": "deduplication", "decontaminate": "decontamination", "clean": "clean corpus",
    "tokenizer": "tokenizer", "tokens": "tokens", "mix": "mixture and packing", "pack": "mixture and packing",
    "packed": "mixture and packing"}
_WATCH_SECONDS: Final = 2.0
_RECENT: Final = 20
_HOURS_FROM: Final = 360.0  # seconds: a tenth of an hour

Stages = Sequence[Mapping[str, Any]]


def group_of(stage: str) -> str:
    """The group by whose name a person is told of a stage."""
    first = stage.split("/")[0]
    return _GROUPS.get(stage, _GROUPS.get(first, first))


def turned_off(recipe: Mapping[str, Any]) -> list[str]:
    """Stages, by the first word of their names, that a recipe's fields turn off."""
    off = {"classifier": recipe.get("classifier") is None,
           "decontaminate": not (recipe.get("decontaminate") or {}).get("benchmarks")}
    return [name for name, is_off in off.items() if is_off]


def is_off(stage: str, unused: Sequence[str]) -> bool:
    """Whether a stage is among those. The labels of `classifier/labels` are of use without a classifier."""
    return stage in unused or (stage not in _GROUPS and stage.split("/")[0] in unused)


def used(stages: Stages, unused: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """Stages that the recipe asks something of: a stage that is done without a task is asked nothing.

    unused: Groups that the recipe turns off: of a run that has not come to them only they are known to ask nothing."""
    return [row for row in stages if row["tasks"] or not (row["done"] or is_off(row["stage"], unused))]


def sentence(stages: Stages, stopped: str | None = None, unused: Sequence[str] = ()) -> str:
    """Where a run stands. stopped: why its last call did not come to its end, where that is known."""
    asked = used(stages, unused)
    left = [row["stage"] for row in asked if not row["done"]]
    seconds = sum(row["seconds"] for row in asked)
    work = f"{seconds / 3600:,.2f} core-hours" if seconds >= _HOURS_FROM else f"{seconds:,.0f} core-seconds"
    size = sum(row["n_bytes"] for row in asked) / 1e6
    damaged = sum(row["damaged"] for row in asked)
    odd = f"; {damaged:,} {'place' if damaged == 1 else 'places'} of the input could not be read" if damaged else ""
    if not left:
        return f"Finished: all {len(asked)} stages are done, {size:,.1f} MB in {work}{odd}."
    begun = [row["stage"] for row in asked if not row["done"] and row["tasks"]]
    at = f"at work or stopped in {begun[0]}" if begun else f"next is {left[0]}"
    if stopped is not None:
        at = f"it stopped: {stopped}"
    n = len(asked) - len(left)  # of how many is not known: a stage that will be asked nothing is not done either
    return f"Not finished: {n} {'stage is' if n == 1 else 'stages are'} done, {at}; `curate run` goes on{odd}."


def print_status(rows: Sequence[Mapping[str, Any]], every: bool = False) -> None:
    """Print the status of runs for a person. every: a line for each stage, not for each group of them."""
    terminal = console()
    for run in rows:
        terminal.print(f"{run['run']}: recipe {run['recipe']}")
        if run["other_version"]:
            terminal.print(f"of version {run['other_version']}: `curate why`, `trace`, `verify` and `export` read "
                           "it, `curate run --fresh` makes it anew", soft_wrap=True)
        unused = run.get("unused") or ()
        terminal.print(_table(used(run["stages"], unused), every or bool(run["other_version"]), run.get("files")))
        terminal.print(sentence(run["stages"], run.get("stopped"), unused), soft_wrap=True)


def _table(stages: Stages, every: bool, n_files: int | None) -> Table:
    table = Table("stage", "tasks", "done", "MB", "core-seconds", "damaged", box=None, pad_edge=False)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in stages:
        groups.setdefault(row["stage"] if every else group_of(row["stage"]), []).append(row)
    for name, own in groups.items():
        done = sum(bool(row["done"]) for row in own)
        tasks = sum(row["tasks"] for row in own)
        of_files = f"{tasks} of about {n_files}" if own[0]["stage"] == "extract" and n_files and not done else None
        table.add_row(
            name, of_files or str(tasks), "yes" if done == len(own) else "in part" if done or tasks else "no",
            f"{sum(row['n_bytes'] for row in own) / 1e6:,.1f}", f"{sum(row['seconds'] for row in own):,.1f}",
            str(sum(row["damaged"] for row in own) or ""))
    return table


def remaining(records: Callable[[str], Iterable[TaskRecord]], stages: Stages, n_parts: int, now: datetime
              ) -> str | None:
    """How long the stage that is at work will take, by the pace of its last tasks; None where nothing tells.

    Args:
        records: Gives those of a stage.
        stages: Its status.
        n_parts: Input files: what most stages have a task for.
        now: In UTC.
    """
    for row in used(stages):
        if row["done"] or not 1 < row["tasks"] < n_parts:
            continue
        times = sorted(datetime.fromisoformat(r.finished_at) for r in records(row["stage"])
                       if r.identity.stage == row["stage"] and r.finished_at)[-_RECENT:]
        if len(times) < 2:
            continue
        pace = (max(now, times[-1]) - times[0]).total_seconds() / (len(times) - 1)
        seconds = pace * (n_parts - row["tasks"])
        return f"{row['stage']}: {row['tasks']} of about {n_parts} tasks, {_duration(seconds)} left for it"
    return None


def watch(describe: Any, run: str, n_parts: int) -> None:
    """Print a run's status again and again, until it is finished or the person has seen enough.

    Args:
        describe: Gives the facts of the run, as `Run.describe` does.
        run: Its folder or URL.
        n_parts: Its input files.
    """
    terminal = console()
    while True:
        facts = describe()
        if terminal.is_terminal:
            terminal.clear()
        print_status([facts])
        left = remaining(partial(every_record, Storage(run), None), facts["stages"], n_parts, datetime.now(UTC))
        if left is not None:
            terminal.print(left)
        if all(row["done"] for row in used(facts["stages"])):
            return
        time.sleep(_WATCH_SECONDS)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
