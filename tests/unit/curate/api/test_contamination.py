"""`curate.decontaminate` takes the decisions of a run's stages, and leaves the pieces that a run leaves."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import curate
from manifests.errors import InputError, RecipeError
from tests.unit.curate.api.conftest import Ran

QUESTION = " ".join(f"question{i}" for i in range(20))
PROSE = " ".join(f"word{i} and another" for i in range(150))
TABLE = pa.table({"id": ["dirty", "clean"], "text": [f"{PROSE} {QUESTION} {PROSE}", PROSE], "n": [1, 2]})


@pytest.fixture(scope="module")
def left(ran: Ran, documents: pa.Table) -> pa.Table:
    """Documents with the decision that deduplication took of them."""
    return documents.append_column("keep", ran.table("dedup/decisions", "decisions")["keep"])


def test_decisions_are_those_of_the_stages(ran: Ran, left: pa.Table) -> None:
    found = curate.decontaminate(left, {"demo_questions": ran.benchmark}, fields=["question"], apply=False)
    stage = ran.table("decontaminate", "decisions")
    expected = stage.to_pylist()
    numbers = {item["id"]: str(i) for i, item in enumerate(_items(ran))}
    for row in expected:
        if row["reason"] == "not_selected":
            row |= {"reason": "left_out", "removed_spans": None, "pieces": None}
        for span in row["removed_spans"] or ():
            span["item"] = numbers[span["item"]]  # the run's recipe names the field of ids
    assert found.column_names == stage.column_names
    assert found.to_pylist() == expected
    assert any(len(row["pieces"] or ()) > 1 for row in expected)


def test_three_functions_leave_what_a_run_leaves(ran: Ran, documents: pa.Table) -> None:
    kept = curate.deduplicate(curate.filter(documents, "gopher"), threshold=0.8)
    pieces = curate.decontaminate(kept, [ran.benchmark], fields=["question"])
    clean = ran.table("clean", "documents")
    assert pieces["text"].to_pylist() == clean["text"].to_pylist()
    assert pieces["doc_id"].to_pylist() == clean["doc_id"].to_pylist()
    assert pieces["parent_id"].to_pylist() == clean["parent_id"].to_pylist()
    assert 0 < pieces["parent_id"].null_count < len(pieces)


def _items(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.open(ran.benchmark)]


def test_benchmarks_may_be_files_columns_or_tables(tmp_path: Path) -> None:
    file = tmp_path / "quiz.jsonl"
    file.write_text(json.dumps({"q": QUESTION, "n": 1}) + "\n")
    expected = curate.decontaminate(TABLE, {"quiz": [QUESTION]}, apply=False)
    assert expected["removed_spans"].to_pylist() == [
        [{"start": len(PROSE) + 1, "end": len(PROSE) + 1 + len(QUESTION), "benchmark": "quiz", "item": "0"}], []]
    for benchmark in (str(file), file, pa.array([QUESTION]), pl.Series([QUESTION]), pl.DataFrame({"q": [QUESTION]}),
                      pa.table({"q": [QUESTION], "choices": [["a", "b"]]}), {"q": [QUESTION]}):
        assert curate.decontaminate(TABLE, {"quiz": benchmark}, apply=False).equals(expected)
    assert curate.decontaminate(pl.DataFrame(TABLE), [str(file)], apply=False)["pieces"].equals(expected["pieces"])


def test_pieces_keep_every_column_and_are_numbered() -> None:
    pieces = curate.decontaminate(TABLE, {"quiz": [QUESTION]}).to_pylist()
    assert [(row["id"], row["n"], row["piece"]) for row in pieces] == [
        ("dirty", 1, 0), ("dirty", 1, 1), ("clean", 2, None)]
    assert pieces[0]["text"] == PROSE[:-199]
    assert pieces[2]["text"] == PROSE
    assert not any("question1 " in row["text"] for row in pieces)
    assert len(curate.decontaminate(TABLE, {"quiz": [QUESTION]}, ngram=30)) == 2


def test_tables_without_rows() -> None:
    assert curate.decontaminate(TABLE.slice(0, 0), {"quiz": [QUESTION]}).schema.names == ["id", "text", "n", "piece"]


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such"):
        curate.decontaminate(TABLE, [str(tmp_path / "no-such.jsonl")])
    with pytest.raises(InputError, match="benchmark 'quiz': is a column of int64"):
        curate.decontaminate(TABLE, {"quiz": [1, 2]})
    with pytest.raises(InputError, match=r"^benchmark 'quiz': has no text in the fields"):
        curate.decontaminate(TABLE, {"quiz": ["", None]})
    with pytest.raises(InputError, match="has no column 'body'"):
        curate.decontaminate(TABLE, {"quiz": [QUESTION]}, text_column="body")
    with pytest.raises(RecipeError, match="there is none"):
        curate.decontaminate(TABLE, [])
    with pytest.raises(RecipeError, match="two files are called 'quiz'"):
        curate.decontaminate(TABLE, ["a/quiz.jsonl", "b/quiz.jsonl"])
    with pytest.raises(RecipeError, match=r"decontaminate\(\): ngram"):
        curate.decontaminate(TABLE, {"quiz": [QUESTION]}, ngram=0)
