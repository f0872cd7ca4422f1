"""Many files of a run replaced as one: all are staged, then a plan is written, then they are moved.

A process that dies before the plan has changed nothing; one that dies after it left a plan that anybody may finish, and
finishing twice is the same as once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence

from manifests.confined import below, confined
from manifests.errors import InputError
from manifests.removals import PENDING, PENDING_FOLDER
from manifests.storage import Storage

_ADVICE = "delete the folder that it lies in; what was to be removed is in the run yet"


class Journal:
    """Files to be replaced together. Only on a local file system, where a rename is atomic."""

    def __init__(self, storage: Storage) -> None:
        if not storage.local:
            raise InputError("is on an object store, where many files cannot be replaced as one", where=storage.root,
                             hint="copy the run to a disk, remove there, and copy back what removals/ lists")
        self._storage = storage
        self._folder = storage.path(PENDING_FOLDER.rstrip("/"))
        shutil.rmtree(self._folder, ignore_errors=True)
        os.makedirs(self._folder)
        self._staged: dict[str, str] = {}

    def stage(self, name: str) -> str:
        """A local path to write the new content of a file of the run to."""
        staged = f"{self._folder}/new/{name}"
        os.makedirs(os.path.dirname(staged), exist_ok=True)
        self._staged[name] = staged
        return staged

    def path(self, name: str) -> str:
        """Where a file's content is: staged, or unchanged."""
        return self._staged.get(name) or self._storage.path(name)

    def commit(self, remove: Sequence[str] = ()) -> None:
        """Replace every staged file, in the order of staging, and remove others."""
        for path in self._staged.values():
            with open(path, "rb+") as stream:
                os.fsync(stream.fileno())
        plan = {"replace": list(self._staged), "remove": list(remove)}
        self._storage.write_bytes(PENDING, json.dumps(plan, indent=1).encode())
        finish_pending(self._storage)

    def drop(self) -> None:
        """Forget everything that was staged."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _read_plan(data: bytes, where: str) -> tuple[list[str], list[str]]:
    """Names of files to replace and to remove; InputError where this is no plan, or names files outside the run."""
    try:
        plan = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no plan of a removal: {error}", where=where, hint=_ADVICE) from error
    if not isinstance(plan, dict) or set(plan) != {"replace", "remove"} or not all(
            isinstance(names, list) for names in plan.values()):
        raise InputError("is no plan of a removal", where=where, hint=_ADVICE)
    replaced, removed = ([confined(name, where) for name in plan[key]] for key in ("replace", "remove"))
    for name in (*replaced, *removed):
        if name.startswith((".", "_")) and not name.startswith("_index/"):
            raise InputError(f"names {name!r}, which no removal touches", where=where, hint=_ADVICE)
    return replaced, removed


def finish_pending(storage: Storage) -> bool:
    """Finish a replacement that was planned but not done; whether there was one. Call it under the run's lock.

    Raises InputError, having changed nothing, where the plan is none that this project wrote."""
    if not storage.local:
        return False
    data = storage.read_bytes(PENDING)
    folder = storage.path(PENDING_FOLDER.rstrip("/"))
    if data is not None:
        replaced, removed = _read_plan(data, storage.path(PENDING))
        for name in replaced:
            staged = below(folder, f"{folder}/new/{name}")
            if os.path.islink(staged) or (os.path.exists(staged) and not os.path.isfile(staged)):
                raise InputError("is no regular file", where=staged, hint=_ADVICE)
            if os.path.exists(staged):  # else an earlier attempt has moved it
                storage.publish(staged, name)
        for name in removed:
            storage.remove(name)
        storage.remove(PENDING)
    shutil.rmtree(folder, ignore_errors=True)
    return data is not None
