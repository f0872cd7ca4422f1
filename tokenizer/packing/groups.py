"""Stages `pack/groups` and `pack/rows`: which ranges of the shuffle are packed together, and the rows they fill.

A stream is a phase of the training split, or the val split: its instances in order of (bucket, key, id, epoch). In
`concat` every bucket is a group and nothing needs to be known of it but its tokens. In `best_fit` and `pad`, buckets
that make about a shard are packed into rows together, each group by a task of its own: best fit needs many documents to
fill rows with, and memory has to hold the index of no more than that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import StageError
from manifests.partitioned import PartitionedFile
from manifests.tables import read_table
from manifests.tasks import Work
from tokenizer.mixture.mix import read_plan
from tokenizer.mixture.mixture import Plan
from tokenizer.packing.config import PackConfig
from tokenizer.packing.instances import INSTANCES, read_instances
from tokenizer.packing.packers import packer

GROUPS = pa.schema([
    pa.field("split", pa.string(), nullable=False, metadata={"comment": "train or val"}),
    pa.field("phase", pa.int32(), nullable=False, metadata={"comment": "phase of the training split, from 0"}),
    pa.field("stream", pa.int32(), nullable=False, metadata={"comment": "number of (split, phase) in the plan"}),
    pa.field("bucket", pa.int32(), nullable=False, metadata={"comment": "first range of the shuffle hash"}),
    pa.field("n_buckets", pa.int32(), nullable=False, metadata={"comment": "ranges that are packed together"}),
    pa.field("token_start", pa.int64(), nullable=False, metadata={"comment": "first token in the stream"}),
    pa.field("n_tokens", pa.int64(), nullable=False, metadata={"comment": "tokens of the buckets, over all parts"}),
])

ROWS = pa.schema([
    pa.field("group", pa.int64(), nullable=False, metadata={"comment": "row of the table of groups"}),
    pa.field("n_rows", pa.int64(), nullable=False, metadata={"comment": "rows that its documents fill"}),
])


def group_buckets(config: PackConfig, work: Work) -> None:
    """pack/groups: prefix sums of the buckets' tokens, and the buckets that are packed together.

    Inputs: index (all shuffled parts), plan. Output: groups (GROUPS). Counter: groups, those that pack/rows fills
    rows with: none in concat. Memory: one number a bucket. Raises StageError where the parts hold other tokens than
    the plan selected."""
    plan = read_plan(work.input("plan"))
    sizes = np.zeros(len(plan.streams) * config.buckets, np.int64)
    for path in work.inputs("index"):
        with PartitionedFile(path) as file:
            for partition in np.flatnonzero(file.sizes()).tolist():
                sizes[partition] += sum(int(table["n_tokens"].to_numpy().sum())
                                        for table in file.tables(INSTANCES, partition))
    by_stream = sizes.reshape(len(plan.streams), config.buckets)
    _check_totals(plan, by_stream.sum(axis=1).tolist())
    groups = pa.concat_tables([_groups_of(config, plan, stream, by_stream[stream])
                               for stream in range(len(plan.streams))])
    work.write("groups", GROUPS, [groups])
    work.count("groups", len(groups) if packer(config.packing).fills_rows else 0)


def fill_group(config: PackConfig, work: Work) -> None:
    """pack/rows: how many rows one group's documents fill.

    Inputs: groups, index (all shuffled parts). Variables: group. Output: rows (ROWS, one row). Counter: rows. Memory:
    the group's index."""
    number = int(work.variables["group"])
    group: Any = read_table(work.input("groups")).slice(number, 1).to_pylist()[0]
    lengths = read_instances(work.inputs("index"), partitions_of(config, group)).n_tokens
    n_rows = packer(config.packing).n_rows(config, lengths)
    work.write("rows", ROWS, [pa.table([[number], [n_rows]], schema=ROWS)])
    work.count("rows", n_rows)


def partitions_of(config: PackConfig, group: dict[str, Any]) -> list[int]:
    """Partitions of the shuffled parts that make up a group."""
    first = group["stream"] * config.buckets + group["bucket"]
    return list(range(first, first + group["n_buckets"]))


def _groups_of(config: PackConfig, plan: Plan, stream: int, sizes: npt.NDArray[np.int64]) -> pa.Table:
    """GROUPS of one stream: those that hold a token. sizes: tokens of its buckets, int64 [buckets]."""
    split, phase = plan.streams[stream]
    first = packer(config.packing).first_buckets(sizes, config.shard_tokens)
    tokens = np.add.reduceat(sizes, first)
    some = tokens > 0
    n = int(some.sum())
    columns: list[Any] = [
        pa.array([split] * n, pa.string()), np.full(n, phase, np.int32), np.full(n, stream, np.int32),
        first[some].astype(np.int32), np.diff(first, append=len(sizes))[some].astype(np.int32),
        (np.cumsum(tokens) - tokens)[some], tokens[some]]
    return pa.table(columns, schema=GROUPS)


def _check_totals(plan: Plan, held: list[int]) -> None:
    for (split, phase), have, want in zip(plan.streams, held, plan.stream_tokens(), strict=True):
        if have != want:
            raise StageError(f"phase {phase} of the {split} split has {have} tokens; the plan selected {want}",
                             where="pack/groups", hint="the inputs index and plan must be of the same run")
