"""The sample, the models and their metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from curate.classifier.config import ClassifierConfig
from curate.classifier.kinds import Kind
from curate.classifier.metrics import auc, metrics
from curate.classifier.samples import SAMPLES
from curate.classifier.scorers import NEGATIVE, POSITIVE
from curate.classifier.training import classifier
from curate.selection.config import SelectConfig
from manifests.errors import StageError
from manifests.hashing import id_words, keyed_hash
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tables import write_table
from tests.unit.curate.graph_runs import GraphRun, run_recipe
from tests.unit.curate.small_web import TO_SELECT, frame_of, page_text, part_of, run_web
from tests.verbs import write_lines

Run = Callable[..., TaskRecord]
CONFIG = {"buckets": 2000, "min_count": 1, "epochs": 5, "near_duplicates": None}
SMALL = ClassifierConfig.model_validate(CONFIG)
UNIDENTIFIED = {"identify_language": False, "signals": False}


def folder_run(folder: Path, **fields: Any) -> GraphRun:
    return run_web(folder / "run", folder / "in", **fields)


def examples_of(web: GraphRun) -> dict[str, str]:
    return {"examples": web.view.output("classifier/examples", "examples", "examples").paths[0]}


def test_samples_hold_the_kinds_and_the_normalised_text(web_folder: Path) -> None:
    web = folder_run(web_folder)
    part = part_of(web, "one")
    counters = next(r for r in web.view.tasks("classifier/samples") if r.identity.task == part).counters
    assert counters == {"documents": 120, "sampled_linked": 40, "sampled_curated": 0, "sampled_negative": 80}
    frame = frame_of(web, "classifier/samples", part, "samples")
    assert frame["positive"].to_list() == [label is not None for label in frame["label"]]
    documents = frame_of(web, "extract", part, "documents")
    assert frame["doc_id"].to_list() == documents["doc_id"].to_list()
    assert frame["text"].to_list() == documents["text"].to_list()  # these texts are normal already
    books = frame_of(web, "classifier/samples", part_of(web, "books"), "samples")
    assert set(books["kind"]) == {Kind.CURATED}


def test_the_parts_samples_hold_the_lowest_of_all(web_folder: Path) -> None:
    web = folder_run(web_folder, classifier={"max_documents": 10, "buckets": 2000, "min_count": 1,
                                             "near_duplicates": None})
    parts = [part_of(web, file) for file in ("one", "two", "books")]
    tables = [web.table("classifier/labels", part, "labels") for part in parts]
    order = keyed_hash(7, "classifier", id_words(pa.concat_tables(tables)["doc_id"]))
    everything = pl.DataFrame(pa.concat_tables(tables)).with_columns(pl.Series("order", order))
    lowest = everything.filter(pl.col("label").is_null()).sort("order").head(10)
    chosen = frame_of(web, "classifier/examples", "examples", "examples").filter(pl.col("kind") == "negative")
    assert chosen["doc_id"].to_list() == lowest["doc_id"].to_list()
    model = next(r for r in web.view.tasks("classifier") if r.identity.task == "model")
    assert model.counters == {"trained_linked": 10, "trained_curated": 10, "trained_negative": 10}


def test_the_same_samples_give_the_same_bytes_in_any_order(web_folder: Path, run: Run) -> None:
    web = folder_run(web_folder)
    sampled = [web.view.output("classifier/samples", record.identity.task, "samples").paths[0]
               for record in web.view.tasks("classifier/samples")]
    first = run("classifier", "first", classifier, SMALL, {"examples": sampled}, fold=0)
    again = run("classifier", "again", classifier, SMALL, {"examples": sampled[::-1]}, fold=0)
    assert [o.role for o in first.outputs] == ["model", "card", "scores"]
    assert [o.digest for o in first.outputs[:2]] == [o.digest for o in again.outputs[:2]]
    everything = run("classifier", "all", classifier, SMALL, {"examples": sampled}, fold=None)
    assert everything.output("model").digest != first.output("model").digest


def test_a_fold_is_scored_by_a_model_without_it(web_folder: Path) -> None:
    web = folder_run(web_folder)
    rows = frame_of(web, "classifier/examples", "examples", "examples")
    records = {record.identity.task: record for record in web.view.tasks("classifier")}
    for number in range(3):
        record, name = records[f"fold-{number}"], f"fold-{number}"
        inside = rows.filter(pl.col("fold") == number)
        scored = frame_of(web, "classifier", name, "scores")
        assert set(scored["doc_id"]) == set(inside["doc_id"])
        assert scored.height == inside.height == sum(record.counters[f"held_out_{kind}"] for kind in Kind)
        assert sum(record.counters[f"trained_{kind}"] for kind in Kind) == rows.height - inside.height
        assert "river" in fasttext.load_model(str(web.root / f"classifier/{name}.bin")).get_words()
        card = json.loads((web.root / f"classifier/{name}.json").read_text())
        assert card["held_out_fold"] == number
        assert card["max_bytes_per_document"] == 2048
        assert card["settings"]["buckets"] == 2000
    assert {o.role for o in records["model"].outputs} == {"model", "card"}
    model = fasttext.load_model(str(web.root / "classifier/model.bin"))
    assert sorted(model.get_labels()) == [NEGATIVE, POSITIVE]


def test_balance_limits_curated_first_and_then_the_larger_class(web_folder: Path, run: Run) -> None:
    inputs = examples_of(folder_run(web_folder))
    config = ClassifierConfig(max_class_ratio=1.25, max_curated_ratio=0.25, buckets=2000, min_count=1)
    record = run("classifier", "x", classifier, config, inputs, fold=None)
    assert record.counters == {"trained_linked": 80, "trained_curated": 20, "trained_negative": 125}
    config = ClassifierConfig(max_class_ratio=1, max_curated_ratio=0, buckets=2000, min_count=1)
    record = run("classifier", "x", classifier, config, inputs, fold=None)
    assert record.counters == {"trained_linked": 80, "trained_curated": 0, "trained_negative": 80}


@pytest.mark.parametrize(("curated", "missing"), [(False, "no positive example"), (True, "no negative example")])
def test_a_missing_class_is_an_error_that_names_the_source(tmp_path: Path, curated: bool, missing: str) -> None:
    write_lines(tmp_path / "p.jsonl", [{"url": f"http://a{i}.org/", "text": "some words here"} for i in range(20)])
    (tmp_path / "links.jsonl").write_text("")
    source = {"files": str(tmp_path / "p.jsonl"), "kind": "table", "curated": curated}
    with pytest.raises(StageError, match=rf"{missing}.*`crawl`"):
        run_recipe(tmp_path / "run", {"sources": {"crawl": source}, "links": {"files": str(tmp_path / "links.jsonl")},
                                      "classifier": CONFIG, "extract": UNIDENTIFIED}, TO_SELECT)


def test_no_examples_at_all_is_an_error(run: Run, storage: Storage) -> None:
    path = storage.path("none.parquet")
    Path(path).parent.mkdir()
    write_table(path, SAMPLES, [])
    with pytest.raises(StageError, match="all are empty"):
        run("classifier", "model", classifier, SMALL, {"examples": path}, fold=None)


def test_a_fold_that_holds_all_positives_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "good.jsonl", [{"url": "http://one.org/", "text": f"good words {i}"} for i in range(5)])
    write_lines(tmp_path / "bad.jsonl", [{"url": f"http://bad{i}.com/", "text": page_text(False, i)}
                                         for i in range(60)])
    sources = {"good": {"files": str(tmp_path / "good.jsonl"), "kind": "table", "curated": True},
               "crawl": {"files": str(tmp_path / "bad.jsonl"), "kind": "table"}}
    with pytest.raises(StageError, match=r"all positive examples are on hosts of fold (\d)"):
        run_recipe(tmp_path / "run", {"sources": sources, "labels": {"folds": 3}, "extract": UNIDENTIFIED,
                                      "classifier": CONFIG}, TO_SELECT)


def test_metrics_of_held_out_hosts(web_folder: Path) -> None:
    web = folder_run(web_folder, select={"alpha": 4.5})
    report = json.loads((web.root / "classifier/metrics/metrics.json").read_text())
    assert report["n_documents"] == {"linked": 80, "curated": 30, "negative": 160}
    assert report["overall"]["auc"] > 0.95
    assert report["reddit"]["n_positive"] == 80
    assert report["reddit"]["recall"] > 0.8
    assert set(report["folds"]) == {"0", "1", "2"}
    assert sum(fold["overall"]["n_negative"] for fold in report["folds"].values()) == 160
    assert set(report["keep_rate"]) == {"1", "3", "4.5", "6", "9"}
    assert report["keep_rate"]["9"]["negative"] < report["keep_rate"]["1"]["negative"] < 1
    frame = pl.concat([frame_of(web, "classifier", f"fold-{fold}", "scores") for fold in range(3)])
    predicted = frame.filter(pl.col("score") >= 0.5)
    assert report["overall"]["precision"] == pytest.approx(predicted["positive"].mean(), abs=1e-6)


def test_metrics_of_nothing_are_null(run: Run, storage: Storage) -> None:
    record = run("classifier/metrics", "metrics", metrics, SelectConfig(), {})
    report = json.loads(Path(storage.path(record.outputs[0].path)).read_text())
    assert report["overall"] == {
        "n_positive": 0, "n_negative": 0, "precision": None, "recall": None, "f1": None, "auc": None}


def test_auc_counts_pairs() -> None:
    random = np.random.default_rng(0)
    score = (random.integers(0, 20, 60) / 20).astype(np.float32)
    positive = random.random(60) < 0.4
    pairs = [(p, n) for p in score[positive] for n in score[~positive]]
    expected = sum((p > n) + 0.5 * (p == n) for p, n in pairs) / len(pairs)
    assert auc(score, positive) == pytest.approx(expected, abs=1e-6)
    assert auc(score, np.ones(60, np.bool_)) is None
