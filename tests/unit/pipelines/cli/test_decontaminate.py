"""`curate decontaminate` as a shell calls it: a pattern of benchmarks is several words behind one option."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.decontaminate import spread
from pipelines.cli.main import app


@pytest.mark.parametrize(("given", "meant"), [
    ("c --benchmarks x y z --out d", "c --benchmarks x --benchmarks y --benchmarks z --out d"),
    ("--benchmarks x c --out d", "--benchmarks x c --out d"),
    ("--apply c --benchmarks x y", "--apply c --benchmarks x --benchmarks y"),
    ("--out d --benchmarks x c", "--out d --benchmarks x c"),
    ("c --benchmarks=x y --out d", "c --benchmarks=x y --out d"),
    ("c --benchmarks x -- y", "c --benchmarks x -- y"), ("c --benchmarks", "c --benchmarks")])
def test_values_of_one_option(given: str, meant: str) -> None:
    assert spread(given.split(), "--benchmarks", {"--apply"}) == meant.split()


def test_a_pattern_of_benchmarks(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "Some words that stay."}) + "\n")
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"q": f"{name} question " + "of words " * 10}) + "\n")
    done = CliRunner().invoke(app, ["decontaminate", str(tmp_path / "in.jsonl"), "--benchmarks", str(
        tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl"), "--out", str(tmp_path / "o"), "--format", "json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["documents"] == 1
    assert [row["benchmark"] for row in facts["benchmarks"]] == ["one", "two"]
