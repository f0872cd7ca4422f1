"""The loader against a bare gather from memory maps, and against Megatron's GPTDataset where that is installed.

    python -m tests.benchmarks.loader [--shards 16] [--shard-tokens 4194304] [--row-length 2048]

Writes a dataset of random uint16 tokens and reads it in random order, batches of 32 rows, from the page cache, on one
thread. Every line is one pair that takes turns, step by step, over the same rows in the same order; times are the
process's own CPU time, and the ratio is the median over rounds of each round's own. The bare gather is given the order
and loops over a batch's rows, copying each from a NumPy memory map into a fresh array:

    tokens    out[i] = map[a : a + T], uint16; beside `PackedDataset.tokens`
    training  that, and targets[i] = map[a + 1 : a + T + 1], int64; beside `PackedLoader.__next__`, permutation included

Megatron's line is GPTDataset of megatron-core on the same rows, a document each, stored in its own format: no masks, no
reset of anything, its samples one by one as its DataLoader would take them, in the order of its own shuffle, not yet
collated. Beside it stand our batches as int64 tensors.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import Batch, PackedDataset, PackedLoader
from manifests.schema import PACKED_MANIFEST, SOURCES, SPANS
from manifests.shard import HEADER_BYTES, Header, write_shard
from manifests.storage import digest_file
from manifests.tables import write_table

BATCH_ROWS, ROUNDS, STEPS = 32, 15, 20


def manifest_row(index: int, n_rows: int, row_length: int, payload: str, spans: str) -> dict[str, Any]:
    facts = dict.fromkeys(PACKED_MANIFEST.names, 0)
    return facts | {
        "split": "train", "shard_index": index, "path": f"train/{index:06d}.bin", "dtype": "uint16",
        "n_tokens": n_rows * row_length, "n_rows": n_rows, "row_length": row_length, "packing": "concat",
        "eot_id": 50256, "vocab_size": 50257, "tokenizer_sha256": "00" * 32, "payload_xxh3": payload,
        "spans_path": f"train/{index:06d}.spans.parquet", "spans_xxh3": spans, "first_row": index * n_rows,
        "tokens_by_source": [], "recipe_sha256": "", "format_version": 1, "utilisation": 1.0}


def write_tables(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_table(str(folder / "manifest.parquet"), PACKED_MANIFEST, [pa.Table.from_pylist(rows, PACKED_MANIFEST)])
    write_table(str(folder / "sources.parquet"), SOURCES, [])


def make_dataset(folder: Path, shards: int, shard_tokens: int, row_length: int) -> None:
    generator = np.random.default_rng(0)
    (folder / "train").mkdir()
    rows = []
    for index in range(shards):
        base = folder / f"train/{index:06d}"
        tokens = generator.integers(0, 50257, shard_tokens).astype(np.uint16)
        done = write_shard(f"{base}.bin", tokens, Header(row_length, "concat", 50256, 50257, bytes(32), index, 0))
        write_table(f"{base}.spans.parquet", SPANS, [])
        rows.append(manifest_row(index, done.n_rows, row_length, done.payload_digest.hex(),
                                 digest_file(f"{base}.spans.parquet")))
    write_tables(folder, rows)


class BareGather:
    """Rows by NumPy memory maps and nothing else: no checks, no order of its own."""

    def __init__(self, folder: Path, row_length: int) -> None:
        # Plain arrays over the maps: slicing np.memmap itself costs a microsecond more.
        self.maps = [np.asarray(np.memmap(path, np.uint16, "r", HEADER_BYTES))
                     for path in sorted((folder / "train").glob("*.bin"))]
        self.row_length, self.rows_of_shard = row_length, len(self.maps[0]) // row_length

    def tokens(self, rows: list[int]) -> np.ndarray:
        out = np.empty((len(rows), self.row_length), np.uint16)
        for i, row in enumerate(rows):
            shard, local = divmod(row, self.rows_of_shard)
            out[i] = self.maps[shard][local * self.row_length : (local + 1) * self.row_length]
        return out

    def training(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        out = np.empty((len(rows), self.row_length), np.uint16)
        targets = np.full((len(rows), self.row_length), -100, np.int64)
        for i, row in enumerate(rows):
            shard, local = divmod(row, self.rows_of_shard)
            start = local * self.row_length
            out[i] = self.maps[shard][start : start + self.row_length]
            following = self.maps[shard][start + 1 : start + self.row_length + 1]
            targets[i, : len(following)] = following
        return out, targets


def seconds_of(step: Callable[[int], Any], first: int, n: int) -> float:
    start = time.process_time()
    for i in range(first, first + n):
        step(i)
    return time.process_time() - start


def compare(name: str, ours: Callable[[int], Any], theirs: Callable[[int], Any], tokens: int, their_steps: int = STEPS
            ) -> None:
    """Print one line. tokens: of a step of both."""
    mine, other = [], []
    for turn in range(-1, ROUNDS):  # the first round maps pages and is not counted
        a, b = 2 * (turn + 1), 2 * (turn + 1) + 1
        # Who comes second finds the rows in the processor's cache, so each does once in a round.
        times = (seconds_of(ours, a * STEPS, STEPS), seconds_of(theirs, a * their_steps, their_steps),
                 seconds_of(theirs, b * their_steps, their_steps), seconds_of(ours, b * STEPS, STEPS))
        if turn >= 0:
            mine.append((times[0] + times[3]) / (2 * STEPS))
            other.append((times[1] + times[2]) / (2 * their_steps))
    ratio = np.array(other) / np.array(mine)
    low, middle, high = np.percentile(ratio, [25, 50, 75])
    print(f"| {name} | {tokens / np.median(mine) / 1e6:.0f} | {tokens / np.median(other) / 1e6:.0f} "
          f"| {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def megatron(folder: Path, bare: BareGather, n_samples: int) -> Callable[[int], Any]:
    """A step of Megatron's: one batch of samples, in the order of its own shuffle."""
    import torch
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder
    from megatron.core.datasets.megatron_tokenizer import MegatronLegacyTokenizer
    from megatron.core.datasets.utils import Split

    class Numbers(MegatronLegacyTokenizer):  # type: ignore[misc]
        """A tokenizer that is only asked for its end-of-document token."""

        def __init__(self) -> None:
            super().__init__("numbers")

        def tokenize(self, text: str) -> Any:
            raise NotImplementedError

        vocab = property(lambda self: {})
        inv_vocab = property(lambda self: {})
        vocab_size = property(lambda self: 50257)
        eod = property(lambda self: 50256)

    prefix = str(folder / "megatron")
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.uint16)
    for stream in bare.maps:
        for start in range(0, len(stream) - bare.row_length, bare.row_length):
            builder.add_document(torch.from_numpy(np.asarray(stream[start : start + bare.row_length])), [
                bare.row_length])
    builder.finalize(f"{prefix}.idx")
    config = GPTDatasetConfig(
        random_seed=0, sequence_length=bare.row_length, blend=([prefix], None), split="1,0,0", tokenizer=Numbers(),
        reset_position_ids=False, reset_attention_mask=False, eod_mask_loss=False, create_attention_mask=False,
        path_to_cache=str(folder / "cache"))
    stored = IndexedDataset(prefix, mmap=True)
    data = GPTDataset(stored, prefix, np.arange(len(stored), dtype=np.int32), n_samples, Split.train, config)
    return lambda step: [data[(step * BATCH_ROWS + i) % len(data)] for i in range(BATCH_ROWS)]


def tensors(batch: Batch) -> list[Any]:
    """A batch as Megatron's samples have it: int64 tensors."""
    import torch

    return [torch.from_numpy(batch.tokens.astype(np.int64)), torch.from_numpy(batch.targets)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--shard-tokens", type=int, default=1 << 22)
    parser.add_argument("--row-length", type=int, default=2048)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_dataset(folder, args.shards, args.shard_tokens, args.row_length)
        data, bare = PackedDataset(folder, "train"), BareGather(folder, args.row_length)
        order = PackedLoader(data, BATCH_ROWS, seed=1)
        steps = [order.rows(i * BATCH_ROWS, BATCH_ROWS) for i in range(2 * (ROUNDS + 1) * STEPS)]
        lists = [rows.tolist() for rows in steps]
        for mine, theirs in zip(data.batch(steps[0]), bare.training(lists[0]), strict=True):
            assert np.array_equal(mine, theirs)
        tokens = BATCH_ROWS * args.row_length
        print(f"{args.shards} shards, {len(data)} rows of {args.row_length} tokens; million tokens a second\n")
        print("| | ours | theirs | ratio | its quartiles |\n| --- | --- | --- | --- | --- |")
        compare("tokens, beside a bare gather", lambda i: data.tokens(steps[i]), lambda i: bare.tokens(lists[i]),
                tokens)
        compare("training, beside a bare gather", lambda i: next(order), lambda i: bare.training(lists[i]), tokens)
        if importlib.util.find_spec("megatron") is not None:
            step = megatron(folder, bare, len(steps) * BATCH_ROWS)
            again = PackedLoader(data, BATCH_ROWS, seed=1)
            compare("training, beside Megatron's GPTDataset", lambda i: tensors(next(again)), step, tokens,
                    their_steps=4)
    with tempfile.TemporaryDirectory() as name:
        write_tables(Path(name), [manifest_row(i, 1000, 2048, f"{i:032x}", f"{i:032x}") for i in range(10_000)])
        times = [seconds_of(lambda i: PackedDataset(name, "train"), 0, 1) for _ in range(11)]
        print(f"\nready with 10,000 shards: {np.median(times) * 1e3:.0f} ms, the median of {len(times)}")


if __name__ == "__main__":
    main()
