"""`curate classifier`: train, score, eval and calibrate on files, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from curate.classifier.calibrate import calibrate
from curate.classifier.pareto import keep_rate
from manifests.errors import CurateError, InputError, RecipeError
from pipelines.cli.main import app
from tests.unit.curate.small_web import page_text

SMALL = ["--set", "buckets=2000", "--set", "min_count=1", "--set", "epochs=15"]


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["classifier", *arguments])
    if isinstance(result.exception, CurateError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    good = [{"id": f"g{i}", "text": page_text(True, i)} for i in range(60)]
    bad = [{"id": f"b{i}", "url": f"http://bad{i % 30}.com/{i}", "text": page_text(False, i)} for i in range(120)]
    bad += [{"id": f"l{i}", "url": f"http://liked{i}.org/{i}", "text": page_text(True, 100 + i)} for i in range(40)]
    dump = [{"url": f"http://liked{i}.org/{i}", "score": 5 if i % 4 else 1, "is_self": False} for i in range(40)]
    found = {}
    for name, rows in (("good", good), ("bad", bad), ("dump", dump)):
        found[name] = str(tmp_path / f"{name}.jsonl")
        Path(found[name]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return found


@pytest.mark.parametrize("kind", ["fasttext", "hashed-lr"])
def test_train_score_eval_and_calibrate(files: dict[str, str], tmp_path: Path, kind: str,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    out = str(tmp_path / "model")
    arguments = ["--positives", files["good"], "--negatives", files["bad"], "--links", files["dump"], "--kind", kind,
                 "--set", "near_duplicates=null", "--folds", "3", "--seed", "4", *SMALL]
    report = json.loads(_run("train", *arguments, "--out", out, "--format", "json"))
    assert report["counters"]["linked"] == report["counters"]["label_url"] == 30
    assert report["overall"]["auc"] > 0.9
    assert sorted(p.name for p in Path(out).iterdir()) == [
        "card.md", "held_out.parquet", "metrics.json", "model.bin", "model.json"]
    held_out = pl.read_parquet(f"{out}/held_out.parquet")
    assert held_out.height == 60 + 160
    assert set(held_out.filter(pl.col("label") == "url")["id"]) == {f"l{i}" for i in range(40) if i % 4}
    assert "## Telling words" in Path(out, "card.md").read_text()
    monkeypatch.chdir(tmp_path)  # a relative path is the caller's
    arguments[arguments.index(files["dump"])] = "dump.jsonl"
    _run("train", *arguments, "--out", f"{out}2")
    for name in ("model.bin", "model.json", "metrics.json", "card.md", "held_out.parquet"):
        assert Path(out, name).read_bytes() == Path(f"{out}2", name).read_bytes()

    _run("score", files["bad"], "--model", f"{out}/model.bin", "--out", f"{out}/scores")
    scores = pl.read_parquet(f"{out}/scores/*.parquet")
    assert scores.columns == ["id", "quality_score"]
    assert scores["id"].to_list() == [f"b{i}" for i in range(120)] + [f"l{i}" for i in range(40)]
    quality = scores["quality_score"].to_numpy()
    assert quality[:120].mean() < 0.5 < quality[120:].mean()

    figures = json.loads(_run("eval", "--model", f"{out}/model.bin", "--positives", files["good"], "--negatives",
                              files["bad"], "--format", "json"))
    assert figures["n_positive"] == 60
    assert figures["auc"] > 0.8
    assert sum(b["n"] for b in figures["calibration"]["bins"]) == 220

    chosen = json.loads(_run("calibrate", f"{out}/held_out.parquet", "--format", "json"))
    assert chosen["n_positives"] == 90
    assert 0 < chosen["keep_rate"] < 1
    same = json.loads(_run("calibrate", "--positives", f"{out}/scores/part-bad.parquet", "--crawl",
                           f"{out}/scores/part-bad.parquet", "--format", "json"))
    assert same["alpha"] == 0.25  # nothing needs to change for two equal distributions


def test_a_broken_line_of_any_file_is_named(files: dict[str, str], tmp_path: Path) -> None:
    with open(files["good"], "a", encoding="utf-8") as stream:
        stream.write("{broken\n")
    result = CliRunner().invoke(app, ["classifier", "train", "--positives", files["good"], "--negatives", files["bad"],
                                      "--folds", "2", *SMALL, "--out", str(tmp_path / "m")], catch_exceptions=False)
    assert result.exit_code == 0
    assert "good.jsonl: at " in result.stderr
    assert pl.read_parquet(tmp_path / "m/held_out.parquet").height > 0


def test_wrong_use_is_named(files: dict[str, str], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "m")]
    with pytest.raises(RecipeError, match="--positives"):
        _run("train", "--negatives", files["bad"], *out)
    with pytest.raises(RecipeError, match=r"classifier\.kind"):
        _run("train", "--positives", files["good"], "--negatives", files["bad"], "--kind", "svm", *out)
    with pytest.raises(RecipeError, match="--set colour=red"):
        _run("train", "--positives", files["good"], "--negatives", files["bad"], "--set", "colour=red", *out)
    with pytest.raises(InputError, match="no fastText model"):
        _run("score", files["bad"], "--model", files["good"], *out)
    pl.DataFrame({"id": ["a"]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="has no column"):
        _run("calibrate", str(tmp_path / "x.parquet"))
    with pytest.raises(RecipeError, match="--positives"):
        _run("calibrate")


def test_calibration_finds_the_alpha_that_made_the_positives() -> None:
    random = np.random.default_rng(0)
    crawl = random.beta(0.6, 2, 60_000).astype(np.float32)
    positives = crawl[random.random(len(crawl)) < (2.0 - crawl) ** -4.0]
    found = calibrate(positives, crawl)
    assert found["alpha"] == pytest.approx(4, abs=0.5)
    assert found["keep_rate"] == pytest.approx(keep_rate(crawl, found["alpha"]), abs=1e-6)
    assert found["distance"] < 0.01
    with pytest.raises(InputError, match="positives"):
        calibrate(positives[:0], crawl)
