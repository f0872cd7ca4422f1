"""An endless order over a dataset's rows that any number of ranks can follow and resume exactly.

Nothing is shuffled in memory: the order of an epoch is a keyed permutation, so a loader's whole state is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from manifests.dataset import PackedDataset
from manifests.errors import DatasetMismatchError, InputError
from manifests.permutation import Permutation
from manifests.removals import superseded
from manifests.shard import Tokens

_ROWS_AHEAD = 1024  # row numbers worked out at a time: a permutation of few numbers is all overhead


class Batch(NamedTuple):
    """One rank's part of a step: tokens [batch_rows, T], targets int64 [batch_rows, T], rows int64 [batch_rows]."""

    tokens: Tokens
    targets: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class PackedLoader:
    """An endless iterator of batches, exact at any step and for any number of ranks.

    The order is the concatenation of epochs without end, each a keyed permutation of all rows; in a staged mixture each
    phase is permuted by itself, and the phases follow one another. A step takes the next batch_rows * world_size rows,
    and rank r the r-th slice, so the global batch does not depend on the number of ranks.

    Args:
        dataset: The rows of one split.
        batch_rows: Rows of a batch on one rank.
        rank: This rank, from 0.
        world_size: How many ranks there are.
        seed: Names the order; another seed is another order.
    Raises:
        ValueError: batch_rows, rank or world_size is out of range.
        InputError: The split has no rows.
    """

    def __init__(self, dataset: PackedDataset, batch_rows: int, rank: int = 0, world_size: int = 1,
                 seed: int = 0) -> None:
        if batch_rows < 1 or not 0 <= rank < world_size:
            raise ValueError(f"batch_rows {batch_rows}, rank {rank}, world_size {world_size}: "
                             "need batch_rows >= 1 and 0 <= rank < world_size")
        if not len(dataset):
            raise InputError(f"split {dataset.split!r} has no rows", where=str(dataset.folder))
        self.dataset = dataset
        self.batch_rows, self.rank, self.world_size, self.seed = batch_rows, rank, world_size, seed
        self._rows_handed_out = 0
        self._ahead: tuple[int, npt.NDArray[np.int64]] = (0, np.empty((0, batch_rows), np.int64))
        self._order = lru_cache(maxsize=16)(self._permutation)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_order"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._order = lru_cache(maxsize=16)(self._permutation)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch = self.at(self._rows_handed_out)
        self._rows_handed_out += self.rows_per_step
        return batch

    @property
    def rows_per_step(self) -> int:
        """Rows of a step over all ranks."""
        return self.batch_rows * self.world_size

    def at(self, handed_out: int) -> Batch:
        """This rank's batch of the step that begins when so many rows, over all ranks, have been handed out."""
        rows = self._rows_of_step(handed_out)
        tokens, targets = self.dataset.batch(rows)
        return Batch(tokens, targets, rows)

    def rows(self, first: int, n: int) -> npt.NDArray[np.int64]:
        """Row numbers at positions [first, first + n) of the endless order, int64 [n]."""
        return self._rows_at(np.arange(first, first + n, dtype=np.int64))

    def _rows_of_step(self, handed_out: int) -> npt.NDArray[np.int64]:
        """This rank's rows of a step, int64 [batch_rows]; those of the next steps are worked out along with them."""
        base, ahead = self._ahead
        step, between = divmod(handed_out - base, self.rows_per_step)
        if between or not 0 <= step < len(ahead):
            steps = max(1, min(_ROWS_AHEAD // self.batch_rows, len(self.dataset) // self.rows_per_step))
            firsts = handed_out + self.rank * self.batch_rows + self.rows_per_step * np.arange(steps, dtype=np.int64)
            ahead = self._rows_at((firsts[:, None] + np.arange(self.batch_rows)).ravel()).reshape(steps, -1)
            self._ahead, step = (handed_out, ahead), 0
        rows: npt.NDArray[np.int64] = ahead[step]
        return rows

    def _rows_at(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Row numbers at positions of the endless order, int64 [n]."""
        ends = np.array(self.dataset.phase_ends)
        epochs, positions = np.divmod(order, len(self.dataset))
        phases = np.searchsorted(ends, positions, "right")
        keys = epochs * len(ends) + phases
        rows = np.empty(len(order), np.int64)
        for key in np.unique(keys).tolist():
            here = keys == key
            epoch, phase = divmod(key, len(ends))
            first = int(ends[phase - 1]) if phase else 0
            rows[here] = first + self._order(epoch, phase)(positions[here] - first)
        return rows

    def _permutation(self, epoch: int, phase: int) -> Permutation:
        ends = self.dataset.phase_ends
        n_rows = ends[phase] - (ends[phase - 1] if phase else 0)
        return Permutation(n_rows, self.seed, f"epoch-{epoch}" if len(ends) == 1 else f"epoch-{epoch}-phase-{phase}")

    def state_dict(self) -> dict[str, int | str]:
        """How far the order has come: rows handed out over all ranks, the dataset's digest, split, seed, tokenizer.

        The same on every rank, so one rank may save it; plain numbers and strings."""
        return {"rows": self._rows_handed_out, "dataset": self.dataset.digest, "split": self.dataset.split,
                "seed": self.seed, "tokenizer": self.dataset.tokenizer_sha256}

    def load_state_dict(self, state: Mapping[str, Any], accept_successor: bool = False) -> None:
        """Go on where a state was taken, with any number of ranks and any batch_rows: the state counts rows.

        Args:
            state: What `state_dict` gave.
            accept_successor: Also take a state of a dataset that this one supersedes: `curate remove` lets every row
                keep its number.
        Raises:
            DatasetMismatchError: The state is of another dataset, split, seed or tokenizer, or is no such state.
        """
        own = self.state_dict()
        before = superseded(self.dataset.folder, self.dataset.digest)
        for name in ("tokenizer", "dataset", "split", "seed"):
            if name == "dataset" and accept_successor and state.get(name) in before:
                continue
            if state.get(name) != own[name]:
                hint = f"open the dataset and {name} that the checkpoint names"
                if name == "dataset" and state.get(name) in before:
                    hint = "documents were removed since; accept_successor=True goes on without them"
                raise DatasetMismatchError(f"the checkpoint was made with {name} {state.get(name)!r}, here it is "
                                           f"{own[name]!r}", where=str(self.dataset.folder), hint=hint)
        if not isinstance(state.get("rows"), int) or state["rows"] < 0:
            raise DatasetMismatchError(f"the checkpoint says that {state.get('rows')!r} rows were handed out",
                                       where=str(self.dataset.folder), hint="it is not a state of a PackedLoader")
        self._rows_handed_out = state["rows"]
