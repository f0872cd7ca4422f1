"""The records of a stage as columns: what plans and questions about a run look at, without an object for every task.

A table of 90,000 tasks is read when somebody asks for a column of it, and let go of when a plan is made; what is asked
of whole stages again and again, such as counters, is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from manifests.record_columns import OUTPUT, PLANNED, RECORDS, columns_of, record_of
from manifests.records import OutputFile, TaskRecord, record_name
from manifests.seals import listing_digest
from manifests.storage import Storage

_GROUP_ROWS: Final = 1 << 14
_SPREAD: Final = r"part-[^/.]*-([0-9a-f]{2})[0-9a-f]{6}(?:-[0-9]{5})?$"  # as of part_paths
_FEW: Final = 20_000
_LARGE: Final = ("_records", "_files", "_by_role", "_counters_of", "tasks", "fingerprints")  # made of the table

_ENDED: Final = r'"finished_at": "(?P<at>[^"]*)"'  # of a record's JSON; in no text are quotes without a backslash
_TOOK: Final = r'"seconds": (?P<seconds>[-+.0-9eE]+)\}$'  # its last key
_TAIL: Final = -64

Load = Callable[[pa.Schema], pa.Table]
"""Reads a stage's table: the columns of a schema."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the records of a stage add up to.

    n_bytes: of its files. seconds: of work. damaged: parts of the input that were skipped. first_at, last_at: when its
    first and last tasks ended, ISO 8601; empty without tasks. folders: where small records of its tasks would lie."""

    tasks: int
    n_bytes: int
    seconds: float
    damaged: int
    peak_memory_bytes: int
    first_at: str
    last_at: str
    folders: Sequence[str]


class StageRecords(Mapping[str, TaskRecord]):
    """The records of a stage by task, held as columns; a record is made where somebody asks for it.

    Args:
        table: Of RECORDS, or of PLANNED, by task.
        load: Reads the table again, any of its columns; None where this one is all there is.
    """

    def __init__(self, table: pa.Table, load: Load | None = None) -> None:
        self._table: pa.Table | None = table
        self._load = load
        self._n_tasks = len(table)

    @classmethod
    def of(cls, records: Iterable[TaskRecord]) -> StageRecords:
        """The records of tasks, by name."""
        ordered = sorted(records, key=lambda record: record.identity.task)
        made = cls(columns_of(ordered))
        if len(ordered) <= _FEW:
            made.__dict__["_records"] = {record.identity.task: record for record in ordered}
        return made

    @classmethod
    def gathered(cls, records: Iterable[TaskRecord]) -> StageRecords:
        """As `of`, without keeping the objects."""
        return cls(columns_of(sorted(records, key=lambda record: record.identity.task)))

    @classmethod
    def joined(cls, parts: Sequence[StageRecords]) -> StageRecords:
        """Records of different tasks as one, by task."""
        some = [part for part in parts if len(part)]
        if len(some) < 2:
            return some[0] if some else cls(RECORDS.empty_table())
        table = pa.concat_tables([part.whole() for part in some])
        return cls(table.take(pc.sort_indices(table["task"])))

    def only(self, chosen: npt.NDArray[np.bool_]) -> StageRecords:
        """Those of some tasks. chosen: bool [tasks]. They are found again by name, whatever the table holds by then."""
        if chosen.all():
            return self
        mask = pa.array(chosen)
        names, load = self.table["task"].filter(mask).combine_chunks(), self._load

        def again(schema: pa.Schema) -> pa.Table:
            if load is None or not len(names):
                return schema.empty_table()
            columns = schema if "task" in schema.names else schema.append(RECORDS.field("task"))
            found = load(columns)
            return found.filter(pc.is_in(found["task"], value_set=names)).select(schema.names)

        return StageRecords(self.table.filter(mask), again if load is not None else None)

    @property
    def table(self) -> pa.Table:
        """The columns of PLANNED, and perhaps `record`."""
        if self._table is None:
            assert self._load is not None
            self._table = self._load(PLANNED)
        return self._table

    def whole(self) -> pa.Table:
        """Every column of RECORDS."""
        if self._load is None or "record" in self.table.column_names:
            return self.table.select(RECORDS.names).cast(RECORDS)
        return self._load(RECORDS)

    def forget(self) -> None:
        """Let go of columns and of what was made of them, where they are many and can be read again."""
        if len(self) > _FEW and self._load is not None:
            self._table = None
            for name in _LARGE:
                self.__dict__.pop(name, None)

    def __len__(self) -> int:
        return self._n_tasks

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

    def each(self) -> Iterator[TaskRecord]:
        """Every record, by task, of which none is kept."""
        return (record_of(row) for batch in self.whole().to_batches(max_chunksize=_GROUP_ROWS)
                for row in batch.to_pylist())

    @cached_property
    def _records(self) -> dict[str, TaskRecord]:
        return {record.identity.task: record for record in self.each()}

    @cached_property
    def _files(self) -> tuple[pa.StructArray, npt.NDArray[np.int64]]:
        """(every output, row of the task that each is of)."""
        outputs = self.table["outputs"].combine_chunks()
        return pc.list_flatten(outputs), pc.list_parent_indices(outputs).to_numpy()

    @cached_property
    def _by_role(self) -> dict[str, dict[str, OutputFile]]:
        return {}

    def by_task(self, role: str) -> dict[str, OutputFile]:
        """The file of a role of every task that has exactly one, by task."""
        if role not in self._by_role:
            files, owners = self._files
            chosen = pc.equal(files.field("role"), role)
            rows = owners[chosen.to_numpy(zero_copy_only=False)]
            once = np.bincount(rows, minlength=len(self))[rows] == 1
            outputs = _output_files(files.filter(chosen).filter(pa.array(once)))
            names = self.table["task"].take(pa.array(rows[once])).to_pylist()
            self._by_role[role] = dict(zip(names, outputs, strict=True))
        return self._by_role[role]

    def output(self, task: str, role: str) -> OutputFile:
        """The one file of a role of a task. Raises ValueError where there is none, or several."""
        found = self.by_task(role).get(task)
        if found is None:
            raise ValueError(f"the task {task!r} has not exactly one file of the role {role!r}")
        return found

    @cached_property
    def _counters_of(self) -> dict[str, dict[str, int]]:
        return {name: dict(pairs) for name, pairs in zip(self.tasks, self.table["counters"].to_pylist(), strict=True)}

    def counters_of(self, task: str) -> Mapping[str, int]:
        """Counters of one task."""
        return self._counters_of[task]

    def outputs(self, role: str) -> list[OutputFile]:
        """Every file of a role, by task."""
        files = self._files[0]
        return _output_files(files.filter(pc.equal(files.field("role"), role)))

    def with_tasks(self, role: str) -> list[tuple[str, OutputFile]]:
        """(task, file) for every file of a role, by task."""
        files, owners = self._files
        chosen = pc.equal(files.field("role"), role)
        names = self.table["task"].take(pa.array(owners).filter(chosen)).to_pylist()
        return list(zip(names, _output_files(files.filter(chosen)), strict=True))

    def has(self, role: str) -> bool:
        """Whether there is a file of a role."""
        return bool(pc.any(pc.equal(self._files[0].field("role"), role)).as_py())

    def files(self) -> pa.Table:
        """Every file by task and order: task, and the fields of `OutputFile`."""
        files, owners = self._files
        columns = {name: files.field(name) for name in (field.name for field in OUTPUT)}
        return pa.table({"task": self.table["task"].combine_chunks().take(pa.array(owners)), **columns})

    def paths(self) -> pa.Array:
        """Names of every file, large_string."""
        return self._files[0].field("path")

    def digests(self, role: str) -> list[str]:
        """Digests of the files of a role, by task."""
        files = self._files[0]
        found: list[str] = files.field("digest").filter(pc.equal(files.field("role"), role)).to_pylist()
        return found

    def listing(self, role: str) -> str:
        """As of `seals.listing_digest`, of the files of a role."""
        files = self._files[0]
        own = files.filter(pc.equal(files.field("role"), role))
        return listing_digest(zip(*(own.field(name).to_pylist() for name in ("path", "digest", "seal")), strict=True))

    def n_bytes(self) -> int:
        """Of all files."""
        return int(pc.sum(self._files[0].field("n_bytes")).as_py() or 0)

    def n_rows(self, role: str, task_prefix: str = "") -> int:
        """Rows of the files of a role of the tasks whose names begin so, summed."""
        files, owners = self._files
        own = pc.starts_with(self.table["task"].combine_chunks(), task_prefix).take(pa.array(owners))
        chosen = pc.and_(own, pc.equal(files.field("role"), role))
        return int(pc.sum(files.field("n_rows").filter(chosen)).as_py() or 0)

    def counters(self) -> dict[str, int]:
        """Summed over the tasks, by name."""
        return dict(self._counters)

    @cached_property
    def _counters(self) -> dict[str, int]:
        flat = self.table["counters"].combine_chunks().cast(pa.map_(pa.string(), pa.int64()))
        pairs = pa.table({"name": flat.keys, "n": flat.items})
        total = pairs.group_by("name").aggregate([("n", "sum")]).sort_by("name")
        return dict(zip(total["name"].to_pylist(), total["n_sum"].to_pylist(), strict=True))

    @cached_property
    def content(self) -> str:
        """xxh3-128 of what plans may see of the records: tasks, outputs and counters. 32 hex digits."""
        state = xxhash.xxh3_128(len(self).to_bytes(8, "little"))
        seen = pa.schema([RECORDS.field(name) for name in ("task", "outputs", "counters")])
        with pa.BufferOutputStream() as sink:
            with pa.ipc.new_stream(sink, seen) as stream:
                stream.write_table(self.table.select(seen.names).cast(seen).combine_chunks())
            state.update(sink.getvalue())
        return state.hexdigest()

    def totals(self, folder: str) -> Totals:
        """What they add up to. folder: of the stage."""
        record = self.whole()["record"]
        took = pc.extract_regex(pc.utf8_slice_codeunits(record, start=_TAIL), _TOOK)
        seconds = pc.sum(pc.struct_field(took, "seconds").cast(pa.float64())).as_py() or 0.0
        at = pc.min_max(pc.struct_field(pc.extract_regex(record, _ENDED), "at")).as_py()
        return Totals(len(self), self.n_bytes(), round(seconds, 3), self._counters.get("damaged", 0),
                      self.peak_memory_bytes(), at["min"] or "", at["max"] or "", self.small_folders(folder))

    def present(self, storage: Storage) -> npt.NDArray[np.bool_]:
        """As the first of `compared`."""
        return self.compared(storage)[0]

    def compared(self, storage: Storage) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """(whether the files of each task are there with the recorded sizes, bool [tasks]; names of files that lie
        among them and are none of them). Folders are listed; no file is looked at by itself."""
        files, owners = self._files
        there = np.ones(len(self), bool)
        if not len(files):
            return there, []
        found, n_bytes = storage.sizes(_folders(files.field("path")))
        paths = pa.array(found, pa.large_string())
        at = pc.index_in(files.field("path"), value_set=paths)
        sizes = pc.fill_null(pa.array(n_bytes, pa.int64()).take(at), -1)
        wrong = pc.not_equal(sizes, files.field("n_bytes")).to_numpy(zero_copy_only=False)
        there[owners[wrong]] = False
        named = np.zeros(len(paths), bool)
        named[at.drop_null().to_numpy()] = True
        return there, paths.filter(pa.array(~named)).to_pylist()

    def damaged(self) -> list[TaskRecord]:
        """Records of the tasks that skipped parts of their input."""
        if not self._counters.get("damaged"):
            return []
        counters = self.table["counters"].combine_chunks()
        owners = np.repeat(np.arange(len(self)), np.diff(counters.offsets.to_numpy()))
        rows = owners[pc.equal(counters.keys, "damaged").to_numpy(zero_copy_only=False)]
        return list(self.only(np.bincount(rows, minlength=len(self)) > 0).values())

    def peak_memory_bytes(self) -> int:
        """The most that a task's process held; 0 where there is no task."""
        return self._peak_memory_bytes

    @cached_property
    def _peak_memory_bytes(self) -> int:
        return int(pc.max(self.table["peak_memory_bytes"]).as_py() or 0)

    def small_folders(self, folder: str) -> list[str]:
        """Names of the folders in which small records of these tasks would lie. folder: of the stage."""
        return record_folders(folder, self.table["task"])


class DoneTask:
    """A task that is done, as plans see it. task: its name. What is asked of it is looked up in its stage's columns;
    what they do not hold, in its record."""

    __slots__ = ("_stage", "task")

    def __init__(self, stage: StageRecords, task: str) -> None:
        self._stage = stage
        self.task = task

    @property
    def counters(self) -> Mapping[str, int]:
        """By name."""
        return self._stage.counters_of(self.task)

    def output(self, role: str) -> OutputFile:
        """As of `StageRecords.output`."""
        return self._stage.output(self.task, role)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage[self.task], name)


class StageTasks(Sequence[DoneTask]):
    """The tasks of a stage that is done, by name. Whether there are some costs nothing."""

    def __init__(self, records: StageRecords) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[DoneTask]:
        return map(partial(DoneTask, self._records), self._records.tasks)

    @overload
    def __getitem__(self, index: int) -> DoneTask: ...

    @overload
    def __getitem__(self, index: slice) -> list[DoneTask]: ...

    def __getitem__(self, index: int | slice) -> DoneTask | list[DoneTask]:
        if isinstance(index, slice):
            return [DoneTask(self._records, task) for task in self._records.tasks[index]]
        return DoneTask(self._records, self._records.tasks[index])


def record_folders(folder: str, tasks: pa.Array | pa.ChunkedArray) -> list[str]:
    """Names of the folders in which small records of tasks lie. folder: of their stage. tasks: their names."""
    alike = pc.unique(pc.replace_substring_regex(tasks, _SPREAD, r"part-x-\1000000"))
    return sorted({record_name(folder, task).rpartition("/")[0] for task in alike.to_pylist()})


def _folders(paths: pa.Array) -> list[str]:
    found: list[str] = pc.unique(pc.replace_substring_regex(paths, r"/[^/]*$", "")).to_pylist()
    return sorted(found)


def _output_files(files: pa.StructArray) -> list[OutputFile]:
    columns = [files.field(field.name).to_pylist() for field in OUTPUT]
    return list(map(OutputFile, *columns))
