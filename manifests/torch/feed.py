"""Batches of a mixture or of one length each as tensors on a device, prepared ahead.

`MixedLoader` and `LengthLoader` decide step by step what comes next, so a thread goes through them in order; a state is
that of the loader when the batch was made that was handed out last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from manifests.length_loader import LengthLoader
from manifests.mixed import MixedBatch, MixedLoader
from manifests.torch.ahead import Ahead, moved
from manifests.torch.batches import TorchBatch

_ABANDONED: list[Ahead] = []  # of the process that this one was forked from: their threads are not here to be joined


class TorchFeed:
    """An iterator of TorchBatch with the batches of another loader: tokens, targets, and `rows` (of a LengthLoader the
    numbers of sequences); of a MixedLoader, `sources` as well, numbers in its `names`.

    The loader is this one's from then on: iterate over, save and load the feed alone. It can be pickled, and goes on
    after a fork, as `TorchLoader` does.

    Args:
        loader: A `MixedLoader` or a `LengthLoader`, of this data-parallel rank.
        device: Where tokens and targets go.
        ahead: Steps prepared before they are asked for; 0: none, and there is no thread.
    Raises:
        ValueError: `ahead` is below 0.
    """

    def __init__(self, loader: MixedLoader | LengthLoader, device: str | torch.device = "cpu", ahead: int = 8) -> None:
        if ahead < 0:
            raise ValueError(f"ahead {ahead}: need at least 0")
        self.loader, self.device, self.ahead = loader, torch.device(device), ahead
        self._state = loader.state_dict()
        self._states: deque[dict[str, Any]] = deque()  # after each batch that is prepared
        self._running: Ahead | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_running": None, "_states": deque(), "loader": None, "_loader": self._rewound()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({k: v for k, v in state.items() if k != "_loader"}, loader=state["_loader"])

    def __iter__(self) -> Iterator[TorchBatch]:
        return self

    def __next__(self) -> TorchBatch:
        if self._running is not None and not self._running.is_here:
            _ABANDONED.append(self._running)
            self.close()
        if not self.ahead:
            batch = moved(_tensors(next(self.loader)), self.device)
            self._state = self.loader.state_dict()
            return batch
        if self._running is None:
            self._running = Ahead(self._batches(), self.device, self.ahead)
        batch = self._running.take()
        self._state = self._states.popleft()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """What the loader's state was when it had made the batch that was handed out last."""
        return self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken; what the loader's own `load_state_dict` raises for a state of another."""
        self.close()
        self.loader.load_state_dict(state)
        self._state = self.loader.state_dict()

    def close(self) -> None:
        """Stop working ahead; the next batch is the one after the last that was handed out."""
        if self._running is not None and self._running.is_here:
            self._running.close()
        self._running = None
        self._states.clear()
        self.loader.load_state_dict(self._state)

    def __del__(self) -> None:
        running = getattr(self, "_running", None)
        if running is not None and running.is_here:
            running.close()

    def _batches(self) -> Iterator[TorchBatch]:
        for batch in self.loader:
            self._states.append(self.loader.state_dict())
            yield _tensors(batch)

    def _rewound(self) -> MixedLoader | LengthLoader:
        """The loader at the batch that was handed out last."""
        self.close()
        return self.loader


def _tensors(batch: Any) -> TorchBatch:
    tokens = torch.from_numpy(batch.tokens.astype(np.int64))
    if isinstance(batch, MixedBatch):
        return TorchBatch(tokens, torch.from_numpy(batch.targets), torch.from_numpy(batch.rows),
                          sources=torch.from_numpy(batch.sources))
    return TorchBatch(tokens, torch.from_numpy(batch.targets), torch.from_numpy(batch.sequences))
