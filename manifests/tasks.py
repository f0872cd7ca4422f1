"""One task's work: what a stage function is given, and how what it wrote is committed.

A stage function has the form `stage(config, work)`. It reads `work.input(...)`, writes to `work.output(...)`, counts
with `work.count(...)`, and returns nothing. It never sees the engine, other tasks, the clock or where the run lies.
"""

from __future__ import annotations

import os
import resource
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import InputError
from manifests.expected import expect, forget
from manifests.part_paths import part_path
from manifests.records import Damage, Identity, OutputFile, TaskRecord, record_name
from manifests.schema import STAGE_MANIFEST
from manifests.seals import listing_digest, seal_of
from manifests.stage_records import StageRecords
from manifests.storage import Storage, digest_file
from manifests.tables import read_table, write_table

MANIFEST = "manifest.parquet"
_CHECKED_WITHIN = (".parquet", ".shuffle", ".tokens")  # by page, by partition, and by block or by whoever reads it
_MAX_DAMAGE = 1000  # entries listed in a record; all are counted


@dataclass(frozen=True, slots=True)
class InputRef:
    """What a task reads under one name: files by path, or every output of a stage through its manifest.

    paths: relative to the run, absolute, or URLs; a path ending in `/manifest.parquet` means the files listed in
    it. role: keep only outputs of this role from manifests. digest: what the task's fingerprint sees. n_bytes: size of
    files that this task alone reads, 0 where it is not known; it decides which tasks begin first, and nothing else.
    digests: of the content of each file, where `digest` is of several; none where they are not compared. seals: of each
    file, or of what a stage's manifest lists of the role, as of `seals`; an empty one, or none, is not compared."""

    paths: tuple[str, ...]
    digest: str
    role: str | None = None
    n_bytes: int = field(default=0, compare=False)
    digests: tuple[str, ...] = field(default=(), compare=False)
    seals: tuple[str, ...] = field(default=(), compare=False)

    def recorded(self) -> tuple[str | None, ...]:
        """Digest of each file's content by the record of the task that wrote it; None where there is none."""
        if self.digests:
            return self.digests
        return (self.digest,) if self.role is not None and len(self.paths) == 1 else (None,) * len(self.paths)


@dataclass(frozen=True, slots=True)
class StageTask:
    """One task of one stage. name: under the stage's folder, such as `crawl/part-x-1a2b3c4d`.
    variables: facts of this task that the configuration does not hold, such as a source's name or a partition.
    settings: how to work, such as time-outs: no output may depend on them, so no fingerprint sees them."""

    stage: str
    version: int
    name: str
    config: Any
    config_fields: Mapping[str, Any]
    inputs: Mapping[str, InputRef]
    variables: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        config = {**self.config_fields, **({"task": dict(self.variables)} if self.variables else {})}
        return Identity(self.stage, self.version, self.name, config, {k: v.digest for k, v in self.inputs.items()})

    @property
    def n_bytes(self) -> int:
        """Size of what this task alone reads, as far as it is known."""
        return sum(ref.n_bytes for ref in self.inputs.values())


StageFunction = Callable[[Any, "Work"], None]


class Work:
    """An open task: its inputs resolved, its outputs staged until the function returns."""

    def __init__(self, storage: Storage, task: StageTask, staging: str) -> None:
        self.storage = storage
        self.task = task
        self.counters: Counter[str] = Counter()
        self.damage: list[Damage] = []
        self._staging = staging
        self._outputs: list[tuple[str, str, str, int]] = []
        self._sealed: set[str] = set()

    @property
    def variables(self) -> Mapping[str, Any]:
        return self.task.variables

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.task.settings

    def inputs(self, name: str, role: str | None = None, whole: bool = False) -> list[str]:
        """Full paths of every file of an input, in the order of the task or the stage's manifest; none if absent.

        Args:
            name: Of the input.
            role: Which outputs of a stage manifest, where the task does not say.
            whole: Whether every file is compared with its record. Otherwise those are that hold no checksums of what
                is read of them.
        Raises:
            InputError: A file is not what its record says.
        """
        ref = self.task.inputs.get(name)
        if ref is None:
            return []
        files: list[tuple[str, str | None, str]] = []
        for path, digest, seal in zip(ref.paths, ref.recorded(), ref.seals or ("",) * len(ref.paths), strict=True):
            is_list = path.endswith(f"/{MANIFEST}")
            files += _expand(self.storage, path, ref.role, role, seal) if is_list else [(path, digest, seal)]
        for path, digest, seal in files:
            if seal:
                expect(self.storage.path(path), seal)
                self._sealed.add(self.storage.path(path))
            if digest is not None and (whole or not path.endswith(_CHECKED_WITHIN)):
                _check_content(self.storage, path, digest)
        return [self.storage.path(path) for path, _, _ in files]

    def close(self) -> None:
        """What was read is compared no more: others may open files of these names."""
        forget(self._sealed)

    def digest(self, name: str) -> str | None:
        """Digest of an input that is one file, by the record of the task that wrote it; None where it has none."""
        (digest,) = self.task.inputs[name].recorded()
        return digest

    def input(self, name: str) -> str:
        """Full path of an input that is exactly one file."""
        (path,) = self.inputs(name)
        return path

    def output(self, role: str, suffix: str = ".parquet", name: str | None = None) -> str:
        """A local path to write an output to; it becomes `STAGE/TASK<suffix>`, or `STAGE/<name>`, when all is done,
        where parts lie (`part_paths`)."""
        final = f"{self.task.stage}/{part_path(name if name is not None else self.task.name + suffix)}"
        staged = os.path.join(self._staging, f"{len(self._outputs):04d}")
        self._outputs.append((role, final, staged, -1))
        return staged

    def scratch(self, name: str) -> str:
        """A local path for what only this task needs to keep; it goes when the task ends, however it ends."""
        return os.path.join(self._staging, f"scratch-{name}")

    def write(self, role: str, schema: pa.Schema, tables: Iterable[pa.Table | pa.RecordBatch],
              name: str | None = None, dictionary: bool = True) -> int:
        """Write one Parquet output; returns its number of rows. dictionary: as of `write_table`."""
        staged = self.output(role, name=name)
        index = len(self._outputs) - 1
        n_rows = write_table(staged, schema, tables, dictionary)
        self._outputs[index] = (*self._outputs[index][:3], n_rows)
        return n_rows

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the task's record."""
        self.counters[name] += int(n)

    def report_damage(self, where: str, what: str) -> None:
        """Name a part of the input that had to be skipped; it is counted as `damaged`."""
        self.counters["damaged"] += 1
        if len(self.damage) < _MAX_DAMAGE:
            self.damage.append(Damage(where, what))

    def publish(self) -> tuple[OutputFile, ...]:
        """Give every staged output its name, in the order they were opened."""
        done = []
        for role, final, staged, n_rows in self._outputs:
            digest, n_bytes, seal = digest_file(staged), os.path.getsize(staged), seal_of(staged, final)
            self.storage.publish(staged, final)
            done.append(OutputFile(role, final, n_bytes, digest, n_rows, seal))
        return tuple(done)


def _expand(storage: Storage, manifest: str, of: str | None, role: str | None, listing: str
            ) -> list[tuple[str, str | None, str]]:
    """(path, digest, seal) of the files of one or two roles that a stage's manifest lists. listing: of those of the
    first, as the stage's records have it; empty where it is not known."""
    table = read_table(storage.path(manifest), ["path", "role", "xxh3", "seal"])
    rows = list(zip(*(table[name].to_pylist() for name in ("path", "role", "xxh3", "seal")), strict=True))
    listed = [(path, digest, seal) for path, r, digest, seal in rows if of is None or r == of]
    if listing and listing_digest(listed) != listing:
        raise InputError("is damaged: it is not what the stage's records say", where=storage.path(manifest),
                         hint="remove it: the same command makes it again")
    return [(path, digest, seal) for path, r, digest, seal in rows if (role or of) is None or r == (role or of)]


def _check_content(storage: Storage, name: str, digest: str) -> None:
    """Raise InputError where a file is not what its record says."""
    path = storage.path(name)
    state = os.stat(path) if storage.local else None
    _compare(path, digest, *((state.st_size, state.st_mtime_ns) if state else (-1, -1)))


@lru_cache(maxsize=256)
def _compare(path: str, wanted: str, n_bytes: int, changed_ns: int) -> None:
    """A model or a tokenizer is read by every task of a process, and by most of them as it was. An error is not kept:
    the file may be made again."""
    if digest_file(path) != wanted:
        raise InputError("is damaged: its bytes are not those that its record names", where=path,
                         hint="remove it: the same command makes it again")


def write_manifest(storage: Storage, folder: str, records: StageRecords) -> None:
    """`FOLDER/manifest.parquet` of a stage that is done: every file of its tasks, by task and path."""
    with storage.staging() as staging:
        staged = f"{staging}/{MANIFEST}"
        write_manifest_file(staged, records)
        storage.publish(staged, f"{folder}/{MANIFEST}")


def write_manifest_file(path: str, records: StageRecords) -> None:
    """What `write_manifest` publishes, at a local path: the same bytes for the same records."""
    files = records.files()
    files = files.rename_columns(["xxh3" if name == "digest" else name for name in files.column_names])
    files = files.take(pc.sort_indices(files, [("task", "ascending"), ("path", "ascending")]))
    write_table(path, STAGE_MANIFEST, [files.select(STAGE_MANIFEST.names).cast(STAGE_MANIFEST).combine_chunks()])


def manifest_digest(records: StageRecords) -> str:
    """xxh3-128 of the manifest that a stage with these records has, 32 hex digits."""
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        write_manifest_file(f"{folder}/{MANIFEST}", records)
        return digest_file(f"{folder}/{MANIFEST}")


def peak_memory_bytes() -> int:
    """Most memory this process has held; Linux's ru_maxrss would count its parent's, from before the program began."""
    try:
        with open("/proc/self/status", encoding="ascii") as stream:
            return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


LET_GO: Final[list[Callable[[], None]]] = []
"""What modules let go of when this process turns to another stage, such as pages of files that they have mapped. They
are told more than once where stages take turns, so what is costly to have again stays."""
_stage = ""


def _turn_to(stage: str) -> None:
    global _stage
    if stage != _stage:
        _stage = stage
        for let_go in LET_GO:
            let_go()


def execute(storage: Storage, task: StageTask, function: StageFunction,
            watched: Callable[[Storage, Work], AbstractContextManager[None]] | None = None) -> TaskRecord:
    """Run one task and commit it: outputs first, its record last. The old record goes before the first new byte,
    so that there is never a record beside files that it does not describe. watched: what looks at the task while it is
    at work."""
    started = time.monotonic()
    _turn_to(task.stage)
    with storage.staging() as staging:
        work = Work(storage, task, staging)
        try:
            with nullcontext() if watched is None else watched(storage, work):
                function(task.config, work)
        finally:
            work.close()
        storage.remove(record_name(task.stage, task.name))
        outputs = work.publish()
    record = TaskRecord(
        identity=task.identity, outputs=outputs, counters=dict(sorted(work.counters.items())),
        damage=tuple(work.damage), seconds=round(time.monotonic() - started, 3),
        peak_memory_bytes=peak_memory_bytes(),
        host=socket.gethostname(), finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=task.identity.fingerprint)
    storage.write_bytes(record_name(task.stage, task.name), record.to_json())
    return record
