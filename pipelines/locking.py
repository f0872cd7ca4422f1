"""Who owns a run's folder: one process at a time, and one recipe name for good."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any

import yaml

from manifests.confined import below
from manifests.errors import OwnershipError, RecipeError
from manifests.graph import InputFile, Stage
from manifests.removals import DOCUMENTS, FOLDER
from manifests.schema import INPUT_FILES
from manifests.storage import Storage
from manifests.tables import write_table
from manifests.version import VERSION
from pipelines.inputs import describe, input_table
from pipelines.planning import Progress
from pipelines.recipe import Recipe
from pipelines.stages import STAGES, added
from pipelines.yaml_text import parse_yaml

LOCK_FILE = "recipe.lock.yaml"
INPUTS_FILE = "_records/inputs.parquet"
RUN_FORMAT = 2
"""How folders, tables and records of a run are named. Version 0.1.0 wrote 1, which its lock files do not record."""
_PROCESS_LOCK = "_records/run.lock"
_RECORDED = ("datasketch", "fasttext-community", "fastwarc", "gigatoken", "numba", "numpy", "polars",
             "chardet", "pyarrow", "resiliparse", "tokenizers", "zstandard")  # libraries that outputs depend on


@contextmanager
def exclusive(storage: Storage) -> Iterator[None]:
    """Hold the run for this process. The operating system frees the lock when the process dies, however it dies.
    An object store has no such lock: there, the submission id of the job keeps a second run out."""
    if not storage.local:
        yield
        return
    path = storage.path(_PROCESS_LOCK)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with _lock_file(below(storage.root, path)) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OwnershipError("another run is at work here", where=storage.root,
                                 hint="wait for it or stop it; a killed one frees the folder by itself") from error
        yield


def _lock_file(path: str) -> IO[bytes]:
    """The file whose lock is held, made where there is none; never one behind a link, nor a pipe."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise
        raise OwnershipError("is no regular file", where=path, hint="remove it") from error
    stream: IO[bytes] = os.fdopen(descriptor, "r+b", buffering=0)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise OwnershipError("is no regular file", where=path, hint="remove it")
    return stream


def check_owner(storage: Storage, recipe: Recipe, fresh: bool, stages: Sequence[Stage] = STAGES) -> None:
    """Raise OwnershipError unless the folder is new, or holds a run of this recipe and format (with fresh: of any) that
    had no stage beside these: its outputs would be taken for orphans."""
    if fresh and storage.exists(LOCK_FILE):
        return  # whatever it says, even damaged, it goes
    lock = read_lock(storage)
    if lock is None:
        # A run killed before it wrote its lock file has left nothing but records and staged files.
        if any(not name.startswith(("_records/", ".tmp/", "logs/", FOLDER)) for name in storage.list("")):
            raise OwnershipError("the folder holds files but no recipe.lock.yaml: it is not a run", where=storage.root,
                                 hint="choose another --output")
        return
    owner = lock.get("recipe", {}).get("name")
    if owner != recipe.name:
        raise OwnershipError(f"the folder belongs to a run of recipe {owner!r}", where=storage.root,
                             hint="choose another --output, or --fresh to delete that run")
    check_format(storage, lock)
    if missing := sorted(set(added_stages(lock)) - {stage.name for stage in stages}):
        raise OwnershipError(f"holds a run with stages that are not the pipeline's own: {', '.join(missing)}",
                             where=storage.root, hint="go on from the program that adds them (`pipelines.run(..., "
                             "stages=...)`), choose another --output, or --fresh to delete that run")


def added_stages(lock: dict[str, Any] | None) -> dict[str, Any]:
    """The stages of a run that are not the pipeline's own, by name: version, function and folder."""
    return (lock or {}).get("added_stages") or {}


def read_lock(storage: Storage) -> dict[str, Any] | None:
    """What recipe.lock.yaml holds; None where there is no such file. Raises OwnershipError where it is damaged."""
    data = storage.read_bytes(LOCK_FILE)
    if data is None:
        return None
    try:
        lock = parse_yaml(data, LOCK_FILE) or {}
    except RecipeError as error:
        lock = error.what
    problem = lock if isinstance(lock, str) else _lock_problem(lock)
    if problem is not None:
        raise OwnershipError(f"is damaged: {problem}",
                             where=storage.path(LOCK_FILE), hint="put it back, or delete the folder")
    return lock


def _lock_problem(lock: Any) -> str | None:
    """What a lock file lacks that every version writes; None where it has it."""
    recipe = lock.get("recipe") if isinstance(lock, dict) else None
    if not isinstance(recipe, dict) or not isinstance(recipe.get("name"), str):
        return "it holds no recipe with a name"
    if not isinstance(lock.get("versions", {}), dict):
        return "its versions are none"
    own = lock.get("added_stages") or {}
    if not isinstance(own, dict) or not all(
            isinstance(facts, dict) and isinstance(facts.get("folder"), str) for facts in own.values()):
        return "its added_stages are none"
    return None


def other_version(lock: dict[str, Any]) -> str | None:
    """The version of the program that wrote this lock file, where its runs have another format; None where the same."""
    if lock.get("run_format") == RUN_FORMAT:
        return None
    return str(lock.get("versions", {}).get("curate", "unknown"))


def check_format(storage: Storage, lock: dict[str, Any] | None) -> None:
    """Raise OwnershipError where a run is of another format, which is read but never written to."""
    if lock is not None and (version := other_version(lock)) is not None:
        raise OwnershipError(f"holds a run of version {version}, which this version reads but does not go on with",
                             where=storage.root, hint="choose another --output, or --fresh to delete that run")


def empty(storage: Storage) -> None:
    """Delete a run's files, but not the lock that this process holds, nor the list of documents that were removed. The
    lock file goes last: a folder half emptied is still known as a run."""
    names = [n for n in storage.list("") if n not in (_PROCESS_LOCK, LOCK_FILE, DOCUMENTS)]
    for name in [*names, LOCK_FILE]:
        storage.remove(name)
    if storage.local:
        for folder, inner, _ in sorted(os.walk(storage.root), reverse=True):
            for name in inner:
                if os.path.islink(f"{folder}/{name}"):
                    os.unlink(f"{folder}/{name}")  # what it leads to is not the run's
            if folder != storage.root and not os.listdir(folder):
                os.rmdir(folder)


def lock_text(progress: Progress, stages: Sequence[Stage] = STAGES) -> bytes:
    """recipe.lock.yaml: the resolved recipe, the versions its bytes depend on, its stages, and every input's
    fingerprint."""
    own = {stage.name: {"version": stage.version, "function": stage.function, "folder": stage.path}
           for stage in added(stages)}
    content: dict[str, Any] = {
        "run_format": RUN_FORMAT,
        "recipe": progress.recipe.model_dump(mode="json", by_alias=True),
        "versions": {"python": platform.python_version(), "machine": platform.machine(), "curate": VERSION,
                     **{name: _version(name) for name in _RECORDED}},
        **({"plugins": plugins} if (plugins := progress.recipe.plugins()) else {}),
        "stages": [stage.name for stage in stages],
        **({"added_stages": own} if own else {}),
        "inputs": {name: describe(files) for name, files in inputs_of(progress).items()},
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode()


def inputs_of(progress: Progress) -> dict[str, Sequence[InputFile]]:
    """Every input file, by source or field."""
    return {**{s.name: s.files for s in progress.sources}, **progress.files}


def write_lock(storage: Storage, progress: Progress, stages: Sequence[Stage] = STAGES) -> None:
    """Publish the list of input files and recipe.lock.yaml, where they differ from what is there."""
    lock = lock_text(progress, stages)
    if storage.read_bytes(LOCK_FILE) == lock and storage.exists(INPUTS_FILE):
        return
    with storage.staging() as folder:
        write_table(f"{folder}/inputs", INPUT_FILES, [input_table(inputs_of(progress))])
        storage.publish(f"{folder}/inputs", INPUTS_FILE)
    storage.write_bytes(LOCK_FILE, lock)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
