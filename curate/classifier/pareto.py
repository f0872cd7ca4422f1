"""GPT-3's keep rule, exact and without a generator (Brown et al. 2020, appendix A).

The paper keeps a document iff numpy.random.pareto(alpha) > 1 - score. NumPy's pareto is the Lomax distribution, so the
chance to be kept is (2 - score) ** -alpha, and one uniform number u of the document decides: u < (2 - score) ** -alpha,
here as u * (2 - score) ** alpha < 1. The power is made of multiplications and square roots, which IEEE 754 rounds
correctly on every machine, as it does not for pow; so alpha is a multiple of 0.25.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_ONE = int(np.float32(1.0).view(np.uint32))  # the bits of 1.0: scores of 0 to 1 are ordered as their bits are


def quarter_power(base: Float64, exponent: float) -> Float64:
    """base ** exponent, float64 [n], for a non-negative multiple of 0.25, by correctly rounded operations alone.

    Raises ValueError for other exponents."""
    quarters = round(exponent * 4)
    if quarters != exponent * 4 or quarters < 0:
        raise ValueError(f"{exponent} is no non-negative multiple of 0.25")
    units, rest = divmod(quarters, 4)
    result = np.ones_like(base)
    for _ in range(units):
        result = result * base
    root = np.sqrt(base)
    if rest & 2:
        result = result * root
    if rest & 1:
        result = result * np.sqrt(root)
    return result


def pareto_keeps(score: Float32, u: Float64, alpha: float) -> npt.NDArray[np.bool_]:
    """Which documents the rule keeps.

    Args:
        score: float32 [n] in [0, 1].
        u: float64 [n], uniform in [0, 1), of each document.
        alpha: Exponent, a multiple of 0.25.
    Returns:
        bool [n].
    Raises:
        ValueError: alpha is no multiple of 0.25.
    """
    return u * quarter_power(2.0 - score.astype(np.float64), alpha) < 1.0


def needed_score(u: Float64, alpha: float) -> Float32:
    """The smallest float32 score, [n], with which each document would have been kept, about 2 - u ** (-1 / alpha).

    Found by halving the range of float32 numbers with the rule itself, so it is exact: a document with this score is
    kept, and with the next smaller number it is not."""
    low = np.zeros(len(u), np.int64)
    high = np.full(len(u), _ONE, np.int64)  # a score of 1 is always kept, since u < 1
    while (low < high).any():
        middle = (low + high) // 2
        kept = pareto_keeps(middle.astype(np.uint32).view(np.float32), u, alpha)
        high = np.where(kept, middle, high)
        low = np.where(kept, low, np.minimum(middle + 1, high))
    return high.astype(np.uint32).view(np.float32)


def keep_rate(score: Float32, alpha: float) -> float:
    """Expected share of documents with these scores that the rule keeps; 0 where there are none."""
    if not len(score):
        return 0.0
    chances = 1.0 / quarter_power(2.0 - score.astype(np.float64), alpha)
    return math.fsum(chances.tolist()) / len(score)
