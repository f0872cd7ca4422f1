"""Samples, counts and comparisons of the demo's small run agree with its tables and with what it counted itself."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from manifests.errors import RecipeError
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from pipelines import Run
from pipelines.asking.comparing import compare
from pipelines.asking.counting import domains, stats
from pipelines.asking.fates import fates_of, tasks_of
from pipelines.asking.nearness import nearest
from pipelines.asking.sampling import sample, sample_lines
from pipelines.cli.main import app
from pipelines.report import flow
from pipelines.report.gather import gather
from pipelines.report.page import page as report_page
from pipelines.running import Result, Settings, run
from tests.verbs import verb


@pytest.fixture(scope="module")
def files(small_demo: tuple[Path, Result]) -> StageFiles:
    return StageFiles(Storage(str(small_demo[0])))


def test_fates_are_what_the_stages_counted(files: StageFiles) -> None:
    fates = [row for task in tasks_of(files) for row in fates_of(files, task).to_pylist()]
    for stage in ("select", "dedup/decisions", "decontaminate"):
        counted = {k.removeprefix("dropped_"): n for k, n in files.counters(stage).items()
                   if k.startswith("dropped_") and k != "dropped_not_selected" and n}
        own = [row["reason"] for row in fates if row["stage"] == stage]
        assert {reason: own.count(reason) for reason in set(own)} == counted
    kept = {row["doc_id"] for row in fates if row["stage"] is None}
    clean = pl.DataFrame(Run(files.storage.root).documents("clean", columns=["doc_id", "parent_id"]))
    assert kept == set(clean.select(pl.coalesce("parent_id", "doc_id"))["parent_id"])


def test_a_sample_is_of_what_was_asked_for_and_the_same_each_time(files: StageFiles) -> None:
    near = sample(files, reason="near_duplicate", n=5)
    assert len(near) == 5
    assert {row["reason"] for row in near} == {"near_duplicate"}
    assert all(row["text"] and row["value"] >= 0.8 for row in near)
    ids = {doc_id.hex() for doc_id in pl.DataFrame(Run(files.storage.root).documents("extract", columns=["doc_id"]))[
        "doc_id"]}
    assert {row["duplicate_of"] for row in near} <= ids - {row["doc_id"] for row in near}
    assert f"near_duplicate of {near[0]['duplicate_of']}, similarity " in "\n".join(sample_lines(near, 50))
    assert sample(files, reason="near_duplicate", n=5) == near
    assert sample(files, reason="near_duplicate", n=5, seed=1) != near
    assert {row["stage"] for row in sample(files, stage="select", n=50)} == {"select"}
    assert {row["text"] for row in sample(files, stage="extract", n=5)} == {None}
    kept = sample(files, n=7)
    assert {row["doc_id"] for row in kept} <= {
        doc_id.hex() for doc_id in pl.DataFrame(Run(files.storage.root).documents(columns=["doc_id"]))["doc_id"]}
    assert {row["source"] for row in sample(files, n=5, source="webtext")} == {"webtext"}


def test_what_is_not_there_is_named(files: StageFiles) -> None:
    with pytest.raises(RecipeError, match=r"reasons are: .*near_duplicate"):
        sample(files, reason="nothing")
    with pytest.raises(RecipeError, match="one of: extract, select"):
        sample(files, stage="nothing")
    with pytest.raises(RecipeError, match="--kept"):
        sample(files, reason="pareto", kept=True)
    with pytest.raises(RecipeError, match="give --threshold"):
        nearest(files, "quality_score", None, 3)


def test_documents_near_a_threshold_lie_on_their_sides_of_it(files: StageFiles) -> None:
    rows = nearest(files, "n_words", None, 3)
    few = [row for row in rows if row["reason"] == "gopher_too_few_words"]
    assert {row["threshold"] for row in few} == {50}
    assert all(row["value"] < 50 for row in few if row["side"] == "below")
    assert all(row["value"] >= 50 for row in few if row["side"] == "above")
    assert [row["value"] for row in nearest(files, "n_words", 70, 1)] == sorted(
        row["value"] for row in nearest(files, "n_words", 70, 1))


def test_counts_by_source_and_domain(files: StageFiles) -> None:
    clean = pl.DataFrame(Run(files.storage.root).documents("clean", columns=["source", "host", "n_bytes"]))
    by_source = stats(files)
    assert sum(row["documents"] for row in by_source) == len(clean)
    assert sum(row["bytes"] for row in by_source) == clean["n_bytes"].sum()
    assert sum(row["tokens"] for row in by_source) == files.counters("tokens")["tokens"]
    hosts = domains(files, n=10_000, hosts=True)
    assert sum(row["bytes"] for row in hosts) == clean["n_bytes"].sum()
    assert sum(row["pages"] for row in hosts) == files.counters("extract")["documents"] + sum(
        file.n_rows for file in files.of("extract", "exclusions"))
    assert [row["bytes"] for row in hosts] == sorted((row["bytes"] for row in hosts), reverse=True)
    assert domains(files, n=1, by="pages")[0]["pages"] == max(row["pages"] for row in domains(files, n=10_000))
    with pytest.raises(RecipeError, match="cannot order"):
        domains(files, by="age")


def test_two_runs_compared(small_demo: tuple[Path, Result], small_web: Path, recipe_of: Callable[..., Any],
                           files: StageFiles, tmp_path: Path) -> None:
    same = compare(files, files)
    assert (same["recipe"], same["moves"]) == ([], [])
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    run(recipe_of(small_web, "select.rules.thresholds={gopher_too_few_words: 80}"), str(out),
        Settings(engine="inline", until="dedup"))
    facts = verb("diff", str(small_demo[0]), str(out), "--documents")
    assert {row["field"] for row in facts["recipe"]} == {"select.rules.thresholds.gopher_too_few_words"}
    first = {"before": "kept", "after": "select: gopher_too_few_words"}
    (moved,) = [row for row in facts["moves"] if {k: row[k] for k in first} == first]
    counted = StageFiles(Storage(str(out))).counters("select")["dropped_gopher_too_few_words"]
    before = files.counters("select").get("dropped_gopher_too_few_words", 0)
    more = [row for row in facts["moves"] if row["after"] == "select: gopher_too_few_words"]
    assert sum(row["documents"] for row in more) == counted - before > moved["documents"] - 1
    assert all(row["before"] != row["after"] and row["doc_id"] for row in facts["documents"])


def test_tables_are_csv(small_demo: tuple[Path, Result]) -> None:
    printed = CliRunner().invoke(app, ["stats", str(small_demo[0]), "--format", "csv"]).output
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert set(rows[0]) == {"source", "language", "page_type", "documents", "bytes", "tokens"}


def test_a_report_holds_what_the_run_counted(small_demo: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    facts = verb("report", str(out))
    assert facts["n_bytes"] == (out / "report/index.html").stat().st_size < 5_000_000
    numbers = json.loads((out / "report/report.json").read_text())
    files = StageFiles(Storage(str(out)))
    funnel = {row["stage"]: row for row in numbers["funnel"]}
    assert funnel["dedup/decisions"]["kept"] == files.counters("dedup/decisions")["kept"]
    assert sum(row["documents"] for row in numbers["fates"]) == numbers["read"]["of_documents"]
    assert sum(row["kept"] for row in numbers["languages"]) == funnel["decontaminate"]["kept"]
    assert {match["benchmark"] for match in numbers["contamination"]["matches"]} == {"demo_questions"}
    assert all(len(match["match"].split()) >= 8 for match in numbers["contamination"]["matches"])
    assert numbers["duplicates"]["largest"][0]["duplicates"] >= 1
    assert numbers["samples"]["kept"]
    assert {piece["kept"] for document in numbers["edited"] for piece in document["pieces"]} == {True, False}
    assert numbers["tokenizer"]["unused"] < numbers["tokenizer"]["vocab_size"]
    assert sum(row["tokens"] for row in numbers["stats"]) == files.counters("tokens")["tokens"]
    assert [row["domain"] for row in numbers["domains_in"]] == [row["domain"] for row in domains(files, 25, "pages")]
    assert len(numbers["signals"]) > 8


def test_of_very_many_parts_a_report_reads_some(files: StageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gather(files, "a")
    monkeypatch.setattr(flow, "MAX_PARTS", 1)
    part = gather(files, "a")
    assert (part["read"]["parts"], part["read"]["of_parts"]) == (1, whole["read"]["of_parts"])
    assert whole["read"]["parts"] == whole["read"]["of_parts"] > 1
    assert part["funnel"] == whole["funnel"]
    for name in ("documents", "tokens"):
        assert 0 < sum(row[name] for row in part["stats"]) < sum(row[name] for row in whole["stats"])
    assert 0 < sum(row["pages"] for row in part["domains_in"]) < sum(row["pages"] for row in whole["domains_in"])
    assert part["samples"]["kept"]
    assert {row["stage"] for row in part["samples"]["dropped"]} == {row["stage"] for row in whole["samples"]["dropped"]}
    page = report_page(part)
    assert f"in 1 of {whole['read']['of_parts']} parts" in page


def test_papers_say_what_the_tables_hold(small_demo: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    facts = verb("card", str(out), "--licence", "odc-by", "--name", "My <corpus>", "--eu")
    assert sorted(facts["written"]) == [f"card/{name}" for name in (
        "README.md", "croissant.json", "datasheet.md", "domains.csv", "training-content.md")]
    card = (out / "card/README.md").read_text()
    meta = yaml.safe_load(card.split("---\n")[1])
    clean = pl.DataFrame(Run(out).documents("clean", columns=["source", "host", "n_bytes"]))
    assert meta["license"] == "odc-by"
    assert {c["config_name"] for c in meta["configs"]} == {"default", *clean["source"]}
    for pattern in meta["configs"][0]["data_files"][0]["path"]:
        assert list(out.glob(pattern))
    assert f"{len(clean):,} documents, {clean['n_bytes'].sum():,} bytes" in card
    assert r"# My \<corpus\>" in card
    listed = list(csv.DictReader((out / "card/domains.csv").open()))
    assert sum(int(row["bytes"]) for row in listed) == clean.filter(pl.col("host").is_not_null())["n_bytes"].sum()
    summary = (out / "card/training-content.md").read_text()
    assert listed[0]["domain"] in summary
    assert "[to be filled in: contact of the provider]" in summary
    croissant = json.loads((out / "card/croissant.json").read_text())
    assert {record["name"] for record in croissant["recordSet"]} == set(clean["source"])
