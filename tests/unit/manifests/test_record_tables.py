from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from manifests.record_columns import RECORDS
from manifests.record_tables import (
    read_stage_records,
    small_records,
    table_name,
    write_records,
)
from manifests.records import Damage, Identity, OutputFile, TaskRecord, record_name
from manifests.run_records import Unreadable, every_record, every_stage
from manifests.stage_records import StageRecords
from manifests.storage import Storage

NAME = table_name("first", "first")


def record(task: str, n: int = 3, **counters: int) -> TaskRecord:
    identity = Identity("first", 2, task, {"amount": n, "task": {"deep": [1, "x"]}}, {"source": f"d{n}"})
    path = record_name("first", task).replace("_records/", "").replace(".json", ".parquet")
    outputs = (OutputFile("documents", path, n, f"a{n}", n), OutputFile("card", f"{path}.md", 1, "b", -1))
    return TaskRecord(identity, outputs, {"documents": n, **counters}, (Damage("a@3", "is cut"),) if counters else (),
                      0.5, 7 * n, "host", "2026-01-01", identity.fingerprint)


RECORDS_OF_THREE = [record("crawl/part-x-1a2b3c4d"), record("crawl/part-y-ff2b3c4d", 5, damaged=1),
                    record("books/part-z-1a000000", 4)]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def make_files(storage: Storage, records: list[TaskRecord]) -> None:
    for one in records:
        for output in one.outputs:
            storage.write_bytes(output.path, b"x" * output.n_bytes)


def test_a_table_holds_what_the_records_held(storage: Storage) -> None:
    write_records(storage, NAME, StageRecords.of(RECORDS_OF_THREE), {"section:dedup": "ab"})
    found = read_stage_records(storage, NAME)
    assert found is not None
    stored, plan = found
    assert plan == {"section:dedup": "ab"}
    assert list(stored.values()) == sorted(RECORDS_OF_THREE, key=lambda r: r.identity.task)
    assert stored.counters() == {"damaged": 1, "documents": 12}
    assert stored.digests("documents") == ["a4", "a3", "a5"]
    assert stored.outputs("card")[0] == RECORDS_OF_THREE[2].outputs[1]
    assert (stored.n_rows("documents"), stored.n_rows("documents", "crawl/")) == (12, 8)
    assert stored.damaged() == [RECORDS_OF_THREE[1]]
    assert stored.peak_memory_bytes() == 35
    assert stored.content == StageRecords.of(reversed(RECORDS_OF_THREE)).content
    assert list(every_record(storage)) == sorted(RECORDS_OF_THREE, key=lambda r: r.identity.task)


def test_content_is_what_plans_see() -> None:
    first, second, third = RECORDS_OF_THREE
    known = StageRecords.of(RECORDS_OF_THREE).content
    assert StageRecords.of([first, second, replace(third, seconds=9.0, host="other")]).content == known
    for other in (replace(third, counters={"documents": 5}), record("books/part-z-1a000000", 6),
                  record("books/part-z-1a000001", 4)):
        assert StageRecords.of([first, second, other]).content != known
    assert StageRecords.of([first, second]).content != known


def test_files_are_there_with_their_sizes(storage: Storage) -> None:
    make_files(storage, RECORDS_OF_THREE)
    stored = StageRecords.of(RECORDS_OF_THREE)
    assert stored.present(storage).tolist() == [True, True, True]
    storage.write_bytes(RECORDS_OF_THREE[0].outputs[0].path, b"four")
    storage.remove(RECORDS_OF_THREE[1].outputs[1].path)
    assert stored.present(storage).tolist() == [True, False, False]
    assert StageRecords.of([]).present(storage).tolist() == []


def test_small_records_are_found_where_they_lie(storage: Storage) -> None:
    names = [record_name("first", one.identity.task) for one in RECORDS_OF_THREE]
    for name, one in zip(names[:2], RECORDS_OF_THREE, strict=False):
        storage.write_bytes(name, one.to_json())
    storage.write_bytes("first/crawl/_records/1a/notes.txt", b"")
    folders = StageRecords.of(RECORDS_OF_THREE).small_folders("first")
    assert folders == sorted({name.rpartition("/")[0] for name in names})
    assert sorted(small_records(storage, folders)) == sorted(names[:2])


def test_a_small_record_is_newer_than_the_table(storage: Storage) -> None:
    write_records(storage, NAME, StageRecords.of(RECORDS_OF_THREE), {})
    newer = record("crawl/part-x-1a2b3c4d", 9)
    storage.write_bytes(record_name("first", newer.identity.task), newer.to_json())
    assert newer in every_record(storage)
    assert len(list(every_record(storage))) == 3


@pytest.mark.parametrize("harm", ["path", "absolute", "task", "column", "content", "order", "none"])
def test_a_table_that_is_none_is_not_believed(storage: Storage, harm: str) -> None:
    stored = StageRecords.of(RECORDS_OF_THREE)
    table: Any = stored.table
    if harm in ("path", "absolute"):
        rows = table.to_pylist()
        rows[0]["outputs"][0]["path"] = "../../etc/passwd" if harm == "path" else "/etc/passwd"
        table = pa.Table.from_pylist(rows, RECORDS)
    elif harm == "task":
        table = StageRecords.of([*RECORDS_OF_THREE, record("crawl/../x")]).table
    elif harm == "column":
        table = table.drop_columns(["outputs"])
    elif harm == "order":
        table = table.take([2, 1, 0])
    metadata = {b"curate.content": stored.content.encode()}
    if harm in ("path", "absolute", "task", "order"):
        metadata = {b"curate.content": StageRecords(table).content.encode()}
    elif harm == "content":
        metadata = {b"curate.content": b"0" * 32}
    os.makedirs(os.path.dirname(storage.path(NAME)))
    path = Path(storage.path(NAME))
    pq.write_table(table.replace_schema_metadata(metadata), path, write_page_checksum=True)
    path.write_bytes(path.read_bytes() + xxhash.xxh3_128_digest(path.read_bytes()))  # as whoever means harm would
    found = read_stage_records(storage, NAME)
    assert (found is not None) == (harm == "none")
    unreadable = [name for name, one in every_stage(storage) if isinstance(one, Unreadable)]
    assert unreadable == ([] if harm == "none" else [NAME])


def test_no_flipped_bit_is_believed(storage: Storage) -> None:
    write_records(storage, NAME, StageRecords.of(RECORDS_OF_THREE), {})
    path = Path(storage.path(NAME))
    data = path.read_bytes()
    refused = 0
    for at in range(0, len(data), 23):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1:])
        assert (NAME, Unreadable(NAME)) in every_stage(storage)
        assert not list(every_record(storage))
        refused += 1
    assert refused > 50
