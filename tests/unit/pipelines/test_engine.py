from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.errors import InputError, StageError
from manifests.object_stores import S3Access
from manifests.records import read_record
from manifests.storage import Storage
from pipelines.engine import Engine, InlineEngine, Outcome
from pipelines.queueing import Job
from pipelines.time_limit import TaskTimeoutError
from tests.paths import ROOT
from tests.unit.pipelines.toy_stages import job


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "run"))


def inline(storage: Storage, tracebacks: bool = True) -> InlineEngine:
    return InlineEngine(storage.root, S3Access(), tracebacks)


def outcomes(engine: Engine, jobs: list[Job]) -> list[Outcome]:
    for each in jobs:
        engine.submit(each)
    return list(engine.outcomes())


def test_tasks_are_done_in_order_and_committed(storage: Storage) -> None:
    with inline(storage) as engine:
        done = outcomes(engine, [job("add", "b"), job("add", "a")])
    assert [o.job.task.name for o in done] == ["b", "a"]
    for outcome in done:
        assert outcome.error is None
        assert outcome.record == read_record(storage, "toy", outcome.job.task.name)


def test_jobs_may_be_added_while_others_are_done(storage: Storage) -> None:
    with inline(storage) as engine:
        engine.submit(job("add", "a"))
        names = []
        for outcome in engine.outcomes():
            names.append(outcome.job.task.name)
            if len(names) < 3:
                engine.submit(job("add", names[-1] + "a"))
    assert names == ["a", "aa", "aaa"]


def test_a_foreseen_error_is_an_outcome(storage: Storage) -> None:
    with inline(storage) as engine:
        refused, done = outcomes(engine, [job("refuse", "a"), job("add", "b")])
    assert isinstance(refused.error, InputError)
    assert (refused.record, refused.error.where) == (None, "a")
    assert done.record is not None
    assert read_record(storage, "toy", "a") is None


def test_an_unforeseen_error_is_raised_as_it_is_and_names_its_task(storage: Storage, tmp_path: Path) -> None:
    with inline(storage) as engine, pytest.raises(ZeroDivisionError, match="by accident") as caught:
        outcomes(engine, [job("stumble", "a", log=str(tmp_path / "log"), failures=1)])
    assert caught.value.__notes__ == ["in task toy/a"]


def test_without_tracebacks_it_fails_its_task_alone(storage: Storage, tmp_path: Path) -> None:
    with inline(storage, tracebacks=False) as engine:
        failed, done = outcomes(engine, [job("stumble", "a", log=str(tmp_path / "log"), failures=1), job("add", "b")])
    assert failed.error is not None
    assert (failed.error.where, failed.error.what) == ("toy/a", "ZeroDivisionError: by accident")
    assert done.error is None


def test_memory_that_ran_out_says_what_helps(storage: Storage) -> None:
    with inline(storage) as engine:
        (failed,) = outcomes(engine, [job("run_out_of_memory", "a")])
    assert isinstance(failed.error, StageError)
    assert "ran out of memory" in failed.error.what
    assert "more partitions" in (failed.error.hint or "")


def test_what_is_left_of_an_abandoned_engine_is_forgotten(storage: Storage) -> None:
    with inline(storage) as engine:
        engine.submit(job("add", "a"))
    assert list(engine.outcomes()) == []


def test_a_task_that_takes_too_long_is_interrupted_and_named(storage: Storage) -> None:
    engine = InlineEngine(storage.root, S3Access(), task_timeout=0.2)
    done = outcomes(engine, [job("doze", "dozes"), job("add", "beside")])
    assert isinstance(done[0].error, TaskTimeoutError)
    assert done[0].error.where == "toy/dozes"
    assert done[1].record is not None
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_task_without_memory_is_named_with_what_its_process_held(tmp_path: Path) -> None:
    """In a process of its own, which the system gives no more than 2 GB of address space."""
    program = f"""
import resource
from manifests.errors import StageError
from manifests.object_stores import S3Access
from pipelines.engine import attempt
from tests.paths import ROOT
from tests.unit.pipelines.toy_stages import job
import pyarrow.parquet, numpy
asked = job("grow", "grows", n_bytes=4 << 30, seconds=0)
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
try:
    attempt({str(tmp_path / "run")!r}, S3Access(), asked)
except StageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert re.match(r"toy/grows: ran out of memory; its process has held \d+ MB", done.stdout), done.stderr
