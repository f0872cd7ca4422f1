"""The loader of a training loop: tensors on a device, prepared ahead, in the order of `manifests.PackedLoader`.

A thread, and worker processes where asked for, work ahead; `state_dict` counts what the training loop has been given,
never what was only prepared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from manifests.dataset import PackedDataset
from manifests.errors import RecipeError
from manifests.loader import PackedLoader
from manifests.torch.ahead import Ahead, moved
from manifests.torch.batches import Steps, TorchBatch
from manifests.torch.ranks import data_parallel_rank

_ABANDONED: list[Ahead] = []  # of the process that this one was forked from: their threads are not here to be joined


class TorchLoader:
    """An iterator of TorchBatch, in the order of `manifests.PackedLoader`.

    On CUDA, batches are copied from pinned memory on a stream of their own, so the training stream never waits for a
    copy that is already done. Close it, or leave it to the garbage collector. It can be pickled, and goes on after a
    fork: the child prepares its own batches, from where the parent was.

    Args:
        dataset: The rows of one split.
        batch_rows: Rows of a batch on one rank.
        dp_rank: This data-parallel rank, and
        dp_size: how many there are; see `ranks.data_parallel_rank` for where they come from when they are not given.
        seed: Names the order.
        device: Where tokens and targets go.
        documents: Whether batches say what the row index does: boundaries, positions and sources.
        workers: Processes that read; 0 is a thread alone, enough for local disks.
        ahead: Steps prepared before they are asked for; 0: none, and there is no thread.
        mesh: The data-parallel dimensions of a device mesh, in place of dp_rank and dp_size.
        order: As `PackedLoader` takes it, with window_shards and passes.
        window_shards: Shards whose rows are shuffled together.
        passes: Epochs after which iteration stops.
        max_documents: Room for so many documents and gaps in every batch, so that all shapes stay the same.
        segment_ids: Whether batches have segment_ids and document_ids, for masks.
    Raises:
        ValueError: A number is out of range.
        InputError: The split has no rows.
        RecipeError: Which data-parallel rank this is cannot be known.
    """

    def __init__(self, dataset: PackedDataset, batch_rows: int, dp_rank: int | None = None, dp_size: int | None = None,
                 seed: int = 0, device: str | torch.device = "cpu", documents: bool = False, workers: int = 0,
                 ahead: int = 8, *, mesh: Any = None, order: str = "rows", window_shards: int = 8,
                 passes: int | Literal["auto"] | None = "auto", max_documents: int | None = None,
                 segment_ids: bool = False) -> None:
        if workers < 0 or ahead < 0 or (workers and not ahead):
            raise ValueError(f"workers {workers}, ahead {ahead}: need workers >= 0, and ahead >= 1 or no workers")
        self._rank_is_given = mesh is not None or dp_rank is not None
        rank, size = data_parallel_rank(mesh, dp_rank, dp_size)
        self.dataset, self.device = dataset, torch.device(device)
        self.order = PackedLoader(dataset, batch_rows, rank, size, seed, order, window_shards, passes)
        self.workers, self.ahead = workers, ahead
        self._steps = Steps(self.order, documents, max_documents, segment_ids)
        self._handed_out = 0
        self._running: Ahead | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_running": None}

    def __iter__(self) -> Iterator[TorchBatch]:
        return self

    def __next__(self) -> TorchBatch:
        if self._running is not None and not self._running.is_here:
            _ABANDONED.append(self._running)
            self._running = None
        if not self.ahead:
            return self._without_thread()
        if self._running is None:
            if not self._rank_is_given and data_parallel_rank() != (self.order.rank, self.order.world_size):
                raise RecipeError("the process group was initialised after the loader was made", where="TorchLoader",
                                  hint="initialise it before, or give dp_rank= and dp_size=")
            self._running = Ahead(self._batches(self._handed_out), self.device, self.ahead)
        batch = self._running.take()
        self._handed_out += self.order.rows_per_step
        return batch

    def __len__(self) -> int:
        """Steps of all passes, or of one epoch where there is no end."""
        return len(self.order)

    @property
    def epoch(self) -> int:
        """The pass over the split that the next row is of, from 0; the number of passes at the end."""
        return self._given().epoch

    @property
    def phase(self) -> int:
        """The phase of a staged mixture that the next row is of, from 0; the last one at the end."""
        return self._given().phase

    @property
    def position(self) -> int:
        """Where the next row stands in the order: rows handed out, and those skipped before it."""
        return self._given().position

    def state_dict(self) -> dict[str, Any]:
        """Rows handed out over all ranks, and of what; the same on every rank, so one rank may save it."""
        return self.order.state_dict() | {"rows": self._handed_out}

    def load_state_dict(self, state: Mapping[str, Any], accept_successor: bool = False) -> None:
        """Go on where a state was taken, with any world size and batch_rows; DatasetMismatchError for other data.

        accept_successor: as `PackedLoader.load_state_dict` takes it, after documents were removed."""
        self.close()
        self.order.load_state_dict(state, accept_successor)
        self._handed_out = int(state["rows"])

    def skip_rows(self, ranges: Sequence[Sequence[int]]) -> None:
        """Pass over rows to come, by ranges of positions in the order; see `PackedLoader.skip_rows`."""
        self.close()
        self._given().skip_rows(ranges)

    def close(self) -> None:
        """Stop working ahead; the next batch starts again where the last one ended."""
        if self._running is not None and self._running.is_here:
            self._running.close()
        self._running = None

    def __del__(self) -> None:
        if getattr(self, "_running", None) is not None:
            self.close()

    def _without_thread(self) -> TorchBatch:
        if self.order.is_finished(self._handed_out):
            raise StopIteration
        batch = self._steps[self._handed_out]
        self._handed_out += self.order.rows_per_step
        return moved(batch, self.device)

    def _given(self) -> PackedLoader:
        """The order, at the last batch that was handed out."""
        self.order.go_to(self._handed_out)
        return self.order

    def _batches(self, first: int) -> Iterator[TorchBatch]:
        """Batches in host memory from a position in the order on, by this process or by workers of DataLoader."""
        positions = itertools.takewhile(lambda n: not self.order.is_finished(n),
                                        itertools.count(first, self.order.rows_per_step))
        if not self.workers:
            return map(self._steps.__getitem__, positions)
        return iter(DataLoader(self._steps, batch_size=None, sampler=positions, num_workers=self.workers,
                               prefetch_factor=self.ahead, multiprocessing_context="forkserver"))
