"""Which jobs go to a worker together: small ones share a call, since a call costs as much as they do."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from manifests.tasks import StageTask

_CALL_SECONDS: Final = 1.0
"""Work that is worth a call. A call of Ray costs some 5 ms of CPU; longer calls would lose more when a worker dies."""
_WAIT_SECONDS: Final = 0.1  # a call that is short
_MOST_JOBS: Final = 64


@dataclass(frozen=True, slots=True)
class Job:
    """A task, the import path of the function that does it, and the name of the stage it is of."""

    task: StageTask
    function: str
    owner: str = ""

    @property
    def max_connections(self) -> int | None:
        """How many tasks like this may read over the network at a time; None where it reads local files."""
        http = self.task.settings.get("http")
        return int(http["max_connections"]) if http else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A job that is to be tried. number: of the attempt, from 1. alone: not in one call with others."""

    job: Job
    number: int = 1
    alone: bool = False


class JobQueue:
    """Jobs in the order in which they came, handed out by calls.

    A call holds one job, or so many of one stage that they take about a second together, as far as the stage's last
    calls tell. What is left of a stage is never fewer calls than twice the workers, or than the workers where a call is
    short, so that none of them waits for others' calls. Jobs that read over the network go one by one, as many at a
    time as their connections allow."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._local: deque[Attempt] = deque()
        self._remote: deque[Attempt] = deque()
        self._left: Counter[str] = Counter()  # by stage, of local ones
        self._seconds: dict[str, float] = {}  # a job of a stage, as its last call took
        self._connected = 0

    def __bool__(self) -> bool:
        return bool(self._local or self._remote)

    def add(self, attempt: Attempt) -> None:
        """Put an attempt at the end."""
        if attempt.job.max_connections is None:
            self._local.append(attempt)
            self._left[attempt.job.owner] += 1
        else:
            self._remote.append(attempt)

    def take(self) -> list[Attempt]:
        """The next call's attempts; none where nothing may start now. The caller says by `ended` when they are over."""
        if self._remote and self._connected < (self._remote[0].job.max_connections or 1):
            self._connected += 1
            return [self._remote.popleft()]
        call: list[Attempt] = []
        size = self._size(self._local[0]) if self._local else 0
        while len(call) < size and self._local and (not call or _together(call[0], self._local[0])):
            call.append(self._local.popleft())
            self._left[call[0].job.owner] -= 1
        return call

    def ended(self, call: list[Attempt], seconds: float | None) -> None:
        """Learn that a call is over. seconds: what its tasks took together; None where they were not done."""
        if call[0].job.max_connections is not None:
            self._connected -= 1
        elif seconds is not None:
            # One that had next to nothing to do says little of the others.
            owner, each = call[0].job.owner, seconds / len(call)
            self._seconds[owner] = max(each, self._seconds.get(owner, 0.0) / 2)

    def _size(self, first: Attempt) -> int:
        seconds = self._seconds.get(first.job.owner)
        if first.alone or seconds is None:
            return 1
        seconds = max(seconds, 1e-3)
        left = self._left[first.job.owner]
        shared = max(left // (2 * self.workers), min(left // self.workers, int(_WAIT_SECONDS / seconds)))
        return max(1, min(_MOST_JOBS, shared, int(_CALL_SECONDS / seconds)))


def _together(first: Attempt, other: Attempt) -> bool:
    return other.job.owner == first.job.owner and not (first.alone or other.alone)
