"""A command does not put its output in the place of what it reads, nor in a folder that has no name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from manifests.errors import OwnershipError, RecipeError
from pipelines.cli.main import app


def documents(folder: Path) -> Path:
    """A part as a command leaves it, so that the output has the same name."""
    folder.mkdir()
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["The quiet harbour.", "The quiet harbour."]}),
                   folder / "part-a.parquet")
    return folder


def call(*words: str) -> str:
    """The error that a command ends with; nothing where it is done."""
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, (RecipeError, OwnershipError)):
        raise result.exception
    return str(result.exception or "")


@pytest.mark.parametrize("out", ["a", "a/", "b/../a/.", "link"])
def test_an_input_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    part = documents(tmp_path / "a") / "part-a.parquet"
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    before = part.read_bytes()
    assert "would take that place" in call("dedup", "a", "--out", out)
    assert part.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "link"]


def test_decisions_that_are_read_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert call("dedup", "a", "--no-apply", "--out", "x") == ""
    before = Path("x/part-a.parquet").read_bytes()
    assert "would take that place" in call("dedup", "a", "--decisions", "x", "--no-apply", "--out", "x")
    os.rename("x", "y.decisions")
    assert "would take that place" in call("dedup", "a", "--decisions", "y.decisions", "--out", "y")
    assert Path("y.decisions/part-a.parquet").read_bytes() == before


@pytest.mark.parametrize("out", ["", "/"])
def test_an_output_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    documents(here / "a")
    monkeypatch.chdir(here)
    assert "names no folder" in call("dedup", "a", "--out", out)
    assert os.listdir(here) == ["a"]
    assert os.listdir(tmp_path) == ["here"]


def test_the_working_directory_as_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b.decisions").mkdir()
    (tmp_path / "b.decisions" / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path / "b")
    assert "holds 'mine.txt'" in call("dedup", "../a", "--out", ".")
    assert (tmp_path / "b.decisions" / "mine.txt").read_text() == "mine"


def test_decisions_of_files_of_one_stem_without_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their rows are numbered alike: each file gets the decisions of its own part, or is refused."""
    (tmp_path / "a").mkdir()
    line = json.dumps({"text": "The quiet harbour."}) + "\n"
    other = json.dumps({"text": "A ship came in from sea at last."}) + "\n"
    (tmp_path / "a" / "n.0.jsonl").write_text(line + other)
    (tmp_path / "a" / "n.1.jsonl").write_text(line + json.dumps({"text": "Nobody spoke of salt to sell."}) + "\n")
    monkeypatch.chdir(tmp_path)
    assert call("dedup", "a", "--no-apply", "--out", "x") == ""
    assert call("dedup", "a", "--decisions", "x", "--out", "b") == ""
    assert sorted(pq.read_table("b").column("text").to_pylist()) == [
        "A ship came in from sea at last.", "Nobody spoke of salt to sell.", "The quiet harbour."]
    os.rename("a", "moved")
    result = CliRunner().invoke(app, ["dedup", "moved", "--decisions", "x", "--out", "c"])
    assert "could be what any of 2 parts" in str(result.exception)


def test_rows_without_ids_take_no_decisions_of_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": "The quiet harbour."}, {"text": "click"}, {"text": "Another harbour, and a ship."}]
    for name, given in (("one", rows), ("two", rows[::-1])):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    assert call("filter", "one.jsonl", "--no-apply", "--out", "x") == ""
    result = CliRunner().invoke(app, ["dedup", "two.jsonl", "--decisions", "x", "--out", "wrong"])
    assert "has rows without ids" in str(result.exception)
    assert call("dedup", "one.jsonl", "--decisions", "x", "--out", "right") == ""
