"""The sample, the models and their metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fasttext
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from curate.classifier.config import ClassifierConfig, LabelsConfig
from curate.classifier.kinds import Kind
from curate.classifier.labels import labels
from curate.classifier.metrics import auc, metrics
from curate.classifier.samples import samples
from curate.classifier.scorers import NEGATIVE, POSITIVE
from curate.classifier.training import classifier
from curate.selection.config import SelectConfig
from manifests.errors import StageError
from manifests.hashing import id_words, keyed_hash
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tables import read_table, write_table

Run = Callable[..., TaskRecord]
Part = Callable[..., str]
Web = dict[str, dict[str, str]]
SMALL = ClassifierConfig(buckets=2000, min_count=1, epochs=5)


def _table(storage: Storage, record: TaskRecord, role: str) -> pl.DataFrame:
    return pl.DataFrame(read_table(storage.path(record.output(role).path)))


def test_samples_hold_the_kinds_and_the_normalised_text(web: Web, run: Run, storage: Storage) -> None:
    record = run("classifier/samples", "crawl/one", samples, SMALL, web["crawl/one"], negative=True)
    assert record.counters == {"documents": 120, "sampled_linked": 40, "sampled_curated": 0, "sampled_negative": 80}
    frame = _table(storage, record, "samples")
    assert frame["positive"].to_list() == [label is not None for label in frame["label"]]
    documents = pl.DataFrame(read_table(web["crawl/one"]["documents"]))
    assert frame["doc_id"].to_list() == documents["doc_id"].to_list()
    assert frame["text"].to_list() == documents["text"].to_list()  # these texts are normal already
    other = run("classifier/samples", "crawl/one", samples, SMALL, web["crawl/one"], negative=False)
    assert other.counters["sampled_negative"] == 0
    assert other.counters["sampled_linked"] == 40


def test_the_parts_samples_hold_the_lowest_of_the_whole(web: Web, run: Run, storage: Storage) -> None:
    few = ClassifierConfig(max_documents=10, buckets=2000, min_count=1)
    records = [run("classifier/samples", name, samples, few, inputs, negative=True) for name, inputs in web.items()]
    rows = pl.concat([_table(storage, record, "samples") for record in records])
    everything = pl.concat([pl.DataFrame(read_table(inputs["labels"])) for inputs in web.values()])
    order = keyed_hash(7, "classifier", id_words(pa.concat_arrays(
        [read_table(inputs["labels"])["doc_id"].combine_chunks() for inputs in web.values()])))
    lowest = everything.with_columns(pl.Series("order", order)).filter(pl.col("label").is_null()).sort("order").head(10)
    chosen = rows.filter(pl.col("kind") == "negative").sort("order").head(10)
    assert chosen["doc_id"].to_list() == lowest["doc_id"].to_list()
    paths = [record.output("samples").path for record in records]
    trained = run("classifier", "model", classifier, few, {"examples": paths}, fold=None)
    assert trained.counters == {"trained_linked": 10, "trained_curated": 10, "trained_negative": 10}


def test_the_same_samples_give_the_same_bytes_in_any_order(sampled: list[str], run: Run) -> None:
    first = run("classifier", "fold-0", classifier, SMALL, {"examples": sampled}, fold=0)
    again = run("classifier", "again", classifier, SMALL, {"examples": sampled[::-1]}, fold=0)
    assert [o.role for o in first.outputs] == ["model", "card", "scores"]
    assert [o.digest for o in first.outputs[:2]] == [o.digest for o in again.outputs[:2]]
    whole = run("classifier", "model", classifier, SMALL, {"examples": sampled}, fold=None)
    assert whole.output("model").digest != first.output("model").digest


def test_a_fold_is_scored_by_a_model_without_it(
        sampled: list[str], models: list[TaskRecord], storage: Storage) -> None:
    rows = pl.concat([pl.DataFrame(read_table(storage.path(path))) for path in sampled])
    for number, record in enumerate(models[:3]):
        inside = rows.filter(pl.col("fold") == number)
        scored = _table(storage, record, "scores")
        assert set(scored["doc_id"]) == set(inside["doc_id"])
        assert scored.height == inside.height == sum(record.counters[f"held_out_{kind}"] for kind in Kind)
        assert sum(record.counters[f"trained_{kind}"] for kind in Kind) == rows.height - inside.height
        words = fasttext.load_model(storage.path(record.output("model").path)).get_words()
        assert "river" in words
        card = json.loads(Path(storage.path(record.output("card").path)).read_text())
        assert card["held_out_fold"] == number
        assert card["max_bytes_per_document"] == 2048
    assert {o.role for o in models[3].outputs} == {"model", "card"}
    model = fasttext.load_model(storage.path(models[3].output("model").path))
    assert sorted(model.get_labels()) == [NEGATIVE, POSITIVE]


def test_balance_limits_curated_first_and_then_the_larger_class(sampled: list[str], run: Run) -> None:
    config = ClassifierConfig(max_class_ratio=1.25, max_curated_ratio=0.25, buckets=2000, min_count=1)
    record = run("classifier", "model", classifier, config, {"examples": sampled}, fold=None)
    assert record.counters == {"trained_linked": 80, "trained_curated": 20, "trained_negative": 125}
    config = ClassifierConfig(max_class_ratio=1, max_curated_ratio=0, buckets=2000, min_count=1)
    record = run("classifier", "model", classifier, config, {"examples": sampled}, fold=None)
    assert record.counters == {"trained_linked": 80, "trained_curated": 0, "trained_negative": 80}


def _sampled(run: Run, part: Part, storage: Storage, curated: bool, negative: bool) -> list[str]:
    documents = part("crawl", "p", [(f"http://a{i}.org/", "some words here") for i in range(20)])
    labelled = run("classifier/labels", "crawl/p", labels, LabelsConfig(), {"documents": documents}, source="crawl",
                   curated=curated)
    inputs = {"documents": documents, "labels": storage.path(labelled.output("labels").path)}
    return [run("classifier/samples", "crawl/p", samples, SMALL, inputs, negative=negative).output("samples").path]


@pytest.mark.parametrize(("curated", "missing"), [(False, "no positive example"), (True, "no negative example")])
def test_a_missing_class_is_an_error_that_names_the_source(
        run: Run, part: Part, storage: Storage, curated: bool, missing: str) -> None:
    paths = _sampled(run, part, storage, curated, negative=True)
    for fold in (0, None):
        with pytest.raises(StageError, match=rf"{missing}.*`crawl`"):
            run("classifier", "x", classifier, SMALL, {"examples": paths}, fold=fold)


def test_no_examples_at_all_is_an_error(run: Run, part: Part, storage: Storage) -> None:
    paths = _sampled(run, part, storage, curated=False, negative=False)
    with pytest.raises(StageError, match="all are empty"):
        run("classifier", "model", classifier, SMALL, {"examples": paths}, fold=None)


def test_a_fold_that_holds_all_positives_is_named(run: Run, part: Part, storage: Storage, web: Web) -> None:
    one_host = part("books", "host", [("http://one.org/", f"good words {i}") for i in range(5)])
    record = run("classifier/labels", "books/host", labels, LabelsConfig(folds=3), {"documents": one_host},
                 source="books", curated=True)
    path = storage.path(record.output("labels").path)
    (fold,) = set(read_table(path)["fold"].to_pylist())
    good = run("classifier/samples", "books/host", samples, SMALL, {"documents": one_host, "labels": path})
    table = read_table(storage.path(run("classifier/samples", "crawl/one", samples, SMALL, web["crawl/one"],
                                        negative=True).output("samples").path))
    bad = storage.path("negatives.parquet")
    write_table(bad, table.schema, [table.filter(pl.Series(table["positive"]).not_().to_arrow())])
    paths = [good.output("samples").path, bad]
    with pytest.raises(StageError, match=f"all positive examples are on hosts of fold {fold}"):
        run("classifier", f"fold-{fold}", classifier, SMALL, {"examples": paths}, fold=fold)
    run("classifier", "model", classifier, SMALL, {"examples": paths}, fold=None)


def test_metrics_of_held_out_hosts(models: list[TaskRecord], run: Run, storage: Storage) -> None:
    scores = [record.output("scores").path for record in models[:3]]
    record = run("classifier/metrics", "metrics", metrics, SelectConfig(alpha=4.5), {"scores": scores})
    assert record.outputs[0].path == "classifier/metrics/metrics.json"
    report = json.loads(Path(storage.path(record.outputs[0].path)).read_text())
    assert report["n_documents"] == {"linked": 80, "curated": 30, "negative": 160}
    assert report["overall"]["auc"] > 0.95
    assert report["reddit"]["n_positive"] == 80
    assert report["reddit"]["recall"] > 0.8
    assert set(report["folds"]) == {"0", "1", "2"}
    assert sum(fold["overall"]["n_negative"] for fold in report["folds"].values()) == 160
    assert set(report["keep_rate"]) == {"1", "3", "4.5", "6", "9"}
    assert report["keep_rate"]["9"]["negative"] < report["keep_rate"]["1"]["negative"] < 1
    frame = pl.concat([_table(storage, model, "scores") for model in models[:3]])
    said = frame.filter(pl.col("score") >= 0.5)
    assert report["overall"]["precision"] == pytest.approx(said["positive"].mean(), abs=1e-6)


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
