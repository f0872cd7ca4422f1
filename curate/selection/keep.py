"""Keep rules on scores: each says yes or no to a document, with its score and the score that it would have needed.

A rule that keeps a share of all documents needs all scores first: a stage of its own turns the histograms of the parts
into cut-offs, exact to a bin of the histogram.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.classifier.score_tables import BIN_SHIFT, SCORE_HISTOGRAM, score_column
from curate.selection.config import SelectConfig
from curate.selection.keep_rules import Scored, SelectReason
from manifests.errors import StageError
from manifests.tables import read_table
from manifests.tasks import Work

if TYPE_CHECKING:
    import polars as pl

BILLION: Final = 1_000_000_000
"""Fractions are counted in billionths, so that they are compared as integers."""

SCORE_CUTOFFS: Final = pa.schema([
    pa.field("rule", pa.int32(), nullable=False, metadata={"comment": "index of the rule in select.keep"}),
    pa.field("language", pa.string(), nullable=True,
             metadata={"comment": "language it holds for; null for all, empty for documents of unknown language"}),
    pa.field("cutoff", pa.float32(), nullable=False, metadata={"comment": "smallest score that stays"}),
    pa.field("n_documents", pa.int64(), nullable=False, metadata={"comment": "documents it was taken from"}),
    pa.field("n_kept", pa.int64(), nullable=False, metadata={"comment": "those of them at or above it"}),
])


def cutoffs(config: SelectConfig, work: Work) -> None:
    """Stage select/cutoffs, one task: the smallest scores of the rules that keep a share of this corpus.

    Input `histograms` (role histogram of classifier/scores). Output `cutoffs` (SCORE_CUTOFFS). They are taken over all
    documents of the filtered sources, before the heuristic rules: at least the share that was asked for is kept of
    those, and at most one bin of the histogram more. Memory: a row for each bin that occurs."""
    import polars as pl  # here and below: rules that see one document at a time need none of it

    tables = [pl.DataFrame(read_table(path)) for path in work.inputs("histograms", role="histogram")]
    histogram = pl.concat([pl.DataFrame(SCORE_HISTOGRAM.empty_table()), *tables])
    histogram = histogram.filter(pl.col("source").is_in(list(config.filtered_sources or ())))
    work.write("cutoffs", SCORE_CUTOFFS,
               [pa.concat_tables([SCORE_CUTOFFS.empty_table(), *_cutoffs(config, histogram)])])


def _cutoffs(config: SelectConfig, histogram: pl.DataFrame) -> Iterator[pa.Table]:
    import polars as pl

    for number, rule in enumerate(config.keep_rules()):
        if rule.fraction_kept is None:
            continue
        scores = histogram.filter(pl.col("score") == rule.score)
        languages: list[str | None] = [None]
        if rule.kind.by_language:
            languages = scores["language"].unique().sort().to_list()
        for language in languages:
            bins = scores if language is None else scores.filter(pl.col("language") == language)
            counted = bins.group_by("bin").agg(pl.col("n").sum()).sort("bin", descending=True)
            if not counted.height:
                continue
            edge, n, kept = cutoff_of(counted["bin"].to_numpy(), counted["n"].to_numpy(), rule.fraction_kept)
            yield pa.table([[number], [language], pa.array([edge], pa.float32()), [n], [kept]], schema=SCORE_CUTOFFS)


def cutoff_of(bins: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64], fraction: float) -> tuple[float, int, int]:
    """(lower edge of the bin that completes the fraction, all documents, those kept). bins: falling."""
    total = np.cumsum(counts)
    n = int(total[-1])
    wanted = -(-round(fraction * BILLION) * n // BILLION)
    index = min(int(np.searchsorted(total, max(1, wanted))), len(total) - 1)
    edge = (bins[index : index + 1].astype(np.uint32) << np.uint32(BIN_SHIFT)).view(np.float32)[0]
    return float(edge), n, int(total[index])


@dataclass(frozen=True, slots=True)
class Verdict:
    """keep: bool [n]. reason: index in SelectReason of each dropped document, -1 elsewhere; value, threshold: float64
    [n], of the rule that dropped it."""

    keep: npt.NDArray[np.bool_]
    reason: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]


def judge_scores(config: SelectConfig, documents: pa.Table, scores: pa.Table, cut: pa.Table | None,
                 seed: int) -> Verdict:
    """What the keep rules say of documents; with `combine: all` the first failing rule is the reason, with `any` the
    first rule, where all fail.

    Args:
        config: The rules.
        documents: doc_id and language.
        scores: Their scores, a column for each classifier.
        cut: SCORE_CUTOFFS, for rules that keep a share of all documents.
        seed: Of everything left to chance.
    Returns:
        A verdict for each document.
    Raises:
        StageError: A rule needs a score or cut-offs that are not there.
    """
    n = len(documents)
    verdict = Verdict(np.full(n, config.combine == "all"), np.full(n, -1), np.zeros(n), np.zeros(n))
    failed = np.zeros(n, np.bool_)
    for number, rule in enumerate(config.keep_rules()):
        column = score_column(rule.score)
        if column not in scores.column_names:
            raise StageError("the keep rule needs a score that the run does not make", where=f"select.keep[{number}]",
                             hint=f"no classifier is called {rule.score!r}")
        score = scores[column].to_numpy()
        known = {} if rule.fraction_kept is None else _cutoffs_of(number, cut)
        passed, needed = rule.kind.apply(rule, Scored(score, documents["doc_id"], documents["language"], known, seed))
        first = ~passed & ~failed
        verdict.reason[first] = list(SelectReason).index(rule.kind.reason)
        verdict.value[first], verdict.threshold[first] = score[first], needed[first]
        failed |= ~passed
        if config.combine == "all":
            verdict.keep[:] &= passed
        else:
            verdict.keep[:] |= passed
    verdict.reason[verdict.keep] = -1
    return verdict


def _cutoffs_of(number: int, cut: pa.Table | None) -> dict[str | None, float]:
    """The cut-offs of a rule, by language or for all under None."""
    if cut is None:
        raise StageError("the keep rule needs the cut-offs of the whole corpus", where=f"select.keep[{number}]",
                         hint="run the stage select/cutoffs first")
    return {row["language"]: row["cutoff"] for row in cut.to_pylist() if row["rule"] == number}
