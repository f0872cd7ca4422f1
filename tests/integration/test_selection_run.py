"""Runs up to selection: both kinds of classifier, other classifiers, and rules that need the whole corpus first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.loading import load_recipe
from pipelines.running import Settings, run
from tests.unit.curate.small_web import page_text


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    good = [{"id": f"g{i}", "text": page_text(True, i)} for i in range(60)]
    pages = [{"id": f"p{i}", "url": f"http://host{i % 50}.com/{i}", "text": page_text(i % 4 == 0, 100 + i)}
             for i in range(200)]
    for name, rows in (("good", good), ("pages", pages)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = [f"__label__{'cc' if i % 4 else 'hq'} {row['text']}\n" for i, row in enumerate(pages)]
    (tmp_path / "other.txt").write_text("".join(lines), encoding="utf-8")
    model = fasttext.train_supervised(str(tmp_path / "other.txt"), dim=4, epoch=20, lr=0.5, thread=1, verbose=0, seed=1)
    model.save_model(str(tmp_path / "other.bin"))
    return {
        "name": "selection", "sources": {"books": {"files": str(tmp_path / "good.jsonl"), "curated": True},
                                         "crawl": {"files": str(tmp_path / "pages.jsonl")}},
        "extract": {"identify_language": False, "languages": []},
        "classifier": {"buckets": 2000, "min_count": 1, "epochs": 10, "near_duplicates": None},
        "mixture": {"weights": {"crawl": 1}}}


def _decisions(recipe: dict[str, Any], folder: Path) -> pl.DataFrame:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    result = run(load_recipe(str(path), []), str(folder / "run"), Settings("inline", until="select"))
    assert result.exit_code == 0
    return pl.read_parquet(folder / "run/select/crawl/*/part-*.parquet")


def n_kept(decisions: pl.DataFrame) -> int:
    return decisions["keep"].to_list().count(True)


def test_percentile_of_ones_own_and_threshold_of_another(recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe["classifiers"] = {"other": {"path": str(tmp_path / "other.bin")}}
    recipe["select"] = {"keep": [{"rule": "percentile", "percentile": 60},
                                 {"score": "other", "rule": "threshold", "threshold": 0.3}]}
    decisions = _decisions(recipe, tmp_path)
    assert decisions["quality_other"].null_count() == 0
    best = decisions["quality_score"] >= decisions["quality_score"].sort(descending=True)[79]
    both = best & (decisions["quality_other"].cast(pl.Float64) >= 0.3)
    assert decisions["keep"].to_list() == both.to_list()
    assert 0 < n_kept(decisions) < 80
    assert set(decisions["reason"].drop_nulls()) == {"below_percentile", "below_threshold"}
    cut = pl.read_parquet(tmp_path / "run/select/cutoffs/cutoffs.parquet")
    assert cut["n_documents"].to_list() == [200]
    scored = (tmp_path / "run/classifier/scores/crawl").glob("*/part-*.parquet")
    before = {path: path.stat().st_mtime_ns for path in scored}
    recipe["select"]["keep"][0]["percentile"] = 80
    assert n_kept(_decisions(recipe, tmp_path)) < n_kept(decisions)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # no text was read again


def test_hashed_regression_selects_too(recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe["classifier"] |= {"kind": "hashed_lr", "hashed_features": 4096}
    recipe["select"] = {"keep": [{"rule": "top_fraction", "fraction": 0.25}]}
    decisions = _decisions(recipe, tmp_path)
    assert n_kept(decisions) == 50
    good = np.arange(200) % 4 == 0
    assert good[decisions["keep"].to_numpy()].mean() > good.mean()
    assert (tmp_path / "run/classifier/model.bin").read_bytes().startswith(b"curate hashed logistic regression")
