"""GPT-3's own kind of classifier: Spark's Tokenizer, HashingTF and LogisticRegression (Brown et al. 2020, appendix A).

Terms are the tokens between white space in the classifier's line (so lower-case, with punctuation apart), hashed as
Spark 3 does; a text's logit is the intercept plus the weight of each of its terms, repetitions counted. Training
minimises the mean logistic loss plus an L2 penalty by L-BFGS with every sum in a fixed order, so the same examples give
the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.classifier.config import ClassifierConfig
from curate.classifier.kernels.lbfgs import dot, loss_and_gradient
from curate.classifier.kernels.murmur import term_columns, term_scores
from curate.classifier.scorers import SCORERS, Scorer
from curate.text.strings import string_buffers
from manifests.errors import InputError

_MAGIC: Final = SCORERS["hashed_lr"].magic
_HISTORY = 10  # L-BFGS pairs, as many as Spark keeps
_SUFFICIENT, _SHRINK, _MAX_HALVINGS = 1e-4, 0.5, 40  # Armijo's condition (Nocedal and Wright, section 3.1)

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HashedModel:
    """weights: float32 [n_features]; intercept: of the positive class."""

    weights: npt.NDArray[np.float32]
    intercept: float

    @property
    def method(self) -> str:
        return "hashed"

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Probability of the positive class, float32 [n]; rows, out: as `Scorer.score`."""
        data, offsets = string_buffers(lines)
        chosen = np.arange(len(lines), dtype=np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        scores = np.zeros(len(lines), np.float32) if out is None else out
        term_scores(data, np.ascontiguousarray(offsets), chosen, self.weights, self.intercept, scores)
        return scores

    def save(self, path: str) -> None:
        """Write the model: a line of magic, a line of JSON, the weights as little-endian float32."""
        facts = {"n_features": len(self.weights), "intercept": self.intercept}
        with open(path, "wb") as stream:
            stream.write(_MAGIC + json.dumps(facts, sort_keys=True).encode() + b"\n")
            stream.write(self.weights.astype("<f4").tobytes())


def train(config: ClassifierConfig, table: pa.Table, seed: int, path: str) -> None:
    """Train on SAMPLES; nothing is left to chance."""
    train_hashed(table["text"], table["positive"].to_numpy(), config.hashed_features, config.hashed_regularisation,
                 config.hashed_iterations).save(path)


def read(local: str, path: str, label: str | None) -> Scorer:
    """The model in a local file, which has one label alone; raises InputError, naming `path`, where it is damaged."""
    with open(local, "rb") as stream:
        magic, facts = stream.readline(), stream.readline()
        try:
            fields = json.loads(facts)
            weights = np.frombuffer(stream.read(), "<f4")
            if magic != _MAGIC or len(weights) != fields["n_features"]:
                raise ValueError("its weights are cut off")
            return HashedModel(weights, float(fields["intercept"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"is no hashed logistic regression: {error}", where=path) from error


def train_hashed(lines: pa.Array[Any] | pa.ChunkedArray[Any], positive: npt.NDArray[np.bool_], n_features: int,
                 regularisation: float, max_iterations: int) -> HashedModel:
    """Fit the model. lines: classifier lines; positive: bool [n]; regularisation: L2, of the weights and not of the
    intercept. Memory: 4 bytes a term and about 200 bytes a feature."""
    data, offsets = string_buffers(lines)
    columns, bounds = term_columns(data, np.ascontiguousarray(offsets), np.int64(n_features))
    labels = positive.astype(np.float64)

    def value(point: Float64) -> tuple[float, Float64]:
        gradient = np.zeros_like(point)
        loss = loss_and_gradient(columns, bounds, labels, point, regularisation, gradient)
        return float(loss), gradient

    start = np.zeros(n_features + 1)
    share = min(max(float(labels.mean()), 1e-6), 1 - 1e-6) if len(labels) else 0.5
    start[-1] = np.log(share / (1 - share))  # Spark starts at the prior too
    best = minimise(value, start, max_iterations)
    return HashedModel(best[:-1].astype(np.float32), float(best[-1]))


def minimise(value: Callable[[Float64], tuple[float, Float64]], point: Float64, max_iterations: int,
             tolerance: float = 1e-6) -> Float64:
    """The minimum of a smooth convex function by L-BFGS (Nocedal and Wright 2006, algorithm 7.4).

    value: point -> (value, gradient). Ends when a step gains less than `tolerance` of the value, Spark's own rule."""
    loss, gradient = value(point)
    history: list[tuple[Float64, Float64, float]] = []
    for _ in range(max_iterations):
        direction = _direction(gradient, history)
        slope = dot(direction, gradient)
        if slope >= 0:
            break
        step = 1.0 if history else min(1.0, 1.0 / np.sqrt(-slope))
        for _ in range(_MAX_HALVINGS):
            candidate = point + step * direction
            new_loss, new_gradient = value(candidate)
            if new_loss <= loss + _SUFFICIENT * step * slope:
                break
            step *= _SHRINK
        else:
            break
        moved, turned = candidate - point, new_gradient - gradient
        curvature = dot(moved, turned)
        if curvature > 0:
            history = [*history[1 - _HISTORY :], (moved, turned, curvature)]
        gained, point, loss, gradient = loss - new_loss, candidate, new_loss, new_gradient
        if gained <= tolerance * max(abs(loss), 1.0):
            break
    return point


def _direction(gradient: Float64, history: list[tuple[Float64, Float64, float]]) -> Float64:
    """The two-loop recursion: minus the approximate inverse Hessian times the gradient."""
    direction = -gradient
    shares = []
    for moved, turned, curvature in reversed(history):
        share = dot(moved, direction) / curvature
        shares.append(share)
        direction = direction - share * turned
    if history:
        _, turned, curvature = history[-1]
        direction = direction * (curvature / dot(turned, turned))
    for (moved, turned, curvature), share in zip(history, reversed(shares), strict=True):
        direction = direction + (share - dot(turned, direction) / curvature) * moved
    return direction
