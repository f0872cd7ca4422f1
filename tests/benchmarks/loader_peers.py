"""The loader beside other loaders of token rows, one in each environment that the Makefile makes for it.

    python -m tests.benchmarks.loader_peers nanogpt|megatron|streaming|litdata

The same rows of random uint16 tokens, in 16 shards, in each loader's own format, read in a shuffled order of its own
from the page cache: batches of 32 rows of 2,048, as int64 tensors. Rounds take turns; times are the process's own CPU
time, all threads together. Ours is `TorchLoader`, tokens and targets, in concat; with documents, whose cost stands
beside it, and in best_fit, it does more than any of them.

    nanogpt     get_batch of nanoGPT's train.py: a memory map of one file, random offsets, inputs and shifted targets
    megatron    GPTDataset of megatron-core, a document a row, no masks, samples collated by torch
    streaming   StreamingDataset of MosaicML streaming: a row a sample of an MDS shard (ndarray uint16), default
                shuffling of one node, collated by a DataLoader without workers and widened
    litdata     StreamingDataset with TokensLoader: rows cut out of binary chunks, collated by its DataLoader
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from manifests import PackedDataset
from manifests.torch import TorchLoader
from tests.benchmarks.loader import BATCH_ROWS, BareGather, make_dataset, megatron

ROW, SHARDS, SHARD_TOKENS = 2048, 16, 1 << 22
ROUNDS, STEPS = 9, 12
Step = Callable[[int], Any]


def nanogpt(folder: Path, bare: BareGather) -> Step:
    """nanoGPT's get_batch on a CPU, as published."""
    import torch

    path = folder / "train.bin"
    np.concatenate(bare.maps).tofile(path)

    def get_batch(_: int) -> Any:
        data = np.memmap(path, dtype=np.uint16, mode="r")  # a new one each time, against a leak, as it says
        ix = torch.randint(len(data) - ROW, (BATCH_ROWS,))
        x = torch.stack([torch.from_numpy((data[i : i + ROW]).astype(np.int64)) for i in ix])
        y = torch.stack([torch.from_numpy((data[i + 1 : i + 1 + ROW]).astype(np.int64)) for i in ix])
        return x, y

    return get_batch


def of_megatron(folder: Path, bare: BareGather) -> Step:
    """Megatron's GPTDataset, its samples collated as its DataLoader does."""
    from torch.utils.data import default_collate

    samples = megatron(folder, bare, (ROUNDS + 1) * STEPS * BATCH_ROWS * 2)
    return lambda step: default_collate(samples(step))


def endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def streaming(folder: Path, bare: BareGather) -> Step:
    """MosaicML's StreamingDataset. Its part for images, which is not needed, wants a torchvision built for the same
    torch: that of PyPI is not for a torch without CUDA."""
    sys.modules.setdefault("streaming.vision", ModuleType("streaming.vision"))
    from streaming import MDSWriter, StreamingDataset
    from torch.utils.data import DataLoader

    out = str(folder / "mds")
    with MDSWriter(out=out, columns={"tokens": f"ndarray:uint16:{ROW}"}) as writer:
        for stream in bare.maps:
            for start in range(0, len(stream), ROW):
                writer.write({"tokens": np.array(stream[start : start + ROW])})
    data = StreamingDataset(local=out, shuffle=True, batch_size=BATCH_ROWS)
    batches = endless(DataLoader(data, batch_size=BATCH_ROWS))
    return lambda _: next(batches)["tokens"].long()


def litdata(folder: Path, bare: BareGather) -> Step:
    """litdata's StreamingDataset of tokens."""
    import torch
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    out = str(folder / "litdata")
    os.makedirs(out)
    writer = BinaryWriter(out, chunk_size=SHARD_TOKENS, item_loader=TokensLoader(ROW))
    index = 0
    for stream in bare.maps:
        for start in range(0, len(stream), ROW):
            writer[index] = torch.from_numpy(np.array(stream[start : start + ROW]))
            index += 1
    writer.done()
    writer.merge()
    data = StreamingDataset(out, item_loader=TokensLoader(ROW), shuffle=True, drop_last=True)
    batches = endless(StreamingDataLoader(data, batch_size=BATCH_ROWS))
    return lambda _: next(batches).long()


PEERS: dict[str, Callable[[Path, BareGather], Step]] = {
    "nanogpt": nanogpt, "megatron": of_megatron, "streaming": streaming, "litdata": litdata}


def seconds(step: Step, n: int) -> float:
    """CPU seconds of a step of this process, over n of them."""
    begin = time.process_time()
    for i in range(n):
        step(i)
    return (time.process_time() - begin) / n


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("peer", choices=PEERS)
    peer = parser.parse_args().peer
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours: dict[str, Step] = {}
        for packing in ("concat", "best_fit"):
            make_dataset(folder / packing, SHARDS, SHARD_TOKENS, ROW, packing)
            for label, documents in ((packing, False), (f"{packing} with documents", True)):
                loader = TorchLoader(PackedDataset(folder / packing, "train"), BATCH_ROWS, documents=documents)
                ours[label] = lambda _, loader=loader: next(loader)  # type: ignore[misc]
        theirs = PEERS[peer](folder, BareGather(folder / "concat", ROW))
        times: dict[str, list[float]] = {label: [] for label in (*ours, peer)}
        for turn in range(-1, ROUNDS):  # the first round opens files and is not counted
            for label, step in {**ours, peer: theirs}.items():
                took = seconds(step, STEPS * (1 if label == peer else 8))
                if turn >= 0:
                    times[label].append(took)
        for label, values in times.items():
            ratio = np.percentile(np.array(times[peer]) / np.array(values), [25, 50, 75])
            print(f"| {peer} | {label} | {BATCH_ROWS * ROW / np.median(values) / 1e6:.1f} | {ratio[1]:.1f} "
                  f"| {ratio[0]:.1f} to {ratio[2]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
