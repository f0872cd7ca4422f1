"""The packed dataset as `torch.utils.data` knows data sets: rows by number, and a stream that resumes.

Both give `input_ids`, `labels` and `position_ids`, int64, as models of Hugging Face's transformers take them: such a
model shifts labels itself, so `labels` are the tokens themselves, -100 where they are not to be learned. `targets` of
`TorchBatch` are shifted already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from manifests.dataset import IGNORED, PackedDataset
from manifests.loader import PackedLoader
from manifests.torch.ranks import data_parallel_rank

Example = dict[str, torch.Tensor]


class PackedRows(Dataset[Example]):  # type: ignore[misc]
    """Rows by number, for samplers of one's own and trainers that shuffle themselves.

    Args:
        dataset: The rows of one split.
    """

    def __init__(self, dataset: PackedDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> Example:
        """input_ids, labels and position_ids of a row, int64 [T]; IndexError where there is none."""
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: list[int]) -> list[Example]:
        """The same of several rows, read at once: what DataLoader asks for where a dataset can do it."""
        numbers = np.array([r + len(self) if r < 0 else r for r in rows], np.int64)
        tokens, targets, segments = self.dataset.read(numbers, as_int64=True)
        assert segments is not None
        batch = _example(tokens, targets, segments.position_ids)
        return [{name: values[i] for name, values in batch.items()} for i in range(len(rows))]


class PackedStream(IterableDataset[Example]):  # type: ignore[misc]
    """This rank's rows in the order of `manifests.PackedLoader`, for DataLoader and what is built on it.

    With batched=True give it to a DataLoader with batch_size=None: it yields whole batches, [batch_rows, T]. Else it
    yields rows, [T], for a DataLoader whose batch_size is batch_rows. W worker processes take every W-th step, so
    batches come in the order. It keeps a state of its own (`Stateful`); in worker processes torchdata's
    StatefulDataLoader saves it, and wants as many workers when it resumes. A TorchLoader's state does not depend on
    that.

    Args:
        dataset: The rows of one split.
        batch_rows: Rows of a batch on one rank.
        dp_rank: As `TorchLoader` takes it, with dp_size and mesh.
        dp_size: How many data-parallel ranks there are.
        seed: Names the order.
        batched: Whether it yields batches or rows.
        mesh: The data-parallel dimensions of a device mesh.
        order: As `PackedLoader` takes it, with window_shards and passes.
        window_shards: Shards whose rows are shuffled together.
        passes: Epochs after which iteration stops.
    """

    def __init__(self, dataset: PackedDataset, batch_rows: int, dp_rank: int | None = None, dp_size: int | None = None,
                 seed: int = 0, batched: bool = True, *, mesh: Any = None, order: str = "rows", window_shards: int = 8,
                 passes: int | Literal["auto"] | None = "auto") -> None:
        rank, size = data_parallel_rank(mesh, dp_rank, dp_size)
        self.order = PackedLoader(dataset, batch_rows, rank, size, seed, order, window_shards, passes)
        self.batched = batched
        self._next = 0  # rows handed out, over all ranks, when the next step begins
        self._rows_of_step = 0  # of that step, already given
        self._workers = 0  # how many share the order in turns; 0: the state is not of one of them

    def __iter__(self) -> Iterator[Example]:
        worker = get_worker_info()
        n_workers = worker.num_workers if worker is not None else 1
        if worker is not None and not self._workers:
            self._next += worker.id * self.order.rows_per_step
        self._workers = n_workers if worker is not None else 0
        while not self.order.is_finished(self._next):
            handed_out, first = self._next, self._rows_of_step
            batch, segments = self.order.with_segments(handed_out)
            example = _example(batch.tokens, batch.targets, segments.position_ids)
            after = handed_out + n_workers * self.order.rows_per_step
            n_rows = int(np.count_nonzero(batch.rows >= 0))  # fewer than batch_rows in the last step of a finite order
            if not self.batched:
                for i in range(first, n_rows - 1):
                    self._rows_of_step = i + 1
                    yield {name: values[i] for name, values in example.items()}
            self._next, self._rows_of_step = after, 0
            if self.batched:
                yield example
            elif n_rows:
                yield {name: values[n_rows - 1] for name, values in example.items()}

    def state_dict(self) -> dict[str, Any]:
        """Where the next row comes from, in this process: that of `PackedLoader`, and turns among workers."""
        return self.order.state_dict() | {"rows": self._next, "rows_of_step": self._rows_of_step,
                                          "workers": self._workers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken; DatasetMismatchError for other data."""
        self.order.load_state_dict(state)
        self._next, self._rows_of_step = int(state["rows"]), int(state.get("rows_of_step", 0))
        self._workers = int(state.get("workers", 0))


def _example(tokens: Any, targets: Any, position_ids: Any) -> Example:
    """labels: what is learned of each row, unshifted; a row's first token is predicted by none."""
    labels = np.empty(targets.shape, np.int64)
    labels[:, 0] = IGNORED
    labels[:, 1:] = targets[:, :-1]
    return {"input_ids": torch.from_numpy(tokens.astype(np.int64)), "labels": torch.from_numpy(labels),
            "position_ids": torch.from_numpy(position_ids.astype(np.int64))}
