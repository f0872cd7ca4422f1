from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests.graph import OpenView, Stage, Task, View, run_in_order
from manifests.hashing import keyed_hash
from manifests.partitioned import SUFFIX, partition_of, read_partition, spread, write_partitions
from manifests.shuffle import Shuffle, automatic_partitions, merging, routes, shuffled, slots_of_routes
from manifests.storage import Storage
from manifests.tasks import Work

SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("part", pa.int64(), nullable=False)])


def write(config: Any, work: Work) -> None:
    number = int(work.variables["number"])
    words = np.stack([np.full(50, number, np.uint64), np.arange(50, dtype=np.uint64)], axis=1)
    table = pa.table({"key": keyed_hash(0, "test", words), "part": np.full(50, number)}, schema=SCHEMA)
    write_partitions(work.output("rows", SUFFIX), SCHEMA, table, "key")


def stages_of(n: int, partitions: int) -> tuple[Shuffle, tuple[Stage, ...]]:
    shuffle = Shuffle("rows", ("write",), lambda view: partitions)
    first = Stage("write", 1, f"{__name__}:write", None, (),
                  lambda view: (Task(f"part-{i:03d}", {}, {"number": i}) for i in range(n)))
    return shuffle, (first, merging("merged", ("write",), shuffle))


def run(root: Path, n: int, partitions: int) -> tuple[Shuffle, View]:
    shuffle, stages = stages_of(n, partitions)
    view = OpenView(0, "", {}, (), {})
    run_in_order(Storage(str(root)), view, stages)
    return shuffle, view


def rows(root: Path, view: View, shuffle: Shuffle, partition: int, partitions: int) -> list[tuple[int, int]]:
    stage = "merged" if view.tasks("merged") else "write"
    files = [str(root / file.path) for file in view.outputs(stage, "rows")]
    tables = [read_partition(path, SCHEMA, partition, partitions) for path in files]
    return sorted((row["part"], row["key"]) for table in tables for row in table.to_pylist())


@pytest.mark.parametrize(("n", "partitions"), [(5, 16), (70, 37), (70, 64), (3, 200)])
def test_readers_find_the_same_rows_merged_or_not(tmp_path: Path, n: int, partitions: int) -> None:
    shuffle, view = run(tmp_path, n, partitions)
    assert bool(view.tasks("merged")) == (partitions > 16)
    everything = []
    for partition in range(partitions):
        found = rows(tmp_path, view, shuffle, partition, partitions)
        keys = np.array([key for _, key in found], np.uint64)
        assert (partition_of(spread(keys), partitions) == partition).all()
        everything += found
    assert len(set(everything)) == 50 * n


def test_opens_are_bounded_and_a_new_part_costs_its_own_group(tmp_path: Path) -> None:
    n, partitions = 300, 64
    _, before = run(tmp_path / "a", n, partitions)
    _, after = run(tmp_path / "b", n + 1, partitions)
    groups = before.tasks("merged")
    assert n + n + partitions * len(groups) <= 4 * n * partitions**0.5
    one, other = ({r.identity.task: r.identity.fingerprint for r in view.tasks("merged")} for view in (before, after))
    assert one.keys() == other.keys()
    assert sum(one[task] != other[task] for task in one) == 1


def test_an_input_names_every_file_of_the_shuffle(tmp_path: Path) -> None:
    shuffle, view = run(tmp_path, 40, 32)
    ref = shuffled(view, "merged", shuffle)
    assert ref is not None
    assert ref.paths == ("merged/manifest.parquet",)
    direct, few = run(tmp_path / "few", 40, 4)
    ref = shuffled(few, "merged", direct)
    assert ref is not None
    assert ref.paths == ("write/manifest.parquet",)
    assert shuffled(OpenView(0, "", {}, (), {}), "merged", shuffle) is None


def test_partitions_follow_parts_and_rows() -> None:
    assert [automatic_partitions(n, 0) for n in (0, 1, 32, 33, 512, 513, 90_000, 10**7)] == [
        1, 1, 1, 2, 16, 32, 4096, 4096]
    assert automatic_partitions(1, 10**6) == 16
    assert [routes(n) for n in (0, 1, 3, 90_000)] == [1, 1, 4, 1 << 17]
    assert slots_of_routes(16, 100) == 128
    assert slots_of_routes(17, 100) == 16
