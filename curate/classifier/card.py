"""The card of a trained classifier for people: figures on unseen hosts, calibration, telling words, worst errors."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curate.classifier.scorers import Scorer
from manifests.hashing import id_words

_N_WORDS: Final = 25
_MIN_TEXTS: Final = 10  # of a telling word: rarer ones are the noise of a few pages
_N_ERRORS: Final = 12
_EXCERPT: Final = 140
_PLOT: Final = 240  # pixels a side


def model_card(report: dict[str, Any], table: pa.Table, scorer: Scorer | None) -> str:
    """The card as Markdown. report: of `classifier_metrics`; table: SCORES of all folds; scorer: the final model's."""
    parts = ["# Quality classifier", *_figures(report), *_calibration(report["calibration"]), *_keep_rates(report)]
    if scorer is not None and len(table):
        parts += _words(table, scorer)
    return "\n".join([*parts, *_errors(table), ""])


def _row(*cells: object) -> str:
    return "| " + " | ".join("" if cell is None else f"{cell:.4f}" if isinstance(cell, float) else str(cell)
                             for cell in cells) + " |"


def _table(*heads: str) -> list[str]:
    return [_row(*heads), "|" + " --- |" * len(heads)]


def _figures(report: dict[str, Any]) -> Iterator[str]:
    yield ("\nEvery document was scored by a model that saw no page of its host, and no near-duplicate of it. "
           "`overall` counts all positives, `reddit` linked pages alone; the negatives of both are unfiltered crawl, "
           f"in which good pages are many. Precision, recall and F1 are at a score of {report['threshold']:g}.\n")
    yield from _table("set", "positives", "negatives", "precision", "recall", "F1", "AUC")
    names = ("n_positive", "n_negative", "precision", "recall", "f1", "auc")
    for name in ("overall", "reddit"):
        yield _row(name, *(report[name][field] for field in names))
    for fold, groups in sorted(report["folds"].items()):
        yield _row(f"fold {fold}, reddit", *(groups["reddit"][field] for field in names))


def _calibration(calibration: dict[str, Any]) -> Iterator[str]:
    error = calibration["error"]
    yield f"\n## Calibration\n\nExpected calibration error: {'none' if error is None else format(error, '.4f')}.\n"
    yield from _table("score from", "documents", "mean score", "share of positives")
    for b in calibration["bins"]:
        yield _row(f"{b['from']:.1f}", b["n"], b["mean_score"], b["positive_share"])
    yield "\n" + _plot([(b["mean_score"], b["positive_share"]) for b in calibration["bins"] if b["n"]])


def _plot(points: list[tuple[float, float]]) -> str:
    """An inline SVG: mean score to the right, share of positives upwards, the diagonal for comparison."""
    centres = [(round(x * _PLOT, 1), round((1 - y) * _PLOT, 1)) for x, y in points]
    line = " ".join(f"{x},{y}" for x, y in centres)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in centres)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{_PLOT}" height="{_PLOT}" role="img" '
            'aria-label="share of positives by mean score">'
            f'<rect width="{_PLOT}" height="{_PLOT}" fill="none" stroke="gray"/>'
            f'<line x1="0" y1="{_PLOT}" x2="{_PLOT}" y2="0" stroke="gray" stroke-dasharray="4"/>'
            f'<polyline points="{line}" fill="none" stroke="black"/>{dots}</svg>')


def _keep_rates(report: dict[str, Any]) -> Iterator[str]:
    yield "\n## What the keep rule would leave\n"
    kinds = sorted(report["n_documents"])
    yield from _table("alpha", *kinds)
    for alpha, rates in sorted(report["keep_rate"].items(), key=lambda item: float(item[0])):
        yield _row(alpha, *(rates[kind] for kind in kinds))


def _words(table: pa.Table, scorer: Scorer) -> Iterator[str]:
    """Words of at least ten excerpts by the score of a line that holds the word alone, whatever the kind of model."""
    texts = pl.DataFrame(table.select(["excerpt"])).with_row_index()
    words = texts.with_columns(pl.col("excerpt").str.split(" ")).explode("excerpt").unique()
    counted = words.filter(pl.col("excerpt").str.contains(r"^\p{L}{2,}$")).group_by("excerpt").len()
    common = counted.filter(pl.col("len") >= _MIN_TEXTS).sort("excerpt")["excerpt"]
    if not len(common):
        return
    score = scorer.score(common.cast(pl.String).to_arrow().cast(pa.large_string()))
    order = np.lexsort((np.arange(len(score)), score))
    yield f"\n## Telling words\n\nOf {len(common)} words that occur in at least {_MIN_TEXTS} excerpts.\n"
    for name, rows in (("For", order[::-1]), ("Against", order)):
        yield f"{name}: {', '.join(common[int(i)] for i in rows[:_N_WORDS])}\n"


def _errors(table: pa.Table) -> Iterator[str]:
    score, positive = table["score"].to_numpy(), table["positive"].to_numpy()
    ids = id_words(table["doc_id"])
    order = np.lexsort((ids[:, 1], ids[:, 0], score))
    yield "\n## Worst errors\n"
    yield ("`curate why RUN DOCUMENT` says more of a run's documents; held_out.parquet has the ids of others. A "
           "high-scored negative is often a good page.\n")
    yield from _worst("negatives that score highest", table, order[~positive[order]][::-1], score)
    yield from _worst("positives that score lowest", table, order[positive[order]], score)


def _worst(title: str, table: pa.Table, rows: npt.NDArray[np.int64], score: npt.NDArray[np.float32]) -> Iterator[str]:
    yield f"\n### {title[0].upper()}{title[1:]}\n"
    yield from _table("score", "document", "label", "begins")
    for row in rows[:_N_ERRORS].tolist():
        text = html.escape(table["excerpt"][row].as_py()[:_EXCERPT]).replace("|", "&#124;")
        yield _row(float(score[row]), table["doc_id"][row].as_py().hex(), table["label"][row].as_py() or "", text)
