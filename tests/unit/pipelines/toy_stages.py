"""Stages that only add up numbers, for tests of what plans and runs stages; workers on Ray import them from here."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel

from manifests.errors import InputError
from manifests.graph import Stage, Task, View
from manifests.tables import read_table
from manifests.tasks import StageTask, Work
from pipelines.loading import validate
from pipelines.queueing import Job
from pipelines.recipe import Recipe

NUMBERS = pa.schema([pa.field("n", pa.int64())])


class Adding(BaseModel):
    """What the toy stages depend on."""

    amount: int = 1


def recipe(name: str = "toy") -> Recipe:
    """A recipe that nothing of is read but its name."""
    return validate({"name": name, "sources": {"pages": {"files": "pages.jsonl"}}, "classifier": None,
                     "mixture": {"weights": {"pages": 1}}})


def add(config: Adding | None, work: Work) -> None:
    """The sum of all inputs, the task's own number and the amount, as a table of one row."""
    inputs = [path for name in sorted(work.task.inputs) for path in work.inputs(name)]
    total = sum(sum(read_table(path)["n"].to_pylist()) for path in inputs)
    total += work.variables.get("number", 0) + (config.amount if config is not None else 0)
    work.count("rows")
    work.write("numbers", NUMBERS, [pa.table({"n": [total]}, NUMBERS)])


def count_rows(config: Adding | None, work: Work) -> None:
    """The number of rows of an input, as a table of one row."""
    n = sum(read_table(path, ["doc_id"]).num_rows for path in work.inputs("documents"))
    work.write("numbers", NUMBERS, [pa.table({"n": [n]}, NUMBERS)])


def refuse(config: Adding | None, work: Work) -> None:
    """An error that the stage foresaw."""
    raise InputError("cannot be read", where=work.task.name)


def _attempts(work: Work) -> int:
    """Number of this attempt at a task, from 1, counted in a file that the test names."""
    with open(work.settings["log"], "a", encoding="utf-8") as stream:
        stream.write("x")
    return len(Path(work.settings["log"]).read_text(encoding="utf-8"))


def stumble(config: Adding | None, work: Work) -> None:
    """An error that nobody foresaw, for as many attempts as the test says."""
    if _attempts(work) <= work.settings["failures"]:
        raise ZeroDivisionError("by accident")
    add(config, work)


def die(config: Adding | None, work: Work) -> None:
    """The first attempt kills its worker."""
    if _attempts(work) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    add(config, work)


def hang(config: Adding | None, work: Work) -> None:
    """Never end, in a call that keeps Python from running anything else of this process."""
    work.output("n")
    ctypes.PyDLL(None).sleep(600)


def doze(config: Adding | None, work: Work) -> None:
    """Take a minute, and write nothing."""
    time.sleep(60)


def run_out_of_memory(config: Adding | None, work: Work) -> None:
    """What numpy raises for an array that does not fit."""
    raise MemoryError


def meet(config: Adding | None, work: Work) -> None:
    """Wait in a folder for another task that is at work, as long as the test says, and write down how many were."""
    folder, until = Path(work.settings["log"]), time.monotonic() + work.settings["patience_seconds"]
    (folder / f"{work.task.name}.begun").touch()
    together = 1
    while together < 2 and time.monotonic() < until:
        time.sleep(0.02)
        together = len(list(folder.glob("*.begun"))) - len(list(folder.glob("*.ended")))
    (folder / f"{work.task.name}.together").write_text(str(together), encoding="utf-8")
    if together > 1:
        time.sleep(0.1)  # the others look as well
    (folder / f"{work.task.name}.ended").touch()
    add(config, work)


def task(stage: str, name: str, config: Adding | None = None, **settings: object) -> StageTask:
    """A task without inputs."""
    fields = config.model_dump() if config else {}
    return StageTask(stage, 1, name, config, fields, {}, {}, settings)


def job(function: str, name: str, **settings: object) -> Job:
    """One of these functions as a job of the stage `toy`."""
    return Job(task("toy", name, None, **settings), f"{__name__}:{function}")


def _two(view: View) -> Iterator[Task]:
    for number in range(2):
        yield Task(f"pages/part-{number}", {}, {"number": number})


def _both(view: View) -> Iterator[Task]:
    for record in view.tasks("first"):
        name = record.identity.task
        yield Task(name, {"numbers": view.output("first", name, "numbers")})


def _all(view: View) -> Iterator[Task]:
    yield Task("total", {"numbers": view.every("second", "numbers")})


FIRST = Stage("first", 1, f"{__name__}:add", None, (), _two, reads_source=True)
SECOND = Stage("second", 1, f"{__name__}:add", "adding", ("first",), _both)
THIRD = Stage("third", 1, f"{__name__}:add", None, ("second",), _all)
"""Two tasks without inputs, two that read one output each, and one over all of theirs."""



def grow(config: Adding | None, work: Work) -> None:
    """Take memory, and be killed for it: by the system's own limit where there is one, or as its killer does it."""
    taken = bytearray(int(work.settings["n_bytes"]))
    taken[::4096] = b"x" * len(taken[::4096])
    time.sleep(work.settings["seconds"])
    os.kill(os.getpid(), signal.SIGKILL)
