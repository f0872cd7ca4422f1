"""The quality classifier on hosts that it has not seen: precision, recall, F1, AUC, and what would be kept."""

from __future__ import annotations

import json
import math
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.card import model_card
from curate.classifier.kinds import KINDS, Kind
from curate.classifier.pareto import keep_rate
from curate.classifier.scorers import POSITIVE, load_scorer
from curate.classifier.training import SCORES
from manifests.tables import read_table
from manifests.tasks import Work

THRESHOLD: Final = 0.5  # of precision and recall; the keep rule itself has no threshold
_ALPHAS = (1.0, 3.0, 6.0, 9.0)
_DIGITS = 6
_BINS = 10

class KeepAlpha(Protocol):
    """What of selection the metrics depend on: the exponent of the keep rule."""

    @property
    def alpha(self) -> float: ...


Bools = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]


def metrics(config: KeepAlpha, work: Work) -> None:
    """Stage classifier/metrics, one task: held-out metrics of all folds as one JSON file, and the model's card.

    Inputs: `scores` (role of classifier); `model` (the one on everything; its words are left out where it is absent).
    Outputs: `metrics` (`classifier/metrics/metrics.json`): `overall` (all positives), `reddit` (linked pages against
    the same negatives), `folds` (each of the two by fold), `calibration` (see `calibration`), `keep_rate` (expected
    share that the keep rule leaves of each kind, by alpha); `card` (`classifier/metrics/card.md`), the same for people,
    with telling words and the worst errors. A figure that cannot be computed is null. Counters: scored_<kind>."""
    tables = [read_table(path) for path in work.inputs("scores", role="scores")]
    table = pa.concat_tables(tables) if tables else SCORES.empty_table()
    report = classifier_metrics(table, config.alpha)
    for kind in KINDS:
        work.count(f"scored_{kind}", report["n_documents"][str(kind)])
    with open(work.output("metrics", suffix=".json"), "w", encoding="utf-8") as stream:
        json.dump(report, stream, indent=1, sort_keys=True)
        stream.write("\n")
    model = next(iter(work.inputs("model")), None)
    with open(work.output("card", name="card.md"), "w", encoding="utf-8") as stream:
        stream.write(model_card(report, table, None if model is None else load_scorer(model, POSITIVE)))


def classifier_metrics(table: pa.Table, alpha: float) -> dict[str, Any]:
    """The report of `metrics`.

    Args:
        table: SCORES of all folds.
        alpha: The recipe's exponent of the keep rule.
    Returns:
        What the stage writes to metrics.json.
    """
    score = table["score"].to_numpy()
    kinds = {kind: pc.equal(table["kind"], pa.scalar(str(kind))).to_numpy() for kind in KINDS}
    fold = table["fold"].to_numpy()
    groups = {"overall": np.ones(len(table), np.bool_), "reddit": ~kinds[Kind.CURATED]}
    positive = ~kinds[Kind.NEGATIVE]
    return {
        "threshold": THRESHOLD, "alpha": alpha,
        "n_documents": {str(kind): int(kinds[kind].sum()) for kind in KINDS},
        **{name: figures(score[group], positive[group]) for name, group in groups.items()},
        "folds": {str(number): {name: figures(score[group & (fold == number)], positive[group & (fold == number)])
                                for name, group in groups.items()} for number in np.unique(fold)},
        "calibration": calibration(score, positive),
        "keep_rate": {f"{a:g}": {str(kind): round(keep_rate(score[kinds[kind]], a), _DIGITS) for kind in KINDS}
                      for a in sorted({*_ALPHAS, alpha})},
    }


def calibration(score: Float32, positive: Bools) -> dict[str, Any]:
    """How far a score is a probability: ten equal bins with their n, mean score and share of positives, and `error`,
    the mean distance of the two by documents (Guo et al. 2017, equation 3: expected calibration error)."""
    bin_of = np.minimum((score.astype(np.float64) * _BINS).astype(np.int64), _BINS - 1)
    bins, gaps = [], []
    for number in range(_BINS):
        inside = bin_of == number
        n = int(inside.sum())
        mean = math.fsum(score[inside].tolist())
        bins.append({"from": number / _BINS, "n": n, "mean_score": _ratio(mean, n),
                     "positive_share": _ratio(int((inside & positive).sum()), n)})
        gaps.append(abs(mean - int((inside & positive).sum())))
    return {"bins": bins, "error": _ratio(math.fsum(gaps), len(score))}


def figures(score: Float32, positive: Bools) -> dict[str, float | int | None]:
    """Precision, recall and F1 at THRESHOLD, and AUC; None where it cannot be computed. score, positive: [n]."""
    predicted = score >= np.float32(THRESHOLD)
    hits, n_predicted, n_positive = int((predicted & positive).sum()), int(predicted.sum()), int(positive.sum())
    return {"n_positive": n_positive, "n_negative": len(score) - n_positive,
            "precision": _ratio(hits, n_predicted), "recall": _ratio(hits, n_positive),
            "f1": _ratio(2 * hits, n_predicted + n_positive), "auc": auc(score, positive)}


def _ratio(part: float, total: int) -> float | None:
    return round(part / total, _DIGITS) if total else None


def auc(score: Float32, positive: Bools) -> float | None:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counted half; None without
    either. Exact, in integers: Mann and Whitney's U."""
    n_positive = int(positive.sum())
    n_pairs = n_positive * (len(score) - n_positive)
    if not n_pairs:
        return None
    _, level = np.unique(score, return_inverse=True)
    n_levels = int(level.max()) + 1
    ups = np.bincount(level[positive], minlength=n_levels).astype(object)
    downs = np.bincount(level[~positive], minlength=n_levels).astype(object)
    below = np.concatenate([[0], np.cumsum(downs)[:-1]])
    return round(float((ups * (2 * below + downs)).sum()) / (2 * n_pairs), _DIGITS)
