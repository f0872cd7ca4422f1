"""Published corpora as they are distributed, made here in their forms, and the days that are taken of a source."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pydantic import ValidationError

from curate.documents.config import ExtractConfig
from curate.documents.stage import extract
from curate.sources.config import SourceConfig
from curate.sources.layouts import LAYOUTS
from manifests.errors import InputError
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, execute

PLAIN = ExtractConfig(identify_language=False, signals=False)
URL, TEXT, DAY = "https://site.example/a", "A page about tides.", datetime(2019, 4, 25, 12, 57, 54, tzinfo=UTC)


def jsonl(rows: Sequence[object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


FORMS: dict[str, tuple[bytes, str | None, str | None, datetime | None]] = {
    "openwebtext": (parquet(pa.table({"text": [TEXT]})), None, None, None),
    "c4": (gzip.compress(jsonl([{"text": TEXT, "timestamp": "2019-04-25T12:57:54Z", "url": URL}])), None, URL, DAY),
    "fineweb": (parquet(pa.table({
        "text": [TEXT], "id": ["<urn:uuid:1>"], "dump": ["CC-MAIN-2019-18"], "url": [URL],
        "date": ["2019-04-25T12:57:54Z"], "file_path": ["s3://x"], "language": ["en"], "language_score": [0.97],
        "token_count": [5]})), "<urn:uuid:1>", URL, DAY),
    "refinedweb": (parquet(pa.table({
        "content": [TEXT], "url": [URL], "timestamp": pa.array([DAY.replace(tzinfo=None)], pa.timestamp("s")),
        "dump": ["CC-MAIN-2019-18"], "segment": ["1"], "image_urls": pa.array([[["a", "b"]]])})), None, URL, DAY),
    "dclm": (zstandard.compress(jsonl([{
        "bff_contained_ngram_count_before_dedupe": 3, "language_id_whole_page_fasttext": {"en": 0.97},
        "metadata": {"WARC-Date": "2019-04-25T12:57:54Z", "WARC-Record-ID": "<urn:uuid:1>", "Content-Length": "9"},
        "previous_word_count": 4, "text": TEXT, "url": URL, "warcinfo": "x",
        "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train_prob": 0.2}])), "<urn:uuid:1>", URL, DAY),
    "dolma": (gzip.compress(jsonl([{
        "id": "abc", "text": TEXT, "added": "2023-01-01T00:00:00Z", "created": "2019-04-25T12:57:54.000Z",
        "source": "common-crawl", "metadata": {"url": URL, "length": 3}, "version": "v1"}])), "abc", URL, DAY),
}


def run(folder: Path, data: bytes, **fields: Any) -> tuple[TaskRecord, list[dict[str, Any]], list[dict[str, Any]]]:
    path = folder / "input"
    path.write_bytes(data)
    source = SourceConfig.model_validate({"files": "x", **fields})
    facts = {"source": "corpus", "origin_path": "a/input", **source.facts()}
    task = StageTask("extract", 1, "corpus/part-0", PLAIN, {}, {"source": InputRef((str(path),), "")}, facts)
    record = execute(Storage(str(folder / "run")), task, extract)
    documents, excluded = (pq.read_table(folder / "run" / o.path).to_pylist() for o in record.outputs)
    return record, documents, excluded


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_corpus_is_read_in_its_own_form(tmp_path: Path, name: str) -> None:
    data, own_id, url, date = FORMS[name]
    _, (document,), _ = run(tmp_path, data, kind=name)
    assert (document["text"], document["record_id"], document["url"], document["date"]) == (TEXT, own_id, url, date)


def test_lines_that_arrow_refuses_are_read_with_their_nested_fields(tmp_path: Path) -> None:
    rows = [{"id": 7, "text": TEXT, "metadata": {"url": URL}}, {"id": "b", "text": TEXT, "metadata": "none"}]
    record, documents, _ = run(tmp_path, jsonl(rows) + b"broken\n", kind="dolma")
    assert [(d["record_id"], d["url"]) for d in documents] == [("7", URL), ("b", None)]
    assert record.counters["damaged"] == 1


def test_a_key_that_has_a_dot_of_its_own_is_found(tmp_path: Path) -> None:
    data = jsonl([{"the.text": TEXT, "meta": {"id": "x"}}, {"the.text": TEXT, "meta": {"id": "y"}}])
    _, documents, _ = run(tmp_path, data, kind="jsonl", text_column="the.text", id_column="meta.id")
    assert [(d["text"], d["record_id"]) for d in documents] == [(TEXT, "x"), (TEXT, "y")]


def test_a_file_without_the_columns_of_its_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'content'"):
        run(tmp_path, parquet(pa.table({"text": [TEXT]})), kind="refinedweb")
    with pytest.raises(InputError, match="not a table in Parquet or JSON Lines"):
        run(tmp_path, b"just words", kind="c4")


def test_columns_of_a_corpus_are_not_named_twice() -> None:
    with pytest.raises(ValidationError, match="text_column: the kind fineweb says"):
        SourceConfig.model_validate({"files": "x", "kind": "fineweb", "text_column": "body"})


@pytest.mark.parametrize("undated", ["keep", "drop"])
def test_documents_are_taken_of_the_days_that_are_asked_for(tmp_path: Path, undated: str) -> None:
    times = ["2013-12-31T23:59:59Z", "2014-01-01T00:00:00Z", "2017-12-31T23:59:59+00:00", "2018-01-01T01:00:00+01:00",
             None, "once"]
    rows = [{"text": f"{TEXT} {n}", "timestamp": time} for n, time in enumerate(times)]
    record, documents, excluded = run(tmp_path, jsonl(rows), kind="c4", since="2014-01-01", until="2017-12-31",
                                      undated=undated)
    kept = "1 2" if undated == "drop" else "1 2 4 5"
    assert " ".join(d["text"][-1] for d in documents) == kept
    assert record.counters["undated"] == 2
    reasons = [(row["reason"], row["value"], row["threshold"]) for row in excluded]
    assert reasons[:2] == [("before_since", 1388534399.0, 1388534400.0), ("after_until", 1514764800.0, 1514764800.0)]
    assert [reason for reason, _, _ in reasons[2:]] == (["no_date"] * 2 if undated == "drop" else [])


@pytest.mark.parametrize(("fields", "what"), [
    ({"since": "2018-01-01", "until": "2017-01-01"}, "is after until"),
    ({"kind": "table", "since": "2018-01-01"}, "since, until: a table"), ({"since": "yesterday"}, "since")])
def test_days_that_cannot_be_are_found_in_the_recipe(fields: dict[str, str], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        SourceConfig.model_validate({"files": "x", **fields})
