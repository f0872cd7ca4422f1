"""Where tasks are done: what every engine is, and the one that works in this process.

An engine takes jobs and hands back outcomes, in any order; it holds no state that a later run would need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from curate.caches import keep_kernels
from manifests.errors import AbsentError, CurateError, InputError, StageError
from manifests.graph import resolve
from manifests.late_imports import put_off_pandas
from manifests.object_stores import S3Access
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tasks import execute, peak_memory_bytes
from pipelines.pulse import pulsing
from pipelines.queueing import Job
from pipelines.time_limit import interrupts

ONE_THREAD_EACH = {
    # A worker owns one core; a library that starts a thread per core would make them fight.
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "ARROW_IO_THREADS": "2",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: its record, or the error of its last attempt."""

    job: Job
    record: TaskRecord | None
    error: CurateError | None = None


class Engine(Protocol):
    """submit() queues a job; outcomes() yields until none is left, and jobs may be added meanwhile. drain() forgets
    those that have not begun; it may be called from a signal handler."""

    workers: int

    def submit(self, job: Job) -> None: ...

    def outcomes(self) -> Iterator[Outcome]: ...

    def drain(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def attempt(root: str, access: S3Access, job: Job) -> TaskRecord:
    """Do one task, with any failure as a CurateError that names it."""
    import pyarrow as pa

    keep_kernels()
    put_off_pandas()
    pa.set_cpu_count(1)
    try:
        return execute(Storage(root, access), job.task, resolve(job.function), pulsing)
    except AbsentError as error:  # it was there when the run began
        raise InputError(error.what, where=error.where, hint=error.hint) from error
    except CurateError:
        raise
    except MemoryError as error:
        raise StageError(f"ran out of memory; its process has held {peak_memory_bytes() / 1e6:,.0f} MB",
                         where=f"{job.task.stage}/{job.task.name}",
                         hint="give workers more memory, or the stage more partitions") from error
    except Exception as error:
        raise UnexpectedError(f"{type(error).__name__}: {error}", where=f"{job.task.stage}/{job.task.name}",
                              hint="run it again with --engine inline to see the traceback") from error


class UnexpectedError(CurateError):
    """An error no stage foresaw; it may be of the machine, so it is worth another attempt."""


class InlineEngine:
    """Every task in this process, one after another. tracebacks: whether an error that no stage foresaw is raised as it
    is, or fails its task as on Ray. task_timeout: seconds that a task may take; None: any."""

    workers = 1

    def __init__(self, root: str, access: S3Access, tracebacks: bool = True, task_timeout: float | None = None) -> None:
        self._root = root
        self._access = access
        self._tracebacks = tracebacks
        self._timeout = task_timeout
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def outcomes(self) -> Iterator[Outcome]:
        while self._jobs:
            job = self._jobs.popleft()
            try:
                with interrupts(self._timeout, f"{job.task.stage}/{job.task.name}"):
                    record = attempt(self._root, self._access, job)
                yield Outcome(job, record)
            except CurateError as error:
                if self._tracebacks and isinstance(error, UnexpectedError) and error.__cause__ is not None:
                    error.__cause__.add_note(f"in task {error.where}")
                    raise error.__cause__ from None
                yield Outcome(job, None, error)

    def drain(self) -> None:
        self._jobs.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.clear()
