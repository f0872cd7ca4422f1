"""Every example of docs/python.md runs, one after another, and does what the page says."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from manifests.dataset import PackedDataset
from pipelines.demo.web import render
from tests.paths import ROOT

PAGE = ROOT / "docs" / "python.md"


def examples(ray: bool) -> list[tuple[int, str]]:
    """(line, code) of the page's examples, with those that need Ray or without."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.finditer(r"^```python( ray)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, m.start()) + 2, m[2]) for m in found if ray or not m[1]]


def run_examples(folder: Path, ray: bool) -> dict[str, Any]:
    """What the names of the page stand for at its end."""
    names: dict[str, Any] = {}
    for line, code in examples(ray):
        exec(compile("\n" * (line - 1) + code, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the page names."""
    import fasttext

    render(tmp_path / "web", 120)
    (tmp_path / "web" / "crawl").rename(tmp_path / "crawl")
    (tmp_path / "web" / "benchmarks" / "demo_questions.jsonl.gz").rename(tmp_path / "questions.jsonl.gz")
    lines = tmp_path / "lines.txt"
    lines.write_text("__label__positive a good line of words\n__label__negative another line of words\n" * 20)
    fasttext.train_supervised(str(lines), dim=4, epoch=1, thread=1, bucket=100, verbose=0).save_model(
        str(tmp_path / "model.bin"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_example_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(examples(ray=True)) - len(examples(ray=False)) == 1
    names = run_examples(folder, ray=False)
    assert names["documents"]["quality"].dtype == pl.Float32
    assert 0 < len(names["kept"]) < len(names["pages"])
    assert len(names["clean"]) > 50
    assert PackedDataset(str(folder / "dataset"), "train").digest == names["train"].digest
    assert 0 < names["again"].result.n_done < names["run"].status()["tasks"].to_numpy().sum()
    printed = capsys.readouterr().out
    promised = re.search(r"print\(error\) +# (.*)", PAGE.read_text(encoding="utf-8"))
    assert promised is not None
    assert promised[1] in printed


@pytest.mark.ray
def test_every_example_runs_with_ray(folder: Path) -> None:
    import ray

    # Without one, Ray keeps a token in the home folder, which tests of this process that come later have another of.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        names = run_examples(folder, ray=True)
        assert names["languages"].count() > 50
    finally:
        ray.shutdown()
