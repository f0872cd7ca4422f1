from __future__ import annotations

import pytest

from pipelines.queueing import Attempt, Job, JobQueue
from tests.unit.pipelines.toy_stages import job, task


def attempts(owner: str, n: int, **settings: object) -> list[Attempt]:
    return [Attempt(Job(task(owner, f"{owner}-{i:03d}", None, **settings), "", owner)) for i in range(n)]


def queue(*jobs: Attempt, workers: int = 2) -> JobQueue:
    made = JobQueue(workers)
    for each in jobs:
        made.add(each)
    return made


def sizes(jobs: JobQueue, seconds: float) -> list[int]:
    """Jobs of each call, where a job takes so many seconds and a call ends before the next is taken."""
    found = []
    while call := jobs.take():
        found.append(len(call))
        jobs.ended(call, seconds * len(call))
    return found


def test_a_task_over_the_network_says_how_many_may_be_at_work() -> None:
    assert job("add", "a").max_connections is None
    assert job("add", "a", http={"max_connections": 3}).max_connections == 3


def test_every_job_is_handed_out_once_and_in_order() -> None:
    jobs = queue(*attempts("a", 50), *attempts("b", 3))
    names = []
    while call := jobs.take():
        assert len({each.job.owner for each in call}) == 1
        names += [each.job.task.name for each in call]
        jobs.ended(call, 0.01)
    assert names == [f"a-{i:03d}" for i in range(50)] + [f"b-{i:03d}" for i in range(3)]
    assert not jobs


def test_what_takes_long_goes_alone_and_what_is_short_goes_together() -> None:
    assert sizes(queue(*attempts("a", 6)), 0.7) == [1] * 6
    assert sizes(queue(*attempts("a", 400)), 0.001) == [1, 64, 64, 64, 64, 64, 39, 20, 10, 5, 2, 1, 1, 1]
    assert sizes(queue(*attempts("a", 40)), 0.02) == [1, 9, 7, 5, 5, 5, 4, 2, 1, 1]


def test_nothing_is_known_of_a_stage_before_its_first_call_ends() -> None:
    jobs = queue(*attempts("a", 100), *attempts("b", 100))
    first, second = jobs.take(), jobs.take()
    assert (len(first), len(second)) == (1, 1)
    jobs.ended(first, None)  # its worker died: nothing was measured
    assert len(jobs.take()) == 1
    jobs.ended(second, 0.1)
    assert len(jobs.take()) == 10


def test_each_worker_has_two_calls_of_what_is_left_and_one_where_they_are_short() -> None:
    for seconds, size in ((0.2, 2), (0.0, 4)):
        jobs = queue(*attempts("a", 41), workers=10)
        jobs.ended(jobs.take(), seconds)
        assert len(jobs.take()) == size


def test_a_task_with_nothing_to_do_does_not_speak_for_the_others() -> None:
    jobs = queue(*attempts("a", 400))
    jobs.ended(jobs.take(), 0.8)
    jobs.ended(jobs.take(), 0.0)
    assert len(jobs.take()) == 2


def test_what_is_to_be_alone_is_alone() -> None:
    careful = [Attempt(each.job, 2, alone=True) for each in attempts("a", 3)]
    jobs = queue(*attempts("a", 20), *careful, workers=1)
    jobs.ended(jobs.take(), 0.0)
    taken = []
    while call := jobs.take():
        taken.append(call)
    assert sorted(len(call) for call in taken if call[0].alone) == [1, 1, 1]
    assert all(not each.alone for call in taken if len(call) > 1 for each in call)


@pytest.mark.parametrize("most", [1, 3])
def test_connections_bound_the_jobs_that_are_out_and_hold_up_no_other(most: int) -> None:
    jobs = queue(*attempts("far", 5, http={"max_connections": most}), *attempts("near", 1))
    out = [jobs.take() for _ in range(most)]
    assert [call[0].job.owner for call in out] == ["far"] * most
    assert jobs.take()[0].job.owner == "near"
    assert jobs.take() == []
    jobs.ended(out[0], 1.0)
    assert len(jobs.take()) == 1
    assert bool(jobs)
