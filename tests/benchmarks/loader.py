"""The loader against a bare gather from memory maps, and against Megatron's GPTDataset where that is installed.

    python -m tests.benchmarks.loader [--shards 16] [--shard-tokens 4194304] [--row-length 2048] [--steps 20000]

Writes datasets of random uint16 tokens, in documents of about 500, and reads them in random order, batches of 32 rows,
from the page cache. Every line is one pair that takes turns, step by step, over the same rows in the same order; times
are the process's own CPU time, all threads together, and the ratio is the median over rounds of each round's own. The
bare gather is given the order and loops over a batch's rows, copying each from a NumPy memory map into a fresh array:

    tokens    out[i] = map[a : a + T], uint16; beside `PackedDataset.tokens`
    the rest  that, and targets[i] = map[a + 1 : a + T + 1], int64: without documents, without what is not learned

Megatron's line is GPTDataset of megatron-core on the same rows, a document each, stored in its own format: no masks, no
reset of anything, its samples one by one as its DataLoader would take them, in the order of its own shuffle, not yet
collated. Beside it stand our batches as int64 tensors. Then a batch's cost from 8 shards and from 10,000 (of zeros that
take no room, with one row index by as many names), once the rows of the rounds have been read, and when they have not
been; and, with --steps, memory and descriptors over a long run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import Batch, PackedDataset, PackedLoader
from manifests.rows import describe_rows, write_rows
from manifests.schema import PACKED_MANIFEST, SOURCES, SPANS
from manifests.shard import HEADER_BYTES, Header, write_shard
from manifests.storage import digest_file
from manifests.tables import write_table

BATCH_ROWS, ROUNDS, STEPS = 32, 15, 40
DOCUMENT = 500  # tokens, about


def manifest_row(index: int, n_rows: int, row_length: int, payload: str, spans: str, packing: str = "concat",
                 **rows: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {f.name: [] if pa.types.is_nested(f.type) else "" if pa.types.is_string(f.type) else 0
                             for f in PACKED_MANIFEST}
    return facts | {
        "split": "train", "shard_index": index, "path": f"train/{index:06d}.bin", "dtype": "uint16",
        "n_bytes": HEADER_BYTES + 2 * n_rows * row_length, "n_tokens": n_rows * row_length, "n_rows": n_rows,
        "row_length": row_length, "packing": packing, "eot_id": 50256, "vocab_size": 50257,
        "tokenizer_sha256": "00" * 32, "payload_xxh3": payload, "spans_path": f"train/{index:06d}.spans.parquet",
        "spans_xxh3": spans, "first_row": index * n_rows, "tokens_by_source": [], "recipe_sha256": "",
        "format_version": 2, "utilisation": 1.0, "rows_path": f"train/{index:06d}.rows", "rows_xxh3": "00" * 16,
        "most_segments": 1, **rows}


def write_tables(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_table(str(folder / "manifest.parquet"), PACKED_MANIFEST, [pa.Table.from_pylist(rows, PACKED_MANIFEST)])
    source = dict.fromkeys(SOURCES.names, 0) | {"name": "a"}
    write_table(str(folder / "sources.parquet"), SOURCES, [pa.Table.from_pylist([source], SOURCES)])


def document_spans(generator: np.random.Generator, n_tokens: int, row_length: int) -> pa.Table:
    """Documents of about DOCUMENT tokens that fill a shard, cut at the ends of rows."""
    lengths = generator.integers(DOCUMENT // 2, DOCUMENT * 3 // 2, n_tokens // DOCUMENT * 2)
    ends = np.cumsum(lengths)
    cuts = np.unique(np.concatenate([ends[ends < n_tokens - 1] + 1, np.arange(0, n_tokens, row_length)[1:],
                                     [1, n_tokens]]))
    start, n = cuts[:-1], np.diff(cuts)
    zero = np.zeros(len(start), np.int64)
    no_id = pa.array([bytes(16)] * len(start), pa.binary(16))
    columns: list[Any] = [start.astype(np.uint64), n.astype(np.uint32), no_id, zero.astype(np.uint16),
                          zero.astype(np.uint32), zero.astype(np.uint16), (start // row_length).astype(np.uint32),
                          zero.astype(bool), zero.astype(bool)]
    return pa.table(columns, schema=SPANS)


def make_dataset(folder: Path, shards: int, shard_tokens: int, row_length: int, packing: str = "concat",
                 version: int = 2) -> None:
    """Shards of random tokens. version 1: without row indexes."""
    generator = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    rows = []
    for index in range(shards):
        base = folder / f"train/{index:06d}"
        tokens = generator.integers(0, 50257, shard_tokens).astype(np.uint16)
        spans = document_spans(generator, shard_tokens, row_length)
        header = Header(row_length, packing, 50256, 50257, bytes(32), index, len(spans))
        done = write_shard(f"{base}.bin", tokens, header)
        write_table(f"{base}.spans.parquet", SPANS, [spans])
        write_rows(f"{base}.rows", spans, done.n_rows, row_length, done.payload_digest)
        facts = describe_rows(f"{base}.rows", f"train/{index:06d}.rows") if version == 2 else {"rows_path": None}
        rows.append(manifest_row(index, done.n_rows, row_length, done.payload_digest.hex(),
                                 digest_file(f"{base}.spans.parquet"), packing, n_spans=len(spans), **facts))
    write_tables(folder, rows)


def make_sparse(folder: Path, shards: int, row_length: int, packing: str) -> None:
    """Shards of 2^26 zeros that take no room on the disk, and one row index by as many names."""
    n_rows = (1 << 26) // row_length
    (folder / "train").mkdir(parents=True)
    header = Header(row_length, packing, 50256, 50257, bytes(32), 0, 1, n_rows * row_length, bytes(16))
    spans = document_spans(np.random.default_rng(0), n_rows * row_length, row_length)
    first = folder / "train/000000.rows"
    write_rows(str(first), spans, n_rows, row_length, bytes(16))
    facts = describe_rows(str(first), "")
    rows = []
    for index in range(shards):
        base = folder / f"train/{index:06d}"
        with open(f"{base}.bin", "wb") as file:
            file.write(header.pack())
            file.truncate(header.n_bytes)
        if index:
            os.link(first, f"{base}.rows")
        rows.append(manifest_row(index, n_rows, row_length, "00" * 16, "00" * 16, packing,
                                 **facts | {"rows_path": f"train/{index:06d}.rows"}))
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
            raise AssertionError("nothing is tokenized here")

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


def compare_all(folder: Path, packing: str, args: argparse.Namespace) -> None:
    """The lines of one packing."""
    make_dataset(folder, args.shards, args.shard_tokens, args.row_length, packing)
    data, bare = PackedDataset(folder, "train"), BareGather(folder, args.row_length)
    order = PackedLoader(data, BATCH_ROWS, seed=1)
    steps = [order.rows(i * BATCH_ROWS, BATCH_ROWS) for i in range(2 * (ROUNDS + 1) * STEPS)]
    lists = [rows.tolist() for rows in steps]
    if packing == "concat":
        for mine, theirs in zip(data.batch(steps[0]), bare.training(lists[0]), strict=True):
            assert np.array_equal(mine, theirs)
    tokens = BATCH_ROWS * args.row_length

    def training(i: int) -> Any:
        return bare.training(lists[i])

    if packing == "concat":
        compare("tokens", lambda i: data.tokens(steps[i]), lambda i: bare.tokens(lists[i]), tokens)
    compare(f"{packing}, PackedLoader", lambda i: next(order), training, tokens)
    compare(f"{packing}, PackedLoader with documents",
            lambda i: order.with_segments(i * BATCH_ROWS), training, tokens)
    read = PackedLoader(PackedDataset(folder, "train", mmap=False), BATCH_ROWS, seed=1)
    compare(f"{packing}, PackedLoader without maps", lambda i: next(read), training, tokens)
    if importlib.util.find_spec("torch") is not None:
        from manifests.torch import TorchLoader

        for name, options in (("", {}), (" with documents", {"documents": True}),
                              (" with documents, fixed shapes", {"documents": True, "max_documents": 1024})):
            loader = TorchLoader(data, BATCH_ROWS, seed=1, **options)
            compare(f"{packing}, TorchLoader{name}", partial(_next, loader), training, tokens)
            loader.close()
    if packing == "concat" and importlib.util.find_spec("megatron") is not None:
        step = megatron(folder, bare, len(steps) * BATCH_ROWS)
        again = PackedLoader(data, BATCH_ROWS, seed=1)
        compare("concat, tensors beside Megatron's GPTDataset", lambda i: tensors(next(again)), step, tokens,
                their_steps=4)


def _next(loader: Any, _: int) -> Any:
    return next(loader)


def _step(loader: PackedLoader, i: int) -> Any:
    return loader.with_segments(i * BATCH_ROWS)


def many_shards(folder: Path, row_length: int) -> None:
    """CPU time of a batch with documents, from 8 shards and from 10,000, in rounds that take turns, and memory."""
    print("\n| best_fit with documents, shards of 2^26 tokens | CPU ms a batch of 32 | while shards are first opened | "
          "rows not read before | resident MB, of them mapped |\n| --- | --- | --- | --- | --- |")
    steps, memory, opening = [], [], []
    new: list[list[float]] = []
    again: list[list[float]] = []
    n, in_round = 1000, 100
    for shards in (8, 10_000):
        make_sparse(folder / str(shards), shards, row_length, "best_fit")
        loader = PackedLoader(PackedDataset(folder / str(shards), "train"), BATCH_ROWS)
        steps.append(partial(_step, loader))
        opening.append(seconds_of(steps[-1], 0, n) / n)  # then most of 10,000 shards have been opened
        memory.append(resident())
    for times in (new, again):
        for turn in range(ROUNDS):
            first = n + turn * in_round
            times.append([seconds_of(step, first, in_round) / in_round for step in steps])
    for i, shards in enumerate((8, 10_000)):
        print(f"| {shards:,} | {np.median(again, 0)[i] * 1e3:.3f} | {opening[i] * 1e3:.3f} | "
              f"{np.median(new, 0)[i] * 1e3:.3f} | {memory[i][0]:.0f}, {memory[i][1]:.0f} |")
    for name, times in (("", again), (", rows not read before", new)):
        low, middle, high = np.percentile([b / a for a, b in times], [25, 50, 75])
        print(f"ratio of the two{name}: {middle:.2f}, quartiles {low:.2f} to {high:.2f}")


def resident() -> tuple[float, float]:
    """(MB in memory, MB of them mapped files) of this process."""
    with open("/proc/self/status", encoding="ascii") as file:
        facts = dict(line.split(":", 1) for line in file)
    return tuple(int(facts[n].split()[0]) / 1024 for n in ("VmRSS", "RssFile"))  # type: ignore[return-value]


def long_run(folder: Path, steps: int) -> None:
    """Memory and descriptors over many steps."""
    from manifests.torch import TorchLoader

    loader = TorchLoader(PackedDataset(folder, "train"), BATCH_ROWS, documents=True)
    print("\n| steps | resident MB, of them mapped | descriptors |\n| --- | --- | --- |")
    for step in range(1, steps + 1):
        next(loader)
        if step in (100, 1000, steps // 4, steps // 2, steps):
            total, mapped = resident()
            print(f"| {step:,} | {total:.0f}, {mapped:.0f} | {len(os.listdir('/proc/self/fd'))} |", flush=True)
    loader.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--shard-tokens", type=int, default=1 << 22)
    parser.add_argument("--row-length", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=0, help="of a long run whose memory is watched")
    parser.add_argument("--many-shards", action="store_true", help="8 shards and 10,000 alone")
    parser.add_argument("--descriptors", type=int, help="that this process may have")
    args = parser.parse_args()
    if args.descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (args.descriptors, args.descriptors))
    if not args.many_shards:
        beside_a_bare_gather(args)
    with tempfile.TemporaryDirectory() as name:
        many_shards(Path(name), args.row_length)
        path = Path(name) / "10000"
        times = [seconds_of(lambda i: PackedDataset(path, "train"), 0, 1) for _ in range(11)]
        print(f"\nready with 10,000 shards: {np.median(times) * 1e3:.0f} ms, the median of {len(times)}")


def beside_a_bare_gather(args: argparse.Namespace) -> None:
    """The lines of both packings, and a long run where one is asked for."""
    with tempfile.TemporaryDirectory() as name:
        print(f"{args.shards} shards of {args.shard_tokens} tokens, rows of {args.row_length}, documents of about "
              f"{DOCUMENT}; million tokens a second of CPU time\n")
        print("| | ours | bare gather | ratio | its quartiles |\n| --- | --- | --- | --- | --- |")
        for packing in ("concat", "best_fit"):
            compare_all(Path(name) / packing, packing, args)
        if args.steps:
            long_run(Path(name) / "best_fit", args.steps)


if __name__ == "__main__":
    main()
