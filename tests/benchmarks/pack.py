"""Mixing and packing on one core, from token files to packed shards, beside the machine's memcpy.

    python -m tests.benchmarks.pack [--tokens 100000000] [--packing concat]

Writes token files of so many tokens (uint16; lengths of documents are log-normal, median 600), then runs the stage
graph on them in this process: counts, plan, shuffle, layout, packing, manifest. Seconds are of the
process's own CPU, kernels compiled before; the clock's seconds are beside them. memcpy is of the same bytes, once, from
one array of memory to another.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.hashing import ids_array
from manifests.schema import TOKENS
from manifests.tables import write_table
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

PARTS = 4


def write_parts(folder: Path, n_tokens: int) -> Path:
    """Token parts of two sources, as the stage `tokens` leaves them."""
    random = np.random.default_rng(0)
    for part in range(PARTS):
        source = folder / ("crawl" if part else "books")
        source.mkdir(parents=True, exist_ok=True)
        lengths = np.maximum(1, random.lognormal(np.log(600), 1.0, n_tokens // PARTS // 500)).astype(np.int64)
        lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), n_tokens // PARTS))]
        random.integers(0, 256, int(lengths.sum()), np.uint16).tofile(source / f"part-{part}.tokens")
        ids = ids_array(random.integers(0, 1 << 63, (len(lengths), 2), np.uint64))
        table = pa.table([ids, np.cumsum(lengths) - lengths, lengths, ids], schema=TOKENS)
        write_table(str(source / f"part-{part}.parquet"), TOKENS, [table])
    return folder


def pack(folder: str, tokens: Path, packing: str, row_length: int, shard_tokens: int) -> tuple[SmallRun, float, float]:
    """(the run, CPU seconds, clock seconds)."""
    root = Path(folder)
    root.mkdir()
    (root / "tokens").symlink_to(tokens)
    run = SmallRun(root, 1)
    mixture = MixtureConfig(weights={"crawl": 70, "books": 30}, validation_fraction=0.005)
    config = PackConfig.model_validate(
        {"row_length": row_length, "shard_tokens": shard_tokens, "buckets": 64, "packing": packing})
    tokenizer = byte_tokenizer(root.parent / "tokenizer.json")
    cpu, clock = time.process_time(), time.perf_counter()
    run.pack(mixture, config, tokenizer)
    return run, time.process_time() - cpu, time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--packing", default="concat,best_fit,pad")
    parser.add_argument("--folder", default=None, help="where to work; /dev/shm leaves the disk out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as work:
        small = write_parts(Path(work, "warm"), 400_000)
        for packing in ("concat", "best_fit"):  # kernels compiled
            pack(f"{work}/warm-{packing}", small, packing, 2048, 1 << 16)
        parts = write_parts(Path(work, "tokens"), arguments.tokens)
        for packing in arguments.packing.split(","):
            run, cpu, clock = pack(f"{work}/{packing}", parts, packing, 2048, 1 << 25)
            n_tokens = run.plan()["total_tokens"]
            source = np.ones(n_tokens, np.uint16)
            target = np.zeros_like(source)
            started = time.process_time()
            target[:] = source
            copy = time.process_time() - started
            print(f"{packing:<9} {n_tokens:>13,} tokens  {cpu:6.2f} s CPU  {clock:6.2f} s  "
                  f"{n_tokens / cpu / 1e6:6.1f} Mtok/s of CPU  {n_tokens / clock / 1e6:6.1f} by the clock  "
                  f"memcpy {2 * n_tokens / copy / 1e9:.2f} GB/s, {cpu / copy:.0f} times as fast")
            for stage in dict.fromkeys(stage for stage, _ in run.records):
                seconds = sum(r.seconds for (of, _), r in run.records.items() if of == stage)
                print(f"    {stage:<12} {seconds:7.2f} s by the clock")


if __name__ == "__main__":
    main()
