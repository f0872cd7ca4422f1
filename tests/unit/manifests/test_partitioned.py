from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import CurateError
from manifests.hashing import UInt64, ids_array
from manifests.partitioned import (
    PartitionedFile,
    partition_of,
    plain,
    read_partition,
    read_value,
    spread,
    write_partitions,
)

SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("doc_id", pa.binary(16), nullable=False),
                    pa.field("share", pa.float32()), pa.field("words", pa.large_list(pa.uint64())),
                    pa.field("reason", pa.string())])


def keys_of(n: int) -> UInt64:
    return np.arange(n, dtype=np.uint64) * np.uint64(0x1234567890ABCDEF)


def rows_of(n: int) -> pa.Table:
    keys = keys_of(n)
    return pa.table({
        "key": keys, "doc_id": ids_array(np.stack([keys, keys[::-1]], axis=1)),
        "share": pa.array([None if i % 3 else i / 7 for i in range(n)], pa.float32()),
        "words": pa.array([list(range(i % 5)) for i in range(n)], pa.large_list(pa.uint64())),
        "reason": pa.array(["near" if i % 2 else None for i in range(n)])}, schema=SCHEMA)


@pytest.mark.parametrize("partitions", [1, 16, 37, 500])
@pytest.mark.parametrize("by", ["key", "doc_id"])
def test_each_row_comes_back_once_in_its_range_and_order(tmp_path: Path, partitions: int, by: str) -> None:
    path, table = str(tmp_path / "f"), rows_of(300)
    assert write_partitions(path, SCHEMA, [table.slice(0, 100), table.slice(100)], by, partitions) == 300
    numbers = partition_of(spread(table[by]), partitions)
    for partition in range(partitions):
        wanted = table.filter(pa.array(numbers == partition))
        assert read_partition(path, SCHEMA, partition, partitions).equals(wanted)


@pytest.mark.parametrize("readers", [1, 2, 3, 8, 16, 50])
def test_a_file_serves_any_number_of_readers(tmp_path: Path, readers: int) -> None:
    path, table = str(tmp_path / "f"), rows_of(200)
    write_partitions(path, SCHEMA, table, "key")
    numbers = partition_of(spread(table["key"]), readers)
    found = [read_partition(path, SCHEMA, p, readers) for p in range(readers)]
    for partition, rows in enumerate(found):
        wanted = table.filter(pa.array(numbers == partition))
        assert sorted(rows["key"].to_pylist()) == sorted(wanted["key"].to_pylist())
    assert sum(map(len, found)) == 200


def test_the_partition_of_one_value_holds_it(tmp_path: Path) -> None:
    path, table = str(tmp_path / "f"), rows_of(64)
    write_partitions(path, SCHEMA, table, "key", 128)
    for key in table["key"].to_pylist()[:10]:
        assert key in read_value(path, SCHEMA, key)["key"].to_pylist()


def test_nothing_is_a_file_too(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    assert write_partitions(path, SCHEMA, [], "key") == 0
    assert len(read_partition(path, SCHEMA, 3, 4)) == 0


def test_the_same_rows_are_the_same_bytes_however_they_lie_in_memory(tmp_path: Path) -> None:
    table = rows_of(60)
    offset = pa.concat_tables([rows_of(7), table]).slice(7)
    values = np.arange(60, dtype=np.float32)
    valid = np.arange(60) % 3 == 0
    dirty = pa.Array.from_buffers(pa.float32(), 60, [pa.array(valid).buffers()[1], pa.py_buffer(values)])
    clean = pa.array(np.where(valid, values, 0), mask=~valid)
    one, other = (table.set_column(2, "share", a) for a in (dirty, clean))
    assert plain(one.cast(SCHEMA)).serialize() == plain(other.cast(SCHEMA)).serialize()
    for name, rows in (("a", table), ("b", offset)):
        write_partitions(str(tmp_path / name), SCHEMA, rows, "key")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_damaged_byte_is_noticed_by_the_partition_that_reads_it(tmp_path: Path) -> None:
    path, table = tmp_path / "f", rows_of(40)
    write_partitions(str(path), SCHEMA, table, "key", 4)
    data = path.read_bytes()
    before = [read_partition(str(path), SCHEMA, p, 4) for p in range(4)]
    checked = 0
    for at in range(0, len(data), 7):
        changed = bytearray(data)
        changed[at] ^= 0x5A
        path.write_bytes(changed)
        for partition in range(4):
            try:
                found = read_partition(str(path), SCHEMA, partition, 4)
            except CurateError as error:
                checked += error.where == str(path)
            else:  # what it did not read may be damaged
                assert found.equals(before[partition]), at
    assert checked > len(data) // 7 // 2
    path.write_bytes(data[:-1])
    with pytest.raises(CurateError, match="partition 3 differs from its digest"):
        read_partition(str(path), SCHEMA, 3, 4)


def test_a_damaged_table_another_schema_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_partitions(str(path), SCHEMA, rows_of(40), "key", 40)
    with pytest.raises(CurateError, match="partition 0 differs"):
        read_partition(str(path), SCHEMA.remove(4), 0, 40)
    data = bytearray(path.read_bytes())
    data[64 + 32 * 39 + 1] ^= 1
    path.write_bytes(data)
    with PartitionedFile(str(path)) as file, pytest.raises(CurateError, match="table of offsets"):
        file.facts()
    path.write_bytes(b"PAR1" * 100)
    with pytest.raises(CurateError, match="is not a partitioned file"):
        PartitionedFile(str(path))
    path.write_bytes(b"CUR")
    with pytest.raises(CurateError, match="cut off"):
        PartitionedFile(str(path))


def test_a_partition_costs_few_reads_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "f")
    write_partitions(path, SCHEMA, rows_of(2000), "key", 4096)
    calls: list[int] = []
    pread = os.pread

    def counted(descriptor: int, n: int, offset: int) -> bytes:
        calls.append(n)
        return pread(descriptor, n, offset)

    monkeypatch.setattr(os, "pread", counted)
    partition = int(partition_of(spread(keys_of(2000)), 4096)[17])
    assert len(read_partition(path, SCHEMA, partition, 4096)) >= 1
    assert len(calls) == 3
    assert sum(calls) < 4096


def test_behind_a_url_only_ranges_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, table = tmp_path / "f", rows_of(5000)
    write_partitions(str(path), SCHEMA, table, "key")
    memory: Any = fsspec.filesystem("memory")
    memory.pipe_file("/shuffles/f", path.read_bytes())
    asked: list[int] = []
    cat_file = type(memory).cat_file

    def counted(self: Any, name: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        asked.append((end or 0) - (start or 0))
        return bytes(cat_file(self, name, start, end, **options))

    monkeypatch.setattr(type(memory), "cat_file", counted)
    found = read_partition("memory://shuffles/f", SCHEMA, 5, 16)
    assert found.equals(read_partition(str(path), SCHEMA, 5, 16))
    assert len(asked) == 2
    assert sum(asked) < path.stat().st_size // 8
    memory.rm_file("/shuffles/f")
