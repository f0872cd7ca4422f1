"""The examples of docs/plugins.md, run as they stand there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import pipelines
from manifests.tables import read_table
from tests.paths import ROOT
from tests.plugin_distribution import on_path, write_distribution

PAGE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
TEXTS = ("What? Who? Why? How? Where? When? Which?", "A harbour at dawn, with boats that come and go.")
RECIPE = {"name": "page", "sources": {"texts": {"files": "texts.jsonl"}}, "classifier": None,
          "extract": {"identify_language": False}, "dedup": {"exact": False, "near": False},
          "mixture": {"weights": {"texts": 1}}}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    with on_path(tmp_path):
        yield tmp_path


def test_the_signal(folder: Path) -> None:
    (point,) = re.findall(r'questions = "(.*)"', blocks("toml")[0])
    assert point == "my_filters:Questions"
    write_distribution(folder, "my-filters", blocks("python")[0], {"signals": {"questions": "Questions"}})
    recipe = {**RECIPE, **yaml.safe_load(blocks("yaml")[0])}
    run = pipelines.run(recipe, folder / "run", engine="inline", until="clean")
    assert run.result is not None
    (part,) = (folder / "run/clean/texts").glob("*/part-*.parquet")
    assert read_table(str(part))["text"].to_pylist() == [TEXTS[1]]
    assert run.result.view.counters("select")["dropped_too_many_questions"] == 1


def test_the_stage(folder: Path) -> None:
    program, module = blocks("python")[1:3]
    (folder / "my_stages.py").write_text(module)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    until = program.replace("stages=[", "engine='inline', until='lengths', stages=[")
    (folder / "program.py").write_text(until)
    names: dict[str, object] = {}
    exec(compile(until, str(folder / "program.py"), "exec"), names)
    (output,) = (folder / "runs/mine/lengths").rglob("*-0.parquet")
    assert sorted(read_table(str(output))["n_bytes"].to_pylist()) == sorted(map(len, TEXTS))
    sys.modules.pop("my_stages", None)
