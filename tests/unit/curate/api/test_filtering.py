"""`curate.filter` takes the decisions of the stage `select`, and leaves the rows that it keeps."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import curate
from manifests.errors import InputError, RecipeError
from tests.unit.curate.api.conftest import Ran
from tests.unit.curate.graph_runs import run_recipe

MEASURED = ["keep", "reason", "value", "threshold", "edits"]


@pytest.fixture(scope="module")
def stage(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """What the stage decides by rules that edit."""
    run = run_recipe(tmp_path_factory.mktemp("fineweb"), {
        "sources": {"crawl": {"files": ran.archives}}, "classifier": None, "extract": {"languages": None},
        "select": {"rules": {"preset": "fineweb"}}}, ["extract", "select"])
    return ran._replace(run=run).table("select", "decisions")


def test_decisions_are_those_of_the_stage(stage: pa.Table, documents: pa.Table) -> None:
    decisions = curate.filter(documents, "fineweb", apply=False)
    assert decisions.column_names == ["doc_id", *MEASURED]
    assert decisions.to_pylist() == stage.select(["doc_id", *MEASURED]).to_pylist()
    assert 0 < sum(stage["keep"].to_pylist()) < len(stage)
    assert decisions["edits"].null_count < len(decisions)


def test_what_is_kept_has_its_edits_and_every_column(stage: pa.Table, documents: pa.Table) -> None:
    given = documents.append_column("n", pa.array(range(len(documents))))
    kept = curate.filter(given, "fineweb")
    decisions = stage.to_pylist()
    expected = [(row["doc_id"], number) for number, row in enumerate(decisions) if row["keep"]]
    assert list(zip(kept["doc_id"].to_pylist(), kept["n"].to_pylist(), strict=True)) == expected
    assert kept.schema.names == given.schema.names
    texts = documents["text"].to_pylist()
    for number, text in zip(kept["n"].to_pylist(), kept["text"].to_pylist(), strict=True):
        edits = decisions[number]["edits"]
        data = texts[number].encode()
        assert text.encode() == (data if edits is None else b"".join(
            data[e["start"] : e["end"]] if e["replacement"] is None else e["replacement"].encode() for e in edits))


def test_a_data_frame_of_polars_or_pandas_and_a_batch_of_columns(documents: pa.Table) -> None:
    small = documents.select(["url", "text", "language"]).slice(0, 20)
    expected = curate.filter(small, "gopher")
    for given in (pl.DataFrame(small), small.to_pandas(), small.to_pydict(), small.to_batches()[0], small.to_reader()):
        kept = curate.filter(given, "gopher")
        assert kept.to_pydict() == expected.to_pydict()


def test_thresholds_rules_and_words_of_ones_own(documents: pa.Table) -> None:
    n = len(documents)
    assert len(curate.filter(documents, "gpt3")) == n
    rules = [{"reason": "too_short", "signal": "n_words", "at_least": 200}]
    decisions = curate.filter(documents, "gpt3", rules=rules, apply=False).to_pylist()
    words = curate.signals(documents["text"])["signal_n_words"].to_pylist()
    assert [row["reason"] for row in decisions] == ["too_short" if w < 200 else None for w in words]
    assert 0 < sum(row["keep"] for row in decisions) < n
    off = curate.filter(documents, "gopher", thresholds={"gopher_few_stop_words": None})
    assert len(off) > len(curate.filter(documents, "gopher"))
    assert curate.filter(documents, "fineweb", edit=False)["text"].to_pylist() != curate.filter(
        documents, "fineweb")["text"].to_pylist()


def test_signals_that_a_table_came_with_serve_rules() -> None:
    table = pa.table({"text": ["one", "two", "three", "four"], "signal_perplexity": [5.0, None, 50.0, float("nan")],
                      "signal_taste": [1, 2, 3, 0]})
    rules = [{"reason": "bland", "signal": "taste", "at_least": 1}, {"reason": "odd", "signal": "perplexity",
                                                                     "at_most": 10}]
    decisions = curate.filter(table, "gpt3", rules=rules, apply=False)
    assert decisions["reason"].to_pylist() == [None, None, "odd", "bland"]
    assert decisions["value"].to_pylist() == [None, None, 50.0, 0.0]
    odd = curate.filter(table, "gpt3", rules=rules[1:], apply=False)
    assert odd["reason"].to_pylist() == [None, None, "odd", "odd"]


def test_decisions_that_a_table_came_with_are_honoured(documents: pa.Table) -> None:
    keep = [i % 3 != 0 for i in range(len(documents))]
    table = documents.append_column("keep", pa.array(keep))
    decisions = curate.filter(table, "gopher", apply=False)
    alone = curate.filter(documents, "gopher", apply=False).to_pylist()
    assert [row["reason"] for row in decisions.to_pylist()] == [
        row["reason"] if entered else "left_out" for row, entered in zip(alone, keep, strict=True)]
    every = curate.filter(table, "gopher", apply=False, ignore_keep=True)
    assert every.to_pylist() == alone
    assert set(curate.filter(table, "gopher")["keep"].to_pylist()) == {True}


def test_a_null_stays_one() -> None:
    table = pa.table({"text": pa.array([None, "some text", ""])})
    for kept in (curate.filter(table, "gpt3"), curate.deduplicate(table), curate.deduplicate(table.to_batches()[0])):
        assert kept["text"].to_pylist() == [None, "some text", ""]


def test_tables_without_rows() -> None:
    empty = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    assert curate.filter(empty, "fineweb").schema.equals(empty.schema)
    assert curate.filter(empty, "fineweb", apply=False).column_names == ["id", *MEASURED]


@pytest.mark.parametrize(("table", "match"), [
    (pa.table([["a"], ["b"]], ["text", "text"]), "table: has more than one column 'text'"),
    (pa.table({"txt": ["a"]}), "has no column 'text' .*its columns are txt"),
    (pa.table({"text": ["a"], "keep": [1]}), "'keep' of int64, not of booleans"),
    (pa.table({"text": [1]}), "column 'text': is a column of int64, not of strings"),
    ({"text": ["a"], "n": [1, 2]}, "is no table"), (["a"], "is no table"), ("a", "is no table")])
def test_bad_tables_are_named(table: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        curate.filter(table)


def test_bad_rules_are_named(documents: pa.Table) -> None:
    with pytest.raises(RecipeError, match=r"filter\(\): preset: .*\(got 'fine'\)"):
        curate.filter(documents, "fine")
    with pytest.raises(RecipeError, match=r"filter\(\): rule x: no signal is called 'length'"):
        curate.filter(documents, rules=[{"reason": "x", "signal": "length", "at_most": 1}])
    with pytest.raises(InputError, match="has no column signal_perplexity"):
        curate.filter(documents, rules=[{"reason": "x", "signal": "perplexity", "at_most": 1}])
