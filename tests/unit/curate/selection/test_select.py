"""Selection on a small web: who scores whom, who stays, and what the decisions and counters say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from curate.classifier.config import ScoresConfig
from curate.classifier.lines import classifier_lines
from curate.classifier.pareto import pareto_keeps
from curate.classifier.scorers import load_scorer
from curate.classifier.scores import scores
from curate.heuristics.computed import signals
from curate.heuristics.config import RulesConfig
from curate.heuristics.external import external_signals
from curate.heuristics.listed_words import ToxicWordsConfig
from curate.heuristics.pii import PiiConfig
from curate.heuristics.reasons import RuleReason
from curate.selection.clean import clean
from curate.selection.config import SelectConfig
from curate.selection.keep_rules import SelectReason
from curate.selection.select import select
from manifests.errors import InputError, StageError
from manifests.hashing import id_words, uniform
from manifests.records import TaskRecord
from manifests.schema import DOCUMENTS, SELECT_DECISIONS, STAGE_MANIFEST
from manifests.storage import Storage
from manifests.tables import read_table, write_table

Run = Callable[..., TaskRecord]
Web = dict[str, dict[str, str]]


def _manifest(models: list[TaskRecord], storage: Storage) -> str:
    rows = [(r.identity.task, o.role, o.path, o.n_bytes, o.n_rows, o.digest) for r in models for o in r.outputs]
    path = storage.path("classifier/manifest.parquet")
    columns = [list(column) for column in zip(*rows, strict=True)]
    write_table(path, STAGE_MANIFEST, [pa.table(columns, schema=STAGE_MANIFEST)])
    return path


def _inputs(web: Web, name: str, models: list[TaskRecord], storage: Storage, run: Run) -> dict[str, str]:
    inputs = {**web[name], "models": _manifest(models, storage)}
    record = run("classifier/scores", name, scores, ScoresConfig(), inputs)
    return {**web[name], "scores": storage.path(record.output("scores").path)}


def _decisions(storage: Storage, record: TaskRecord) -> pl.DataFrame:
    table = read_table(storage.path(record.output("decisions").path))
    assert table.schema.equals(SELECT_DECISIONS)
    return pl.DataFrame(table)


def test_scores_come_from_the_model_that_has_not_seen_the_host(
        web: Web, models: list[TaskRecord], run: Run, storage: Storage) -> None:
    record = run("select", "crawl/one", select, SelectConfig(), _inputs(web, "crawl/one", models, storage, run))
    decisions = _decisions(storage, record)
    labels = pl.DataFrame(read_table(web["crawl/one"]["labels"]))
    texts = read_table(web["crawl/one"]["documents"])["text"]
    lines = classifier_lines(texts, 2048)
    by_model = np.stack([load_scorer(storage.path(m.output("model").path)).score(lines) for m in models])
    expected = by_model[labels["fold"].to_numpy(), np.arange(len(lines))]
    assert decisions["quality_score"].to_numpy().tolist() == expected.tolist()
    held_out = pl.concat([pl.DataFrame(read_table(storage.path(m.output("scores").path))) for m in models[:3]])
    joined = decisions.join(held_out, on="doc_id")
    assert joined.height == decisions.height
    assert (joined["quality_score"] == joined["score"]).all()


def test_the_keep_rule_follows_the_stored_score(
        web: Web, models: list[TaskRecord], run: Run, storage: Storage) -> None:
    inputs = _inputs(web, "crawl/one", models, storage, run)
    record = run("select", "crawl/one", select, SelectConfig(alpha=3.0, filtered_sources=("crawl",)), inputs)
    table = read_table(storage.path(record.output("decisions").path))
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
    assert record.counters["kept"] == record.counters["kept_crawl"] == kept.height
    assert record.counters["dropped_pareto"] == dropped.height
    assert record.counters["documents_crawl"] == 120


def test_other_sources_keep_all_and_are_scored(
        web: Web, models: list[TaskRecord], run: Run, storage: Storage) -> None:
    record = run("select", "books/one", select, SelectConfig(), _inputs(web, "books/one", models, storage, run))
    decisions = _decisions(storage, record)
    assert decisions["keep"].all()
    assert decisions["quality_score"].null_count() == 0
    assert record.counters["documents_books"] == record.counters["kept_books"] == 30
    assert record.counters["bytes"] == record.counters["kept_bytes"] > 0


def test_heuristic_rules_come_first_and_hold_for_every_source(
        web: Web, models: list[TaskRecord], run: Run, storage: Storage) -> None:
    for name in ("books/one", "crawl/one"):
        table = read_table(web[name]["documents"])
        words = pa.array([10.0 if i % 3 == 0 else 100.0 for i in range(len(table))], pa.float32())
        write_table(web[name]["documents"], table.schema.append(pa.field("signal_n_words", pa.float32())),
                    [table.append_column("signal_n_words", words)])
        rules = RulesConfig(thresholds={
            rule.reason: None for rule in RulesConfig().in_force if rule.reason != RuleReason.GOPHER_TOO_FEW_WORDS})
        record = run("select", name, select, SelectConfig(rules=rules), _inputs(web, name, models, storage, run))
        decisions = _decisions(storage, record)
        short = decisions.with_row_index().filter(pl.col("index") % 3 == 0)
        assert set(short["reason"]) == {RuleReason.GOPHER_TOO_FEW_WORDS}
        assert set(short["value"]) == {10.0}
        assert set(short["threshold"]) == {50.0}
        assert record.counters["dropped_gopher_too_few_words"] == short.height
    unsigned = _inputs(web, "crawl/two", models, storage, run)
    with pytest.raises(InputError, match="signal_n_words"):
        run("select", "crawl/two", select, SelectConfig(rules=rules), unsigned)


def test_texts_are_edited_by_spans_and_what_must_go_goes(web: Web, run: Run, storage: Storage) -> None:
    part = web["crawl/one"]["documents"]
    table = read_table(part)
    texts = table["text"].to_pylist()
    texts[0] = "One line stays here.\nJavaScript is needed here.\nWrite to a@b.org about it."
    texts[1], texts[2] = "This is a vile thing to say.", "Card 4111 1111 1111 1111 was used."
    text = pa.array(texts, pa.large_string())
    table = table.set_column(table.column_names.index("text"), DOCUMENTS.field("text"), text)
    table = table.set_column(table.column_names.index("n_bytes"), DOCUMENTS.field("n_bytes"), pc.binary_length(text))
    found = signals(text)
    write_table(part, pa.schema([*DOCUMENTS, *found.schema]), [pa.table([*table.columns, *found.columns],
                                                                        schema=pa.schema([*DOCUMENTS, *found.schema]))])
    words = storage.path("words.txt")
    Path(words).write_text("# a list\nVile thing\n", "utf-8")
    config = SelectConfig(filtered_sources=(), rules=RulesConfig(preset="fineweb", thresholds={
        rule.reason: None for rule in RulesConfig(preset="fineweb").in_force}),
        toxic_words=ToxicWordsConfig(files=(words,)), pii=PiiConfig(card="drop"))
    given = run("signals", "crawl/one", external_signals, None, {"documents": part, "toxic_words": words})
    record = run("select", "crawl/one", select, config,
                 {**web["crawl/one"], "signals": storage.path(given.output("signals").path)})
    decisions = _decisions(storage, record)
    assert decisions["reason"][:3].to_list() == [None, "toxic_words", "pii_card"]
    spans = decisions["edits"][0].to_list()
    assert "".join(s["replacement"] or texts[0][s["start"] : s["end"]] for s in spans) == (
        "One line stays here.\nWrite to email@example.com about it.")
    assert decisions["edits"][1] is None
    assert record.counters["pii_email"] == 1
    assert record.counters["edited"] == decisions["edits"].is_not_null().sum() >= 1
    shard = {"documents": part, "select": storage.path(record.output("decisions").path)}
    cleaned = run("clean", "crawl/one", clean, None, shard, sources=["crawl"], part="one")
    rows = read_table(storage.path(cleaned.output("documents").path)).to_pylist()
    assert rows[0]["text"] == "One line stays here.\nWrite to email@example.com about it."
    assert rows[0]["parent_id"] is None
    assert rows[0]["n_bytes"] == len(rows[0]["text"])
    assert [s["replacement"] for s in rows[0]["edits"]].count("email@example.com") == 1
    assert len(rows) == decisions["keep"].sum()


def test_without_a_classifier_nothing_is_scored_and_filtering_is_an_error(web: Web, run: Run, storage: Storage) -> None:
    record = run("select", "crawl/one", select, SelectConfig(filtered_sources=()), web["crawl/one"])
    decisions = _decisions(storage, record)
    assert decisions["keep"].all()
    assert decisions["quality_score"].null_count() == decisions.height
    with pytest.raises(StageError, match=r"`crawl`.*needs a trained classifier"):
        run("select", "crawl/one", select, SelectConfig(filtered_sources=("crawl",)), web["crawl/one"])


def test_without_labels_the_whole_model_scores(
        web: Web, models: list[TaskRecord], run: Run, storage: Storage) -> None:
    inputs = {"documents": web["crawl/one"]["documents"], "models": _manifest(models, storage)}
    record = run("classifier/scores", "crawl/one", scores, ScoresConfig(), inputs)
    found = read_table(storage.path(record.output("scores").path))
    lines = classifier_lines(read_table(web["crawl/one"]["documents"])["text"], 2048)
    whole = load_scorer(storage.path(models[3].output("model").path)).score(lines)
    assert found["quality_score"].to_numpy().tolist() == whole.tolist()
    assert record.counters == {"documents": 120, "scored_exact": 120}
    histogram = pl.DataFrame(read_table(storage.path(record.output("histogram").path)))
    assert histogram["n"].sum() == 120
    bits = pl.Series(whole.view(np.uint32) >> 10).value_counts(name="n").sort("")
    assert histogram["bin"].to_list() == bits[""].to_list()
    assert histogram["n"].to_list() == bits["n"].to_list()


def test_labels_and_scores_of_other_documents_and_missing_folds_are_refused(
        web: Web, models: list[TaskRecord], run: Run, storage: Storage) -> None:
    inputs = _inputs(web, "crawl/one", models, storage, run)
    others = _inputs(web, "crawl/two", models, storage, run)
    for wrong in ("labels", "scores"):
        with pytest.raises(StageError, match=f"{wrong} are not those"):
            run("select", "crawl/one", select, SelectConfig(), {**inputs, wrong: others[wrong]})
    with pytest.raises(StageError, match="labels are not those"):
        run("classifier/scores", "crawl/one", scores, ScoresConfig(),
            {"documents": web["crawl/one"]["documents"], "labels": web["crawl/two"]["labels"]})
    with pytest.raises(StageError, match="fold-1"):
        _inputs(web, "crawl/one", models[:1], storage, run)


def test_row_groups_do_not_matter(
        web: Web, models: list[TaskRecord], run: Run, storage: Storage) -> None:
    inputs = _inputs(web, "crawl/one", models, storage, run)
    before = _decisions(storage, run("select", "crawl/one", select, SelectConfig(), inputs))
    table = read_table(web["crawl/one"]["documents"])
    write_table(web["crawl/one"]["documents"], table.schema, (table.slice(i, 9) for i in range(0, len(table), 9)))
    assert _decisions(storage, run("select", "crawl/one", select, SelectConfig(), inputs)).equals(before)


def test_alpha_must_be_a_multiple_of_a_quarter() -> None:
    assert SelectConfig(alpha=2.75).alpha == 2.75
    with pytest.raises(ValidationError, match=r"multiple of 0\.25"):
        SelectConfig(alpha=2.7)
