"""A packed dataset in torchtitan: a data loader of its configuration, with a state that any number of ranks may load.

In a torchtitan configuration:

    dataloader=PackedDataLoader.Config(dataset_path="runs/gpt3")

Its `training.seq_len` is the row length that the dataset was packed with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torchtitan.components.dataloader import BaseDataLoader, DataloaderExhaustedError

from manifests.dataset import PackedDataset
from manifests.errors import RecipeError
from manifests.torch import TorchLoader


class PackedDataLoader(BaseDataLoader):  # type: ignore[misc]
    """Batches of ({"input", "positions"}, labels), in the order of `TorchLoader`.

    Args:
        config: Which dataset and order.
        dp_world_size: How many data-parallel ranks there are, as torchtitan counts them.
        dp_rank: This one.
        seq_len: Tokens of a row.
        local_batch_size: Rows of a batch on one rank.
    Raises:
        RecipeError: Rows have another length than seq_len.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(BaseDataLoader.Config):  # type: ignore[misc]
        """dataset_path: a run, or its packed folder. split, seed, order, passes: as `TorchLoader` takes them."""

        split: str = "train"
        seed: int = 0
        order: str = "rows"
        passes: int | None = None

    def __init__(self, config: Config, *, dp_world_size: int, dp_rank: int, seq_len: int, local_batch_size: int,
                 **_: Any) -> None:
        data = PackedDataset(config.dataset_path, config.split)
        if data.row_length != seq_len:
            raise RecipeError(f"rows have {data.row_length} tokens, training.seq_len is {seq_len}",
                              where=config.dataset_path, hint="set training.seq_len to the row length")
        self.loader = TorchLoader(data, local_batch_size, dp_rank, dp_world_size, config.seed, documents=True,
                                  order=config.order, passes=config.passes)

    def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        for batch in self.loader:
            assert batch.position_ids is not None
            yield {"input": batch.tokens, "positions": batch.position_ids.long()}, batch.targets  # it gathers by them
        raise DataloaderExhaustedError

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if state_dict:
            self.loader.load_state_dict(state_dict)
