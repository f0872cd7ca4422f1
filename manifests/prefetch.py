"""Shards fetched by threads before they are read."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from manifests.errors import CurateError

_THREADS: Final = 4


class Prefetch:
    """Threads that fetch what is asked for, in order; what goes wrong is left to the reader, who meets it too.

    Args:
        fetch: Fetches a shard by its number, or leaves it to the process that does already.
    """

    def __init__(self, fetch: Callable[[int], None]) -> None:
        self._fetch = fetch
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._asked: deque[int] = deque()
        self._done: set[int] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def ask(self, shards: list[int]) -> None:
        """Fetch these next, in place of what was asked for before and has not begun."""
        if self._process != os.getpid() or self._stopped:
            self._start()  # threads do not survive a fork
        with self._changed:
            self._done &= set(shards)
            self._asked = deque(s for s in shards if s not in self._done)
            self._changed.notify_all()
        while len(self._threads) < min(_THREADS, len(shards)):
            thread = threading.Thread(target=self._work, name="packed-prefetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        if self._process == os.getpid():
            with self._changed:
                self._stopped = True
                self._changed.notify_all()

    def _work(self) -> None:
        changed = self._changed
        while True:
            with changed:
                while not self._asked and not self._stopped:
                    changed.wait()
                if self._stopped:
                    return
                shard = self._asked.popleft()
                self._done.add(shard)
            with suppress(CurateError, OSError):
                self._fetch(shard)
