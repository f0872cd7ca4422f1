"""Batches of sequences of one length each: variable sequence length training (Pouransari et al. 2024, arXiv 2405.13226,
section 3) on `manifests.lengths`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from manifests.apportionment import Draws, Phase, draw, weights_by_step
from manifests.dataset import IGNORED, PackedDataset
from manifests.errors import DatasetMismatchError, InputError, RecipeError
from manifests.lengths import GOES_ON, Int64, read_lengths
from manifests.loader import _only_rank
from manifests.permutation import Permutation
from manifests.shard import Tokens

_LOG = logging.getLogger("curate.lengths")


class LengthBatch(NamedTuple):
    """One rank's part of a step: tokens [rows, length], targets int64 [rows, length], -100 where a document ends, and
    the sequences' numbers in their bucket, int64 [rows]."""

    tokens: Tokens
    targets: npt.NDArray[np.int64]
    sequences: npt.NDArray[np.int64]


class LengthLoader:
    """An endless iterator of batches of one length each, exact at any step and for any number of ranks.

    Every step holds as many tokens. Which length it has follows the weights to less than one step, at all times
    (`manifests.apportionment`). Sequences of a length come in a keyed permutation, epoch after epoch.

    Args:
        path: A run's folder, or its `packed` folder, with `lengths/`.
        split: `train` or `val`.
        tokens_per_batch: Tokens of a batch on one rank: a multiple of the longest length.
        schedule: Weights, as shares of steps, by length; or {step: weights}. None: as many tokens as there are.
        rank, world_size: Of this rank, from 0, and of all.
        seed: Names the order.
    Raises:
        InputError: There is no `lengths/` of this dataset, or no sequence.
        ShardError: A file of it is not the one that was written.
        RecipeError: The schedule names a length without sequences, or tokens_per_batch is no such multiple.
    """

    def __init__(self, path: str | os.PathLike[str], split: str, tokens_per_batch: int,
                 schedule: Mapping[int, Any] | None = None, rank: int | None = None, world_size: int | None = None,
                 seed: int = 0) -> None:
        if rank is None or world_size is None:
            rank, world_size = _only_rank()
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank}, world_size {world_size}: need 0 <= rank < world_size")
        self.dataset = PackedDataset(path, split)
        self.rank, self.world_size, self.seed, self.tokens_per_batch = rank, world_size, seed, tokens_per_batch
        self._begins = read_lengths(self.dataset)
        self.lengths = tuple(sorted(n for n, begins in self._begins.items() if len(begins)))
        if not self.lengths:
            raise InputError(f"split {split!r} has no sequence of these lengths", where=str(self.dataset.folder))
        if tokens_per_batch < 1 or tokens_per_batch % self.lengths[-1]:
            raise RecipeError(f"{tokens_per_batch} is no multiple of the longest length, {self.lengths[-1]}",
                              where="tokens_per_batch")
        tokens = {n: n * len(self._begins[n]) for n in self.lengths}
        self.schedule = weights_by_step(schedule if schedule is not None else tokens, self.lengths)
        self._step = 0
        self._draws = Draws.none_of(len(self.lengths))
        self._given = dict.fromkeys(self.lengths, 0)

    def __iter__(self) -> Iterator[LengthBatch]:
        return self

    def __next__(self) -> LengthBatch:
        if self._step and self._step in self.schedule:
            _LOG.info("step %d: weights %s", self._step,
                      dict(zip(self.lengths, map(float, self.schedule[self._step]), strict=True)))
        length = self.lengths[next(draw(self._draws, self._phases()))]
        rows = self.tokens_per_batch // length
        first = self._given[length] + self.rank * rows
        batch = self._read(length, np.arange(first, first + rows, dtype=np.int64))
        self._given[length] += rows * self.world_size
        self._step += 1
        return batch

    def _phases(self) -> list[Phase]:
        starts = [max(s for s in self.schedule if s <= self._step), *sorted(s for s in self.schedule if s > self._step)]
        sizes = [b - a for a, b in pairwise([self._step, *starts[1:]])]
        return [Phase(n, self.schedule[s]) for n, s in zip([*sizes, None], starts, strict=True)]

    def _read(self, length: int, positions: Int64) -> LengthBatch:
        begins = self._begins[length]
        epochs, within = np.divmod(positions, len(begins))
        numbers = np.concatenate([
            Permutation(len(begins), self.seed, f"length-{length}-epoch-{epoch}")(within[epochs == epoch])
            for epoch in np.unique(epochs).tolist()])
        stored = np.asarray(begins[numbers])
        goes_on = (stored & GOES_ON) != 0
        at = (stored & ~GOES_ON).astype(np.int64)
        tokens: Tokens = np.empty((len(at), length), self.dataset.dtype)
        targets = np.full(tokens.shape, IGNORED, np.int64)
        for i, (first, more) in enumerate(zip(at.tolist(), goes_on.tolist(), strict=True)):
            run = self._tokens(first, length + more)
            tokens[i] = run[:length]
            targets[i, : len(run) - 1] = run[1:]
        return LengthBatch(tokens, targets, numbers)

    def _tokens(self, first: int, n: int) -> Tokens:
        """Tokens of one shard, from one of the split on."""
        row, offset = divmod(first, self.dataset.row_length)
        last = (first + n - 1) // self.dataset.row_length
        joined: Tokens = np.concatenate([self.dataset[r] for r in range(row, last + 1)])
        return joined[offset : offset + n]

    def state_dict(self) -> dict[str, Any]:
        """Steps, sequences of every length and how far each is behind; the same on every rank."""
        return {"step": self._step, "sequences": {str(n): k for n, k in self._given.items()},
                "steps": {str(n): k for n, k in zip(self.lengths, self._draws.rows, strict=True)},
                "behind": {str(n): str(b) for n, b in zip(self.lengths, self._draws.behind, strict=True)},
                "dataset": self.dataset.digest, "split": self.dataset.split, "seed": self.seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, with any number of ranks. Raises DatasetMismatchError for other data."""
        own = self.state_dict()
        for name in ("dataset", "split", "seed"):
            if state.get(name) != own[name]:
                raise DatasetMismatchError(f"the checkpoint was made with {name} {state.get(name)!r}, here it is "
                                           f"{own[name]!r}", where=str(self.dataset.folder),
                                           hint=f"open the {name} that the checkpoint names")
        try:
            given = {n: int(state["sequences"][str(n)]) for n in self.lengths}
            draws = Draws([int(state["steps"][str(n)]) for n in self.lengths],
                          [Fraction(state["behind"][str(n)]) for n in self.lengths])
            step = int(state["step"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetMismatchError(f"the checkpoint lacks {error}", where=str(self.dataset.folder),
                                       hint="it is not a state of a LengthLoader, or of other lengths") from error
        self._given, self._draws, self._step = given, draws, step
