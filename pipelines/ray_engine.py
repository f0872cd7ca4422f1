"""Tasks on Ray's workers: a bounded window of calls in flight, each of one task or of several small ones.

Only the small records of tasks pass through Ray: data goes through files.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

from manifests.errors import CurateError, StageError
from manifests.object_stores import S3Access
from manifests.records import TaskRecord
from pipelines.engine import ONE_THREAD_EACH, Outcome, UnexpectedError, attempt
from pipelines.local_ray import ended_processes, for_this_process_alone, session_folder
from pipelines.pulse import held, last_pulses
from pipelines.queueing import Attempt, Job, JobQueue
from pipelines.time_limit import ends_worker, timed_out

_ATTEMPTS: Final = 3  # a task that fails this often is reported, not tried again
_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 5.0  # between looks at whether Ray is there yet
_SILENCE_SECONDS: Final = 600.0  # without the end of any call, after which those at work are named
_GATHERING: Final = 20
"""Times as long as a look at the window takes, results are gathered before the next look: 5 % of the driver's time."""


def attempt_all(root: str, access: S3Access, jobs: Sequence[Job], timeout: float | None
                ) -> list[TaskRecord | CurateError]:
    """Do tasks one after another; what became of each. One that fails takes no other with it.

    timeout: seconds that each may take; the process ends with one that takes longer."""
    results: list[TaskRecord | CurateError] = []
    for job in jobs:
        try:
            with ends_worker(timeout):
                results.append(attempt(root, access, job))
        except CurateError as error:
            results.append(error)
    return results


class RayEngine:
    """Stage tasks as Ray tasks: a bounded window in flight, retried when a worker or a node dies.

    address: a cluster's address, `auto`, or None to start Ray on this machine; a session of Ray that this process has
    already is used, and stays. workers: tasks at a time; None takes every core. memory_bytes: what a task reserves, so
    that Ray never packs more tasks on a node than it can hold. task_timeout: seconds that a task may take; None: any.
    """

    def __init__(self, root: str, access: S3Access, address: str | None = None, workers: int | None = None,
                 memory_bytes: int | None = None, task_timeout: float | None = None) -> None:
        self._root = root
        self._access = access
        self._address = address
        self._wanted = workers
        self._memory = memory_bytes
        self._timeout = task_timeout
        self._since: dict[Any, float] = {}  # by call: when it was handed to Ray
        self._queue = JobQueue(workers or 1)
        self._running: dict[Any, list[Attempt]] = {}
        self._window = 1  # calls in flight
        self._look_seconds = 0.0
        self._joined = False  # a session that was there before
        self._draining = False  # whether nothing more is handed out
        self._ended = False  # whether Ray, started here, is gone before its time
        self._started = ExitStack()  # what goes when Ray, started here, has ended
        self.workers = workers or 1

    def __enter__(self) -> Self:
        self._joined = "ray" in sys.modules and sys.modules["ray"].is_initialized()
        if not (self._address or self._joined) and "RAY_AUTH_MODE" not in os.environ:
            # Other users of this machine reach its loopback addresses. A token of this process alone keeps them out; by
            # itself Ray would write a lasting one into the user's home. Ray reads the mode when it is imported, and
            # never again: where somebody has imported it before us, it turns tokens on by itself, and logs that.
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
            if "ray" not in sys.modules:
                os.environ["RAY_AUTH_MODE"] = "token"
        import ray

        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # A kernel's place in the cache is found on each node; what a caller says of it holds on all.
        asked = {name: os.environ[name] for name in ("NUMBA_CACHE_DIR", "CURATE_KERNELS") if name in os.environ}
        environment = {**ONE_THREAD_EACH, **asked, "PYTHONHASHSEED": "0"}
        if not self._joined:
            self._start(environment)
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.workers = self._wanted or max(1, int(resources.get("CPU", 1)))
        memory = self._memory or min(2 << 30, int(resources.get("memory", 4 << 30) / self.workers * 0.9))
        self._queue.workers = self.workers
        # Enough that an autoscaler sees demand, few enough that memory stays bounded.
        self._window = self._wanted or 2 * self.workers
        self._remote = ray.remote(attempt_all)
        self._options = {"num_cpus": 1, "memory": memory, "scheduling_strategy": "SPREAD"}
        if self._joined:
            self._options["runtime_env"] = {"env_vars": environment}
        return self

    def _start(self, environment: dict[str, str]) -> None:
        """Join the cluster, or start Ray on this machine."""
        import ray

        common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False,
                                  "runtime_env": {"env_vars": environment}}
        if self._address:
            ray.init(address=self._address, **common)
        else:
            cores = self._wanted or os.cpu_count() or 1
            folder = self._started.enter_context(session_folder())
            with for_this_process_alone():
                ray.init(address="local", num_cpus=cores, include_dashboard=False, object_store_memory=128 << 20,
                         _temp_dir=folder, **common)

    def submit(self, job: Job) -> None:
        self._queue.add(Attempt(job))

    def drain(self) -> None:
        self._draining = True

    def outcomes(self) -> Iterator[Outcome]:
        while (self._queue and not self._draining) or self._running:
            while not self._draining and len(self._running) < self._window and (call := self._queue.take()):
                ref = self._call(call)
                self._running[ref], self._since[ref] = call, time.monotonic()
            for ref in self._finished():
                call, took = self._running.pop(ref), time.monotonic() - self._since.pop(ref)
                results = _results(ref, call[0].job, self._root)
                if isinstance(results, CurateError) and len(call) == 1 and took >= (self._timeout or math.inf):
                    results = timed_out(_name(call[0].job), self._timeout or took)
                yield from self._settle(call, results)

    def _call(self, call: list[Attempt]) -> Any:
        """Hand attempts to Ray. What holds several is not repeated as a whole: whoever is left is tried alone."""
        first = call[0].job.task
        more = f" and {len(call) - 1} more" if len(call) > 1 else ""
        remote = self._remote.options(name=f"{first.stage}:{first.name}{more}", **self._options,
                                      max_retries=_ATTEMPTS if len(call) == 1 and self._timeout is None else 0)
        jobs = [attempt.job for attempt in call]
        return remote.remote(self._root, self._access, jobs, self._timeout)

    def _finished(self) -> list[Any]:
        """Calls that are over, one at least. A look costs as much as the window is wide, so what ends shortly after the
        first is waited for."""
        import ray

        asked = told = time.monotonic()
        while True:
            first, others = ray.wait(list(self._running), num_returns=1, timeout=_LOOK_SECONDS)
            self._check_session()
            if first:
                break
            if time.monotonic() - told >= _SILENCE_SECONDS:
                told = time.monotonic()
                for ref, call in self._running.items():
                    _LOG.warning("%s was handed to a worker %.0f minutes ago, and nothing has ended for %.0f",
                                 _name(call[0].job), (told - self._since[ref]) / 60, (told - asked) / 60)
        if not others:
            return first
        time.sleep(min(_GATHERING * self._look_seconds, 1.0))
        started = time.monotonic()
        more, _ = ray.wait(others, num_returns=len(others), timeout=0)
        self._look_seconds = time.monotonic() - started
        return [*first, *more]

    def _check_session(self) -> None:
        """Raise StageError where Ray was started here and is no more: no task would ever end."""
        if not self._address and not self._joined and (ended := ended_processes()):
            self._ended = True
            raise StageError(f"Ray has ended on this machine: {', '.join(ended)} is gone", where="Ray",
                             hint="the same command goes on from here; the system's log may say who ended it")

    def _settle(self, call: list[Attempt], results: list[TaskRecord | CurateError] | CurateError) -> Iterator[Outcome]:
        """Outcomes of a call's attempts; those that are worth another go back into the queue."""
        if isinstance(results, CurateError):  # the worker or its node died
            self._queue.ended(call, None)
            if len(call) > 1:
                for one in call:
                    self._queue.add(Attempt(one.job, one.number, alone=True))
                return
            results = [results]
        else:
            self._queue.ended(call, sum(r.seconds for r in results if isinstance(r, TaskRecord)))
        for one, result in zip(call, results, strict=True):
            if isinstance(result, TaskRecord):
                yield Outcome(one.job, result)
            elif isinstance(result, UnexpectedError) and one.number < _ATTEMPTS:
                self._queue.add(Attempt(one.job, one.number + 1, alone=True))
            else:
                yield Outcome(one.job, None, result)

    def __exit__(self, *_: object) -> None:
        import ray

        for ref in self._running if not self._ended else ():
            ray.cancel(ref, force=True)
        self._running.clear()
        if not self._joined:
            ray.shutdown()
        self._started.close()


def _name(job: Job) -> str:
    return f"{job.task.stage}/{job.task.name}"


def _results(ref: Any, first: Job, root: str) -> list[TaskRecord | CurateError] | CurateError:
    """What became of each task of a call, or why nothing did."""
    import ray

    where = _name(first)
    try:
        results: list[TaskRecord | CurateError] = ray.get(ref)
        return results
    except ray.exceptions.RayTaskError as error:
        return UnexpectedError(str(error.cause), where=where)
    except ray.exceptions.RayError as error:  # the worker or its node died more often than Ray retries
        pulse = last_pulses(root).get(where)
        seen = f"; {held(pulse)}" if pulse is not None else ""
        return UnexpectedError(f"{str(error).strip().splitlines()[0]}{seen}", where=where,
                               hint="it may need more memory than workers have: fewer --workers, more --worker-memory, "
                                    "or a stage of more partitions")
