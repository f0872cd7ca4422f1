"""What Ray needs when it is started on this machine alone: addresses that nobody else reaches, and a folder that is the
user's alone and goes at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from curate.caches import writable_cache_folder

_SOCKET_PATH_BYTES: Final = 107  # of a Unix socket
_RAY_NAMES_BYTES: Final = 64  # Ray's own names below its folder take up to so many
_OWN_NAME_BYTES: Final = 11
_LOCK: Final = "lock"
_UNCLAIMED_SECONDS: Final = 3600.0


@contextmanager
def session_folder() -> Iterator[str]:
    """A folder for Ray's session files and sockets, readable by this user alone; it goes at the end.

    It lies in the user's cache, unless that makes the names of sockets too long. Folders of processes that died are
    removed first: whoever uses one holds its lock, which dies with it.
    """
    base = writable_cache_folder() / "ray"
    if len(os.fsencode(base)) + _OWN_NAME_BYTES + _RAY_NAMES_BYTES > _SOCKET_PATH_BYTES:
        base = Path(tempfile.gettempdir()) / f"curate-ray-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        base = Path(tempfile.mkdtemp(prefix="curate-ray-"))  # that name is somebody else's
    base.chmod(0o700)
    sweep(base)
    folder = tempfile.mkdtemp(prefix="", dir=base)
    try:
        with open(os.path.join(folder, _LOCK), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            inner = os.path.join(folder, "r")  # Ray opens its folder to everybody; nobody else comes that far
            os.mkdir(inner)
            yield inner
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(base: Path) -> None:
    """Remove the session folders in `base` whose process is gone; what else is there stays."""
    for folder in base.iterdir():
        with suppress(OSError):
            if folder.is_symlink() or not folder.is_dir():
                continue
            lock = folder / _LOCK
            if not lock.exists():  # made a moment ago, or by an earlier version
                if time.time() - folder.stat().st_mtime > _UNCLAIMED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            with open(lock) as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def ended_processes() -> list[str]:
    """Which processes of a session that was started here are gone, such as `raylet` and `gcs_server`.
    Ray itself notices after a minute, and then ends this process."""
    from ray._private import worker

    node: Any = worker._global_node
    return sorted({str(kind) for kind, _ in node.dead_processes()}) if node is not None else []


@contextmanager
def for_this_process_alone() -> Iterator[None]:
    """How Ray is started in this block: its servers listen on 127.0.0.1 alone, and what its processes log is not
    printed here.

    Ray replaces that address wherever it is given, except where it believes that no cluster is possible, as on a
    desktop's system. Whatever a task fails of comes with the task; when a process of Ray dies, `ended_processes` says
    so, where Ray would print its log.
    """
    from ray._private import ray_constants, worker

    before = ray_constants.ENABLE_RAY_CLUSTER, worker.listen_error_messages
    ray_constants.ENABLE_RAY_CLUSTER = False
    worker.listen_error_messages = _ignore
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER, worker.listen_error_messages = before


def _ignore(worker: Any, threads_stopped: Any) -> None:
    """Hear of nothing."""
