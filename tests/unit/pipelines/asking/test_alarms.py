"""Alarms: what a person must hear of a run, made here by records and tables of a run's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifests.records import Identity, TaskRecord, record_name
from manifests.schema import SOURCES
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.tables import publish_table
from pipelines.asking.alarms import alarms

RECIPE: dict[str, Any] = {"mixture": {"max_epochs": 4.0, "max_epochs_by_source": {}, "validation_fraction": 0.01}}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "run"))


def record(storage: Storage, stage: str, counters: dict[str, int]) -> None:
    identity = Identity(stage, 1, "part", {}, {})
    storage.write_bytes(record_name(stage, "part"), TaskRecord(identity, (), counters).to_json())


def said(storage: Storage, recipe: dict[str, Any] = RECIPE) -> list[tuple[str, str]]:
    return [(alarm.severity, alarm.what) for alarm in alarms(StageFiles(storage), recipe)]


def sources(storage: Storage, *rows: tuple[str, int, int, float]) -> None:
    import pyarrow as pa

    columns = [{"source_id": i, "name": name, "requested_weight": 0.5, "available_tokens": available,
                "selected_tokens": selected, "epochs": epochs, "realised_share": 0.5}
               for i, (name, available, selected, epochs) in enumerate(rows)]
    publish_table(storage.path("packed/sources.parquet"), [pa.Table.from_pylist(columns, SOURCES)], SOURCES)


def test_a_source_that_is_spent_leaves_the_others_unused(storage: Storage) -> None:
    sources(storage, ("crawl", 100, 400, 4.0), ("books", 4000, 400, 0.1))
    severity, what = said(storage)[0]
    assert severity == "alarm"
    assert "88% of the tokens are unused, since crawl reached max_epochs (4) at 400 tokens" in what


def test_a_source_below_its_epochs_is_no_alarm(storage: Storage) -> None:
    sources(storage, ("crawl", 100, 300, 3.0), ("books", 400, 300, 0.75))
    assert said(storage) == []


def test_what_drops_much_and_what_leaves_little(storage: Storage) -> None:
    record(storage, "select", {"documents": 1000, "kept": 440, "dropped_too_short": 560, "documents_crawl": 400,
                               "kept_crawl": 4, "documents_books": 600, "kept_books": 436})
    assert said(storage) == [("alarm", "too_short drops 56% of what select sees"),
                             ("alarm", "selection keeps 4 of 400 documents of crawl (1.0%)")]


def test_contamination_and_pieces_are_told(storage: Storage) -> None:
    record(storage, "decontaminate", {"documents": 100, "documents_contaminated": 3, "bytes_in": 1000,
                                      "bytes_kept": 900, "kept": 99, "pieces": 101})
    assert said(storage) == [("note", "contamination was cut out of 3 documents (100 bytes)"),
                             ("note", "the clean corpus has 101 documents made of 99: decontamination split some")]


def test_languages_that_vanish(storage: Storage) -> None:
    record(storage, "extract", {"candidates": 1000, "documents": 400, "dropped_language": 590, "dropped_no_text": 10,
                                "damaged": 2})
    assert ("alarm", "59% of the documents are of other languages") in said(storage)
    assert ("note", "2 places of the input could not be read") in said(storage)


def test_one_source_that_is_taken_once_is_no_news(storage: Storage) -> None:
    sources(storage, ("pages", 400, 400, 1.0))
    once = {"mixture": {**RECIPE["mixture"], "max_epochs": 1.0}}
    assert [a.what for a in alarms(StageFiles(storage), once)] == []
    sources(storage, ("pages", 400, 1600, 4.0))
    assert "each document of pages is drawn 4 times, all that max_epochs allows" in [what for _, what in said(storage)]


def test_tokens_that_were_asked_for_and_are_not_there(storage: Storage) -> None:
    sources(storage, ("pages", 400, 1600, 4.0))
    asked = {"mixture": {**RECIPE["mixture"], "total_tokens": 5000}}
    what = [a.what for a in alarms(StageFiles(storage), asked) if a.severity == "alarm"]
    assert what == ["the mixture has 1,600 of the 5,000 tokens that mixture.total_tokens asks for, since pages reached "
                    "max_epochs"]
    enough = {"mixture": {**RECIPE["mixture"], "total_tokens": 1601}}
    assert [a for a in alarms(StageFiles(storage), enough) if a.severity == "alarm"] == []
