"""Selection on a small web: who scores whom, who stays, and what the decisions and counters say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pydantic import ValidationError

from curate.classifier.config import ScoresConfig
from curate.classifier.lines import classifier_lines
from curate.classifier.pareto import pareto_keeps
from curate.classifier.scorers import load_scorer
from curate.classifier.scores import scores
from curate.heuristics.config import RulesConfig
from curate.heuristics.reasons import RuleReason
from curate.selection.config import SelectConfig
from curate.selection.keep_rules import SelectReason
from curate.selection.select import select
from manifests.errors import InputError, StageError
from manifests.hashing import id_words, uniform
from manifests.records import TaskRecord
from manifests.schema import DOCUMENTS, SELECT_DECISIONS, STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from tests.unit.curate.graph_runs import GraphRun, recipe_of, run_graph, run_recipe
from tests.unit.curate.small_web import frame_of, part_of, run_web

Run = Callable[..., TaskRecord]
Part = Callable[..., str]


def selected(folder: Path, **config: object) -> GraphRun:
    return run_web(folder / "run", folder / "in", select=config)


def all_off(preset: str, *but: RuleReason) -> dict[str, None]:
    """Thresholds that turn off the rules of a preset, some of them aside."""
    return {rule.reason: None for rule in RulesConfig(preset=preset).in_force if rule.reason not in but}


def test_scores_come_from_the_model_that_has_not_seen_the_host(web_folder: Path) -> None:
    web = selected(web_folder, filtered_sources=[])
    held_out = pl.concat([frame_of(web, "classifier", f"fold-{fold}", "scores") for fold in range(3)])
    for file in ("one", "two", "books"):
        part = part_of(web, file)
        table = web.table("select", part)
        assert table.schema.equals(SELECT_DECISIONS)
        folds = frame_of(web, "classifier/labels", part, "labels")["fold"].to_numpy()
        lines = classifier_lines(web.table("extract", part, "documents")["text"], 2048)
        by_model = np.stack([load_scorer(str(web.root / f"classifier/fold-{fold}.bin")).score(lines)
                             for fold in range(3)])
        assert table["quality_score"].to_pylist() == by_model[folds, np.arange(len(lines))].tolist()
        joined = pl.DataFrame(table).join(held_out, on="doc_id")
        assert joined.height == len(table)
        assert (joined["quality_score"] == joined["score"]).all()


def test_the_keep_rule_follows_the_stored_score(web_folder: Path) -> None:
    web = selected(web_folder, alpha=3.0, filtered_sources=["crawl"])
    table = web.table("select", part_of(web, "one"))
    score = table["quality_score"].to_numpy()
    u = uniform(7, "select", id_words(table["doc_id"]))
    assert table["keep"].to_numpy().tolist() == (u * (2 - score.astype(float)) ** 3 < 1).tolist()
    dropped = pl.DataFrame(table).filter(~pl.col("keep"))
    assert 0 < dropped.height < len(table)
    assert set(dropped["reason"]) == {SelectReason.PARETO}
    assert (dropped["value"].cast(pl.Float32) == dropped["quality_score"]).all()
    assert (dropped["threshold"] > dropped["value"]).all()
    mask = ~table["keep"].to_numpy()
    assert pareto_keeps(dropped["threshold"].cast(pl.Float32).to_numpy(), u[mask], 3.0).all()
    kept = pl.DataFrame(table).filter(pl.col("keep"))
    assert kept.select("reason", "value", "threshold").null_count().row(0) == (kept.height,) * 3
    counters = next(r for r in web.view.tasks("select") if r.identity.task == part_of(web, "one")).counters
    assert counters["kept"] == counters["kept_crawl"] == kept.height
    assert counters["dropped_pareto"] == dropped.height
    assert counters["documents_crawl"] == 120


def test_other_sources_keep_all_and_are_scored(web_folder: Path) -> None:
    web = selected(web_folder, alpha=9.0)
    decisions = frame_of(web, "select", part_of(web, "books"))
    assert decisions["keep"].all()
    assert decisions["quality_score"].null_count() == 0
    assert web.total("select", "documents_books") == web.total("select", "kept_books") == 30


@pytest.mark.parametrize("rule", [{"rule": "percentile", "percentile": 75}, {"rule": "top_fraction", "fraction": 0.25}])
def test_rules_that_keep_a_share_see_the_scores_of_all_parts(web_folder: Path, rule: dict[str, object]) -> None:
    web = selected(web_folder, keep=[rule], filtered_sources=["crawl"])
    both = pl.concat([frame_of(web, "select", part_of(web, file)) for file in ("one", "two")])
    wanted = np.sort(both["quality_score"].to_numpy())[::-1][: 240 // 4]
    kept = both.filter(pl.col("keep"))
    assert set(wanted.tolist()) <= set(kept["quality_score"].to_list())
    assert 60 <= kept.height < 70
    assert kept["quality_score"].min() >= wanted.min() - 1e-4
    assert web.total("select", "kept_books") == 30


def test_heuristic_rules_come_first_and_hold_for_every_source(web_folder: Path) -> None:
    texts = [(web_folder / f"in/{name}.jsonl") for name in ("one", "two", "books")]
    for path in texts:  # every third text is short
        rows = path.read_text().splitlines()
        path.write_text("".join((row[: row.index('"text": "') + 40] + '"}' if i % 3 == 0 else row) + "\n"
                                for i, row in enumerate(rows)))
    shutil.rmtree(web_folder / "run")
    rules = {"thresholds": {**all_off("gopher", RuleReason.GOPHER_TOO_FEW_WORDS), "gopher_too_few_words": 20}}
    web = run_web(web_folder / "run", web_folder / "in", select={"rules": rules},
                  extract={"identify_language": False, "signals": True})
    for file in ("one", "books"):
        decisions = frame_of(web, "select", part_of(web, file))
        short = decisions.with_row_index().filter(pl.col("index") % 3 == 0)
        assert set(short["reason"]) == {RuleReason.GOPHER_TOO_FEW_WORDS}
        assert (short["value"] < 20).all()
        assert set(short["threshold"]) == {20.0}
        assert RuleReason.GOPHER_TOO_FEW_WORDS not in set(decisions.with_row_index().filter(
            pl.col("index") % 3 > 0)["reason"])
    assert web.total("select", "dropped_gopher_too_few_words") == 40 + 40 + 10


def test_rules_need_the_signals_of_the_documents(part: Part, run: Run) -> None:
    documents = part("crawl", "p", [("http://x.org", "a text")])
    with pytest.raises(InputError, match="signal_n_words"):
        run("select", "crawl/p", select, SelectConfig(rules=RulesConfig(), filtered_sources=()),
            {"documents": documents})


def test_pages_of_other_kinds_are_dropped_and_those_of_none_stay(part: Part, run: Run, storage: Storage) -> None:
    path = part("crawl", "p", [(f"http://x.org/{i}", "a text") for i in range(4)])
    table = read_table(path)
    for name, values in (("page_type", pa.array(["forum", "product", None, "article"])),
                         ("page_type_score", pa.array([0.75, 0.5, None, 0.25], pa.float32()))):
        table = table.set_column(table.column_names.index(name), table.schema.field(name), values)
    write_table(path, table.schema, [table])
    record = run("select", "crawl/p", select, SelectConfig(page_types=("forum", "documentation"), filtered_sources=()),
                 {"documents": path}, seed=0)
    decisions = pl.DataFrame(read_table(storage.path(record.output("decisions").path)))
    assert decisions["reason"].to_list() == [None, "page_type", None, "page_type"]
    assert decisions["value"].to_list() == [None, 0.5, None, 0.25]
    assert decisions["keep"].to_list() == [True, False, True, False]
    assert record.counters["dropped_page_type"] == 2


def test_rules_read_the_kind_of_a_page_and_its_probability(part: Part, run: Run, storage: Storage) -> None:
    path = part("crawl", "p", [(f"http://x.org/{i}", "a text of few words") for i in range(4)])
    table = read_table(path)
    for name, values in (("page_type", pa.array(["forum", "product", None, "article"])),
                         ("page_type_score", pa.array([0.75, 0.5, None, 0.25], pa.float32()))):
        table = table.set_column(table.column_names.index(name), table.schema.field(name), values)
    words = pa.field("signal_n_words", pa.float32(), nullable=False)
    table = table.append_column(words, pa.array([5.0] * 4, pa.float32()))
    write_table(path, table.schema, [table])
    rules = RulesConfig.model_validate([
        {"reason": "thin_product", "signal": "n_words", "at_least": 20, "page_types": ["product"]},
        {"reason": "unsure_kind", "signal": "page_type_score", "at_least": 0.5}])
    config = SelectConfig(rules=rules, filtered_sources=())
    record = run("select", "crawl/p", select, config, {"documents": path}, seed=0)
    decisions = pl.DataFrame(read_table(storage.path(record.output("decisions").path)))
    assert decisions["reason"].to_list() == [None, "thin_product", None, "unsure_kind"]
    assert decisions["value"].to_list() == [None, 5.0, None, 0.25]


def test_texts_are_edited_by_spans_and_what_must_go_goes(tmp_path: Path) -> None:
    lines = ["One line stays here.\nJavaScript is needed here.\nWrite to a@b.org about it.",
             "This is a vile thing to say.", "Card 4111 1111 1111 1111 was used.", "Nothing is wrong with this."]
    words = tmp_path / "words.txt"
    words.write_text("# a list\nVile thing\n", "utf-8")
    table = tmp_path / "t.parquet"
    write_table(str(table), pa.schema([("text", pa.string())]), [pa.table({"text": lines})])
    recipe = {"sources": {"crawl": {"files": [str(table)], "kind": "table"}}, "classifier": None,
              "extract": {"identify_language": False, "signals": True},
              "dedup": {"exact": False, "near": False},
              "select": {"rules": {"preset": "fineweb", "thresholds": all_off("fineweb")}, "filtered_sources": [],
                         "toxic_words": {"files": [str(words)]}, "pii": {"card": "drop"}}}
    web = run_recipe(tmp_path / "run", recipe, ("extract", "signals/", "select/", "clean"))
    task = web.view.tasks("extract")[0].identity.task
    decisions = frame_of(web, "select", task)
    assert decisions["reason"].to_list() == [None, "toxic_words", "pii_card", None]
    spans = decisions["edits"][0].to_list()
    assert "".join(s["replacement"] or lines[0][s["start"] : s["end"]] for s in spans) == (
        "One line stays here.\nWrite to email@example.com about it.")
    assert decisions["edits"][1] is None
    assert web.total("select", "pii_email") == 1
    assert web.total("select", "edited") == decisions["edits"].is_not_null().sum() >= 1
    rows = web.rows("clean", task, "documents")
    assert rows[0]["text"] == "One line stays here.\nWrite to email@example.com about it."
    assert rows[0]["parent_id"] is None
    assert rows[0]["n_bytes"] == len(rows[0]["text"])
    assert [s["replacement"] for s in rows[0]["edits"]].count("email@example.com") == 1
    assert len(rows) == decisions["keep"].sum() == 2


def test_without_a_classifier_nothing_is_scored_and_filtering_is_an_error(part: Part, run: Run,
                                                                          storage: Storage) -> None:
    documents = part("crawl", "p", [(f"http://x.org/{i}", "text") for i in range(20)])
    record = run("select", "crawl/p", select, SelectConfig(filtered_sources=()), {"documents": documents})
    decisions = pl.DataFrame(read_table(storage.path(record.output("decisions").path)))
    assert decisions["keep"].all()
    assert decisions["quality_score"].null_count() == decisions.height == 20
    with pytest.raises(StageError, match=r"`crawl`.*needs a trained classifier"):
        run("select", "crawl/p", select, SelectConfig(filtered_sources=("crawl",)), {"documents": documents})


def test_without_labels_the_model_on_all_texts_scores(web_folder: Path, run: Run, storage: Storage) -> None:
    web = selected(web_folder, filtered_sources=[])
    documents = web.view.output("extract", part_of(web, "one"), "documents").paths[0]
    record = run("classifier/scores", "crawl/p", scores, ScoresConfig(), {
        "documents": documents, "models": "classifier/manifest.parquet"})
    table = read_table(storage.path(record.output("scores").path))
    lines = classifier_lines(read_table(storage.path(documents))["text"], 2048)
    expected = load_scorer(str(web.root / "classifier/model.bin")).score(lines)
    assert table["quality_score"].to_numpy().tolist() == expected.tolist()
    assert record.counters == {"documents": 120, "scored_exact": 120}
    histogram = pl.DataFrame(read_table(storage.path(record.output("histogram").path)))
    assert histogram["n"].sum() == 120
    bits = pl.Series(expected.view(np.uint32) >> 10).value_counts(name="n").sort("")
    assert histogram["bin"].to_list() == bits[""].to_list()
    assert histogram["n"].to_list() == bits["n"].to_list()


def test_labels_and_scores_of_other_documents_and_missing_folds_are_refused(web_folder: Path, run: Run,
                                                                            storage: Storage) -> None:
    web = selected(web_folder, filtered_sources=[])
    paths = {file: {name: web.view.output(stage, part_of(web, file), role).paths[0]
                    for name, stage, role in (("documents", "extract", "documents"),
                                              ("labels", "classifier/labels", "labels"),
                                              ("scores", "classifier/scores", "scores"))} for file in ("one", "two")}
    for wrong in ("labels", "scores"):
        with pytest.raises(StageError, match=f"{wrong} are not those"):
            run("select", "crawl/p", select, SelectConfig(), {**paths["one"], wrong: paths["two"][wrong]})
    with pytest.raises(StageError, match="labels are not those"):
        run("classifier/scores", "crawl/p", scores, ScoresConfig(),
            {"documents": paths["one"]["documents"], "labels": paths["two"]["labels"]})
    table = pl.DataFrame(read_table(storage.path("classifier/manifest.parquet")))
    few = table.filter(~pl.col("task").is_in(["fold-1"])).to_arrow().cast(STAGE_MANIFEST)
    write_table(storage.path("classifier/manifest.parquet"), STAGE_MANIFEST, [few])
    with pytest.raises(StageError, match="fold-1"):
        run("classifier/scores", "crawl/p", scores, ScoresConfig(), {
            **paths["one"], "models": "classifier/manifest.parquet"})


def test_row_groups_do_not_matter(tmp_path: Path) -> None:
    n = 40
    documents = pa.table([pa.array([bytes([i]) * 16 for i in range(n)], f.type) if f.name == "doc_id" else
                          pa.array(["crawl"] * n, f.type) if f.name in ("source", "text", "record_id", "origin_path")
                          else pa.array([5] * n, f.type) if pa.types.is_integer(f.type) else pa.nulls(n, f.type)
                          for f in DOCUMENTS], schema=DOCUMENTS)
    recipe = recipe_of(["crawl"], select={"filtered_sources": []})
    runs = [run_graph(tmp_path / str(group), recipe, {"extract": {"crawl/part-a": documents}}, ["select"], group)
            for group in (3, 40)]
    first, second = (web.table("select", "crawl/part-a") for web in runs)
    assert first.equals(second)
    assert len(first) == n


def test_alpha_must_be_a_multiple_of_a_quarter() -> None:
    assert SelectConfig(alpha=2.75).alpha == 2.75
    with pytest.raises(ValidationError, match=r"multiple of 0\.25"):
        SelectConfig(alpha=2.7)
