"""Files of a run that are not what their records say: told from other failures when a task comes upon one, and removed,
so that the run makes them again.

A task that fails over a file says which; whether that is the run's own, and damaged, is seen by its record. Nothing
else is removed: an input of the user, a file of an earlier run, and one that is as its record says are left, and the
failure stands. Nothing is removed either where documents were taken out of the run: what stages would make anew is not
what `curate remove` left.
"""

from __future__ import annotations

import errno
import os

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import CurateError, InputError, ShardError, StageError
from manifests.graph import View
from manifests.removals import DOCUMENTS
from manifests.storage import Storage, digest_file, is_local
from manifests.tasks import MANIFEST, StageTask, manifest_digest


class Damaged:
    """The damaged files that tasks of a run came upon.

    Args:
        storage: The run.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._found: set[str] = set()
        self._removed: set[str] = set()

    def __bool__(self) -> bool:
        """Whether there are some that were not removed yet."""
        return bool(self._found)

    def explains(self, task: StageTask, error: CurateError, view: View) -> bool:
        """Whether a task failed since files of its run are damaged or gone; they are noted.

        Args:
            task: That failed.
            error: What it failed with.
            view: Of the run: what its stages recorded.
        Raises:
            StageError: One of them was made again already, and is damaged again.
        """
        if not isinstance(error, InputError | ShardError) or self._storage.exists(DOCUMENTS):
            return False
        recorded = _recorded(self._storage, task, view)
        named = [name for name in recorded if self._storage.path(name) == error.where]
        found = [name for name in named if self._differs(name, *recorded[name])]
        if not found:  # something else was read of it before that was seen
            found = [name for name in recorded if name not in named and self._differs(name, *recorded[name])]
        if again := sorted(self._removed.intersection(found)):
            raise StageError("is damaged again, though it was made anew", where=self._storage.path(again[0]),
                             hint="the disk or the memory may be failing: check them, then give the same command again"
                             ) from error
        self._found.update(found)
        return bool(found)

    def _differs(self, name: str, n_bytes: int, digest: str) -> bool:
        """Whether a file is known to be another than the one recorded, or gone. A store that does not answer, or what
        is no file, says nothing."""
        if name in self._found:
            return True
        size, path = self._storage.size(name), self._storage.path(name)
        if size is None or (self._storage.local and not os.path.isfile(path)):
            return size is None
        try:
            return (n_bytes >= 0 and size != n_bytes) or digest_file(path) != digest
        except OSError as error:
            return error.errno == errno.EIO
        except CurateError:
            return False

    def remove(self) -> list[str]:
        """Remove the files that were found since the last call; their names. Their tasks are stale without them."""
        names = sorted(self._found)
        self._storage.remove_all(names)
        self._removed.update(names)
        self._found.clear()
        return names


def _recorded(storage: Storage, task: StageTask, view: View) -> dict[str, tuple[int, str]]:
    """(bytes, digest) by name of every file that a task reads and a stage of its run recorded. Bytes of a stage's
    manifest, which no record names, are -1."""
    refs = task.inputs.values()
    own = [path for ref in refs for path in ref.paths if is_local(path) and not path.startswith("/")]
    if not own:
        return {}
    wanted = pa.array(own, pa.large_string())
    roles: dict[str, set[str | None]] = {}  # by stage whose manifest says which files are read
    for ref in refs:
        for path in ref.paths:
            if path.endswith(f"/{MANIFEST}"):
                roles.setdefault(path.removesuffix(f"/{MANIFEST}"), set()).add(ref.role)
    found: dict[str, tuple[int, str]] = {}
    for stage in view.done_stages():
        records, of = view.records(stage), roles.get(stage, set())
        files = records.files()
        chosen = pc.is_in(files["path"], value_set=wanted)
        if of:
            found[f"{stage}/{MANIFEST}"] = -1, manifest_digest(records)
            named = pc.is_in(files["role"], value_set=pa.array([role for role in of if role], files["role"].type))
            chosen = pa.array([True] * len(files)) if None in of else pc.or_(chosen, named)
        for row in files.filter(chosen).select(["path", "n_bytes", "digest"]).to_pylist():
            found[row["path"]] = row["n_bytes"], row["digest"]
        records.forget()
    return found
