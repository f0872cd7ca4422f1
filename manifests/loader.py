"""An order over a dataset's rows that any number of ranks can follow and resume exactly.

Nothing is shuffled in memory: orders are functions of a position (`manifests.order`), so a loader's state is how many
rows it handed out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from manifests.dataset import IGNORED, PackedDataset, Segments
from manifests.errors import DatasetMismatchError, InputError, RecipeError
from manifests.order import RowOrder, Skips
from manifests.row_reader import Empty
from manifests.shard import Tokens
from manifests.steps_ahead import NO_ROW, StepRows, StepsAhead

_ROWS_FETCHED_AHEAD = 1 << 19  # whose shards a dataset behind a URL fetches
_ADVICE = ("data-parallel ranks read different rows, and ranks of one tensor, context or pipeline group the same: give "
           "the rank and the number of the data-parallel ones")


class Batch(NamedTuple):
    """One rank's part of a step: tokens [batch_rows, T], targets int64 [batch_rows, T], rows int64 [batch_rows].

    Where a finite loader's rows do not fill its last step, row -1 stands for none: end-of-text, and nothing learned."""

    tokens: Tokens
    targets: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class PackedLoader:
    """An iterator of batches, exact at any step and for any number of ranks.

    The order is the concatenation of epochs, each a permutation of all rows; in a staged mixture each phase is permuted
    by itself, and the phases follow one another. A step takes the next batch_rows * world_size rows, and rank r the
    r-th slice, so the global batch does not depend on the number of ranks.

    Args:
        dataset: The rows of one split.
        batch_rows: Rows of a batch on one rank.
        rank: This data-parallel rank, from 0: ranks of one tensor, context or pipeline group have the same one. 0 where
            RANK and WORLD_SIZE are not set.
        world_size: How many data-parallel ranks there are.
        seed: Names the order; another seed is another order.
        order: `rows`, `shards` or `sequence`: see `manifests.order`.
        window_shards: Shards whose rows are shuffled together, with `shards`.
        passes: Epochs after which iteration stops; None: never. `auto`: after one where the mixture has phases, whose
            first one should not follow the last, else never. The last step is filled up with no rows, so that every
            rank has as many steps.
    Raises:
        ValueError: A number or an order is out of range.
        InputError: The split has no rows.
        RecipeError: RANK and WORLD_SIZE say that there are several processes, and the rank is not given.
    """

    def __init__(self, dataset: PackedDataset, batch_rows: int, rank: int | None = None, world_size: int | None = None,
                 seed: int = 0, order: str = "rows", window_shards: int = 8,
                 passes: int | Literal["auto"] | None = "auto") -> None:
        if rank is None or world_size is None:
            rank, world_size = _only_rank()
        if batch_rows < 1 or not 0 <= rank < world_size:
            raise ValueError(f"batch_rows {batch_rows}, rank {rank}, world_size {world_size}: "
                             "need batch_rows >= 1 and 0 <= rank < world_size")
        if not len(dataset):
            raise InputError(f"split {dataset.split!r} has no rows", where=dataset.where,
                             hint="open the split that has rows, or pack with a larger share for this one")
        if passes == "auto":
            passes = 1 if len(dataset.phase_ends) > 1 else None
        if passes is not None and passes < 1:
            raise ValueError(f"passes {passes}: need at least 1, or None")
        self.dataset, self.passes = dataset, passes
        self.batch_rows, self.rank, self.world_size, self.seed = batch_rows, rank, world_size, seed
        self.order = RowOrder(dataset.first_rows, dataset.phase_ends, seed, order, window_shards)
        self._skips = Skips()
        self._rows_handed_out = 0
        self._ahead = StepsAhead(dataset, batch_rows, self.rows_per_step)
        self._fetching = -len(dataset)  # rows handed out when what comes next was last asked for

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self.is_finished(self._rows_handed_out):
            raise StopIteration
        batch = self.at(self._rows_handed_out)
        self._rows_handed_out += self.rows_per_step
        return batch

    def __len__(self) -> int:
        """Steps of all passes, or of one epoch where there is no end; what is skipped is not counted."""
        return -(-self._skips.before((self.passes or 1) * len(self.dataset)) // self.rows_per_step)

    @property
    def rows_per_step(self) -> int:
        """Rows of a step over all ranks."""
        return self.batch_rows * self.world_size

    @property
    def epoch(self) -> int:
        """The pass over the split that the next row is of, from 0; the number of passes at the end."""
        finished = self.is_finished(self._rows_handed_out)
        return self.order.phase_at(self._within_passes())[0] + finished

    @property
    def phase(self) -> int:
        """The phase of a staged mixture that the next row is of, from 0; the last one at the end."""
        return self.order.phase_at(self._within_passes())[1]

    @property
    def position(self) -> int:
        """Where the next row stands in the order: rows handed out, and those skipped before it."""
        return int(self._skips.positions(np.array([self._rows_handed_out]))[0])

    def go_to(self, handed_out: int) -> None:
        """Let the next batch be the one that begins when so many rows, over all ranks, have been handed out."""
        self._rows_handed_out = handed_out

    def is_finished(self, handed_out: int) -> bool:
        """Whether all passes are done when so many rows have been handed out."""
        return self.passes is not None and handed_out >= self._skips.before(self.passes * len(self.dataset))

    def at(self, handed_out: int) -> Batch:
        """This rank's batch of the step that begins when so many rows, over all ranks, have been handed out."""
        return self.read(handed_out)[0]

    def with_segments(self, handed_out: int) -> tuple[Batch, Segments]:
        """`at`, and the documents of its rows."""
        batch, segments = self.read(handed_out, documents=True)
        assert segments is not None
        return batch, segments

    def read(self, handed_out: int, documents: bool = False, as_int64: bool = False, empty: Empty = np.empty
             ) -> tuple[Batch, Segments | None]:
        """`at`, and what `PackedDataset.read` gives where it is asked for."""
        rows = self._ahead.rows(handed_out, self._rows_of_steps)
        if self.passes is None or rows[-1] != NO_ROW:
            known = self._ahead.known(handed_out, documents, self._rows_of_steps)
            tokens, targets, segments = self.dataset.read(rows, documents, as_int64, empty, known)
            return Batch(tokens, targets, rows), segments
        tokens, targets, segments = self.dataset.read(rows[rows != NO_ROW], documents, as_int64)
        if segments is not None:
            segments = segments.with_empty_rows(len(rows) - len(tokens), self.dataset.row_length)
        return self._filled(rows, tokens, targets), segments

    def rows(self, first: int, n: int) -> npt.NDArray[np.int64]:
        """Numbers of the n rows that follow when so many have been handed out, int64 [n]; -1 behind the end."""
        return self._rows_at(np.arange(first, first + n, dtype=np.int64))

    def skip_rows(self, ranges: Sequence[Sequence[int]]) -> None:
        """Pass over rows to come, such as those before which the loss went up; the state keeps it.

        Args:
            ranges: Half-open ranges of positions in the order (`position`); none may begin before the next row's.
        Raises:
            ValueError: A range is empty, or begins before the position: what was handed out cannot be changed.
        """
        if any(int(first) < self.position for first, _ in ranges):
            raise ValueError(f"rows before position {self.position} have been handed out and cannot be skipped")
        self._skips = Skips([*self._skips.ranges, *ranges])
        self._ahead.forget()

    def state_dict(self) -> dict[str, Any]:
        """How far the order has come: rows handed out over all ranks, the dataset's digest, split, seed, tokenizer.

        The same on every rank, so one rank may save it; always the same names, and plain numbers and strings."""
        return {"rows": self._rows_handed_out, "dataset": self.dataset.digest,
                                 "split": self.dataset.split, "seed": self.seed,
                                 "tokenizer": self.dataset.tokenizer_sha256, "order": self._order_name(),
                                 "skipped": str(self._skips)}

    def load_state_dict(self, state: Mapping[str, Any], accept_successor: bool = False) -> None:
        """Go on where a state was taken, with any number of ranks and any batch_rows: the state counts rows.

        Args:
            state: What `state_dict` gave.
            accept_successor: Also take a state of a dataset that this one supersedes: `curate remove` lets every row
                keep its number.
        Raises:
            DatasetMismatchError: The state is of another dataset, split, seed, order or tokenizer, or is no such state.
        """
        own = self.state_dict()
        state = {"order": "rows", **state}  # states of 0.1.0 do not name it
        before = self.dataset.superseded() if state.get("dataset") != own["dataset"] else set()
        for name in ("tokenizer", "dataset", "split", "seed", "order"):
            if name == "dataset" and accept_successor and state.get(name) in before:
                continue
            if state.get(name) != own[name]:
                hint = f"open the dataset and {name} that the checkpoint names"
                if name == "dataset" and state.get(name) in before:
                    hint = "documents were removed since; accept_successor=True goes on without them"
                raise DatasetMismatchError(f"the checkpoint was made with {name} {state.get(name)!r}, here it is "
                                           f"{own[name]!r}", where=self.dataset.where, hint=hint)
        if not isinstance(state.get("rows"), int) or state["rows"] < 0:
            raise DatasetMismatchError(f"the checkpoint says that {state.get('rows')!r} rows were handed out",
                                       where=self.dataset.where, hint="it is not a state of a PackedLoader")
        self._rows_handed_out = state["rows"]
        self._skips = Skips.parse(str(state.get("skipped", "")))
        self._ahead.forget()

    def _within_passes(self) -> int:
        """The position, or that of the last row where all passes are done."""
        last = self.position if self.passes is None else self.passes * len(self.dataset) - 1
        return min(self.position, last)

    def _order_name(self) -> str:
        order = self.order
        return f"{order.kind}-{order.window_shards}" if order.kind == "shards" else order.kind

    def _rows_of_steps(self, handed_out: int, steps: int, distance: int) -> StepRows:
        """This rank's rows of the steps that begin when so many rows were handed out, and so many further each; int64
        [steps, batch_rows]."""
        self._fetch_ahead(handed_out)
        firsts = handed_out + self.rank * self.batch_rows + distance * np.arange(steps, dtype=np.int64)
        return self._rows_at((firsts[:, None] + np.arange(self.batch_rows)).ravel()).reshape(steps, -1)

    def _fetch_ahead(self, handed_out: int) -> None:
        """Let a dataset behind a URL fetch what is read next; every rank asks for the same."""
        n_rows = min(_ROWS_FETCHED_AHEAD, len(self.dataset))
        if not self.dataset.is_remote or self._fetching <= handed_out < self._fetching + n_rows // 4:
            return
        self._fetching = handed_out
        rows = self.rows(handed_out, n_rows)
        self.dataset.fetch_ahead(rows[rows != NO_ROW])

    def _rows_at(self, handed_out: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Numbers of rows by how many were handed out before them, int64 [n]; -1 behind the end."""
        positions = self._skips.positions(handed_out)
        if self.passes is None:
            return self.order.rows_at(positions)
        inside = positions < self.passes * len(self.dataset)
        rows = np.full(len(positions), NO_ROW, np.int64)
        rows[inside] = self.order.rows_at(positions[inside])
        return rows

    def _filled(self, rows: npt.NDArray[np.int64], tokens: Tokens, targets: npt.NDArray[np.int64]) -> Batch:
        """A batch whose last rows are none: end-of-text, and nothing to learn."""
        all_tokens = np.full((len(rows), self.dataset.row_length), self.dataset.eot_id, tokens.dtype)
        all_targets = np.full(all_tokens.shape, IGNORED, np.int64)
        all_tokens[: len(tokens)], all_targets[: len(tokens)] = tokens, targets
        return Batch(all_tokens, all_targets, rows)


def _only_rank() -> tuple[int, int]:
    """(0, 1), where the environment does not speak of several processes."""
    rank, world = os.environ.get("RANK"), os.environ.get("WORLD_SIZE", "1")
    if rank is not None and world != "1":
        raise RecipeError(f"RANK is {rank} and WORLD_SIZE {world}, but the loader is not told its rank",
                          where="PackedLoader(rank=, world_size=)", hint=_ADVICE)
    return 0, 1
