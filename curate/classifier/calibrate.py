"""Choosing alpha as GPT-3 did: so that what the keep rule leaves of the crawl scores like the positives.

Brown et al. 2020, appendix A: "We chose alpha = 9 in order to match the distribution of scores from our classifier on
WebText." The distance of two distributions of scores is the area between their cumulative curves (Wasserstein's first).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.classifier.pareto import keep_rate, quarter_power
from manifests.errors import InputError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_BINS: Final = 1000
_ALPHAS: Final = tuple(quarter / 4 for quarter in range(1, 257))  # the range of the recipe's field
_SHOWN: Final = (1.0, 3.0, 6.0, 9.0, 12.0)
_DIGITS: Final = 6


def calibrate(positives: Float32, crawl: Float32) -> dict[str, Any]:
    """The alpha whose kept crawl lies nearest the positives, and what it and some others would keep.

    Args:
        positives: Scores, float32 [n], by models that have not seen the documents.
        crawl: The same of unfiltered documents.
    Returns:
        alpha, distance, keep_rate (of the crawl), keep_rate_positives, `alphas` (the same for a few) and n_positives,
        n_crawl. Of equal distances the smallest alpha.
    Raises:
        InputError: Either is empty.
    """
    if not len(positives) or not len(crawl):
        raise InputError("needs scores of both positives and crawl",
                         where="positives" if not len(positives) else "crawl")
    bin_of = np.minimum((crawl.astype(np.float64) * _BINS).astype(np.int64), _BINS - 1)
    wanted = _cumulative(np.bincount(
        np.minimum((positives.astype(np.float64) * _BINS).astype(np.int64), _BINS - 1), minlength=_BINS))
    base = 2.0 - crawl.astype(np.float64)
    distances = {}
    for alpha in _ALPHAS:
        kept = np.bincount(bin_of, weights=1.0 / quarter_power(base, alpha), minlength=_BINS)
        distances[alpha] = float(np.abs(_cumulative(kept) - wanted).mean())
    best = min(_ALPHAS, key=lambda alpha: (round(distances[alpha], _DIGITS), alpha))
    rows = [{"alpha": alpha, "distance": round(distances[alpha], _DIGITS),
             "keep_rate": round(keep_rate(crawl, alpha), _DIGITS),
             "keep_rate_positives": round(keep_rate(positives, alpha), _DIGITS)}
            for alpha in sorted({*_SHOWN, best})]
    chosen = next(row for row in rows if row["alpha"] == best)
    return {**chosen, "n_positives": len(positives), "n_crawl": len(crawl), "alphas": rows}


def _cumulative(counts: npt.NDArray[Any]) -> Float64:
    total = np.cumsum(counts, dtype=np.float64)
    return np.asarray(total / total[-1])
