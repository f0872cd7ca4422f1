"""A time limit for tasks that hang: off unless asked for, since no output may depend on how fast a machine is."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from manifests.errors import StageError


class TaskTimeoutError(StageError):
    """A task took longer than it may. It stops the run, whatever the stage: a time-out never sets a source aside."""


def timed_out(where: str, seconds: float) -> TaskTimeoutError:
    """The error of a task that took longer than so many seconds."""
    return TaskTimeoutError(f"took longer than the {seconds:g} seconds of --task-timeout", where=where,
                            hint="the same command goes on from here; a longer limit, or none, lets it finish")


@contextmanager
def ends_worker(seconds: float | None) -> Iterator[None]:
    """End this process where the block takes longer than so many seconds; None: never. It is for workers: a watchdog
    that needs nothing of Python ends even one that hangs in a library, without a word."""
    if seconds is None:
        yield
        return
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def interrupts(seconds: float | None, where: str) -> Iterator[None]:
    """Raise TaskTimeoutError in the block where it takes longer than so many seconds; None: never. It is for the engine
    of one process: what hangs in a library is interrupted when that returns. Only the main thread is
    interrupted."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        raise timed_out(where, seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
