"""How far a task is while it is at work: a small file under `RUN/.tmp/` that its process writes once a second.

A task tells its engine nothing before it is done. So a thread beside it looks once a second at what it has counted and
how far it has read, and leaves that where whoever shows progress reads it; a task that takes less than a second leaves
nothing. How far a file is read is asked of the system (`/proc`), so that no reader has to say it; where the system does
not tell, and of files behind URLs, only counters are known. Runs in object stores leave no such files.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from manifests.confined import read_file
from manifests.errors import InputError
from manifests.storage import Storage
from manifests.tasks import Work

_FOLDER: Final = ".tmp/pulse"
_BEAT_SECONDS: Final = 1.0
_DEAD_SECONDS: Final = 10.0  # without a beat, after which its process is taken for dead
_COUNTERS: Final = ("candidates", "documents", "kept", "tokens")


@dataclass(frozen=True, slots=True)
class Pulse:
    """A task at work. seconds: since it began. read: bytes of its own input that are behind it; None where that is not
    known. size: of that input in bytes, 0 where it is not known. counters: those that a person is shown. compiling:
    whether a kernel is being compiled at the moment. memory_bytes: the most that its process was seen to hold since.
    here: whether the task is of the process that reads this."""

    stage: str
    task: str
    seconds: float
    read: int | None
    size: int
    counters: dict[str, int]
    compiling: bool
    memory_bytes: int = 0
    here: bool = False


@contextmanager
def pulsing(storage: Storage, work: Work) -> Iterator[None]:
    """Have the block's task leave its pulse, where its run is a local folder."""
    if not storage.local:
        yield
        return
    _HEART.begin(os.path.join(storage.root, _FOLDER), work)
    try:
        yield
    finally:
        _HEART.end()


def read_pulses(root: str) -> list[Pulse]:
    """Tasks that are at work in a run, those that began first first; none where its folder is not on this machine.

    root: The run's folder."""
    found = [pulse for age, pulse in _left(root) if age < _DEAD_SECONDS]
    return sorted(found, key=lambda pulse: -pulse.seconds)


def last_pulses(root: str) -> dict[str, Pulse]:
    """What processes that died at a task left of it, by `STAGE/TASK`, the last where there were several.

    root: A run's folder; nothing is known of one in an object store."""
    return {f"{pulse.stage}/{pulse.task}": pulse for _, pulse in sorted(_left(root), key=lambda item: -item[0])}


def forget(root: str) -> None:
    """Remove what processes left that are no more. root: the folder of a run that nobody else works on."""
    with suppress(OSError):
        for entry in os.scandir(os.path.join(root, _FOLDER)):
            with suppress(OSError):
                os.remove(entry.path)


def held(pulse: Pulse) -> str:
    """What a person is told of the memory of a task that is no more."""
    return (f"its process held {pulse.memory_bytes / 1e6:,.0f} MB when it was last seen, "
            f"{pulse.seconds:,.0f} s after the task began")


def is_dead(root: str) -> bool:
    """Whether tasks were at work in a run, and none is any more."""
    ages = [age for age, _ in _left(root)]
    return bool(ages) and min(ages) >= _DEAD_SECONDS


def _left(root: str) -> list[tuple[float, Pulse]]:
    """(seconds since it was written, pulse) of every one that is there."""
    found: list[tuple[float, Pulse]] = []
    with suppress(OSError):
        for entry in os.scandir(os.path.join(root, _FOLDER)):
            with suppress(OSError, ValueError, TypeError, InputError, RecursionError):
                facts = json.loads(read_file(entry.path))
                pulse = Pulse(**{**facts, "here": entry.name.startswith(f"{os.getpid()}-")})
                if not (isinstance(pulse.stage, str) and isinstance(pulse.task, str) and all(
                        isinstance(number, int | float) for number in (pulse.seconds, pulse.size, pulse.memory_bytes))):
                    continue
                found.append((time.time() - entry.stat().st_mtime, pulse))
    return found


class _Heart:
    """The thread of this process that looks at its task. It begins with the first task, and ends when no task has been
    there for a beat."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._name = ""
        self._folder = ""
        self._work: Work | None = None
        self._began = 0.0
        self._most_bytes = 0
        self._thread: threading.Thread | None = None

    def begin(self, folder: str, work: Work) -> None:
        with self._lock:
            self._folder, self._work, self._began, self._most_bytes = folder, work, time.monotonic(), 0
            if self._thread is None:
                self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
                self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """No beat is under way when this returns, so nothing appears under `.tmp` after a task is done."""
        with self._lock:
            self._work = None
            with suppress(OSError):
                os.remove(os.path.join(self._folder, self._name))

    def _beat(self) -> None:
        idle = False
        while True:
            time.sleep(_BEAT_SECONDS)
            with self._lock:
                if self._work is None:
                    if idle:
                        self._thread = None
                        return
                    idle = True
                    continue
                idle = False
                seconds = time.monotonic() - self._began
                if seconds >= _BEAT_SECONDS:
                    with suppress(OSError):  # a full disk is the task's to report
                        self._leave(self._work, seconds)

    def _leave(self, work: Work, seconds: float) -> None:
        self._most_bytes = max(self._most_bytes, resident_bytes())
        os.makedirs(self._folder, exist_ok=True)
        path = os.path.join(self._folder, self._name)
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            json.dump(asdict(replace(_pulse_of(work, seconds), memory_bytes=self._most_bytes)), stream)
        os.replace(f"{path}.new", path)


_HEART: Final = _Heart()
os.register_at_fork(after_in_child=_HEART.__init__)  # type: ignore[misc]  # a child has the lock, and not the thread


def _pulse_of(work: Work, seconds: float) -> Pulse:
    task, counted = work.task, dict(work.counters)
    return Pulse(task.stage, task.name, round(seconds, 1), _bytes_read(work), task.n_bytes,
                 {name: counted[name] for name in _COUNTERS if name in counted}, _compiling())


def resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _bytes_read(work: Work) -> int | None:
    """How far the open files that the task alone reads are read, by the positions of their descriptors."""
    own = {os.path.realpath(work.storage.path(ref.paths[0])) for ref in work.task.inputs.values()
           if ref.n_bytes > 0 and len(ref.paths) == 1}
    read: int | None = None
    with suppress(OSError):
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError, ValueError):
                if os.readlink(f"/proc/self/fd/{number}") in own:
                    with open(f"/proc/self/fdinfo/{number}", encoding="ascii") as stream:
                        read = max(read or 0, int(stream.readline().split()[1]))
    return read or None


def _compiling() -> bool:
    kernels: Any = sys.modules.get("curate.kernel_cache")
    return kernels is not None and bool(kernels.COMPILING.depth)
