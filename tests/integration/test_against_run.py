"""Runs deduplicated against earlier ones: the same documents survive as in one run over everything."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from curate.why import explain
from manifests.errors import RecipeError
from pipelines.loading import load_recipe
from pipelines.running import Result, Settings, dry_run, run
from tests.paths import DATA

BY_SIGNATURES = {"verify": "signatures", "partitions": 3, "max_removed_fraction": 1.0, "keep_index": True}


def pages(seed: int, n: int) -> list[dict[str, Any]]:
    """Texts of which many are edited copies of a few."""
    chance = random.Random(seed)
    base = [[f"w{chance.randrange(5000)}" for _ in range(150)] for _ in range(n // 5)]
    rows = []
    for i in range(n):
        words = list(chance.choice(base))
        for _ in range(chance.choice([0, 1, 2, 4, 8])):
            words[chance.randrange(len(words))] = f"edit{chance.randrange(10**6)}"
        rows.append({"id": f"d{i}", "url": f"http://host{i}.com/", "text": " ".join(words)})
    return rows


def made(folder: Path, name: str, sources: dict[str, Any], dedup: dict[str, Any]) -> Result:
    recipe = {"name": "pieces", "sources": sources, "extract": {"identify_language": False, "languages": []},
              "classifier": None, "dedup": dedup, "mixture": {"weights": dict.fromkeys(sources, 1)}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    loaded, settings = load_recipe(str(path), []), Settings("inline", until="dedup")
    return run(loaded, str(folder / name), settings)


def decisions(run_folder: Path, source: str) -> pl.DataFrame:
    return pl.read_parquet(run_folder / f"dedup/decisions/{source}/*/part-*.parquet")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, dict[str, Any]]:
    rows = pages(1, 240)
    for name, some in (("a", rows[:80]), ("b", rows[80:160]), ("c", rows[160:])):
        lines = (json.dumps(row) + "\n" for row in some)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return {name: {"files": str(tmp_path / f"{name}.jsonl")} for name in "abc"}


def test_runs_one_after_another_keep_what_one_run_keeps(tmp_path: Path, files: dict[str, dict[str, Any]]) -> None:
    made(tmp_path, "whole", files, BY_SIGNATURES)
    runs: list[str] = []
    for name in "abc":
        made(tmp_path, f"run-{name}", {name: files[name]}, {**BY_SIGNATURES, "against": runs})
        runs = [*runs, str(tmp_path / f"run-{name}")]
        whole, mine = decisions(tmp_path / "whole", name), decisions(tmp_path / f"run-{name}", name)
        assert mine["doc_id"].to_list() == whole["doc_id"].to_list()
        assert mine["keep"].to_list() == whole["keep"].to_list()
    dropped = decisions(tmp_path / "run-c", "c").filter(~pl.col("keep"))
    earlier = pl.concat([decisions(tmp_path / f"run-{name}", name) for name in "ab"]).filter("keep")["doc_id"].to_list()
    of_old = dropped.filter(pl.col("duplicate_of").is_in(earlier))
    assert 10 < len(of_old) < len(dropped)
    shutil.rmtree(runs[0])  # the decisions say which run, though that may be gone
    first = of_old.row(0, named=True)
    (history,) = explain(runs[2], first["doc_id"].hex())
    decision = next(d for d in history.decisions if d.stage == "dedup")
    assert decision.facts["duplicate_of"] == first["duplicate_of"].hex()
    assert decision.facts["of_run"] in runs[:2]
    own = dropped.filter(~pl.col("duplicate_of").is_in(earlier)).row(0, named=True)
    (history,) = explain(runs[2], own["doc_id"].hex())
    assert next(d for d in history.decisions if d.stage == "dedup").facts["of_run"] is None


def test_a_moved_run_is_the_same_and_a_changed_one_is_not(tmp_path: Path, files: dict[str, dict[str, Any]]) -> None:
    made(tmp_path, "old", {"a": files["a"]}, BY_SIGNATURES)
    dedup = {**BY_SIGNATURES, "against": [str(tmp_path / "old")]}
    assert made(tmp_path, "new", {"b": files["b"]}, dedup).n_done
    shutil.move(tmp_path / "old", tmp_path / "moved")
    moved = {**dedup, "against": [str(tmp_path / "moved")]}
    assert made(tmp_path, "new", {"b": files["b"]}, moved).n_done == 0
    made(tmp_path, "moved", {"a": files["c"]}, BY_SIGNATURES)
    assert made(tmp_path, "new", {"b": files["b"]}, moved).n_done


def test_an_index_that_cannot_serve_is_refused_before_any_work(tmp_path: Path,
                                                              files: dict[str, dict[str, Any]]) -> None:
    made(tmp_path, "old", {"a": files["a"]}, BY_SIGNATURES)
    made(tmp_path, "bare", {"a": files["a"]}, {**BY_SIGNATURES, "keep_index": False})
    for run_name, change, message in (("old", {"n_permutations": 64}, "n_permutations is 64 here and 128"),
                                      ("old", {"seed": 2}, "seed is 2 here and 1"), ("bare", {}, "keeps no index")):
        dedup = {**BY_SIGNATURES, "against": [str(tmp_path / run_name)], **change}
        with pytest.raises(RecipeError, match=message) as caught:
            made(tmp_path, "new", {"b": files["b"]}, dedup)
        assert caught.value.where == "dedup.against.0"
    assert not (tmp_path / "new").exists()
    more_bands = {**BY_SIGNATURES, "against": str(tmp_path / "old"), "n_bands": 60, "n_band_rows": 2}
    made(tmp_path, "new", {"b": files["b"]}, more_bands)
    plans = dry_run(load_recipe(str(tmp_path / "new.yaml"), []), str(tmp_path / "new"), "dedup")
    assert all(plan is not None and not plan.stale for _, plan in plans)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "crawl").is_dir(), reason=f"no real pages in {DATA}")
def test_real_archives_one_after_another(tmp_path: Path) -> None:
    files = {name: {"files": str(DATA / f"crawl/part-0000{i}.warc.gz")} for i, name in enumerate(("one", "two"))}
    dedup = {**BY_SIGNATURES, "n_bands": 42, "n_band_rows": 3}
    made(tmp_path, "whole", files, dedup)
    made(tmp_path, "first", {"one": files["one"]}, dedup)
    made(tmp_path, "second", {"two": files["two"]}, {**dedup, "against": str(tmp_path / "first")})
    for name, folder in (("one", "first"), ("two", "second")):
        whole, mine = decisions(tmp_path / "whole", name), decisions(tmp_path / folder, name)
        assert mine["doc_id"].to_list() == whole["doc_id"].to_list()
        assert mine["keep"].to_list() == whole["keep"].to_list()
    assert decisions(tmp_path / "second", "two").filter(~pl.col("keep")).height > 0
