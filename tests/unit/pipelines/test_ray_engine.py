from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.errors import CurateError, InputError
from manifests.object_stores import S3Access
from manifests.records import read_record
from manifests.storage import Storage
from pipelines.queueing import Attempt, Job
from pipelines.ray_engine import RayEngine, attempt_all
from pipelines.time_limit import TaskTimeoutError
from tests.paths import ROOT
from tests.unit.pipelines.test_engine import outcomes
from tests.unit.pipelines.toy_stages import job, task


def test_one_that_fails_takes_no_other_of_its_call_with_it(tmp_path: Path) -> None:
    first, failed, last = attempt_all(str(tmp_path), S3Access(), [job("add", "a"), job("refuse", "b"), job("add", "c")],
                                      None)
    storage = Storage(str(tmp_path))
    assert (first, last) == (read_record(storage, "toy", "a"), read_record(storage, "toy", "c"))
    assert isinstance(failed, InputError)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return Storage(str(tmp_path_factory.mktemp("ray") / "run"))


@pytest.fixture(scope="module")
def on_ray(root: Storage) -> Iterator[RayEngine]:
    """Two workers on this machine, for every test of this module."""
    with RayEngine(root.root, S3Access(), workers=2, memory_bytes=200 << 20) as engine:
        yield engine


@pytest.mark.ray
def test_ray_does_every_task_once(on_ray: RayEngine, root: Storage) -> None:
    done = outcomes(on_ray, [job("add", f"many-{n}") for n in range(7)])
    assert sorted(o.job.task.name for o in done) == [f"many-{n}" for n in range(7)]
    assert all(o.record == read_record(root, "toy", o.job.task.name) for o in done)


@pytest.mark.ray
def test_on_ray_a_foreseen_error_keeps_its_class_and_is_not_tried_again(on_ray: RayEngine) -> None:
    (refused,) = outcomes(on_ray, [job("refuse", "refused")])
    assert type(refused.error) is InputError
    assert (refused.error.what, refused.error.where) == ("cannot be read", "refused")


@pytest.mark.ray
@pytest.mark.parametrize(("failures", "attempts"), [(2, 3), (9, 3)])
def test_on_ray_an_unforeseen_error_is_tried_three_times(on_ray: RayEngine, tmp_path: Path, failures: int,
                                                         attempts: int) -> None:
    log = tmp_path / "log"
    (outcome,) = outcomes(on_ray, [job("stumble", f"stumbles-{failures}", log=str(log), failures=failures)])
    assert len(log.read_text()) == attempts
    assert (outcome.record is None) == (failures >= attempts)
    if outcome.error is not None:
        assert isinstance(outcome.error, CurateError)
        assert "by accident" in outcome.error.what
        assert outcome.error.where == f"toy/stumbles-{failures}"


@pytest.mark.ray
def test_a_killed_worker_costs_an_attempt(on_ray: RayEngine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    died, beside = outcomes(on_ray, [job("die", "dies", log=str(log)), job("add", "beside")])
    assert died.error is beside.error is None
    assert len(log.read_text()) == 2


@pytest.mark.ray
@pytest.mark.parametrize(("most", "patience_seconds", "together"), [(1, 0.3, 1), (2, 10, 2)])
def test_tasks_over_the_network_wait_for_a_connection(on_ray: RayEngine, tmp_path: Path, most: int,
                                                      patience_seconds: float, together: int) -> None:
    jobs = [job("meet", f"reads-{most}-{n}", log=str(tmp_path), patience_seconds=patience_seconds,
                http={"max_connections": most}) for n in range(4)]
    assert all(o.error is None for o in outcomes(on_ray, jobs))
    seen = [int(path.read_text()) for path in tmp_path.glob("*.together")]
    assert (len(seen), max(seen)) == (4, together)


@pytest.mark.ray
def test_tasks_without_a_network_do_not_wait_for_those_with_one(on_ray: RayEngine, tmp_path: Path) -> None:
    far = [job("meet", f"far-{n}", log=str(tmp_path), patience_seconds=0.3, http={"max_connections": 1})
           for n in range(3)]
    done = outcomes(on_ray, [*far, job("add", "near")])
    assert done[-1].job.task.name != "near"


@pytest.mark.ray
def test_a_worker_that_dies_costs_those_in_its_call_nothing(on_ray: RayEngine, root: Storage, tmp_path: Path) -> None:
    def small(function: str, name: str) -> Job:
        asked = task("small", name, None, log=str(tmp_path / f"{name}.log"))
        return Job(asked, f"tests.unit.pipelines.toy_stages:{function}", "small")

    jobs = [small("die" if n == 40 else "add", f"many-{n:03d}") for n in range(60)]
    done = outcomes(on_ray, jobs)
    assert sorted(o.job.task.name for o in done) == [f"many-{n:03d}" for n in range(60)]
    assert all(o.record == read_record(root, "small", o.job.task.name) for o in done)
    assert len((tmp_path / "many-040.log").read_text()) == 2


@pytest.mark.ray
def test_small_tasks_share_calls(on_ray: RayEngine, root: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    call = on_ray._call

    def counted(attempts: list[Attempt]) -> object:
        made.append(len(attempts))
        return call(attempts)

    monkeypatch.setattr(on_ray, "_call", counted)
    done = outcomes(on_ray, [Job(task("tiny", f"t-{n:03d}"), "tests.unit.pipelines.toy_stages:add", "tiny")
                             for n in range(200)])
    assert len(done) == sum(made) == 200
    assert len(made) < 60


@pytest.mark.ray
def test_a_task_that_hangs_is_ended_and_named_and_no_other_is(on_ray: RayEngine, root: Storage,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_timeout", 3.0)
    hung, beside = outcomes(on_ray, [job("hang", "hangs"), job("add", "beside-it")])[::-1]
    assert isinstance(hung.error, TaskTimeoutError)
    assert hung.error.where == "toy/hangs"
    assert "3 seconds of --task-timeout" in hung.error.what
    assert beside.record == read_record(root, "toy", "beside-it")


@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_session_that_dies_is_one_line(tmp_path: Path, name: str) -> None:
    program = f"""
import psutil, threading, time
from manifests.object_stores import S3Access
from pipelines.ray_engine import RayEngine
from tests.unit.pipelines.test_engine import outcomes
from tests.unit.pipelines.toy_stages import job

def kill():
    time.sleep(2)
    [p.kill() for p in psutil.Process().children(recursive=True) if p.name() == {name!r}]

with RayEngine({str(tmp_path)!r}, S3Access(), workers=1) as engine:
    threading.Thread(target=kill).start()
    outcomes(engine, [job("doze", "dozes")])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"manifests.errors.StageError: Ray: Ray has ended on this machine: {name} is gone")
    assert "state-dump" not in done.stdout + done.stderr


@pytest.mark.ray
def test_a_worker_that_is_killed_for_its_memory_is_named_with_what_it_held(on_ray: RayEngine) -> None:
    (died,) = outcomes(on_ray, [job("grow", "grows", n_bytes=300 << 20, seconds=2.6)])
    assert died.error is not None
    assert died.error.where == "toy/grows"
    held = re.search(r"its process held ([\d,]+) MB when it was last seen, [2-9] s after", str(died.error))
    assert held is not None, str(died.error)
    assert 300 < int(held[1].replace(",", "")) < 1000
