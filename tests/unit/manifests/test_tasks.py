from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.errors import InputError
from manifests.records import TaskRecord, read_record, record_name, staleness
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from manifests.tables import read_table
from manifests.tasks import InputRef, StageTask, Work, execute, write_manifest

SCHEMA = pa.schema([pa.field("n", pa.int64())])


def task(**changes: Any) -> StageTask:
    plain = StageTask("double", 1, "crawl/part-0", 2, {"factor": 2}, {"numbers": InputRef(("in.parquet",), "d1")}, {})
    return replace(plain, **changes)


def double(factor: int, work: Work) -> None:
    table = read_table(work.input("numbers"))
    work.count("rows", len(table))
    work.write("numbers", SCHEMA, [pa.table({"n": [n * factor for n in table["n"].to_pylist()]}, SCHEMA)])


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    from manifests.tables import write_table

    (tmp_path / "run").mkdir()
    write_table(str(tmp_path / "run/in.parquet"), SCHEMA, [pa.table({"n": [1, 2]}, SCHEMA)])
    return Storage(str(tmp_path / "run"))


def test_a_shard_exists_when_its_record_does(storage: Storage) -> None:
    record = execute(storage, task(), double)
    assert read_table(storage.path("double/crawl/part-0.parquet"))["n"].to_pylist() == [2, 4]
    assert record.counters == {"rows": 2}
    assert record.outputs[0].n_rows == 2
    again = read_record(storage, "double", "crawl/part-0")
    assert again is not None
    assert again.identity.fingerprint == task().identity.fingerprint
    assert record_name("double", "crawl/part-0") == "double/crawl/_records/part-0.json"


def test_failed_work_leaves_nothing(storage: Storage) -> None:
    def fail(config: Any, work: Work) -> None:
        Path(work.output("numbers")).write_bytes(b"half")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        execute(storage, task(), fail)
    assert storage.list("") == ["in.parquet"]


def test_work_that_fails_again_keeps_the_old_shard(storage: Storage) -> None:
    execute(storage, task(), double)

    def fail(config: Any, work: Work) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        execute(storage, task(config=3), fail)
    assert read_record(storage, "double", "crawl/part-0") is not None


@pytest.mark.parametrize(("changes", "reason"), [
    ({}, None),
    ({"version": 2}, "stage version 1 -> 2"),
    ({"config_fields": {"factor": 3}}, "factor: 2 -> 3"),
    ({"config_fields": {"factor": {"deep": 1}}}, "factor: 2 -> {'deep': 1}"),
    ({"inputs": {"numbers": InputRef(("in.parquet",), "d2")}}, "input numbers changed"),
    ({"variables": {"source": "x"}}, "task: None -> {'source': 'x'}"),
])
def test_staleness_names_the_field(storage: Storage, changes: dict[str, Any], reason: str | None) -> None:
    execute(storage, task(), double)
    assert staleness(read_record(storage, "double", "crawl/part-0"), task(**changes).identity) == reason


@pytest.mark.parametrize("harm", ["cut", "gone", "grown"])
def test_a_record_without_its_outputs_does_not_count(storage: Storage, harm: str) -> None:
    execute(storage, task(), double)
    path = Path(storage.path("double/crawl/part-0.parquet"))
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if harm == "cut" else path.read_bytes() + b"x")
    assert read_record(storage, "double", "crawl/part-0") is None


def test_a_torn_record_does_not_count() -> None:
    assert TaskRecord.from_json(b'{"identity": {"stage"') is None
    assert TaskRecord.from_json(b"[]") is None


def test_a_record_whose_fields_were_edited_does_not_count(storage: Storage) -> None:
    record = execute(storage, task(), double)
    fields = json.loads(record.to_json())
    fields["identity"]["version"] = 9
    assert TaskRecord.from_json(json.dumps(fields).encode()) is None


def use_bytes(config: Any, work: Work) -> None:
    work.count("bytes", sum(len(Path(path).read_bytes()) for path in work.inputs("tokens")))


@pytest.mark.parametrize("through", ["file", "manifest"])
def test_a_file_that_changed_since_its_record_is_named_and_not_read(storage: Storage, through: str) -> None:
    def make(config: Any, work: Work) -> None:
        Path(work.output("tokens", ".bin")).write_bytes(bytes(range(200)))

    record = execute(storage, task(), make)
    write_manifest(storage, "double", StageRecords.of([record]))
    output = record.output("tokens")
    paths = (output.path,) if through == "file" else ("double/manifest.parquet",)
    later = task(stage="later", inputs={"tokens": InputRef(paths, output.digest, "tokens")})
    assert execute(storage, later, use_bytes).counters == {"bytes": 200}
    path = Path(storage.path(output.path))
    for at in (0, 77, 199):
        kept = path.read_bytes()
        path.write_bytes(kept[:at] + bytes([kept[at] ^ 4]) + kept[at + 1:])
        with pytest.raises(InputError, match=r"part-0\.bin: is damaged"):
            execute(storage, later, use_bytes)
        path.write_bytes(kept)
    assert execute(storage, later, use_bytes).counters == {"bytes": 200}


def test_an_object_that_changed_since_its_record_is_named() -> None:
    """A model or a plan of a run in a store: its bytes are compared too."""
    def make(config: Any, work: Work) -> None:
        Path(work.output("tokens", ".bin")).write_bytes(bytes(range(200)))

    storage = Storage("memory://tasks-damage/run")
    output = execute(storage, task(), make).output("tokens")
    later = task(stage="later", inputs={"tokens": InputRef((output.path,), output.digest, "tokens")})
    flipped = bytes([*range(77), 76, *range(78, 200)])
    storage.write_bytes(output.path, flipped)

    def use(config: Any, work: Work) -> None:
        work.count("files", len(work.inputs("tokens")))

    with pytest.raises(InputError, match=r"part-0\.bin: is damaged"):
        execute(storage, later, use)
