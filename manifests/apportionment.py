"""Which source each row of a mixture is of, so that every source has at all times given its share, to less than a row.

Drawing the largest deficit first does not keep that promise: with nine sources some fall 1.2 rows behind. So, among the
sources that are behind, the one is drawn that would soonest be a whole row behind (Tijdeman 1980, "The chairman
assignment problem", Discrete Mathematics 32), which looks ahead in the schedule. All in exact numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any

from manifests.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Phase:
    """Weights, of 1, in the order of the sources, that hold for so many rows; None: from here on."""

    n_rows: int | None
    weights: tuple[Fraction, ...]


@dataclass(slots=True)
class Draws:
    """How many rows every source has given, and how many it is behind its weights. gone: sources that give no more."""

    rows: list[int]
    behind: list[Fraction]
    gone: set[int] = field(default_factory=set)

    @classmethod
    def none_of(cls, n_sources: int) -> Draws:
        """Before the first row."""
        return cls([0] * n_sources, [Fraction(0)] * n_sources)

    def copy(self) -> Draws:
        return Draws(list(self.rows), list(self.behind), set(self.gone))

    def leave_out(self, source: int) -> None:
        """A source gives no more; the others begin at their shares of what is to come."""
        self.gone.add(source)
        self.behind = [Fraction(0)] * len(self.rows)


def remaining(weights: Sequence[Fraction], gone: set[int]) -> tuple[Fraction, ...]:
    """Weights without the sources that are gone, of 1 again; all 0 where none is left."""
    total = sum((w for i, w in enumerate(weights) if i not in gone), Fraction(0))
    return tuple(Fraction(0) if i in gone or not total else w / total for i, w in enumerate(weights))


def draw(draws: Draws, phases: Sequence[Phase]) -> Iterator[int]:
    """The source of each of the next rows, without end; it ends where no source has a weight that is left.

    Args:
        draws: What has been drawn so far. It is brought up to date as rows are taken.
        phases: What is to come, from the next row on; the last one has no end.
    """
    weights = [remaining(p.weights, draws.gone) for p in phases]
    scale = lcm(*(x.denominator for x in (*draws.behind, *(w for of_phase in weights for w in of_phase))))
    ahead = [[int(w * scale) for w in of_phase] for of_phase in weights]
    sizes = [p.n_rows for p in phases]
    behind = [int(b * scale) for b in draws.behind]
    n = len(behind) - len(draws.gone)
    while ahead and any(ahead[0]):
        if sizes[0] == 0:
            sizes, ahead = sizes[1:], ahead[1:]
            continue
        sizes = [None if sizes[0] is None else sizes[0] - 1, *sizes[1:]]
        behind = [b + w for b, w in zip(behind, ahead[0], strict=True)]
        chosen = _soonest(behind, ahead, sizes, scale, n)
        behind[chosen] -= scale
        draws.behind = [Fraction(b, scale) for b in behind]
        draws.rows[chosen] += 1
        yield chosen


def _soonest(behind: Sequence[int], ahead: Sequence[Sequence[int]], sizes: Sequence[int | None], scale: int, n: int
             ) -> int:
    """The source to draw. behind, ahead: in parts of `scale`. n: sources that are left."""
    able = [i for i, b in enumerate(behind) if b > 0 and b * (2 * n - 2) >= scale]
    if len(able) == 1:
        return able[0]
    if not able:  # only where a schedule was changed: whoever is furthest behind
        return max((i for i, w in enumerate(ahead[0]) if w), key=lambda i: (behind[i], -i))
    most = Fraction(scale) - (Fraction(scale, 2 * n - 2) if n > 1 else 0)
    return min(able, key=lambda i: (_rows_until(behind[i], most, [w[i] for w in ahead], sizes), i))


def _rows_until(behind: int, most: Fraction, weights: Sequence[int], sizes: Sequence[int | None]) -> Fraction:
    """How many rows from now on a source is so far behind, if it is not drawn."""
    rows, missing = Fraction(0), most - behind
    for weight, size in zip(weights, sizes, strict=True):
        if weight and (size is None or missing <= weight * size):
            return rows + max(Fraction(0), missing / weight)
        if size is None:
            break
        rows += size
        missing -= weight * size
    return Fraction(1 << 62)  # never


def weights_by_step(schedule: Mapping[Any, Any], names: Sequence[Any]) -> dict[int, tuple[Fraction, ...]]:
    """Weights, of 1, by the step that they begin at, in the order of the names.

    Args:
        schedule: Weights by name, on any scale; or {step: weights by name}.
        names: What is drawn from.
    Raises:
        RecipeError: A name or a step is unknown, or weights are below 0 or all 0.
    """
    by_step = schedule if schedule and all(isinstance(v, Mapping) for v in schedule.values()) else {0: schedule}
    done = {}
    for step, weights in by_step.items():
        where = f"schedule[{step}]"
        if not isinstance(step, int) or step < 0:
            raise RecipeError(f"step {step!r} is not a number from 0", where="schedule")
        if unknown := sorted(set(weights) - set(names)):
            raise RecipeError(f"there is no {unknown[0]!r}", where=where,
                              hint=f"there are {', '.join(map(str, names))}")
        exact = [Fraction(str(weights.get(name, 0))) for name in names]
        if min(exact) < 0 or not sum(exact):
            raise RecipeError("weights must be at least 0, and one above", where=where)
        done[step] = tuple(w / sum(exact) for w in exact)
    if 0 not in done:
        raise RecipeError("has no weights for step 0", where="schedule")
    return done
