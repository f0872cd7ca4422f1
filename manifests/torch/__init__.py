"""The packed dataset as PyTorch takes it: batches of tensors on a device, prepared ahead, resumable at any step.

    loader = TorchLoader(PackedDataset("runs/gpt3", "train"), batch_rows=8, device="cuda")
    for batch in loader:
        loss = model(batch.tokens, batch.targets)

`TorchLoader` is a loader of its own, and `TorchFeed` gives the batches of a `MixedLoader` or a `LengthLoader`;
`PackedStream` and `PackedRows` are what `torch.utils.data.DataLoader` and the trainers built on it take. Needs torch
(the extra `torch`).
"""

from __future__ import annotations

from manifests.torch.batches import Steps, TorchBatch
from manifests.torch.context import head_tail, split_documents
from manifests.torch.datasets import PackedRows, PackedStream
from manifests.torch.feed import TorchFeed
from manifests.torch.loader import TorchLoader
from manifests.torch.ranks import data_parallel_rank

__all__ = ["PackedRows", "PackedStream", "Steps", "TorchBatch", "TorchFeed", "TorchLoader", "data_parallel_rank",
           "head_tail", "split_documents"]
