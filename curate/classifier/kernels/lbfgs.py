"""Sums of logistic regression in a fixed order: a BLAS may split them among as many threads as it likes."""

from __future__ import annotations

import math

import numba as nb


@nb.njit(nogil=True, cache=True)
def dot(a, b):  # type: ignore[no-untyped-def]
    """Sum of a * b in float64, from the first to the last."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@nb.njit(nogil=True, cache=True)
def loss_and_gradient(columns, bounds, labels, point, penalty, gradient):  # type: ignore[no-untyped-def]
    """Mean logistic loss plus penalty / 2 * |weights|^2; its gradient is written to `gradient` (zeros at first).

    columns, bounds: terms of each example; labels: float64 [n], 0 or 1; point: weights, then the intercept."""
    n, last = labels.size, point.size - 1
    loss = 0.0
    for i in range(n):
        logit = point[last]
        for k in range(bounds[i], bounds[i + 1]):
            logit += point[columns[k]]
        # log(1 + exp(x)) - y x, without overflow
        loss += max(logit, 0.0) - labels[i] * logit + math.log1p(math.exp(-abs(logit)))
        error = 1.0 / (1.0 + math.exp(-logit)) - labels[i] if logit > -700.0 else -labels[i]
        error /= n
        for k in range(bounds[i], bounds[i + 1]):
            gradient[columns[k]] += error
        gradient[last] += error
    squares = 0.0
    for j in range(last):
        squares += point[j] * point[j]
        gradient[j] += penalty * point[j]
    return loss / max(n, 1) + 0.5 * penalty * squares


