"""`curate.deduplicate` takes the decisions of a run's stages, over one table or several."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import curate
from manifests.errors import InputError, RecipeError
from tests.unit.curate.api.conftest import Ran

TEXT = "the quick brown fox jumps over the lazy dog while seven wizards brew a toxic potion for the evil queen of {}"
ROWS = [{"id": "a", "text": TEXT.format("hearts"), "n": 1}, {"id": "b", "text": TEXT.format("spades"), "n": 2},
        {"id": "c", "text": TEXT.format("HEARTS!"), "n": 3}, {"id": "d", "text": "quite another text", "n": 4}]


def test_decisions_are_those_of_the_stages(ran: Ran) -> None:
    parts, kept = ran.tables("extract", "documents"), ran.tables("select", "decisions")
    given = [pa.table({"doc_id": part["doc_id"], "text": part["text"], "keep": decisions["keep"]})
              for part, decisions in zip(parts, kept, strict=True)]
    found = curate.deduplicate(given, threshold=0.8, apply=False)
    stage = ran.table("dedup/decisions", "decisions").to_pylist()
    decisions = pa.concat_tables(found).to_pylist()
    reasons = [{"not_selected": "left_out"}.get(r["reason"], r["reason"]) for r in stage]
    assert [r["reason"] for r in decisions] == reasons
    assert [(r["keep"], r["similarity"]) for r in decisions] == [(r["keep"], r["similarity"]) for r in stage]
    assert [r["duplicate_of"] for r in decisions] == [r["duplicate_of"] and r["duplicate_of"].hex() for r in stage]
    assert {r["reason"] for r in stage} == {None, "not_selected", "exact_duplicate", "near_duplicate"}
    for row in decisions:
        if row["duplicate_of"]:
            survivor = given[row["duplicate_of_table"]]["doc_id"][row["duplicate_of_row"]].as_py()
            assert survivor.hex() == row["duplicate_of"]
    left = curate.deduplicate(given, threshold=0.8)
    assert [t["doc_id"].to_pylist() for t in left] == [
        [row["doc_id"] for row in decided.to_pylist() if row["keep"]] for decided in found]


def test_one_table_gives_one_and_several_as_many() -> None:
    table = pa.Table.from_pylist(ROWS)
    assert curate.deduplicate(table, threshold=0.6)["id"].to_pylist() == ["a", "d"]
    assert curate.deduplicate(table, exact=False, threshold=0.99)["id"].to_pylist() == ["a", "b", "d"]
    first, second = curate.deduplicate([table, pl.DataFrame(ROWS)], near=False)
    assert first["id"].to_pylist() == ["a", "b", "d"]
    assert len(second) == 0
    assert second.schema.names == ["id", "text", "n"]


def test_survivors_are_named_as_the_caller_names_rows() -> None:
    table = pa.Table.from_pylist(ROWS)
    rows = curate.deduplicate(table, threshold=0.6, apply=False).to_pylist()
    assert [row["duplicate_of"] for row in rows] == [None, "a", "a", None]
    numbered = curate.deduplicate(table.drop_columns(["id"]), threshold=0.6, apply=False)
    assert numbered["duplicate_of"].to_pylist() == [None, "0", "0", None]
    assert numbered["duplicate_of_row"].to_pylist() == [None, 0, 0, None]


def test_order_and_passages_are_a_recipes(documents: pa.Table) -> None:
    rows = [{**row, "quality_score": score} for row, score in zip(ROWS, (0.1, 0.9, 0.5, 0.2), strict=True)]
    best = curate.deduplicate(pa.Table.from_pylist(rows), threshold=0.6, config={"survivor_order": ["quality"]})
    assert best["id"].to_pylist() == ["b", "d"]
    banner = "This very paragraph is at the head of each and every page, and nobody wants to read it so often.\n"
    table = pa.table({"text": [banner + text for text in documents["text"].to_pylist()[:6]]})
    settings: dict[str, Any] = {"substrings": {"min_bytes": 60}}
    decisions = curate.deduplicate(table, exact=False, near=False, config=settings, apply=False).to_pylist()
    assert [bool(row["removed_spans"]) for row in decisions] == [False, *[True] * 5]
    assert {span["duplicate_of"] for row in decisions for span in row["removed_spans"] or ()} == {"0"}
    left = curate.deduplicate(table, exact=False, near=False, config=settings)["text"].to_pylist()
    assert [text.count("nobody wants to read it so often") for text in left] == [1, 0, 0, 0, 0, 0]


def test_threads_share_it(documents: pa.Table) -> None:
    table = documents.select(["doc_id", "text"]).slice(0, 40)
    alone = curate.deduplicate(table, apply=False)
    with ThreadPoolExecutor(4) as pool:
        assert all(alone.equals(t) for t in pool.map(lambda _: curate.deduplicate(table, apply=False), range(6)))


def test_tables_without_rows() -> None:
    empty = pa.Table.from_pylist(ROWS).slice(0, 0)
    assert curate.deduplicate(empty).schema.equals(empty.schema)
    first, second = curate.deduplicate([empty, pa.Table.from_pylist(ROWS)], near=False)
    assert (len(first), len(second)) == (0, 3)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="table 1: has no column 'text'"):
        curate.deduplicate([pa.Table.from_pylist(ROWS), pa.table({"x": [1]})])
    with pytest.raises(InputError, match="'keep' of int64"):
        curate.deduplicate(pa.table({"text": ["a"], "keep": [1]}))
    with pytest.raises(RecipeError, match=r"deduplicate\(\): threshold"):
        curate.deduplicate(pa.Table.from_pylist(ROWS), threshold=2.0)
    with pytest.raises(RecipeError, match="nothing to compare"):
        curate.deduplicate(pa.Table.from_pylist(ROWS), exact=False, near=False)
    with pytest.raises(RecipeError, match="nothing to compare"):
        curate.deduplicate([])
    with pytest.raises(RecipeError, match="need a run"):
        curate.deduplicate(pa.Table.from_pylist(ROWS), config={"keep_index": True})
