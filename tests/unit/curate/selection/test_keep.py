"""Keep rules on scores: thresholds, percentiles, the best of each language, and several scores at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.classifier.score_tables import BIN_SHIFT, SCORE_HISTOGRAM
from curate.selection.config import SelectConfig
from curate.selection.keep import SCORE_CUTOFFS, cutoff_of, cutoffs, judge_scores
from curate.selection.keep_rules import KeepRule, SelectReason
from manifests.errors import StageError
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import ID
from manifests.storage import Storage
from manifests.tables import read_table, write_table

Run = Callable[..., TaskRecord]


def _documents(n: int, languages: list[str | None] | None = None) -> pa.Table:
    return pa.table({"doc_id": pa.array([document_id("crawl", "p", i) for i in range(n)], ID),
                     "language": pa.array(languages or ["en"] * n, pa.string())})


def _scores(**columns: list[float]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.float32()) for name, values in columns.items()})


def _config(*rules: KeepRule, combine: str = "all") -> SelectConfig:
    return SelectConfig(keep=rules, combine=combine, filtered_sources=("crawl",))


def _cutoffs(run: Run, storage: Storage, config: SelectConfig, rows: list[tuple[str, str, str, float]]) -> pa.Table:
    counted: dict[tuple[str, str, str, int], int] = {}
    for name, source, language, score in rows:
        key = (name, source, language, int(np.float32(score).view(np.uint32) >> BIN_SHIFT))
        counted[key] = counted.get(key, 0) + 1
    half = len(counted) // 2
    paths = []
    for number, part in enumerate((list(counted.items())[:half], list(counted.items())[half:])):
        columns = [[key[i] for key, _ in part] for i in range(4)]
        paths.append(storage.path(f"h{number}.parquet"))
        table = pa.table([*columns, [n for _, n in part]], schema=SCORE_HISTOGRAM)
        write_table(paths[-1], SCORE_HISTOGRAM, [table])
    record = run("select/cutoffs", "cutoffs", cutoffs, config, {"histograms": paths})
    return read_table(storage.path(record.output("cutoffs").path))


@pytest.fixture(autouse=True)
def _folder(storage: Storage) -> None:
    storage.write_bytes("x", b"")


def test_percentile_keeps_the_best_share_of_the_filtered_sources(run: Run, storage: Storage) -> None:
    config = _config(KeepRule(rule="percentile", percentile=75))
    values = [i / 100 for i in range(100)]
    cut = _cutoffs(run, storage, config, [("quality", "crawl", "en", v) for v in values]
                   + [("quality", "books", "en", 0.99)] * 50 + [("other", "crawl", "en", 0.99)] * 50)
    assert cut.to_pylist() == [{"rule": 0, "language": None, "cutoff": pytest.approx(0.75, abs=1e-4),
                                "n_documents": 100, "n_kept": 25}]
    verdict = judge_scores(config, _documents(100), _scores(quality_score=values), cut, 1)
    assert np.flatnonzero(verdict.keep).tolist() == list(range(75, 100))
    assert set(verdict.reason[:75]) == {list(SelectReason).index(SelectReason.PERCENTILE)}
    assert verdict.value[10] == np.float32(0.1)
    assert (verdict.threshold[:75] == cut["cutoff"][0].as_py()).all()


def test_the_best_of_each_language(run: Run, storage: Storage) -> None:
    config = _config(KeepRule(rule="top_fraction", fraction=0.5))
    languages = ["en"] * 10 + ["de"] * 10 + [None] * 10
    values = [i / 40 for i in range(30)]
    rows = [("quality", "crawl", language or "", v) for language, v in zip(languages, values, strict=True)]
    cut = _cutoffs(run, storage, config, rows)
    verdict = judge_scores(config, _documents(30, languages), _scores(quality_score=values), cut, 1)
    assert [int(verdict.keep[i : i + 10].sum()) for i in (0, 10, 20)] == [5, 5, 5]
    assert verdict.keep[5:10].all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.integers(1, 100))
def test_at_least_the_share_is_kept_and_at_most_one_bin_more(values: list[float], percent: int) -> None:
    scores = np.array(values, np.float32)
    bins, counts = np.unique(scores.view(np.uint32) >> BIN_SHIFT, return_counts=True)
    edge, n, kept = cutoff_of(bins[::-1].astype(np.uint32), counts[::-1], percent / 100)
    assert n == len(values)
    assert kept == (scores >= np.float32(edge)).sum()
    wanted = -(-percent * n // 100)
    assert kept >= wanted
    lowest = scores[scores >= np.float32(edge)].view(np.uint32) >> BIN_SHIFT
    assert kept - (lowest == lowest.min()).sum() < wanted


@pytest.mark.parametrize(("combine", "kept"), [("all", [3]), ("any", [1, 2, 3])])
def test_several_scores_are_combined(combine: str, kept: list[int]) -> None:
    config = _config(KeepRule(rule="threshold", threshold=0.5),
                     KeepRule(score="education", rule="threshold", threshold=0.25), combine=combine)
    found = _scores(quality_score=[0.1, 0.5, 0.2, 0.9], quality_education=[0.1, 0.1, 0.25, 0.9])
    verdict = judge_scores(config, _documents(4), found, None, 1)
    assert np.flatnonzero(verdict.keep).tolist() == kept
    assert verdict.threshold[0] == 0.5
    assert verdict.value[0] == np.float32(0.1)
    assert (verdict.reason[kept] == -1).all()
    if combine == "all":
        assert verdict.threshold[1] == 0.25


def test_two_pareto_rules_draw_for_themselves() -> None:
    config = _config(KeepRule(alpha=1), KeepRule(score="other", alpha=1))
    found = _scores(quality_score=[0.0] * 4000, quality_other=[0.0] * 4000)
    both = judge_scores(config, _documents(4000), found, None, 1).keep.mean()
    assert both == pytest.approx(0.25, abs=0.03)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(StageError, match="no classifier is called 'education'"):
        judge_scores(_config(KeepRule(score="education")), _documents(1), _scores(quality_score=[0.0]), None, 1)
    with pytest.raises(StageError, match="cut-offs"):
        judge_scores(_config(KeepRule(rule="percentile")), _documents(1), _scores(quality_score=[0.0]), None, 1)
    with pytest.raises(ValidationError, match=r"multiple of 0\.25"):
        KeepRule(alpha=0.3)
    assert SCORE_CUTOFFS.names[0] == "rule"
