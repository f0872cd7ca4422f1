"""Stage `pack/layout`: which tokens every shard holds, found by prefix sums before any shard is packed.

So shards can be packed in any order, by any number of workers. Every shard begins with an end-of-text token that
belongs to no document. In `concat`, its payload goes on with the next N - 1 tokens of its stream, and only one tail per
stream fills no row. In `best_fit` and `pad`, a shard is a run of the rows that the stream's groups fill; nothing is
dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import StageError
from manifests.tables import read_table
from manifests.tasks import Work
from tokenizer.mixture.mix import SPLITS, read_plan
from tokenizer.mixture.mixture import Plan
from tokenizer.packing.config import PackConfig
from tokenizer.packing.groups import GROUPS
from tokenizer.packing.packers import packer

LAYOUT = pa.schema([
    *GROUPS,
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


def lay_out(config: PackConfig, work: Work) -> None:
    """pack/layout: prefix sums of the groups, and the shards that they fill.

    Inputs: groups, rows (all of pack/rows; none in concat), plan. Outputs: layout (LAYOUT) and shards (SHARDS,
    shards.parquet). Counters: {train,val}_{tokens,shards,rows,dropped_tokens}; val_too_small where the recipe wants a
    val split and it fills no row, which costs that split alone. Raises StageError where a phase of the training split
    has no row."""
    plan = read_plan(work.input("plan"))
    groups: Any = read_table(work.input("groups"))
    n_rows = np.zeros(len(groups), np.int64)
    for path in work.inputs("rows"):
        filled: Any = read_table(path)
        n_rows[filled["group"].to_numpy()] = filled["n_rows"].to_numpy()
    if packer(config.packing).fills_rows and not n_rows.all():
        raise StageError(f"{np.count_nonzero(n_rows == 0)} groups fill no row", where="pack/layout",
                         hint="the inputs groups and rows must be of the same run")
    stream, tokens = groups["stream"].to_numpy(), groups["n_tokens"].to_numpy()
    row_start = np.concatenate([_begins(n_rows[stream == s]) for s in range(len(plan.streams))])
    work.write("layout", LAYOUT, [pa.table([*groups.columns, row_start, n_rows], schema=LAYOUT)])
    sums = [(int(tokens[stream == s].sum()), int(n_rows[stream == s].sum())) for s in range(len(plan.streams))]
    shards = [_shard_table(config, plan, s, *sums[s]) for s in range(len(plan.streams))]
    joined = _number(pa.concat_tables(shards))
    work.write("shards", SHARDS, [joined], name="shards.parquet")
    _count(plan, [n_tokens for n_tokens, _ in sums], joined, work)


def _begins(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.cumsum(sizes) - sizes


def _count(plan: Plan, tokens: list[int], shards: pa.Table, work: Work) -> None:
    rows: Any = shards.to_pylist()
    for split in SPLITS:
        own = [r for r in rows if r["split"] == split]
        selected = sum(n for (name, _), n in zip(plan.streams, tokens, strict=True) if name == split)
        work.count(f"{split}_tokens", selected)
        work.count(f"{split}_shards", len(own))
        work.count(f"{split}_rows", sum(r["n_rows"] for r in own))
        work.count(f"{split}_dropped_tokens", sum(r["dropped_tokens"] for r in own) if own else selected)
        if split == "val" and plan.validation_fraction and not own:
            work.count("val_too_small")


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


def _shard_table(config: PackConfig, plan: Plan, stream: int, n_stream: int, n_rows: int) -> pa.Table:
    """The shards of a stream; `_number` numbers them."""
    split, phase = plan.streams[stream]
    sizes, first, dropped = packer(config.packing).shards(config, n_stream, n_rows)
    if not len(sizes) and split == "train":
        raise _too_small(config, plan, stream, n_stream)
    losses = np.zeros(len(sizes), np.int64)
    losses[-1:] = dropped
    zero = np.zeros(len(sizes), np.int64)
    columns: list[Any] = [pa.array([split] * len(sizes), pa.string()), zero.astype(np.uint32),
                          np.full(len(sizes), phase, np.uint16), first, sizes, sizes // config.row_length, zero, losses]
    return pa.table(columns, schema=SHARDS)


def _too_small(config: PackConfig, plan: Plan, stream: int, n_stream: int) -> StageError:
    _, phase = plan.streams[stream]
    which = "the train split" if len(plan.phases) == 1 else f"phase {plan.phases[phase].name}"
    return StageError(f"{which} has {n_stream} tokens, not enough for one row of {config.row_length}",
                      where="pack/layout", hint=f"it needs {config.row_length - 1}: more documents, a larger "
                      "mixture.total_tokens, a smaller pack.row_length, or pack.pad_tail")
