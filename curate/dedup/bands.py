"""How many bands of how many rows: datasketch's choice, without its thousands of adaptive integrals."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from curate.dedup.config import DedupConfig

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)
_HALF: Final = 0.5


@cache
def best_bands(threshold: float, n_permutations: int, false_positive_weight: float,
               false_negative_weight: float) -> tuple[int, int]:
    """The bands of least weighted error, as datasketch's `MinHashLSH(threshold, num_perm, weights)` chooses them.

    P(s) = 1 - (1 - s**r)**b is the chance that two texts of similarity s share a band (Leskovec, Rajaraman and Ullman,
    Mining of Massive Datasets, section 3.4). The error is w_fp * integral of P(s) over [0, t] + w_fn * integral of
    1 - P(s) over [t, 1], by Gauss-Legendre quadrature.

    Args:
        threshold: Jaccard similarity from which texts should meet.
        n_permutations: Values of a signature, of which the bands use as many as fit.
        false_positive_weight: Of useless candidates.
        false_negative_weight: Of missed pairs.
    Returns:
        (bands, rows of a band); of equals the first, by bands, then rows.
    """
    below = _HALF * threshold * (_NODES + 1)
    above = threshold + _HALF * (1 - threshold) * (_NODES + 1)
    best, least = (1, 1), float("inf")
    for n_bands in range(1, n_permutations + 1):
        rows = np.arange(1, n_permutations // n_bands + 1)[:, None]
        false_positive = (1 - (1 - below**rows) ** n_bands) @ _WEIGHTS * _HALF * threshold
        false_negative = (1 - above**rows) ** n_bands @ _WEIGHTS * _HALF * (1 - threshold)
        error = false_positive_weight * false_positive + false_negative_weight * false_negative
        index = int(np.argmin(error))
        if error[index] < least:
            best, least = (n_bands, index + 1), float(error[index])
    return best


def bands_of(config: DedupConfig) -> tuple[int, int]:
    """(bands, rows) of a configuration: 14 x 9 with the defaults."""
    if config.n_bands is not None and config.n_band_rows is not None:
        return config.n_bands, config.n_band_rows
    return best_bands(config.threshold, config.n_permutations, config.false_positive_weight,
                      config.false_negative_weight)
