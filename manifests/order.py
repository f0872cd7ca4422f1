"""Orders of a dataset's rows, as functions of a position: nothing is shuffled in memory, so the state is one number.

    rows        a keyed permutation of all rows, for every epoch
    shards      a keyed permutation of shards, then of the rows within each window of k shards that follow one another:
                what is read next lies in few files, which object stores and caches need
    sequence    as the rows lie

In a staged mixture each phase is ordered by itself, and the phases follow one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.permutation import Permutation

ORDERS: Final = ("rows", "shards", "sequence")
Rows = npt.NDArray[np.int64]


class RowOrder:
    """The endless order of a split's rows: epoch after epoch.

    Args:
        first_rows: Number of each shard's first row, int64 [shards], ascending from 0.
        phase_ends: Where each phase ends, in rows; the last one is the number of rows. Shards do not straddle phases.
        seed: Names the order.
        kind: One of `ORDERS`.
        window_shards: Shards whose rows are shuffled together, with `shards`.
    Raises:
        ValueError: There is no such kind, or window_shards is not positive.
    """

    def __init__(self, first_rows: Rows, phase_ends: Sequence[int], seed: int, kind: str = "rows",
                 window_shards: int = 8) -> None:
        if kind not in ORDERS or window_shards < 1:
            raise ValueError(f"order {kind!r}, window_shards {window_shards}: need one of {', '.join(ORDERS)}, and a "
                             "window of at least 1")
        self.n_rows, self.seed, self.kind, self.window_shards = int(phase_ends[-1]), seed, kind, window_shards
        self._bounds = [0, *map(int, phase_ends)]
        self._ends = np.array(phase_ends)
        self._shard_bounds = np.append(first_rows, self.n_rows)
        self._of = lru_cache(maxsize=16)(self._permutation)

    def __reduce__(self) -> tuple[type[RowOrder], tuple[Any, ...]]:
        return RowOrder, (self._shard_bounds[:-1], self._bounds[1:], self.seed, self.kind, self.window_shards)

    def rows_at(self, positions: Rows) -> Rows:
        """Row numbers at positions of the order, int64 [n] each."""
        epochs, within = np.divmod(positions, self.n_rows)
        if self.kind == "sequence":
            return within
        phases = np.searchsorted(self._ends, within, "right")
        keys = epochs * len(self._ends) + phases
        if len(keys) and (keys == keys[0]).all():
            return self._in_phase(int(keys[0]), within)
        rows = np.empty(len(positions), np.int64)
        for key in np.unique(keys).tolist():
            here = keys == key
            rows[here] = self._in_phase(key, within[here])
        return rows

    def phase_at(self, position: int) -> tuple[int, int]:
        """(epoch, phase) of a position, from 0."""
        epoch, within = divmod(position, self.n_rows)
        return epoch, int(np.searchsorted(self._ends, within, "right"))

    def _in_phase(self, key: int, within: Rows) -> Rows:
        epoch, phase = divmod(key, len(self._ends))
        first = self._bounds[phase]
        return first + self._of(epoch, phase)(within - first)

    def _permutation(self, epoch: int, phase: int) -> Permutation | _Windows:
        low, high = self._bounds[phase], self._bounds[phase + 1]
        purpose = f"epoch-{epoch}" if len(self._ends) == 1 else f"epoch-{epoch}-phase-{phase}"
        if self.kind == "rows":
            return Permutation(high - low, self.seed, purpose)
        shards = slice(*np.searchsorted(self._shard_bounds, [low, high]).tolist())
        bounds = self._shard_bounds[shards.start : shards.stop + 1] - low
        return _Windows(bounds, self.seed, f"{purpose}-shards", self.window_shards)


class _Windows:
    """A permutation of a phase's rows: shards in a permuted order, rows permuted within each window of them.

    bounds: of the phase's shards in its rows, int64 [shards + 1]."""

    def __init__(self, bounds: Rows, seed: int, purpose: str, window_shards: int) -> None:
        n = len(bounds) - 1
        chosen = Permutation(n, seed, purpose)(np.arange(n))
        self._source = bounds[:-1][chosen]  # first row of each shard, in the order in which shards are read
        self._starts = np.concatenate(([0], np.cumsum(np.diff(bounds)[chosen])))  # where it begins in that order
        self._window_starts = np.append(self._starts[:-1][::window_shards], self._starts[-1])
        self._seed, self._purpose = seed, purpose
        self._window = lru_cache(maxsize=8)(self._permutation)

    def __call__(self, positions: Rows) -> Rows:
        windows = np.searchsorted(self._window_starts, positions, "right") - 1
        places = np.empty(len(positions), np.int64)
        for window in np.unique(windows).tolist():
            here = windows == window
            first = int(self._window_starts[window])
            places[here] = first + self._window(window)(positions[here] - first)
        shard = np.searchsorted(self._starts, places, "right") - 1
        rows: Rows = self._source[shard] + places - self._starts[shard]
        return rows

    def _permutation(self, window: int) -> Permutation:
        size = int(self._window_starts[window + 1] - self._window_starts[window])
        return Permutation(size, self._seed, f"{self._purpose}-window-{window}")


class Skips:
    """Positions of an order that are passed over, and where the rows that are handed out lie between them.

    ranges: half-open, of positions in the order; they are sorted and joined where they touch. Raises ValueError where
    one is empty or begins below 0."""

    def __init__(self, ranges: Sequence[Sequence[int]] = ()) -> None:
        joined: list[list[int]] = []
        for first, last in sorted((int(a), int(b)) for a, b in ranges):
            if not 0 <= first < last:
                raise ValueError(f"rows {first} to {last} of the order cannot be skipped: need 0 <= first < last")
            if joined and first <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], last)
            else:
                joined.append([first, last])
        self.ranges = joined
        sizes = np.array([b - a for a, b in joined], np.int64)
        self._skipped = np.concatenate(([0], np.cumsum(sizes)))
        self._begin = np.array([a for a, _ in joined], np.int64) - self._skipped[:-1]  # in rows handed out

    def __str__(self) -> str:
        """As states keep it: `30-34,50-60`."""
        return ",".join(f"{first}-{last}" for first, last in self.ranges)

    @staticmethod
    def parse(text: str) -> Skips:
        """The inverse of `str`."""
        return Skips([(int(first), int(last)) for first, last in (r.split("-") for r in text.split(",") if r)])

    def positions(self, handed_out: Rows) -> Rows:
        """Positions in the order of rows by how many were handed out before them, int64 [n] each."""
        if not self.ranges:
            return handed_out
        positions: Rows = handed_out + self._skipped[np.searchsorted(self._begin, handed_out, "right")]
        return positions

    def before(self, position: int) -> int:
        """Rows that are handed out before a position of the order."""
        return position - sum(min(b, position) - a for a, b in self.ranges if a < position)
