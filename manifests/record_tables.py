"""The records of a stage that is done, as one table: what planning compares without an object for every task.

When a stage is done its records are put into one Parquet file, published as one, and the small files removed. A row is
a task. A small record beside the table is newer, or the same: whoever does tasks of the stage again takes their rows
out of the table first, so that there is never a record beside files that it does not describe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from manifests.confined import confined
from manifests.errors import CurateError, InputError
from manifests.records import RECORDS_FOLDER, OutputFile, TaskRecord, record_name
from manifests.storage import Storage
from manifests.tables import TableFile, write_table

_OUTPUT: Final = pa.struct([
    pa.field("role", pa.string(), nullable=False), pa.field("path", pa.large_string(), nullable=False),
    pa.field("n_bytes", pa.int64(), nullable=False), pa.field("digest", pa.string(), nullable=False),
    pa.field("n_rows", pa.int64(), nullable=False)])
RECORDS: Final = pa.schema([
    pa.field("task", pa.large_string(), nullable=False), pa.field("fingerprint", pa.string(), nullable=False),
    pa.field("outputs", pa.large_list(pa.field("item", _OUTPUT, nullable=False)), nullable=False),
    pa.field("counters", pa.map_(pa.string(), pa.int64()), nullable=False),
    pa.field("peak_memory_bytes", pa.int64(), nullable=False),
    pa.field("record", pa.large_string(), nullable=False)])
"""record: JSON of whatever of a record the other columns do not hold."""

_SUFFIX: Final = ".records"
_DIGEST_BYTES: Final = 16
_PLAN: Final = b"curate.plan"
_CONTENT: Final = b"curate.content"
_READ: Final = ("task", "fingerprint", "outputs", "counters", "peak_memory_bytes")  # enough to plan
_GROUP_ROWS: Final = 1 << 14
_SUSPECT: Final = r"(^|/)\.{0,2}(/|$)|://|\x00"
_MAX_NAME: Final = 4096
_SPREAD: Final = r"part-[^/.]*-([0-9a-f]{2})[0-9a-f]{6}(?:-[0-9]{5})?$"  # as of part_paths
_FEW: Final = 20_000


def table_name(folder: str, stage: str) -> str:
    """Where the records of a stage lie as one: `clean/_records/clean.records`. folder: of the stage.

    It is Parquet with the xxh3-128 of that behind it, and not called Parquet, since patterns over the stage's folder
    mean its outputs."""
    return f"{folder}/{RECORDS_FOLDER}/{stage.replace('/', '.')}{_SUFFIX}"


class StageRecords(Mapping[str, TaskRecord]):
    """The records of a stage by task, held as columns; a record is made where somebody asks for it.

    Args:
        table: Of RECORDS, by task.
        reload: Gives the whole table where this one lacks the column `record`.
    """

    def __init__(self, table: pa.Table, reload: Callable[[], pa.Table] | None = None) -> None:
        self.table = table
        self._reload = reload

    @classmethod
    def of(cls, records: Iterable[TaskRecord]) -> StageRecords:
        """The records of tasks, by name."""
        ordered = sorted(records, key=lambda record: record.identity.task)
        made = cls(pa.Table.from_pylist([_row(record) for record in ordered], RECORDS))
        made.__dict__["_records"] = {record.identity.task: record for record in ordered}
        return made

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tasks)

    def __getitem__(self, task: str) -> TaskRecord:
        return self._records[task]

    @cached_property
    def tasks(self) -> list[str]:
        """Names of the tasks, sorted."""
        names: list[str] = self.table["task"].to_pylist()
        return names

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """By task."""
        return dict(zip(self.tasks, self.table["fingerprint"].to_pylist(), strict=True))

    @cached_property
    def _records(self) -> dict[str, TaskRecord]:
        table = self.table if self._reload is None else self._reload()
        made = (_record(row) for batch in table.to_batches(max_chunksize=_GROUP_ROWS) for row in batch.to_pylist())
        return {record.identity.task: record for record in made}

    @cached_property
    def _files(self) -> tuple[pa.StructArray, npt.NDArray[np.int64]]:
        """(every output, row of the task that each is of)."""
        outputs = self.table["outputs"].combine_chunks()
        return pc.list_flatten(outputs), pc.list_parent_indices(outputs).to_numpy()

    def outputs(self, role: str) -> list[OutputFile]:
        """Every file of a role, by task."""
        files = self._files[0]
        chosen = files.filter(pc.equal(files.field("role"), role)).to_pylist()
        return [OutputFile(**fields) for fields in chosen]

    def paths(self) -> pa.Array:
        """Names of every file, large_string."""
        return self._files[0].field("path")

    def digests(self, role: str) -> list[str]:
        """Digests of the files of a role, by task."""
        files = self._files[0]
        found: list[str] = files.field("digest").filter(pc.equal(files.field("role"), role)).to_pylist()
        return found

    def n_rows(self, role: str, task_prefix: str = "") -> int:
        """Rows of the files of a role of the tasks whose names begin so, summed."""
        files, owners = self._files
        own = pc.starts_with(self.table["task"].combine_chunks(), task_prefix).take(pa.array(owners))
        chosen = pc.and_(own, pc.equal(files.field("role"), role))
        return int(pc.sum(files.field("n_rows").filter(chosen)).as_py() or 0)

    def counters(self) -> dict[str, int]:
        """Summed over the tasks, by name."""
        flat = self.table["counters"].combine_chunks().cast(pa.map_(pa.string(), pa.int64()))
        pairs = pa.table({"name": flat.keys, "n": flat.items})
        total = pairs.group_by("name").aggregate([("n", "sum")]).sort_by("name")
        return dict(zip(total["name"].to_pylist(), total["n_sum"].to_pylist(), strict=True))

    @cached_property
    def content(self) -> str:
        """xxh3-128 of what plans may see of the records: tasks, outputs and counters. 32 hex digits."""
        return _content(self.table)

    def present(self, storage: Storage) -> npt.NDArray[np.bool_]:
        """Whether the files of each task are there with the recorded sizes, bool [tasks]. Folders are listed; no file
        is looked at by itself."""
        files, owners = self._files
        there = np.ones(len(self), bool)
        if len(files):
            paths, n_bytes = storage.sizes(_folders(files.field("path")))
            at = pc.index_in(files.field("path"), value_set=pa.array(paths, pa.large_string()))
            sizes = pc.fill_null(pa.array(n_bytes, pa.int64()).take(at), -1)
            wrong = pc.not_equal(sizes, files.field("n_bytes")).to_numpy(zero_copy_only=False)
            there[owners[wrong]] = False
        return there

    def damaged(self) -> list[TaskRecord]:
        """Records of the tasks that skipped parts of their input."""
        counters = self.table["counters"].combine_chunks()
        owners = np.repeat(np.arange(len(self)), np.diff(counters.offsets.to_numpy()))
        rows = owners[pc.equal(counters.keys, "damaged").to_numpy(zero_copy_only=False)]
        names = self.table["task"].take(pa.array(rows)).to_pylist()
        return [self[name] for name in names]

    def peak_memory_bytes(self) -> int:
        """The most that a task's process held; 0 where there is no task."""
        return int(pc.max(self.table["peak_memory_bytes"]).as_py() or 0)

    def small_folders(self, folder: str) -> list[str]:
        """Names of the folders in which small records of these tasks would lie. folder: of the stage."""
        alike = pc.unique(pc.replace_substring_regex(self.table["task"], _SPREAD, r"part-x-\1000000"))
        return sorted({record_name(folder, task).rpartition("/")[0] for task in alike.to_pylist()})

    def forget(self) -> None:
        """Let go of the records that were made, where they are many."""
        if len(self) > _FEW and self._reload is not None:
            self.__dict__.pop("_records", None)


def _folders(paths: pa.Array) -> list[str]:
    found: list[str] = pc.unique(pc.replace_substring_regex(paths, r"/[^/]*$", "")).to_pylist()
    return sorted(found)


def _row(record: TaskRecord) -> dict[str, Any]:
    fields = json.loads(record.to_json())
    outputs, counters = fields.pop("outputs"), fields.pop("counters")
    return {"task": record.identity.task, "fingerprint": fields.pop("fingerprint"), "outputs": outputs,
            "counters": list(counters.items()), "peak_memory_bytes": fields.pop("peak_memory_bytes"),
            "record": json.dumps(fields, sort_keys=True)}


def _record(row: Mapping[str, Any]) -> TaskRecord:
    fields = json.loads(row["record"]) | {
        "outputs": row["outputs"], "counters": dict(row["counters"]), "fingerprint": row["fingerprint"],
        "peak_memory_bytes": row["peak_memory_bytes"]}
    record = TaskRecord.from_fields(fields)
    if record is None or record.identity.task != row["task"]:
        raise InputError(f"holds a record of {row['task']!r} that is none", where=RECORDS_FOLDER,
                         hint="remove the table: what it describes is done again")
    return record


def _content(table: pa.Table) -> str:
    state = xxhash.xxh3_128(len(table).to_bytes(8, "little"))
    seen = pa.schema([RECORDS.field(name) for name in ("task", "outputs", "counters")])
    with pa.BufferOutputStream() as sink:
        with pa.ipc.new_stream(sink, seen) as stream:
            stream.write_table(table.select(seen.names).cast(seen).combine_chunks())
        state.update(sink.getvalue())
    return state.hexdigest()


def write_records(storage: Storage, name: str, records: StageRecords, plan: Mapping[str, str] | None
                  ) -> StageRecords:
    """Publish the records of a stage as one file; the same, read from there where somebody asks for one.

    plan: what the stage's plan depended on, by name, where the records are those of every task that it lists; None
    where they are not."""
    metadata = {_CONTENT: records.content.encode()}
    if plan is not None:
        metadata[_PLAN] = json.dumps(plan, sort_keys=True).encode()
    whole = records.table if records._reload is None else records._reload()
    groups = (whole.slice(start, _GROUP_ROWS) for start in range(0, len(records), _GROUP_ROWS))
    with storage.staging() as staging:
        staged = os.path.join(staging, "records")
        write_table(staged, RECORDS.with_metadata(metadata), groups)
        digest = xxhash.xxh3_128_digest(Path(staged).read_bytes())
        with open(staged, "ab") as file:
            file.write(digest)
        storage.publish(staged, name)
    return StageRecords(records.table.select(list(_READ)), lambda: _read(storage, name)[0])


def _read(storage: Storage, name: str, columns: Sequence[str] | None = None) -> tuple[pa.Table, dict[bytes, bytes]]:
    """(columns of a table of records, its metadata). InputError where its bytes are not those of its digest."""
    path, data = storage.path(name), storage.read_bytes(name) or b""
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if xxhash.xxh3_128_digest(body) != digest:
        raise InputError("its bytes are not those of its digest", where=path,
                         hint="remove it: what it describes is done again")
    with TableFile(pa.BufferReader(body), path) as file:
        table = file.read(columns=list(columns) if columns is not None else None, use_threads=False)
        return table, dict(file.schema_arrow.metadata or {})


def read_stage_records(storage: Storage, name: str) -> tuple[StageRecords, dict[str, str] | None] | None:
    """(records, what the plan depended on) of a stage's table; None where there is none, or it is none that this
    project wrote. The plan is None where the table does not hold every task."""
    if not storage.exists(name):
        return None
    try:
        table, metadata = _read(storage, name, _READ)
        checked = StageRecords(table.cast(pa.schema([RECORDS.field(n) for n in _READ])),
                               lambda: _read(storage, name)[0])
        _check(checked, metadata)
        plan = json.loads(metadata[_PLAN]) if _PLAN in metadata else None
    except (CurateError, pa.ArrowException, ValueError, KeyError):
        return None
    return checked, plan


def _check(records: StageRecords, metadata: Mapping[bytes, bytes]) -> None:
    """Raise where a table says of itself what is not so, or names what no run writes: a table may be anybody's."""
    if metadata[_CONTENT].decode() != records.content:
        raise ValueError("its content is not what it says")
    names = records.table["task"].combine_chunks()
    files = records._files[0]
    _check_confined(names)
    _check_confined(files.field("path"))
    if len(names) > 1 and not pc.all(pc.less(names.slice(0, len(names) - 1), names.slice(1))).as_py():
        raise ValueError("its tasks are not in order")


def every_record(storage: Storage) -> Iterator[tuple[str, TaskRecord | None]]:
    """(name, record) of every task of a run, by name; None where a file of that name holds no complete record."""
    names = storage.list("")
    small = [n for n in names if f"/{RECORDS_FOLDER}/" in n and n.endswith(".json") and n[0] != "."]
    found = {name: TaskRecord.from_json(storage.read_bytes(name) or b"") for name in small}
    for table in (n for n in names if f"/{RECORDS_FOLDER}/" in n and n.endswith(_SUFFIX) and n[0] != "."):
        stored = read_stage_records(storage, table)
        if stored is None:
            found[table] = None
            continue
        try:
            for record in stored[0].values():
                found.setdefault(record_name(record.identity.stage, record.identity.task), record)
        except InputError:
            found[table] = None
    yield from sorted(found.items())


def read_records(storage: Storage) -> list[TaskRecord]:
    """Every complete record of a run, by name."""
    return [record for _, record in every_record(storage) if record is not None]


def _check_confined(names: pa.Array) -> None:
    """`confined`, for a column of names."""
    for name in names.filter(pc.match_substring_regex(names, _SUSPECT)).to_pylist():
        confined(name, "records")
    if len(names) and pc.max(pc.binary_length(names)).as_py() > _MAX_NAME:
        raise ValueError("a name is too long")


def small_records(storage: Storage, folders: Sequence[str]) -> list[str]:
    """Names of the small records in some folders."""
    return [name for name in storage.sizes(folders)[0] if name.endswith(".json")]
