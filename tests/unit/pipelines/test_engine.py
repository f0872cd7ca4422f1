from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.errors import CurateError, InputError, StageError
from manifests.object_stores import S3Access
from manifests.records import read_record
from manifests.storage import Storage
from pipelines.engine import Engine, InlineEngine, Job, Outcome, RayEngine
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


def test_a_task_over_the_network_says_how_many_may_be_at_work() -> None:
    assert job("add", "a").max_connections is None
    assert job("add", "a", http={"max_connections": 3}).max_connections == 3


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
