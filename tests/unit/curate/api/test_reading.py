"""`curate.read_documents` gives the documents that the stage `extract` and `curate extract` write."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import curate
from curate.sources.rows import ExtractReason
from manifests.errors import InputError, RecipeError
from tests.unit.curate.api.conftest import Ran


def test_documents_are_those_of_the_stage(ran: Ran, documents: pa.Table) -> None:
    reader = curate.read_documents(ran.archives, source="crawl", signals=True)
    batches = list(reader)
    assert all(isinstance(batch, pa.RecordBatch) and batch.schema == reader.schema for batch in batches)
    assert pa.Table.from_batches(batches).equals(documents)
    assert reader.counters["documents"] == len(documents)
    stage = ran.run.view.tasks("extract")
    assert [(d.where, d.what) for d in reader.damage] == [(d.where, d.what) for r in stage for d in r.damage]
    assert not reader.failed


def test_a_reader_is_a_stream(ran: Ran, documents: pa.Table) -> None:
    frame = pl.DataFrame(curate.read_documents(ran.archives[0], source="crawl"))
    part = ran.tables("extract", "documents")[0]
    assert frame["text"].to_list() == part["text"].to_pylist()
    table = pa.RecordBatchReader.from_stream(curate.read_documents(ran.archives, source="crawl")).read_all()
    assert table["doc_id"].to_pylist() == documents["doc_id"].to_pylist()


def test_what_is_left_out_is_handed_over_with_its_reason(ran: Ran, documents: pa.Table) -> None:
    dropped: list[pa.Table] = []
    reader = curate.read_documents(ran.archives, languages=["en"], excluded=dropped.append)
    kept = pa.Table.from_batches(list(reader))
    table = pa.concat_tables(dropped)
    assert set(table["reason"].to_pylist()) <= {ExtractReason.LANGUAGE, ExtractReason.LANGUAGE_SCORE}
    assert len(kept) + len(table) == len(documents)
    assert len(table) == sum(n for name, n in reader.counters.items() if name.startswith("dropped_")) > 0


def test_files_of_every_kind_folders_and_patterns(tmp_path: Path) -> None:
    rows = [{"key": f"k{i}", "body": f"the text of row {i}, which is long enough to be one"} for i in range(5)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "b.parquet")
    for paths in (tmp_path, str(tmp_path / "*.*"), [tmp_path / "a.jsonl", tmp_path / "b.parquet"]):
        reader = curate.read_documents(paths, text_column="body", id_column="key")
        table = pa.Table.from_batches(list(reader))
        assert table["text"].to_pylist() == [row["body"] for row in rows] * 2
        assert table["record_id"].to_pylist() == [row["key"] for row in rows] * 2
        assert table["origin_path"].to_pylist() == ["a.jsonl"] * 5 + ["b.parquet"] * 5


def test_a_file_that_cannot_be_read_costs_itself_alone(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "bad.warc.gz").write_bytes(b"\x1f\x8b not gzip at all")
    reader = curate.read_documents([ran.archives[0], tmp_path / "bad.warc.gz", ran.archives[1]])
    texts: list[str] = []
    with pytest.raises(InputError, match=r"1 of 3 files: .*\n  .*bad\.warc\.gz"):
        texts.extend(text for batch in reader for text in batch["text"].to_pylist())
    assert texts == [text for part in ran.tables("extract", "documents")[:2] for text in part["text"].to_pylist()]
    assert len(reader.failed) == 1
    with pytest.raises(InputError, match="bad"):
        list(curate.read_documents(tmp_path / "bad.warc.gz"))


def test_bad_arguments_are_named(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no-such: there is no such file"):
        curate.read_documents(tmp_path / "no-such")
    with pytest.raises(RecipeError, match="not a kind of file: 'zip'"):
        curate.read_documents(ran.archives, kind="zip")
    with pytest.raises(RecipeError, match=r"read_documents\(\): min_text_bytes"):
        curate.read_documents(ran.archives, config={"min_text_bytes": 0})
