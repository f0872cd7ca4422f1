"""A kernel is compiled by one process of a node; the others wait, and load what it made.

The workers of a node begin with the same kernels at the same moment. Whoever comes first holds the lock of a file
beside the kernel's. The operating system frees it when its holder dies, however it dies, and the next compiles.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

from numba.core import dispatcher
from numba.core.compiler_lock import global_compiler_lock

_LOCK: Final = ".lock"
_held = False
"""Whether a lock is held by this process, whose threads compile one at a time: a kernel that is compiled within another
takes none, or two processes could wait for each other."""


def compile_once() -> None:
    """Have numba do so from now on."""
    own: Any = dispatcher.Dispatcher
    own.compile = _alone(own.compile)


def _alone(compile_own: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """compile(), which looks for what is compiled already before it compiles, by one process at a time."""

    @wraps(compile_own)
    def then_compile(self: Any, sig: Any) -> Any:
        with global_compiler_lock, _lock_of(self):
            return compile_own(self, sig)

    return then_compile


@contextmanager
def _lock_of(kernel: Any) -> Iterator[None]:
    global _held
    opened = None if _held else _lock_file(kernel)
    if opened is None:
        yield
        return
    _held = True
    try:
        yield
    finally:
        _held = False
        os.close(opened)


def _lock_file(kernel: Any) -> int | None:
    """The lock of a kernel, held; nothing where it is not kept, or not here, or where files cannot be locked."""
    if not kernel._can_compile or (folder := getattr(kernel._cache, "cache_path", None)) is None:
        return None
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        opened = os.open(os.path.join(folder, kernel._cache._impl.filename_base + _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
    except OSError:
        os.close(opened)
        return None
    return opened
