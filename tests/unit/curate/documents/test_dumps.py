"""Dumps through the stage: their facts as columns, reasons, options, and names of what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from curate.documents.config import ExtractConfig
from curate.documents.stage import extract
from curate.selection.clean import clean_schema
from curate.sources.config import SourceConfig
from manifests.errors import InputError
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, execute

PLAIN = ExtractConfig(identify_language=False, signals=False)
WIKI = ("<mediawiki><siteinfo><base>https://en.wikipedia.org/wiki/Main_Page</base></siteinfo>"
        "<page><title>Tide</title><ns>0</ns><id>5</id><revision><timestamp>2020-01-02T03:04:05Z</timestamp>"
        "<text>The '''tide''' rises. {{cite}}</text></revision></page>"
        "<page><title>Talk:Tide</title><ns>1</ns><id>6</id><revision><text>x</text></revision></page>"
        "<page><title>Broken</title><ns>0</ns><id>7<revision><text>x</text></revision></page></mediawiki>")


def run(folder: Path, data: bytes, source: SourceConfig) -> TaskRecord:
    path = folder / "input"
    path.write_bytes(data)
    facts = {"source": "wiki", "origin_path": "a/input", **source.facts()}
    task = StageTask("extract", 1, "wiki/part-0", PLAIN, {}, {"source": InputRef((str(path),), "")}, facts)
    return execute(Storage(str(folder / "run")), task, extract)


@pytest.mark.parametrize("kind", ["mediawiki", "auto"])
def test_a_dump_gives_documents_exclusions_and_damage(tmp_path: Path, kind: str) -> None:
    record = run(tmp_path, WIKI.encode(), SourceConfig(files=("x",), kind=kind))
    table, excluded = (pq.read_table(tmp_path / "run" / output.path) for output in record.outputs)
    (document,) = table.to_pylist()
    assert (document["title"], document["text"], document["url"]) == (
        "Tide", "# Tide\n\nThe tide rises.", "https://en.wikipedia.org/wiki/Tide")
    assert document["doc_id"] == document_id("wiki", "a/input", 0)
    assert document["host"] == "en.wikipedia.org"
    assert document["date"].year == 2020
    assert [(row["reason"], row["value"], row["origin_offset"]) for row in excluded.to_pylist()] == [
        ("namespace", 1.0, 1)]
    assert [(damage.where, damage.what[:19]) for damage in record.damage] == [("a/input@2", "page cannot be read")]
    assert record.counters["dropped_namespace"] == record.counters["damaged"] == 1
    assert "title" in clean_schema(table.schema).names


def test_options_reach_the_reader_and_its_fingerprint(tmp_path: Path) -> None:
    source = SourceConfig(files=("x",), kind="mediawiki", options={"title": False})
    assert source.facts()["options"]["title"] is False
    record = run(tmp_path, WIKI.encode(), source)
    assert pq.read_table(tmp_path / "run" / record.outputs[0].path)["text"].to_pylist() == ["The tide rises."]


def test_a_file_of_another_kind_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds nothing that can be read as mediawiki"):
        run(tmp_path, b"just words", SourceConfig(files=("x",), kind="mediawiki"))


@pytest.mark.parametrize(("fields", "what"), [
    ({"kind": "mediawiki", "options": {"titel": True}}, "no option 'titel'"),
    ({"kind": "mediawiki", "options": {"headings": "loud"}}, "headings"),
    ({"kind": "jsonl", "options": {"title": True}}, "the kind jsonl has none")])
def test_wrong_options_are_found_in_the_recipe(fields: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        SourceConfig.model_validate({"files": "x", **fields})
