from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests.record_tables import read_totals, table_name, write_records
from manifests.records import TaskRecord, record_name
from manifests.run_records import Unreadable, every_stage, stage_records, stage_totals
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from tests.unit.manifests.test_record_tables import NAME, RECORDS_OF_THREE, record


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def leave(storage: Storage, *records: TaskRecord) -> None:
    for one in records:
        storage.write_bytes(record_name(one.identity.stage, one.identity.task), one.to_json())


def tasks(records: StageRecords | Unreadable) -> list[TaskRecord]:
    assert isinstance(records, StageRecords)
    return list(records.values())


IN_ORDER = sorted(RECORDS_OF_THREE, key=lambda one: one.identity.task)


def test_records_of_a_stage_as_they_come_and_as_a_table(storage: Storage) -> None:
    assert not stage_records(storage, "first")
    leave(storage, *RECORDS_OF_THREE)
    assert tasks(stage_records(storage, "first")) == IN_ORDER
    write_records(storage, NAME, StageRecords.of(RECORDS_OF_THREE), {})
    for one in RECORDS_OF_THREE:
        storage.remove(record_name("first", one.identity.task))
    assert tasks(stage_records(storage, "first")) == IN_ORDER


@pytest.mark.parametrize("plan", [None, {"itself": "ab"}])
def test_a_small_record_is_newer(storage: Storage, plan: dict[str, str] | None) -> None:
    write_records(storage, NAME, StageRecords.of(RECORDS_OF_THREE), plan)
    newer, added = record("crawl/part-x-1a2b3c4d", 9), record("crawl/part-w-1a2b3c4e", 1)
    leave(storage, newer, added)
    assert newer in tasks(stage_records(storage, "first"))
    assert len(stage_records(storage, "first")) == 4
    ((folder, found),) = every_stage(storage)
    assert (folder, sorted(one.identity.task for one in tasks(found))[1]) == ("first", added.identity.task)
    assert stage_totals(storage, "first", "first").tasks == 4


def test_totals_are_kept_with_a_table_that_holds_every_task(storage: Storage) -> None:
    records = StageRecords.of(RECORDS_OF_THREE)
    wanted = records.totals("first")
    assert (wanted.tasks, wanted.n_bytes, wanted.seconds, wanted.damaged) == (3, 15, 1.5, 1)
    assert (wanted.peak_memory_bytes, wanted.first_at, wanted.last_at) == (35, "2026-01-01", "2026-01-01")
    assert wanted.folders == ["first/books/_records/1a", "first/crawl/_records/1a", "first/crawl/_records/ff"]
    write_records(storage, NAME, records, None)
    assert read_totals(storage, NAME) is None
    assert stage_totals(storage, "first", "first") == wanted
    write_records(storage, NAME, records, {})
    assert read_totals(storage, NAME) == wanted
    nothing = StageRecords.of([]).totals("first")
    assert (nothing.tasks, nothing.seconds, nothing.last_at, nothing.folders) == (0, 0.0, "", [])


@pytest.mark.parametrize("odd", [{"last_at": 3}, {"n_bytes": "x"}, {"folders": ["../x"]}, {"folders": 3},
                                 {"seconds": []}], ids=range(5))
def test_totals_that_no_run_writes_are_none(storage: Storage, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any]
                                            ) -> None:
    records = StageRecords.of(RECORDS_OF_THREE)
    totals = replace(records.totals("first"), **odd)
    monkeypatch.setattr(StageRecords, "totals", lambda self, folder: totals)
    write_records(storage, NAME, records, {})
    assert read_totals(storage, NAME) is None


def test_text_that_looks_like_a_time_is_none() -> None:
    odd = record("crawl/part-x-1a2b3c4d", damaged=1)
    damage = odd.damage[0].__class__('"finished_at": "2000"', '"seconds": 9}')
    found = StageRecords.of([TaskRecord(odd.identity, odd.outputs, odd.counters, (damage,), 2.25, 1, "host", "2026",
                                        odd.fingerprint)]).totals("first")
    assert (found.seconds, found.first_at) == (2.25, "2026")


def test_stages_that_share_a_folder(storage: Storage) -> None:
    write_records(storage, table_name("first", "first"), StageRecords.of(RECORDS_OF_THREE[:2]), {})
    write_records(storage, table_name("first", "first/books"), StageRecords.of(RECORDS_OF_THREE[2:]), {})
    assert tasks(stage_records(storage, "first")) == IN_ORDER
    assert stage_totals(storage, "first", "first/books").tasks == 1
    leave(storage, record("crawl/part-x-1a2b3c4d", 9))
    assert stage_totals(storage, "first", "first", ("crawl/",)).tasks == 2


def test_what_holds_no_records_is_named(storage: Storage) -> None:
    write_records(storage, NAME, StageRecords.of(RECORDS_OF_THREE), {})
    storage.write_bytes("first/crawl/_records/1a/part-v-1a2b3c4f.json", b"{")
    storage.write_bytes(table_name("other", "other"), b"PAR1")
    found = dict(every_stage(storage))
    assert list(found) == ["first", "other", "first/crawl/_records/1a/part-v-1a2b3c4f.json",
                           "other/_records/other.records"]
    assert isinstance(found["other/_records/other.records"], Unreadable)
    assert len(tasks(found["first"])) == 3
