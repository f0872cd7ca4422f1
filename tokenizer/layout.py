"""Stage `pack/layout`: which tokens every shard holds, settled by prefix sums before any shard is packed.

So shards can be packed in any order, by any number of workers, and only one tail per split fills no row. A split's
stream is its instances in order of (bucket, key, id, epoch); a shard's payload is one end-of-text token and the next
N - 1 tokens of the stream.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import StageError
from manifests.tables import PARTITION, read_row_groups
from manifests.tasks import ShardWork
from tokenizer.mix import SPLITS, read_plan
from tokenizer.mixture import Plan
from tokenizer.shuffle import PackConfig

LAYOUT = pa.schema([
    pa.field("split", pa.string(), nullable=False, metadata={"comment": "train or val"}),
    pa.field("bucket", pa.int32(), nullable=False, metadata={"comment": "range of the shuffle hash"}),
    pa.field("token_start", pa.int64(), nullable=False, metadata={"comment": "first token in the split's stream"}),
    pa.field("n_tokens", pa.int64(), nullable=False, metadata={"comment": "tokens of the bucket, over all parts"}),
])

SHARDS = pa.schema([
    pa.field("split", pa.string(), nullable=False, metadata={"comment": "train or val"}),
    pa.field("shard_index", pa.uint32(), nullable=False, metadata={"comment": "number of the shard in its split"}),
    pa.field("first_token", pa.int64(), nullable=False, metadata={"comment": "its first token in the split's stream"}),
    pa.field("n_tokens", pa.int64(), nullable=False, metadata={"comment": "N: 1 end-of-text and N - 1 of the stream"}),
    pa.field("n_rows", pa.int64(), nullable=False, metadata={"comment": "rows of the shard"}),
    pa.field("first_row", pa.int64(), nullable=False, metadata={"comment": "number of its first row in the split"}),
    pa.field("dropped_tokens", pa.int64(), nullable=False, metadata={"comment": "the split's tail, on its last shard"}),
])


def lay_out(config: PackConfig, work: ShardWork) -> None:
    """pack/layout: prefix sums of the buckets, and the shards that they fill.

    Inputs: index (all of pack/shuffle), plan. Outputs: layout (LAYOUT) and shards (SHARDS, shards.parquet). Counters:
    {train,val}_{tokens,shards,rows,dropped_tokens}. Raises StageError where a split that should have rows has none."""
    plan = read_plan(work.input("plan"))
    sizes = np.zeros(len(SPLITS) * config.buckets, np.int64)
    for path in work.inputs("index"):
        for group in read_row_groups(path, [PARTITION, "n_tokens"]):
            np.add.at(sizes, group[PARTITION].to_numpy(), group["n_tokens"].to_numpy())
    by_split = sizes.reshape(len(SPLITS), config.buckets)
    _check_totals(plan, [int(s.sum()) for s in by_split])
    tables = [_bucket_table(name, by_split[i]) for i, name in enumerate(SPLITS)]
    work.write("layout", LAYOUT, tables)
    shards = [_shard_table(config, plan, name, int(by_split[i].sum())) for i, name in enumerate(SPLITS)]
    work.write("shards", SHARDS, shards, name="shards.parquet")
    for name, table, size in zip(SPLITS, shards, by_split.sum(axis=1).tolist(), strict=True):
        work.count(f"{name}_tokens", size)
        work.count(f"{name}_shards", len(table))
        work.count(f"{name}_rows", int(table["n_rows"].to_numpy().sum()))
        work.count(f"{name}_dropped_tokens", size - int((table["n_tokens"].to_numpy() - 1).sum()))


def shard_sizes(n_stream: int, shard_tokens: int, row_length: int) -> tuple[npt.NDArray[np.int64], int]:
    """Payload tokens of every shard, int64 [n], and the stream's tokens that fill no row.

    All shards hold shard_tokens but the last, which holds as many whole rows as are left; each starts with one
    end-of-text token that is not of the stream."""
    full, rest = divmod(n_stream, shard_tokens - 1)
    last = (rest + 1) // row_length * row_length if rest else 0
    # A rest that fills no row at all is dropped whole; one that fills some rows loses what is beyond them.
    dropped = rest - max(last - 1, 0)
    return np.array([shard_tokens] * full + ([last] if last else []), np.int64), dropped


def _bucket_table(split: str, sizes: npt.NDArray[np.int64]) -> pa.Table:
    names = pa.array([split] * len(sizes), pa.string())
    return pa.table([names, np.arange(len(sizes), dtype=np.int32), np.cumsum(sizes) - sizes, sizes], schema=LAYOUT)


def _shard_table(config: PackConfig, plan: Plan, split: str, n_stream: int) -> pa.Table:
    sizes, dropped = shard_sizes(n_stream, config.shard_tokens, config.row_length)
    if not len(sizes) and (split == "train" or plan.validation_fraction):
        fields = ("more documents, a larger mixture.total_tokens or a smaller pack.row_length" if split == "train" else
                  "a larger mixture.validation_fraction (0 means no val split) or a smaller pack.row_length")
        raise StageError(f"the {split} split has {n_stream} tokens, not enough for one row of {config.row_length}",
                         where="pack/layout", hint=f"it needs {config.row_length - 1}: {fields}")
    rows = sizes // config.row_length
    losses = np.zeros(len(sizes), np.int64)
    losses[-1:] = dropped
    columns: list[Any] = [
        pa.array([split] * len(sizes), pa.string()), np.arange(len(sizes), dtype=np.uint32),
        np.arange(len(sizes)) * (config.shard_tokens - 1), sizes, rows, np.cumsum(rows) - rows, losses]
    return pa.table(columns, schema=SHARDS)


def _check_totals(plan: Plan, found: list[int]) -> None:
    planned = [plan.total_tokens, sum(s.val_tokens for s in plan.sources)]
    for name, have, want in zip(SPLITS, found, planned, strict=True):
        if have != want:
            raise StageError(f"the {name} split has {have} tokens; the plan selected {want}", where="pack/layout",
                             hint="the inputs index and plan must be of the same run")
