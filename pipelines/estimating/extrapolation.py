"""From a sample to the whole: ratios to bytes of input, with intervals by the jackknife; costs, fixed and by the byte.

*Ratios* (Cochran 1977, *Sampling Techniques*, sections 6.3 and 6.11): a source's tokens are its bytes times the
sample's tokens by the sample's bytes. Groups differ in both alike, so the ratio varies less than the tokens do. Its
variance is the jackknife's over groups (Efron 1981, section 2), times what of the source is not in the sample.

*Costs by file*: a tiny file tells what a file costs whatever is in it; the rest goes with the bytes, but for stages
that are known to grow less. *Costs of all
together* grow by the power of the input that two nested samples show, from 0 (fixed) to 1.

*Duplicates* are rarer in a sample: of a pair, both must be in it. The share that deduplication drops is taken to grow
by the power that the two nested samples show, between not at all and in proportion; half of that growth is counted as
doubt, and tokens without any growth are the upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_QUANTILE: Final = 1.2816  # of the normal distribution: 80 % lie within
_T_80: Final = (0.0, 3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363, 1.356, 1.350, 1.345)
_MOST_DROPPED: Final = 0.95


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with the interval in which it lies in four of five cases."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """How far the interval reaches to its farther side, as a share of the figure."""
        return max(self.high - self.value, self.value - self.low) / self.value if self.value > 0 else 0.0

    def times(self, factor: float) -> Range:
        return Range(self.value * factor, self.low * factor, self.high * factor)


def around(value: float, relative_error: float, degrees: int = len(_T_80)) -> Range:
    """The 80 % interval of a positive figure with a relative standard error; symmetric in its logarithm."""
    t = _T_80[degrees] if 0 < degrees < len(_T_80) else _QUANTILE
    factor = math.exp(t * relative_error)
    return Range(value, value / factor, value * factor)


def ratio(y: Sequence[float], x: Sequence[float], whole: float, large: bool = False) -> tuple[float, float]:
    """A total by the ratio to something whose total is known, and its relative standard error.

    Args:
        y: Of each group, what is asked.
        x: Of each group, what is known of all.
        whole: The total of x.
        large: Whether the last group is far larger than the others: it counts, and its variance is theirs.
    """
    ys, xs = np.asarray(y, float), np.asarray(x, float)
    if xs.sum() <= 0 or ys.sum() <= 0:
        return 0.0, 0.0
    value = float(ys.sum() / xs.sum())
    not_sampled = max(0.0, 1 - float(xs.sum()) / whole)
    ys, xs, told = (ys[:-1], xs[:-1], float(xs[:-1].sum() / xs.sum())) if large else (ys, xs, 1.0)
    n = len(ys)
    if n < 2 or not_sampled < 1e-3:
        return value * whole, 0.0 if not_sampled < 1e-3 else math.inf
    left_out = (ys.sum() - ys) / np.maximum(xs.sum() - xs, 1e-12)
    variance = (n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum()) * told
    return value * whole, math.sqrt(variance * not_sampled) / value


def power(small: float, large: float, growth: float) -> float:
    """The exponent by which something grows with its input, from 0 to 1. growth: of the input from small to large."""
    if small <= 0 or large <= 0 or growth <= 1:
        return 1.0
    return float(np.clip(math.log(large / small) / math.log(growth), 0.0, 1.0))


def grown(small: float, large: float, growth: float, factor: float, most: float = 1.0) -> float:
    """What something costs on `factor` times the input of the larger of two samples. most: the largest exponent."""
    return large * float(factor ** min(most, power(small, large, growth)))


def by_file(cost: Floats, n_bytes: Floats, tiny: int, large: bool, n_files: int, whole: float, exponent: float = 1.0
            ) -> float:
    """What the tasks of a stage that has one for each file cost in all.

    Args:
        cost: Of each task of the sample; 0 where there was none.
        n_bytes: Of each group.
        tiny: How many groups, from the first, are tiny; their cheapest tells what a file costs by itself.
        large: Whether the last group is as large as all others; it is the nearest to a whole file.
        n_files: Of the source.
        whole: Bytes of the source.
        exponent: By which power of its size a file's cost grows. Groups differ more in what is in them than a curve
            would show, so this is given and not measured.
    """
    rest, sizes = cost[tiny:], n_bytes[tiny:]
    if sizes.sum() <= 0:
        return float(cost.sum())
    if exponent == 0:
        small = rest[:-1] if large and len(rest) > 1 else rest  # the large one is done first, and loads what all need
        return float(small.mean()) * n_files
    alone = float(cost[cost > 0].min()) if tiny and cost.any() else 0.0
    rest = np.maximum(0.0, rest - alone)
    if exponent == 1 or not large:
        return alone * n_files + float(rest.sum()) / float(sizes.sum()) * whole
    return n_files * (alone + float(rest[-1]) * float((whole / n_files / float(sizes[-1])) ** exponent))


def dropped_share(small: tuple[int, int], large: tuple[int, int], growth: float, factor: float) -> float:
    """The share of documents that deduplication drops of the whole.

    Args:
        small: Of the smaller sample: documents dropped, and documents that came.
        large: Of the larger one.
        growth: Of the input from the one to the other.
        factor: Of the input from the larger to the whole.
    """
    if large[1] == 0:
        return 0.0
    # One duplicate more in each: a sample without any says little.
    exponent = power((small[0] + 1) / (small[1] + 1), (large[0] + 1) / (large[1] + 1), growth)
    return min(_MOST_DROPPED, large[0] / large[1] * float(factor ** exponent))


def later_bytes_per_token(small: float, large: float, growth: float, factor: float) -> float:
    """Bytes a token of a tokenizer that is trained on the whole. One that is trained on a sample knows that sample by
    heart; what it loses when its texts grow is taken to halve with each doubling."""
    if growth <= 1 or factor <= 1:
        return large
    doublings = math.log(factor) / math.log(growth)
    return max(0.5 * large, large + (large - small) * (1 - float(0.5 ** doublings)))
