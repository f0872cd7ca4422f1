from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import stage_records
from manifests.record_tables import read_stage_records, table_name, write_records
from manifests.records import Identity, fingerprints
from manifests.schema import STAGE_MANIFEST
from manifests.stage_records import DoneTask, StageRecords, StageTasks
from manifests.storage import Storage
from manifests.tasks import write_manifest_file
from tests.unit.manifests.test_record_tables import RECORDS_OF_THREE, record

NAMES = ["books/part-z-1a000000", "crawl/part-x-1a2b3c4d", "crawl/part-y-ff2b3c4d"]


@pytest.fixture
def stored(tmp_path: Path) -> StageRecords:
    """Three records as a table on disk, as a run finds them."""
    storage = Storage(str(tmp_path))
    write_records(storage, table_name("first", "first"), StageRecords.of(RECORDS_OF_THREE), {})
    found = read_stage_records(storage, table_name("first", "first"))
    assert found is not None
    return found[0]


def test_some_of_the_records(stored: StageRecords) -> None:
    some = stored.only(np.array([True, False, True]))
    assert list(some.values()) == [RECORDS_OF_THREE[2], RECORDS_OF_THREE[1]]
    assert some.content == StageRecords.of([RECORDS_OF_THREE[2], RECORDS_OF_THREE[1]]).content
    assert stored.only(np.ones(3, bool)) is stored
    nothing = stored.only(np.zeros(3, bool))
    assert (len(nothing), list(nothing), nothing.whole().num_rows) == (0, [], 0)


def test_some_are_found_again_in_a_table_that_holds_others_by_then(tmp_path: Path) -> None:
    storage, name = Storage(str(tmp_path)), table_name("first", "first")
    some = write_records(storage, name, StageRecords.of(RECORDS_OF_THREE), {}).only(np.array([False, True, False]))
    write_records(storage, name, StageRecords.of([*RECORDS_OF_THREE, record("books/part-a-00000000")]), {})
    assert list(some.values()) == [RECORDS_OF_THREE[0]]


def test_records_from_a_table_and_alone_are_joined(stored: StageRecords) -> None:
    more = record("books/part-zz-2a000000", 8, damaged=2)
    both = StageRecords.joined([StageRecords.of([more]), stored])
    assert both.content == StageRecords.of([*RECORDS_OF_THREE, more]).content
    assert list(both.values()) == sorted([*RECORDS_OF_THREE, more], key=lambda r: r.identity.task)
    assert StageRecords.joined([stored, StageRecords.of([])]) is stored
    assert len(StageRecords.joined([])) == 0


def test_what_was_let_go_of_is_read_again(stored: StageRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_records, "_FEW", 2)
    counted, content = stored.counters(), stored.content
    assert stored.fingerprints
    stored.forget()
    assert not {"fingerprints", "tasks", "_files"} & set(stored.__dict__)
    assert (stored.counters(), stored.content, len(stored)) == (counted, content, 3)
    assert stored._table is None  # what is asked again and again is kept
    assert stored.tasks == NAMES
    own = StageRecords.of(RECORDS_OF_THREE)
    own.forget()
    assert own.tasks == NAMES  # there is nowhere to read them again


def test_a_task_as_plans_see_it(stored: StageRecords) -> None:
    first, second, third = StageTasks(stored)
    assert [task.task for task in (first, second, third)] == NAMES
    assert (StageTasks(stored)[1].task, [task.task for task in StageTasks(stored)[1:]]) == (NAMES[1], NAMES[1:])
    assert second.output("card") == RECORDS_OF_THREE[0].output("card")
    assert third.counters == {"damaged": 1, "documents": 5}
    assert third.damage == RECORDS_OF_THREE[1].damage
    assert isinstance(first, DoneTask)
    assert not StageTasks(StageRecords.of([]))


def test_one_file_of_a_role_is_one(stored: StageRecords) -> None:
    twice = replace(RECORDS_OF_THREE[0], outputs=(*RECORDS_OF_THREE[0].outputs, RECORDS_OF_THREE[0].outputs[1]))
    records = StageRecords.of([twice, RECORDS_OF_THREE[1]])
    assert list(records.by_task("card")) == [NAMES[2]]
    assert list(records.by_task("documents")) == NAMES[1:]
    assert [task for task, _ in records.with_tasks("card")] == [NAMES[1], NAMES[1], NAMES[2]]
    assert (records.has("card"), records.has("rows"), stored.n_bytes()) == (True, False, 15)
    with pytest.raises(ValueError, match="not exactly one file of the role 'card'"):
        DoneTask(records, NAMES[1]).output("card")


def test_a_manifest_lists_every_file(tmp_path: Path, stored: StageRecords) -> None:
    write_manifest_file(str(tmp_path / "manifest.parquet"), stored)
    rows = [{"task": r.identity.task, "role": o.role, "path": o.path, "n_bytes": o.n_bytes, "n_rows": o.n_rows,
             "xxh3": o.digest, "seal": o.seal} for r in RECORDS_OF_THREE for o in r.outputs]
    rows.sort(key=lambda row: (row["task"], row["path"]))
    assert pq.read_table(tmp_path / "manifest.parquet") == pa.Table.from_pylist(rows, STAGE_MANIFEST)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)
FIELDS = st.dictionaries(st.sampled_from(["a", "task", "tasks", "tas", "é", '"']) | st.text(max_size=4),
                         JSON, max_size=4)


@given(FIELDS, FIELDS, st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3), st.text(max_size=8))
def test_fingerprints_of_many_tasks_are_those_of_each(fields: dict[str, Any], variables: dict[str, Any],
                                                      inputs: dict[str, str], task: str) -> None:
    config = {**fields, **({"task": variables} if variables else {})}
    wanted = Identity("first", 3, task, config, inputs).fingerprint
    assert fingerprints("first", 3, fields)(task, variables, inputs) == wanted
