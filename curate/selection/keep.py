"""Keep rules on scores: each says yes or no to a document, with what it measured and what it asked for.

`pareto` is stateless. `threshold` compares with a number. `percentile` and `top_fraction` need the scores of all
documents first: a stage of its own turns the histograms of the parts into cut-offs, exact to a bin of the histogram.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curate.classifier.config import KeepRule, SelectConfig
from curate.classifier.pareto import needed_score, pareto_keeps
from curate.classifier.scores import BIN_SHIFT, HISTOGRAM, OWN, score_column
from manifests.errors import StageError
from manifests.hashing import id_words, uniform
from manifests.tables import read_table
from manifests.tasks import Work

_PURPOSE: Final = "select"
_MILLIARD: Final = 1_000_000_000  # fractions are counted in thousand millionths, so that they are compared as integers

CUTOFFS = pa.schema([
    pa.field("rule", pa.int32(), nullable=False, metadata={"comment": "place of the rule in select.keep"}),
    pa.field("language", pa.string(), nullable=True,
             metadata={"comment": "language it holds for; null for all, empty for documents of unknown language"}),
    pa.field("cutoff", pa.float32(), nullable=False, metadata={"comment": "smallest score that stays"}),
    pa.field("n_documents", pa.int64(), nullable=False, metadata={"comment": "documents it was taken from"}),
    pa.field("n_kept", pa.int64(), nullable=False, metadata={"comment": "those of them at or above it"}),
])


class SelectReason(StrEnum):
    """Why a keep rule dropped a document; value: its score, threshold: the smallest score that would have stayed."""

    PARETO = "pareto"
    THRESHOLD = "below_threshold"
    PERCENTILE = "below_percentile"
    TOP_FRACTION = "outside_top_fraction"


def cutoffs(config: SelectConfig, work: Work) -> None:
    """Stage select/cutoffs, one shard: what percentile and top_fraction mean for this corpus.

    Input `histograms` (role histogram of classifier/scores). Output `cutoffs` (CUTOFFS). They are taken over all
    documents of the filtered sources, before the heuristic rules: at least the share that was asked for is kept of
    those, and at most one bin of the histogram more. Memory: a row for each bin that occurs."""
    tables = [pl.DataFrame(read_table(path)) for path in work.inputs("histograms", role="histogram")]
    whole = pl.concat([pl.DataFrame(HISTOGRAM.empty_table()), *tables])
    whole = whole.filter(pl.col("source").is_in(list(config.filtered_sources or ())))
    work.write("cutoffs", CUTOFFS, [pa.concat_tables([CUTOFFS.empty_table(), *_cut(config, whole)])])


def _cut(config: SelectConfig, whole: pl.DataFrame) -> Iterator[pa.Table]:
    for number, rule in enumerate(config.keep_rules()):
        if rule.fraction_kept is None:
            continue
        mine = whole.filter(pl.col("score") == rule.score)
        groups: list[str | None] = [None] if rule.rule == "percentile" else mine["language"].unique().sort().to_list()
        for language in groups:
            bins = mine if language is None else mine.filter(pl.col("language") == language)
            counted = bins.group_by("bin").agg(pl.col("n").sum()).sort("bin", descending=True)
            if not counted.height:
                continue
            edge, n, kept = _cutoff(counted["bin"].to_numpy(), counted["n"].to_numpy(), rule.fraction_kept)
            yield pa.table([[number], [language], pa.array([edge], pa.float32()), [n], [kept]], schema=CUTOFFS)


def _cutoff(bins: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64], fraction: float) -> tuple[float, int, int]:
    """(lower edge of the bin that completes the fraction, all documents, those kept). bins: falling."""
    total = np.cumsum(counts)
    n = int(total[-1])
    wanted = -(-round(fraction * _MILLIARD) * n // _MILLIARD)
    place = min(int(np.searchsorted(total, max(1, wanted))), len(total) - 1)
    edge = (bins[place : place + 1].astype(np.uint32) << np.uint32(BIN_SHIFT)).view(np.float32)[0]
    return float(edge), n, int(total[place])


@dataclass(frozen=True, slots=True)
class Verdict:
    """keep: bool [n]. reason: place in SelectReason of each dropped document, -1 elsewhere; value, threshold: float64
    [n], of the rule that dropped it."""

    keep: npt.NDArray[np.bool_]
    reason: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]


def judge_scores(config: SelectConfig, documents: pa.Table, found: pa.Table, cut: pa.Table | None,
                 seed: int) -> Verdict:
    """What the keep rules say of documents. found: their scores; documents: doc_id and language.

    With `combine: all` the first failing rule is the reason; with `any`, the first rule, where all fail."""
    rules = config.keep_rules()
    n = len(documents)
    verdict = Verdict(np.full(n, config.combine == "all"), np.full(n, -1), np.zeros(n), np.zeros(n))
    failed = np.zeros(n, np.bool_)
    for number, rule in enumerate(rules):
        column = score_column(rule.score)
        if column not in found.column_names:
            raise StageError("the keep rule needs a score that the run does not make", where=f"select.keep[{number}]",
                             hint=f"no classifier is called {rule.score!r}")
        score = found[column].to_numpy()
        passed, needed = _apply(rule, number, score, documents, cut, seed)
        first = ~passed & ~failed
        verdict.reason[first] = list(SelectReason).index(_REASONS[rule.rule])
        verdict.value[first], verdict.threshold[first] = score[first].astype(np.float64), needed[first]
        failed |= ~passed
        if config.combine == "all":
            verdict.keep[:] &= passed
        else:
            verdict.keep[:] |= passed
    verdict.reason[verdict.keep] = -1
    return verdict


_REASONS: Final = {"pareto": SelectReason.PARETO, "threshold": SelectReason.THRESHOLD,
                   "percentile": SelectReason.PERCENTILE, "top_fraction": SelectReason.TOP_FRACTION}


def _apply(rule: KeepRule, number: int, score: npt.NDArray[np.float32], documents: pa.Table, cut: pa.Table | None,
           seed: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """(which documents the rule keeps, the smallest score that each would have needed)."""
    if rule.rule == "pareto":
        u = uniform(seed, _PURPOSE if rule.score == OWN else f"{_PURPOSE}/{rule.score}", id_words(documents["doc_id"]))
        passed = pareto_keeps(score, u, rule.alpha)
        needed = np.zeros(len(score))
        needed[~passed] = needed_score(u[~passed], rule.alpha)
        return passed, needed
    if rule.rule == "threshold":
        needed = np.full(len(score), np.float64(np.float32(rule.threshold)))
    else:
        needed = _cutoffs_of(rule, number, documents, cut)
    return score.astype(np.float64) >= needed, needed


def _cutoffs_of(rule: KeepRule, number: int, documents: pa.Table, cut: pa.Table | None) -> npt.NDArray[np.float64]:
    if cut is None:
        raise StageError(f"the rule {rule.rule!r} needs the cut-offs of the whole corpus",
                         where=f"select.keep[{number}]", hint="run the stage select/cutoffs first")
    mine = pl.DataFrame(cut).filter(pl.col("rule") == number)
    if rule.rule == "percentile":
        value = float(mine["cutoff"][0]) if mine.height else 0.0
        return np.full(len(documents), value)
    languages: Any = pl.Series(documents["language"]).fill_null("")
    edges = languages.replace_strict(mine["language"], mine["cutoff"].cast(pl.Float64), default=0.0,
                                     return_dtype=pl.Float64) if mine.height else pl.Series(np.zeros(len(documents)))
    return np.asarray(edges.to_numpy(), np.float64)
