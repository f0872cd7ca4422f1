"""`pipelines.run` takes a recipe as whatever it is given, and goes on where an earlier call stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipelines
from manifests.errors import OwnershipError, RecipeError
from pipelines.loading import validate

TEXT = "Document {} tells of the weather and of what the people in the town have to say about that on a day of rain."


@pytest.fixture
def fields(tmp_path: Path) -> dict[str, Any]:
    """A small recipe over texts, until its clean corpus."""
    lines = [json.dumps({"text": TEXT.format(i % 8)}) + "\n" for i in range(12)]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    return {"name": "small", "variables": {"in": str(tmp_path)}, "classifier": None,
            "sources": {"town": {"files": "${in}/texts.jsonl"}}, "extract": {"identify_language": False},
            "dedup": {"near": False}, "mixture": {"weights": {"town": 1}}}


def _texts(run: pipelines.Run) -> list[str]:
    return list(run.documents("clean", columns=["text"]).read_all()["text"].to_pylist())


def test_a_recipe_may_be_a_mapping_a_file_or_a_recipe(fields: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(fields))
    built = validate({**fields, "sources": {"town": {"files": str(tmp_path / "texts.jsonl")}}})
    before = json.dumps(fields)
    given: list[Any] = [fields, file, str(file), built, pipelines.load_recipe(file)]
    for number, recipe in enumerate(given):
        run = pipelines.run(recipe, tmp_path / f"run{number}", engine="inline", until="clean")
        assert sorted(_texts(run)) == [TEXT.format(i) for i in range(8)]
        assert run.result is not None
        assert run.result.n_done > 5
    assert json.dumps(fields) == before


def test_it_goes_on_and_changes_only_what_depends(fields: dict[str, Any], tmp_path: Path) -> None:
    def call(**overrides: Any) -> int:
        run = pipelines.run(fields, os.fspath(tmp_path / "run"), engine="inline", until="clean", overrides=overrides)
        assert run.result is not None
        return run.result.n_done

    first = call()
    assert call() == 0
    assert 0 < call(**{"dedup.survivor_order": ["length"]}) < first
    assert len(_texts(pipelines.Run(tmp_path / "run"))) == 8
    fresh = pipelines.run(fields, tmp_path / "run", engine="inline", until="extract", fresh=True,
                          overrides=["extract.signals=false"])
    assert fresh.funnel()["stage"].to_pylist() == ["extract"]


def test_a_plan_says_what_would_be_done_and_why(fields: dict[str, Any], tmp_path: Path) -> None:
    first = {row["stage"]: row for row in pipelines.plan(fields, tmp_path / "run", until="clean").to_pylist()}
    assert first["extract"] == {"stage": "extract", "up_to_date": 0, "to_do": 1, "why": ["never done"]}
    assert first["clean"]["to_do"] is None
    assert not (tmp_path / "run").exists()
    pipelines.run(fields, tmp_path / "run", engine="inline", until="clean")
    done = pipelines.plan(fields, tmp_path / "run", until="clean")
    assert set(done["to_do"].to_pylist()) == {0}
    changed = pipelines.plan(fields, tmp_path / "run", until="clean", overrides={"extract.min_text_bytes": 7})
    assert changed.to_pylist()[0]["why"] == ["min_text_bytes: 1 -> 7"]


def test_variables_and_fields_may_be_overridden(fields: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "texts.jsonl").write_text(json.dumps({"text": TEXT.format("other")}))
    for overrides in ({"in": str(tmp_path / "other")}, [f"in={tmp_path / 'other'}"]):
        recipe = pipelines.load_recipe(fields, overrides)
        assert recipe.sources["town"].files == (f"{tmp_path}/other/texts.jsonl",)
    recipe = pipelines.load_recipe(pipelines.load_recipe(fields), {"dedup.threshold": 0.9, "seed": 3})
    assert (recipe.dedup.threshold, recipe.seed) == (0.9, 3)
    with pytest.raises(RecipeError, match="'seed' is no group of fields"):
        pipelines.load_recipe(fields | {"seed": 1}, {"seed.x": 1})


def test_what_cannot_be_run_is_said_before_any_work(fields: dict[str, Any], tmp_path: Path) -> None:
    for recipe, match in ((fields | {"dedupe": {}}, "dedupe: unknown field"), ("no-such-recipe", "no such recipe"),
                          ({}, "name")):
        with pytest.raises(RecipeError, match=match):
            pipelines.run(recipe, tmp_path / "run", engine="inline")
    with pytest.raises(RecipeError, match="not an engine: 'dask'"):
        pipelines.run(fields, tmp_path / "run", engine="dask")
    with pytest.raises(RecipeError, match="no stage is called 'wash'"):
        pipelines.run(fields, tmp_path / "run", engine="inline", until="wash")
    assert not (tmp_path / "run").exists()
    pipelines.run(fields, tmp_path / "run", engine="inline", until="extract")
    with pytest.raises(OwnershipError, match="belongs to a run of recipe 'small'"):
        pipelines.run(fields | {"name": "other"}, tmp_path / "run", engine="inline")


@pytest.mark.ray
def test_a_session_of_ray_that_is_there_is_used_and_stays(fields: dict[str, Any], tmp_path: Path) -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        run = pipelines.run(fields, tmp_path / "ray", until="clean")
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    inline = pipelines.run(fields, tmp_path / "inline", engine="inline", until="clean")
    assert _texts(run) == _texts(inline)
