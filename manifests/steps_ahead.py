"""The rows of the steps that a loader reads next, and what the row indexes say of them, worked out for many at once.

Row numbers cost little where many are worked out together. So do look-ups: where shards are read, those of the steps
that come next are made in the order of the files, some with each step, so that a file of thousands is opened once for
several rows, and no step waits for many. Worker processes that take turns read every n-th step each: then those alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from manifests.dataset import PackedDataset
from manifests.look_ups import LookUps
from manifests.row_facts import Known, RowFacts

NO_ROW: Final = -1
_FIRST_ROWS: Final = 4096  # worked out at first: a permutation of few numbers is all overhead
StepRows = npt.NDArray[np.int64]
RowsOf = Callable[[int, int, int], StepRows]
"""(rows handed out, n, distance): the rows of n steps that begin there, and so many rows handed out further each; int64
[n, rows of a batch]; -1 where there is none."""


@dataclass(slots=True)
class _Block:
    """Rows of some steps, the first of which begins when so many were handed out, and the others so far behind one
    another. look_ups: of the rows, where they were begun. n_read: steps read."""

    first: int
    distance: int
    rows: StepRows
    look_ups: LookUps | None = None
    n_read: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.rows) > 1 and int(self.rows[-1, -1]) != NO_ROW


class StepsAhead:
    """Rows and facts of one rank's steps.

    Args:
        dataset: What the rows are of.
        batch_rows: Rows of a step on this rank.
        rows_per_step: Rows of a step over all ranks.
    """

    def __init__(self, dataset: PackedDataset, batch_rows: int, rows_per_step: int) -> None:
        self._dataset, self._batch_rows, self._rows_per_step = dataset, batch_rows, rows_per_step
        self.forget()

    def forget(self) -> None:
        """Begin anew, since another order or another place in it is read next."""
        self._block = _Block(0, self._rows_per_step, np.empty((0, self._batch_rows), np.int64))
        self._last, self._moved = 0, 0  # the step that was read last, and how far behind the one before it was
        self._next: _Block | None = None
        # Whether with documents, which steps [a, b) of the block, and what is known of them.
        self._facts: tuple[bool, int, int, RowFacts] | None = None

    def __getstate__(self) -> tuple[PackedDataset, int, int]:
        return self._dataset, self._batch_rows, self._rows_per_step

    def __setstate__(self, state: tuple[PackedDataset, int, int]) -> None:
        self._dataset, self._batch_rows, self._rows_per_step = state
        self.forget()

    def rows(self, handed_out: int, rows_of: RowsOf) -> StepRows:
        """The rows of the step that begins when so many were handed out, int64 [batch_rows]; -1 behind the end."""
        distance = self._distance(handed_out)
        step, between = divmod(handed_out - self._block.first, self._block.distance)
        if between or not 0 <= step < len(self._block.rows) or distance != self._block.distance:
            following = self._next
            if following is None or (following.first, following.distance) != (handed_out, distance):
                following = self._made(handed_out, distance, _FIRST_ROWS, rows_of)
            self._block, self._next, self._facts, step = following, None, None, 0
        rows: StepRows = self._block.rows[step]
        return rows

    def _distance(self, handed_out: int) -> int:
        """How far the steps that are read are behind one another: as far as the last two times, where that is so."""
        moved, before = handed_out - self._last, self._moved
        if moved:
            self._last, self._moved = handed_out, moved
        if moved == self._rows_per_step or (moved == before > 0 and moved % self._rows_per_step == 0):
            return moved
        return self._block.distance

    def known(self, handed_out: int, documents: bool, rows_of: RowsOf) -> Known | None:
        """What is known of the rows that `rows` gave, from the second step on that is read of those worked out."""
        block = self._block
        block.n_read += 1
        if not block.is_full or (block.n_read < 2 and block.look_ups is None):
            return None
        self._look_ahead(block, documents, rows_of)
        step = (handed_out - block.first) // block.distance
        if self._facts is None or self._facts[0] != documents or not self._facts[1] <= step < self._facts[2]:
            self._facts = self._described(block, step, documents)
        return self._facts[3], step - self._facts[1]

    def _made(self, handed_out: int, distance: int, n_rows: int, rows_of: RowsOf) -> _Block:
        """A block of about so many rows; where the last pass ends in it, of the full steps, if there are any."""
        n = max(1, min(n_rows // self._batch_rows, len(self._dataset) // distance))
        rows = rows_of(handed_out, n, distance)
        n_full = int((rows[:, -1] != NO_ROW).sum())
        return _Block(handed_out, distance, rows[:n_full] if n_full else rows)

    def _look_ahead(self, block: _Block, documents: bool, rows_of: RowsOf) -> None:
        """Look up some rows of the next block, so that all of them are when this one has been read."""
        if self._next is None:
            most = self._dataset.rows_looked_up(documents)
            n_rows = min(most, max(_FIRST_ROWS, 2 * block.rows.size))
            if not n_rows:
                return
            self._next = self._made(block.first + len(block.rows) * block.distance, block.distance, n_rows, rows_of)
            if self._next.is_full:
                self._next.look_ups = self._dataset.look_ups(self._next.rows)
        if self._next.look_ups is not None:
            self._next.look_ups.advance(-(-self._next.rows.size // len(block.rows)))

    def _described(self, block: _Block, step: int, documents: bool) -> tuple[bool, int, int, RowFacts]:
        look_ups = block.look_ups
        n_steps = max(1, self._dataset.rows_described(look_ups is not None) // self._batch_rows)
        first = step - step % n_steps
        rows = block.rows[first : first + n_steps]
        facts = self._dataset.describe(rows, documents) if look_ups is None else look_ups.facts(first, len(rows))
        return documents, first, first + len(rows), facts
