"""A mixture made while a model trains: a data set for every source, and a schedule of weights by step.

Which source the next row is of is decided row by row (`manifests.apportionment`), so that at every row of a training
each source has given what its weights say, to less than one row. The global batch depends on no rank and no rounding.
"""

from __future__ import annotations

import json
import logging
import os
import posixpath
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from manifests.apportionment import Draws, Phase, draw, remaining, weights_by_step
from manifests.dataset import PackedDataset
from manifests.errors import DatasetMismatchError, InputError
from manifests.loader import _only_rank
from manifests.order import RowOrder
from manifests.shard import Tokens
from manifests.storage import join, open_read

MIXTURE: Final = "mixture.json"
POLICIES: Final = ("repeat", "stop", "redistribute")
_LOG = logging.getLogger("curate.mixed")
Weights = Mapping[str, float]


class MixedBatch(NamedTuple):
    """One rank's part of a step: tokens [batch_rows, T], targets int64 [batch_rows, T], and of each row its source, a
    number in `MixedLoader.names`, and its number in that source's data set, int64 [batch_rows]."""

    tokens: Tokens
    targets: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class MixedLoader:
    """An endless, or ending, iterator of batches of several data sets, exact at any step and for any number of ranks.

    A step takes the next batch_rows * world_size rows of the mixture; rank r gets the r-th slice. Each source is read
    in the order that a `PackedLoader` of it has, epoch after epoch.

    Args:
        datasets: Data sets of one split, by source; of one row length, tokenizer and token type.
        schedule: Weights by source, on any scale; or {step: weights}, each from that step on, the first from step 0.
        batch_rows: Rows of a batch on one rank.
        rank, world_size: Of this rank, from 0, and of all, as `PackedLoader` takes them.
        seed: Names the orders of the sources.
        exhausted: What becomes of a source that has given all its rows `epochs` times: `repeat`, in a new order;
            `stop`, the loader ends before the first step that it cannot fill; `redistribute`, its weight goes to the
            others in proportion, until none is left.
        epochs: Passes over each source, or by source.
    Raises:
        ValueError: batch_rows, rank, world_size or the policy is out of range.
        RecipeError: The schedule names a source that is not there, or leaves out all.
        InputError: The data sets do not go together, or one has no rows.
    """

    def __init__(self, datasets: Mapping[str, PackedDataset], schedule: Weights | Mapping[int, Weights],
                 batch_rows: int, rank: int | None = None, world_size: int | None = None, seed: int = 0,
                 exhausted: str = "repeat", epochs: int | Mapping[str, int] = 1) -> None:
        if rank is None or world_size is None:
            rank, world_size = _only_rank()
        if batch_rows < 1 or not 0 <= rank < world_size:
            raise ValueError(f"batch_rows {batch_rows}, rank {rank}, world_size {world_size}: "
                             "need batch_rows >= 1 and 0 <= rank < world_size")
        if exhausted not in POLICIES:
            raise ValueError(f"exhausted {exhausted!r} is none of {', '.join(POLICIES)}")
        _check_together(datasets)
        self.names = tuple(sorted(datasets))
        self.datasets = {name: datasets[name] for name in self.names}
        self.batch_rows, self.rank, self.world_size, self.seed = batch_rows, rank, world_size, seed
        self.exhausted = exhausted
        self._orders = [RowOrder(d.first_rows, d.phase_ends, seed) for d in self.datasets.values()]
        self._limits = [len(self.datasets[n]) * (epochs.get(n, 1) if isinstance(epochs, Mapping) else epochs)
                        for n in self.names]
        self.schedule = weights_by_step(schedule, self.names)
        self._step = 0
        self._draws = Draws.none_of(len(self.names))

    def __iter__(self) -> Iterator[MixedBatch]:
        return self

    def __next__(self) -> MixedBatch:
        draws = self._draws.copy()
        drawn = self._draw_step(draws, self._step)
        if drawn is None:
            raise StopIteration
        if self._step and self._step in self.schedule:
            _LOG.info("step %d: weights %s", self._step, self.weights)
        for number in sorted(draws.gone - self._draws.gone):
            _LOG.info("step %d: %s is exhausted after %d rows; its weight goes to the others", self._step,
                      self.names[number], draws.rows[number])
        here = drawn[self.rank * self.batch_rows : (self.rank + 1) * self.batch_rows]
        batch = self._read(here)
        self._draws = draws
        self._step += 1
        return batch

    @property
    def step(self) -> int:
        """Steps handed out."""
        return self._step

    @property
    def rows_per_step(self) -> int:
        """Rows of a step over all ranks."""
        return self.batch_rows * self.world_size

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the next step, of 1."""
        weights = self.schedule[max(s for s in self.schedule if s <= self._step)]
        return {name: float(w) for name, w in zip(self.names, remaining(weights, self._draws.gone), strict=True)}

    @property
    def rows(self) -> dict[str, int]:
        """Rows that every source has given, over all ranks."""
        return dict(zip(self.names, self._draws.rows, strict=True))

    def _phases(self, step: int) -> list[Phase]:
        """The schedule from the beginning of a step on."""
        starts = sorted(self.schedule)
        current = max(s for s in starts if s <= step)
        later = [s for s in starts if s > step]
        bounds = [step, *later]
        weights = [self.schedule[s] for s in (current, *later)]
        sizes = [(b - a) * self.rows_per_step for a, b in pairwise(bounds)]
        return [Phase(n, w) for n, w in zip([*sizes, None], weights, strict=True)]

    def _draw_step(self, draws: Draws, step: int) -> list[tuple[int, int]] | None:
        """(source, position in its order) of every row of a step; None where the loader ends before it."""
        phases = self._phases(step)
        drawn: list[tuple[int, int]] = []
        while len(drawn) < self.rows_per_step:
            before = draws.copy()
            first = phases[0].n_rows
            rest = [Phase(None if first is None else first - len(drawn), phases[0].weights), *phases[1:]]
            for source in draw(draws, rest):
                if self.exhausted != "repeat" and draws.rows[source] > self._limits[source]:
                    break
                drawn.append((source, draws.rows[source] - 1))
                if len(drawn) == self.rows_per_step:
                    return drawn
                before = draws.copy()
            else:
                return None  # nothing has a weight that is left
            if self.exhausted == "stop":
                return None
            draws.rows, draws.behind = before.rows, before.behind
            draws.leave_out(source)
        return drawn

    def _read(self, drawn: list[tuple[int, int]]) -> MixedBatch:
        sources = np.array([s for s, _ in drawn], np.int64)
        rows = np.empty(len(drawn), np.int64)
        any_set = self.datasets[self.names[0]]
        tokens: Tokens = np.empty((len(drawn), any_set.row_length), any_set.dtype)
        targets = np.empty(tokens.shape, np.int64)
        for source in np.unique(sources).tolist():
            here = np.flatnonzero(sources == source)
            positions = np.array([drawn[i][1] for i in here.tolist()], np.int64)
            rows[here] = self._orders[source].rows_at(positions)
            tokens[here], targets[here] = self.datasets[self.names[source]].batch(rows[here])
        return MixedBatch(tokens, targets, sources, rows)

    def state_dict(self) -> dict[str, Any]:
        """Steps, rows of every source and how far it is behind, of which data sets: the same on every rank. Strings,
        numbers and dictionaries of these."""
        return {"step": self._step, "rows": self.rows, "behind": dict(zip(self.names, map(str, self._draws.behind),
                                                                          strict=True)),
                "gone": [self.names[i] for i in sorted(self._draws.gone)], "seed": self.seed,
                "datasets": {name: dataset.digest for name, dataset in self.datasets.items()},
                "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, with any number of ranks. The schedule may be another one from here on.

        Args:
            state: What `state_dict` gave.
        Raises:
            DatasetMismatchError: The state is of other data sets or another seed, or is no such state.
        """
        digests = {name: dataset.digest for name, dataset in self.datasets.items()}
        if state.get("datasets") != digests or state.get("seed") != self.seed:
            theirs: Any = state.get("datasets") or {}
            other = [n for n in {*digests, *theirs} if theirs.get(n) != digests.get(n)]
            what = f"another data set of {', '.join(sorted(other))}" if other else f"seed {state.get('seed')!r}"
            raise DatasetMismatchError(f"the checkpoint was made with {what}", where="MixedLoader",
                                       hint="open the data sets and the seed that the checkpoint names")
        try:
            draws = Draws([int(state["rows"][n]) for n in self.names],
                          [Fraction(state["behind"][n]) for n in self.names],
                          {self.names.index(n) for n in state["gone"]})
            step = int(state["step"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetMismatchError(f"the checkpoint lacks {error}", where="MixedLoader",
                                       hint="it is not a state of a MixedLoader") from error
        self._draws, self._step = draws, step
        if state.get("weights") != self.weights:
            _LOG.info("step %d: weights %s, where the checkpoint has %s", step, self.weights, state.get("weights"))


def open_mixture(path: str | os.PathLike[str], split: str, **options: Any
                 ) -> tuple[dict[str, PackedDataset], dict[str, float]]:
    """The data sets that `curate pack --by-source` wrote, and their target shares.

    Args:
        path: The folder, or its URL.
        split: `train` or `val`.
        options: As `PackedDataset` takes them.
    Returns:
        (data sets by source, weights by source), as `MixedLoader` takes them.
    Raises:
        InputError: There is no such folder, or a data set is missing.
    """
    file = join(os.fspath(path), MIXTURE)
    try:
        with open_read(file) as stream:
            sources = json.load(stream)["sources"]
        paths = {str(s["name"]): posixpath.normpath(str(s["path"])) for s in sources}
        weights = {str(s["name"]): float(s["weight"]) for s in sources}
    except (InputError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot be read: {error}", where=file,
                         hint="give what `curate pack --by-source` wrote") from error
    for name, folder in paths.items():
        if folder.startswith(("/", "..")) or "://" in folder:
            raise InputError(f"source {name!r} lies outside the folder", where=file)
    return {name: PackedDataset(join(os.fspath(path), folder), split, **options)
            for name, folder in paths.items()}, weights


def _check_together(datasets: Mapping[str, PackedDataset]) -> None:
    if not datasets:
        raise InputError("there is no data set to mix", where="MixedLoader")
    first = next(iter(datasets.values()))
    for name, dataset in datasets.items():
        for what in ("row_length", "tokenizer_sha256", "dtype", "eot_id"):
            if getattr(dataset, what) != getattr(first, what):
                raise InputError(f"{name} has {what} {getattr(dataset, what)}, and {first.folder} "
                                 f"{getattr(first, what)}", where=str(dataset.folder),
                                 hint="pack all sources with one tokenizer and row length")
        if not len(dataset):
            raise InputError(f"split {dataset.split!r} has no rows", where=str(dataset.folder),
                             hint="leave the source out, or pack more of it")
