"""Is a run what its records, manifests and lock file say? `manifests.verify` reads every file that a record names; here
is what only the stage graph tells: what is missing though a stage is done, what nobody made, and what is no file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import CurateError
from manifests.record_tables import table_name
from manifests.records import RECORDS_FOLDER
from manifests.removals import FOLDER as REMOVALS
from manifests.removals import PENDING_FOLDER, SUCCESSION
from manifests.run_records import every_stage
from manifests.stage_records import StageRecords
from manifests.storage import Storage, digest_file
from manifests.tables import open_table
from manifests.tasks import MANIFEST, manifest_digest
from manifests.verify import Finding, verify
from pipelines.locking import LOCK_FILE, other_version, read_lock
from pipelines.stages import STAGES

BESIDE: Final = (f"{RECORDS_FOLDER}/", "logs/", "report/", "_index/", "card/", "audit/", ".tmp/", REMOVALS)
"""Folders of a run that hold what is no output of a stage."""
_AGAIN: Final = "`curate run` makes it again"
_KINDS: Final = ((stat.S_ISLNK, "a link"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
                 (stat.S_ISBLK, "a device"), (stat.S_ISCHR, "a device"))


def verify_run(run: str) -> Iterator[Finding]:
    """Check a run's folder, or a packed dataset alone.

    Args:
        run: A folder or URL.
    Yields:
        A finding for each check; a problem says what can be done about it: made again by running, or lost.
    Raises:
        InputError: There is neither a run nor a packed dataset; AbsentError where there is no such folder.
    """
    storage = Storage(run)
    if not storage.exists(LOCK_FILE) and (storage.exists(MANIFEST) or _is_packed_alone(storage)):
        yield from verify(run)
        return
    yield from _lock(storage)
    if storage.local:
        yield from _kinds(storage)
    for finding in verify(run):
        yield finding if finding.problem is None else Finding(finding.path, finding.check,
                                                              f"{finding.problem}; {_advice(storage, finding.path)}")
    names = storage.list("")
    stages: dict[str, StageRecords] = {}
    for folder, records in every_stage(storage, names):
        if isinstance(records, StageRecords):
            records.forget()
            stages[folder] = records
    yield from _manifests(storage, stages)
    yield from _extra(storage, stages, names)


def _is_packed_alone(storage: Storage) -> bool:
    """Whether a folder holds a packed dataset and no stage, as what `curate pack` leaves."""
    return storage.exists(f"packed/{MANIFEST}") and next(every_stage(storage), None) is None


def _advice(storage: Storage, path: str) -> str:
    """What can be done about a file. One of the recorded size is left as it is by a run that does not read it."""
    if path.startswith(REMOVALS) or path == SUCCESSION:
        return "it is lost: put it back from a copy"
    return f"remove it: {_AGAIN}" if storage.exists(path) else _AGAIN


def _lock(storage: Storage) -> Iterator[Finding]:
    problem = None
    try:
        if read_lock(storage) is None:
            problem = f"is missing: put it back, or {_AGAIN} with --fresh"
    except CurateError as error:
        problem = f"{error}; put it back, or {_AGAIN} with --fresh"
    yield Finding(LOCK_FILE, "lock file", problem)


def _kinds(storage: Storage) -> Iterator[Finding]:
    """What is no file and no folder, wherever it lies; links lead anywhere, also where they lead to a file."""
    wrong = []
    for folder, folders, files in os.walk(storage.root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            what = next((what for is_kind, what in _KINDS if is_kind(mode)), None)
            if what is not None:
                wrong.append((os.path.relpath(path, storage.root), what))
    for path, what in sorted(wrong):
        yield Finding(path, "kind", f"is {what}, where a run has files and folders: remove it; {_AGAIN}")
    if not wrong:
        yield Finding(".", "kind")


def _manifests(storage: Storage, stages: Mapping[str, StageRecords]) -> Iterator[Finding]:
    """Stage manifests against records. A stage whose records are one table is done, and has a manifest."""
    for stage in STAGES:
        own = stages.get(stage.path, StageRecords.of(()))
        name = f"{stage.path}/{MANIFEST}"
        is_done = storage.exists(table_name(stage.path, stage.name))
        if not stage.writes_manifest or not (storage.exists(name) or (is_done and own)):
            continue
        if not own and _lists_files(storage, name):
            table = table_name(stage.path, stage.name)
            yield Finding(table, "records", f"are missing, though {name} lists files; {_AGAIN}")
            continue
        yield Finding(name, "manifest", _manifest_problem(storage, name, own))
        own.forget()


def _lists_files(storage: Storage, name: str) -> bool:
    try:
        with open_table(storage.path(name)) as file:
            return bool(file.metadata.num_rows)
    except CurateError:
        return False


def _manifest_problem(storage: Storage, name: str, records: StageRecords) -> str | None:
    if not storage.exists(name):
        return f"is missing; {_AGAIN}"
    try:
        same = digest_file(storage.path(name)) == manifest_digest(records)
    except (CurateError, OSError) as error:
        return f"{error}; remove it: {_AGAIN}"
    return None if same else f"is not what the stage's records say; remove it: {_AGAIN}"


def _extra(storage: Storage, stages: Mapping[str, StageRecords], names: Sequence[str]) -> Iterator[Finding]:
    """Files that no record, manifest or lock names; of a run of another format nothing is said."""
    try:
        lock = read_lock(storage)
    except CurateError:
        return
    if lock is None or other_version(lock) is not None:
        return
    known = [LOCK_FILE, SUCCESSION, *(f"{stage.path}/{MANIFEST}" for stage in STAGES)]
    paths = pa.concat_arrays([pa.array(known, pa.large_string()), *(own.paths() for own in stages.values())])
    there = pa.array(names, pa.large_string())
    for name in there.filter(pc.invert(pc.is_in(there, value_set=paths))).to_pylist():
        if not name.startswith((*BESIDE, PENDING_FOLDER)) and f"/{RECORDS_FOLDER}/" not in name:
            yield Finding(name, "known", "is named by no record, and who reads the folder reads it: remove it, or "
                                         "`curate run` does where it lies among a stage's files")
