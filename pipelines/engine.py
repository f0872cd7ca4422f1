"""Where tasks are done: in this process, or on Ray's workers.

An engine takes jobs and hands back outcomes, in any order; it holds no state that a later run would need. Only the
small record of a task passes through Ray: data goes through files.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from curate.caches import cache_folder, keep_kernels
from curate.late_imports import put_off_pandas
from manifests.errors import AbsentError, CurateError, InputError, StageError
from manifests.graph import resolve
from manifests.object_stores import S3Access
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tasks import StageTask, execute

_ATTEMPTS = 3  # a task that fails this often is reported, not tried again
_SOCKET_PATH_BYTES = 107  # of a Unix socket; Ray's own names below its folder take up to 64
_RAY_NAMES_BYTES = 64

ONE_THREAD_EACH = {
    # A worker owns one core; a library that starts a thread per core would make them fight.
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "ARROW_IO_THREADS": "2",
}


@dataclass(frozen=True, slots=True)
class Job:
    """A task, and the import path of the function that does it."""

    task: StageTask
    function: str

    @property
    def max_connections(self) -> int | None:
        """How many tasks like this may read over the network at a time; None where it reads local files."""
        http = self.task.settings.get("http")
        return int(http["max_connections"]) if http else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: its record, or the error of its last attempt."""

    job: Job
    record: TaskRecord | None
    error: CurateError | None = None


class Engine(Protocol):
    """submit() queues a job; outcomes() yields until none is left, and jobs may be added meanwhile."""

    workers: int

    def submit(self, job: Job) -> None: ...

    def outcomes(self) -> Iterator[Outcome]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def attempt(root: str, access: S3Access, job: Job) -> TaskRecord:
    """Do one task, with any failure as a CurateError that names it."""
    import pyarrow as pa

    keep_kernels()
    put_off_pandas()
    pa.set_cpu_count(1)
    try:
        return execute(Storage(root, access), job.task, resolve(job.function))
    except AbsentError as error:  # it was there when the run began
        raise InputError(error.what, where=error.where, hint=error.hint) from error
    except CurateError:
        raise
    except MemoryError as error:
        raise StageError("ran out of memory", where=f"{job.task.stage}/{job.task.name}",
                         hint="give workers more memory, or the stage more partitions") from error
    except Exception as error:
        raise _UnexpectedError(f"{type(error).__name__}: {error}", where=f"{job.task.stage}/{job.task.name}",
                          hint="run it again with --engine inline to see the traceback") from error


class _UnexpectedError(CurateError):
    """An error no stage foresaw; it may be of the machine, so it is worth another attempt."""


class InlineEngine:
    """Every task in this process, one after another. tracebacks: whether an error that no stage foresaw is raised as it
    is, or fails its task as on Ray."""

    workers = 1

    def __init__(self, root: str, access: S3Access, tracebacks: bool = True) -> None:
        self._root = root
        self._access = access
        self._tracebacks = tracebacks
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def outcomes(self) -> Iterator[Outcome]:
        while self._jobs:
            job = self._jobs.popleft()
            try:
                yield Outcome(job, attempt(self._root, self._access, job))
            except CurateError as error:
                if self._tracebacks and isinstance(error, _UnexpectedError) and error.__cause__ is not None:
                    error.__cause__.add_note(f"in task {error.where}")
                    raise error.__cause__ from None
                yield Outcome(job, None, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.clear()


class RayEngine:
    """Stage tasks as Ray tasks: a bounded window in flight, retried when a worker or a node dies.

    address: a cluster's address, `auto`, or None to start Ray on this machine; a session of Ray that this process has
    already is used, and stays. workers: tasks at a time; None takes
    every core. memory_bytes: what a task reserves, so that Ray never packs more tasks on a node than it can hold.
    """

    def __init__(self, root: str, access: S3Access, address: str | None = None, workers: int | None = None,
                 memory_bytes: int | None = None) -> None:
        self._root = root
        self._access = access
        self._address = address
        self._wanted = workers
        self._memory = memory_bytes
        self._jobs: deque[tuple[Job, int]] = deque()
        self._remote_jobs: deque[tuple[Job, int]] = deque()  # those that read over the network
        self._running: dict[Any, tuple[Job, int]] = {}
        self._joined = False  # a session that was there before
        self.workers = workers or 1

    def __enter__(self) -> Self:
        self._joined = "ray" in sys.modules and sys.modules["ray"].is_initialized()
        if not (self._address or self._joined) and "RAY_AUTH_MODE" not in os.environ:
            # Ray listens on every interface. A token of this process alone keeps others out; by itself Ray would
            # write a lasting one into the user's home. Ray reads the mode when it is imported, and never again: where
            # somebody has imported it before us, it turns tokens on by itself, and logs that.
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
        self._remote = ray.remote(attempt)
        self._options = {"num_cpus": 1, "memory": memory, "max_retries": _ATTEMPTS, "scheduling_strategy": "SPREAD"}
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
            ray.init(address="local", num_cpus=cores, include_dashboard=False, object_store_memory=128 << 20,
                     _temp_dir=_ray_folder(), **common)

    def submit(self, job: Job) -> None:
        self._queue(job, 1)

    def _queue(self, job: Job, tries: int) -> None:
        (self._jobs if job.max_connections is None else self._remote_jobs).append((job, tries))

    def _next(self) -> tuple[Job, int] | None:
        """The next job that may start: one that reads over the network needs one of its connections to be free."""
        if self._remote_jobs:
            busy = sum(job.max_connections is not None for job, _ in self._running.values())
            if busy < (self._remote_jobs[0][0].max_connections or 1):
                return self._remote_jobs.popleft()
        return self._jobs.popleft() if self._jobs else None

    def outcomes(self) -> Iterator[Outcome]:
        import ray

        # Enough that an autoscaler sees demand, few enough that memory stays bounded.
        window = self._wanted or 2 * self.workers
        while self._jobs or self._remote_jobs or self._running:
            while len(self._running) < window and (following := self._next()) is not None:
                job, tries = following
                name = f"{job.task.stage}:{job.task.name}"
                remote = self._remote.options(name=name, **self._options)
                self._running[remote.remote(self._root, self._access, job)] = (job, tries)
            done, _ = ray.wait(list(self._running), num_returns=1)
            for ref in done:
                job, tries = self._running.pop(ref)
                outcome = _collect(ref, job)
                if isinstance(outcome.error, _UnexpectedError) and tries < _ATTEMPTS:
                    self._queue(job, tries + 1)
                else:
                    yield outcome

    def __exit__(self, *_: object) -> None:
        import ray

        for ref in self._running:
            ray.cancel(ref, force=True)
        self._running.clear()
        if not self._joined:
            ray.shutdown()


def _collect(ref: Any, job: Job) -> Outcome:
    import ray

    try:
        return Outcome(job, ray.get(ref))
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, CurateError):
            return Outcome(job, None, cause)
        return Outcome(job, None, _UnexpectedError(str(cause), where=f"{job.task.stage}/{job.task.name}"))
    except ray.exceptions.RayError as error:  # the worker or its node died more often than Ray retries
        first = str(error).strip().splitlines()[0]
        return Outcome(job, None, _UnexpectedError(first, where=f"{job.task.stage}/{job.task.name}",
                                              hint="it may need more memory than workers have"))


def _ray_folder() -> str | None:
    """Ray's session files lie in the user's cache, unless that makes its socket names too long."""
    folder = cache_folder() / "ray"
    if len(os.fsencode(folder)) + _RAY_NAMES_BYTES > _SOCKET_PATH_BYTES:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return str(folder)
