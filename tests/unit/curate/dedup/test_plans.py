"""What deduplication and decontamination plan where some of their steps, or all of them, are not asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curate.decontamination.stages import STAGES as DECONTAMINATION
from curate.dedup.config import DedupRecipe
from curate.dedup.stages import STAGES, last_decisions
from manifests.graph import Source, Task
from manifests.records import Identity, OutputFile, TaskRecord
from pipelines.planning import Progress
from tests.unit.curate.dedup.dedup_reference import Doc, prose, tables_of
from tests.unit.curate.graph_runs import recipe_of, run_graph, source_of

OFF = {"exact": False, "near": False}
ROLES = {
    "dedup/url_keys": ["url_keys"], "dedup/urls": ["dropped", "copies"],
    "dedup/signatures": ["signatures", "text_hashes"], "dedup/exact": ["dropped", "copies"],
    "dedup/bands": ["bands"], "dedup/candidates": ["buckets"],
    "dedup/links": ["links", "extents"], "dedup/components": ["members"],
    "dedup/shingles": ["shingles", "sliced"], "dedup/heads": ["heads"], "dedup/pivots": ["pivots", "reduced"],
    "dedup/compared": ["reduced"], "dedup/resolve": ["removals", "removals_by_id"],
    "dedup/copies": ["duplicates", "duplicates_by_id"], "dedup/url_copies": ["duplicates"],
    "dedup/decisions": ["decisions", "counts"], "dedup/summary": ["summary"],
    "dedup/passages": ["paragraphs", "sentences"], "dedup/removed_spans": ["removed_spans", "boilerplate"],
    "dedup/bloom": ["removed_spans", "seen"], "dedup/passage_decisions": ["decisions", "boilerplate"],
    "dedup/anchors": ["anchors"], "dedup/repeated": ["repeated"], "dedup/contexts": ["contexts"],
    "dedup/repeats": ["runs"], "dedup/substrings": ["decisions"], "dedup/index": ["index"]}


def finished(stage: str, task: str, roles: list[str], n_rows: int = 5) -> TaskRecord:
    outputs = tuple(OutputFile(role, f"{stage}/{role}/{task}.parquet", 1, role, n_rows) for role in roles)
    return TaskRecord(Identity(stage, 1, task, {}, {}), outputs, {})


def plans(dedup: dict[str, Any], parts: tuple[str, ...] = ("a/p", "b/p"), without: tuple[str, ...] = (),
          sources: tuple[Source, ...] = ()) -> tuple[Progress, dict[str, list[Task]]]:
    """The tasks of every stage, each planned when those before it are done. without: stages that are no part of it."""
    view = Progress(recipe_of(["a", "b"], dedup=dedup), sources, {})
    view.finish("extract", {part: finished("extract", part, ["documents"], 10) for part in parts})
    view.finish("select", {part: finished("select", part, ["decisions"]) for part in parts})
    planned: dict[str, list[Task]] = {}
    for stage in STAGES:
        planned[stage.name] = [] if stage.name in without else list(stage.plan(view))
        roles = ROLES.get(stage.name, [])
        records = {task.name: finished(stage.name, task.name, roles) for task in planned[stage.name]}
        view.finish(stage.name, records)
    return view, planned


def with_tasks(planned: dict[str, list[Task]]) -> set[str]:
    return {stage.removeprefix("dedup/") for stage, tasks in planned.items() if tasks}


def test_nothing_is_planned_where_nothing_is_asked_for() -> None:
    view, planned = plans(OFF)
    assert with_tasks(planned) == set()
    assert last_decisions(view) == "select"
    hits = next(stage for stage in DECONTAMINATION if stage.name == "decontaminate/hits")
    view.finish("decontaminate/index", {"index": finished("decontaminate/index", "index", ["grams"])})
    assert [task.inputs["decisions"].paths for task in hits.plan(view)] == [
        ("select/decisions/a/p.parquet",), ("select/decisions/b/p.parquet",)]


BASE = {"signatures", "decisions", "summary"}
NEAR = {"bands", "candidates", "links", "components", "shingles", "resolve"}


@pytest.mark.parametrize(("dedup", "stages", "last"), [
    ({"near": False}, BASE | {"exact", "copies"}, "decisions"),
    ({"exact": False}, BASE | NEAR, "decisions"),
    ({**OFF, "urls": "latest"}, BASE | {"url_keys", "urls", "url_copies"}, "decisions"),
    ({**OFF, "paragraphs": {}}, BASE | {"passages", "removed_spans", "passage_decisions"}, "passage_decisions"),
    ({**OFF, "bloom": {}}, BASE | {"bloom", "passage_decisions"}, "passage_decisions"),
    ({**OFF, "substrings": {}}, BASE | {"anchors", "repeated", "contexts", "repeats", "substrings"}, "substrings"),
    ({**OFF, "keep_index": True}, BASE | {"index"}, "decisions")])
def test_steps_that_nothing_asks_for_plan_no_task(dedup: dict[str, Any], stages: set[str], last: str) -> None:
    view, planned = plans(dedup)
    assert with_tasks(planned) == stages
    assert last_decisions(view) == f"dedup/{last}"
    names = {"exact": {"duplicates"}, "resolve": {"removals", "members"}, "urls": {"url_duplicates"}}
    wanted = {"documents", "decisions"}.union(*(inputs for stage, inputs in names.items() if stage in stages))
    assert [set(task.inputs) for task in planned["dedup/decisions"]] == [wanted] * 2


def test_no_input_is_of_a_stage_without_tasks() -> None:
    for dedup in ({"near": False, "urls": "first"}, {"exact": False, "urls": "first"}, {**OFF, "sentences": {}}):
        _, planned = plans(dedup)
        there = {stage for stage in planned if planned[stage]} | {"extract", "select"}
        refs = [ref for tasks in planned.values() for task in tasks for ref in task.inputs.values()]
        paths = [path for ref in refs for path in ref.paths]
        assert paths
        manifests = {path.removesuffix("/manifest.parquet") for path in paths if path.endswith("/manifest.parquet")}
        assert manifests <= there


def test_positions_follow_sources_and_the_files_as_they_are_given() -> None:
    sources = (source_of("b", ["z.jsonl", "a.jsonl"]), source_of("a", ["x.jsonl"]))
    parts = tuple(f"{source.name}/{file.part}" for source in sources for file in source.files)
    _, planned = plans({"urls": "latest", "paragraphs": {}, "survivor_order": ["quality", "position"]}, parts,
                       sources=sources)
    for stage in ("dedup/url_keys", "dedup/signatures", "dedup/passages"):
        assert {task.name: task.variables["first_position"] for task in planned[stage]} == dict(
            zip(parts, (0, 10, 20), strict=True))
    _, planned = plans({"urls": "latest"}, parts, sources=sources)
    assert all("first_position" not in task.variables for task in planned["dedup/signatures"])
    with pytest.raises(ValidationError, match="between which one more key has room"):
        DedupRecipe.model_validate({"survivor_order": ["source", "quality", "length", "position"]})


@pytest.mark.parametrize("dedup", [OFF | {"urls": "first"}, {"near": False}, OFF | {"sentences": {"span": 1}},
                                   OFF | {"substrings": {}}, OFF | {"keep_index": True}])
def test_stages_cope_with_what_is_not_there(tmp_path: Path, dedup: dict[str, Any]) -> None:
    docs = [Doc(prose(1, 90), url="http://a.org/x"), Doc(prose(2, 90), url="http://a.org/x"), Doc(prose(1, 90))]
    run = run_graph(tmp_path, recipe_of(["crawl"], dedup={**dedup, "partitions": 2, "max_removed_fraction": 1.0}),
                    tables_of({"crawl/p": docs}), ["dedup", "clean"])
    reasons = [row["reason"] for row in run.rows("dedup/decisions", "crawl/p")]
    assert sum(reason is not None for reason in reasons) == (1 if dedup.get("urls") or dedup.get("exact", True) else 0)
    n_clean = sum(record.output("documents").n_rows for record in run.view.tasks("clean"))
    assert n_clean == 3 if dedup == OFF | {"keep_index": True} else n_clean == 2


def test_a_run_without_deduplication_is_clean_as_selected(tmp_path: Path) -> None:
    run = run_graph(tmp_path, recipe_of(["crawl"], dedup=OFF),
                    tables_of({"crawl/p": [Doc("a b"), Doc("a b"), Doc("c", keep=False)]}), ["dedup", "clean"])
    assert not run.view.tasks("dedup/decisions")
    assert [record.output("documents").n_rows for record in run.view.tasks("clean")] == [2]
