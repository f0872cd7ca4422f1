"""Stage `pack/layout`: which tokens every shard holds, settled by prefix sums before any shard is packed.

So shards can be packed in any order, by any number of workers. A stream is a phase of the training split, or the val
split: its instances in order of (bucket, key, id, epoch). In `concat`, a shard's payload is one end-of-text token and
the next N - 1 tokens of the stream, and only one tail per stream fills no row. In `best_fit` and `pad`, buckets that
make about a shard are packed into rows together, and a shard is a run of the stream's rows; nothing is dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import StageError
from manifests.tables import PARTITION, read_row_groups
from manifests.tasks import ShardWork
from tokenizer.instances import read_instances
from tokenizer.mix import SPLITS, read_plan
from tokenizer.mixture import Plan
from tokenizer.rows import fill_rows
from tokenizer.shuffle import PackConfig

LAYOUT = pa.schema([
    pa.field("split", pa.string(), nullable=False, metadata={"comment": "train or val"}),
    pa.field("phase", pa.int32(), nullable=False, metadata={"comment": "phase of the training split, from 0"}),
    pa.field("stream", pa.int32(), nullable=False, metadata={"comment": "number of (split, phase) in the plan"}),
    pa.field("bucket", pa.int32(), nullable=False, metadata={"comment": "first range of the shuffle hash"}),
    pa.field("n_buckets", pa.int32(), nullable=False, metadata={"comment": "ranges that are packed together"}),
    pa.field("token_start", pa.int64(), nullable=False, metadata={"comment": "first token in the stream"}),
    pa.field("n_tokens", pa.int64(), nullable=False, metadata={"comment": "tokens of the buckets, over all parts"}),
    pa.field("row_start", pa.int64(), nullable=False, metadata={"comment": "first row in the stream; 0 in concat"}),
    pa.field("n_rows", pa.int64(), nullable=False, metadata={"comment": "rows of the buckets; 0 in concat"}),
])

SHARDS = pa.schema([
    pa.field("split", pa.string(), nullable=False, metadata={"comment": "train or val"}),
    pa.field("shard_index", pa.uint32(), nullable=False, metadata={"comment": "number of the shard in its split"}),
    pa.field("phase", pa.uint16(), nullable=False, metadata={"comment": "phase of the training split, from 0"}),
    pa.field("first_token", pa.int64(), nullable=False, metadata={"comment": "its first token in the stream (concat)"}),
    pa.field("n_tokens", pa.int64(), nullable=False, metadata={"comment": "N, tokens of the payload"}),
    pa.field("n_rows", pa.int64(), nullable=False, metadata={"comment": "rows of the shard"}),
    pa.field("first_row", pa.int64(), nullable=False, metadata={"comment": "number of its first row in the split"}),
    pa.field("dropped_tokens", pa.int64(), nullable=False,
             metadata={"comment": "the stream's tail that fills no row, on the stream's last shard"}),
])


def lay_out(config: PackConfig, work: ShardWork) -> None:
    """pack/layout: prefix sums of the buckets, and the shards that they fill.

    Inputs: index (all of pack/shuffle), plan. Outputs: layout (LAYOUT) and shards (SHARDS, shards.parquet). Counters:
    {train,val}_{tokens,shards,rows,dropped_tokens}. Memory: in best_fit and pad, the index of about one shard. Raises
    StageError where a stream that should have rows has none."""
    plan = read_plan(work.input("plan"))
    sizes = np.zeros(len(plan.streams) * config.buckets, np.int64)
    for path in work.inputs("index"):
        for group in read_row_groups(path, [PARTITION, "n_tokens"]):
            np.add.at(sizes, group[PARTITION].to_numpy(), group["n_tokens"].to_numpy())
    by_stream = sizes.reshape(len(plan.streams), config.buckets)
    _check_totals(plan, by_stream.sum(axis=1).tolist())
    tables = [_bucket_table(config, plan, stream, by_stream[stream], work.inputs("index"))
              for stream in range(len(plan.streams))]
    work.write("layout", LAYOUT, tables)
    n_rows = [int(table["n_rows"].to_numpy().sum()) for table in tables]
    shards = [_shard_table(config, plan, stream, int(by_stream[stream].sum()), n_rows[stream])
              for stream in range(len(plan.streams))]
    joined = _number(pa.concat_tables(shards))
    work.write("shards", SHARDS, [joined], name="shards.parquet")
    _count(plan, by_stream.sum(axis=1), joined, work)


def _groups(config: PackConfig, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """First buckets of the groups that are packed together, int64 [n].

    In best_fit and pad a group is about a shard's tokens: best fit needs many documents to fill rows with, and memory
    has to hold no more than that. In concat every bucket is a group."""
    if config.packing == "concat":
        return np.arange(len(sizes))
    begins = np.cumsum(sizes) - sizes
    return np.flatnonzero(np.diff(begins // config.shard_tokens, prepend=-1))


def _group_rows(config: PackConfig, index: list[str], partitions: range) -> int:
    """Rows that the documents of a group fill: packing with lengths alone."""
    lengths = read_instances(index, partitions).n_tokens
    return fill_rows(config.packing, lengths, config.row_length).n_rows


def _count(plan: Plan, tokens: npt.NDArray[np.int64], shards: pa.Table, work: ShardWork) -> None:
    rows: Any = shards.to_pylist()
    for split in SPLITS:
        mine = [r for r in rows if r["split"] == split]
        selected = sum(int(n) for (name, _), n in zip(plan.streams, tokens, strict=True) if name == split)
        work.count(f"{split}_tokens", selected)
        work.count(f"{split}_shards", len(mine))
        work.count(f"{split}_rows", sum(r["n_rows"] for r in mine))
        work.count(f"{split}_dropped_tokens", sum(r["dropped_tokens"] for r in mine) if mine else selected)


def _number(shards: pa.Table) -> pa.Table:
    """Shards and rows counted on over the phases of a split."""
    split: Any = shards["split"].to_numpy()
    n_rows: Any = shards["n_rows"].to_numpy()
    index, first = np.zeros(len(shards), np.uint32), np.zeros(len(shards), np.int64)
    for name in SPLITS:
        here = np.flatnonzero(split == name)
        index[here] = np.arange(len(here))
        first[here] = np.cumsum(n_rows[here]) - n_rows[here]
    columns: list[Any] = [shards[c] for c in shards.schema.names]
    columns[SHARDS.names.index("shard_index")] = index
    columns[SHARDS.names.index("first_row")] = first
    return pa.table(columns, schema=SHARDS)


def shard_sizes(n_stream: int, shard_tokens: int, row_length: int) -> tuple[npt.NDArray[np.int64], int]:
    """Payload tokens of every shard, int64 [n], and the stream's tokens that fill no row.

    All shards hold shard_tokens but the last, which holds as many whole rows as are left; each starts with one
    end-of-text token that is not of the stream."""
    full, rest = divmod(n_stream, shard_tokens - 1)
    last = (rest + 1) // row_length * row_length if rest else 0
    # A rest that fills no row at all is dropped whole; one that fills some rows loses what is beyond them.
    dropped = rest - max(last - 1, 0)
    return np.array([shard_tokens] * full + ([last] if last else []), np.int64), dropped


def _bucket_table(config: PackConfig, plan: Plan, stream: int, sizes: npt.NDArray[np.int64], index: list[str]
                  ) -> pa.Table:
    """LAYOUT of one stream. sizes: tokens of its buckets, int64 [buckets]."""
    split, phase = plan.streams[stream]
    first = _groups(config, sizes)
    counts = np.diff(first, append=len(sizes))
    tokens = np.add.reduceat(sizes, first)
    rows = np.zeros(len(first), np.int64)
    if config.packing != "concat":
        start = stream * config.buckets
        for group in np.flatnonzero(tokens).tolist():
            low = start + int(first[group])
            rows[group] = _group_rows(config, index, range(low, low + int(counts[group])))
    n = len(first)
    columns: list[Any] = [
        pa.array([split] * n, pa.string()), np.full(n, phase, np.int32), np.full(n, stream, np.int32),
        first.astype(np.int32), counts.astype(np.int32), np.cumsum(tokens) - tokens, tokens,
        np.cumsum(rows) - rows, rows]
    return pa.table(columns, schema=LAYOUT)


def _shard_table(config: PackConfig, plan: Plan, stream: int, n_stream: int, n_rows: int) -> pa.Table:
    """The shards of a stream; `_number` numbers them."""
    split, phase = plan.streams[stream]
    if config.packing == "concat":
        sizes, dropped = shard_sizes(n_stream, config.shard_tokens, config.row_length)
    else:
        per_shard = config.shard_tokens // config.row_length
        full, rest = divmod(n_rows, per_shard)
        sizes = np.array([per_shard] * full + ([rest] if rest else []), np.int64) * config.row_length
        dropped = 0
    if not len(sizes) and (split == "train" or plan.validation_fraction):
        raise _too_small(config, plan, stream, n_stream)
    losses = np.zeros(len(sizes), np.int64)
    losses[-1:] = dropped
    zero = np.zeros(len(sizes), np.int64)
    first = zero if config.packing != "concat" else np.arange(len(sizes)) * (config.shard_tokens - 1)
    columns: list[Any] = [pa.array([split] * len(sizes), pa.string()), zero.astype(np.uint32),
                          np.full(len(sizes), phase, np.uint16), first, sizes, sizes // config.row_length, zero, losses]
    return pa.table(columns, schema=SHARDS)


def _too_small(config: PackConfig, plan: Plan, stream: int, n_stream: int) -> StageError:
    split, phase = plan.streams[stream]
    fields = ("more documents, a larger mixture.total_tokens or a smaller pack.row_length" if split == "train" else
              "a larger mixture.validation_fraction (0 means no val split) or a smaller pack.row_length")
    which = f"the {split} split" if split == "val" or len(plan.phases) == 1 else f"phase {plan.phases[phase].name}"
    return StageError(f"{which} has {n_stream} tokens, not enough for one row of {config.row_length}",
                      where="pack/layout", hint=f"it needs {config.row_length - 1}: {fields}")


def _check_totals(plan: Plan, found: list[int]) -> None:
    for (split, phase), have, want in zip(plan.streams, found, plan.stream_tokens(), strict=True):
        if have != want:
            raise StageError(f"phase {phase} of the {split} split has {have} tokens; the plan selected {want}",
                             where="pack/layout", hint="the inputs index and plan must be of the same run")
