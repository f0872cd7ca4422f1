"""Stopping a run without losing what is at work: asked once, a run hands out nothing more and finishes what runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final


class FinishedWhatRan(BaseException):
    """A run ended because it was asked to, with everything finished that was at work. The same call goes on from
    there."""


class Stop:
    """Whether a run was asked to stop. asked: told at once, where somebody may be waiting for an answer."""

    def __init__(self, asked: Callable[[], None]) -> None:
        self.requested = False
        self._asked = asked

    def request(self) -> None:
        self.requested = True
        self._asked()


_RUNS: Final[list[Stop]] = []


@contextmanager
def stoppable(asked: Callable[[], None]) -> Iterator[Stop]:
    """Let `request_stop` reach the block's run. asked: called from a signal handler: it may neither print nor lock."""
    stop = Stop(asked)
    _RUNS.append(stop)
    try:
        yield stop
    finally:
        _RUNS.remove(stop)


def request_stop() -> bool:
    """Ask the runs of this process to finish what is at work and to begin nothing more; False where none is at work,
    or all were asked before."""
    fresh = [stop for stop in _RUNS if not stop.requested]
    for stop in fresh:
        stop.request()
    return bool(fresh)
