"""Stage `pack/merged`: shuffled parts in groups, each group as one file of tokens and one index.

A shard reads one run of every file. Of N parts and S shards that are S x N runs; merged in groups of about sqrt(S), it
is N to merge and S x N / sqrt(S) to read, and every token moves once more. A group's file holds its documents in stream
order, so a shard's are one run of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.hashing import ids_array
from manifests.partitioned import SUFFIX, PartitionedFile, PartitionWriter
from manifests.tasks import Work
from tokenizer.encoding.encode import load
from tokenizer.packing.config import PackConfig
from tokenizer.packing.gather import copy_parts
from tokenizer.packing.instances import INSTANCES, Instances, find_instances
from tokenizer.packing.shuffle import bucket_of
from tokenizer.packing.token_blocks import TokenWriter

_STEPS = 64  # in which the buckets of a stream are read


def merge_parts(config: PackConfig, work: Work) -> None:
    """pack/merged: a group of shuffled parts as one.

    Inputs: tokens-N and index-N, of each part of pack/shuffle; tokenizer. Outputs: tokens and index, as of
    pack/shuffle. Counters: parts, tokens. Memory: a shard's tokens twice, and the group's index of a 64th of a stream's
    buckets, or of one."""
    names = sorted(name for name in work.task.inputs if name.startswith("index-"))
    indexes = [work.input(name) for name in names]
    tokens = [work.input(name.replace("index-", "tokens-")) for name in names]
    dtype = load(work.input("tokenizer")).dtype
    with PartitionedFile(indexes[0]) as file:
        partitions = file.partitions
    written = 0
    with (TokenWriter(work.output("tokens", ".tokens")) as stream,
          PartitionWriter(work.output("index", SUFFIX), INSTANCES, "key", partitions) as writer):
        for first, count in _ranges(partitions, config.buckets):
            instances = find_instances(indexes, range(first, first + count))
            if instances is None:
                continue
            numbers = first // config.buckets * config.buckets + bucket_of(instances.key, config.buckets)
            writer.add_ordered(_table(instances, written), numbers)
            for block in _blocks(tokens, instances, dtype, config.shard_tokens):
                stream.write(block)
            written += int(instances.n_tokens.sum())
    work.count("parts", len(names))
    work.count("tokens", written)


def _ranges(partitions: int, buckets: int) -> Iterator[tuple[int, int]]:
    """(first, count) of neighbouring partitions, none of two streams."""
    step = -(-buckets // _STEPS)
    for stream in range(0, partitions, buckets):
        for bucket in range(0, buckets, step):
            yield stream + bucket, min(step, buckets - bucket)


def _table(instances: Instances, written: int) -> pa.Table:
    """INSTANCES whose tokens follow one another. written: tokens before the first."""
    ends = written + np.cumsum(instances.n_tokens)
    columns: dict[str, Any] = {
        "key": instances.key, "doc_id": ids_array(instances.words), "source_id": instances.source_id.astype(np.uint16),
        "epoch": instances.epoch.astype(np.uint16), "doc_token_offset": instances.doc_token_offset,
        "n_tokens": instances.n_tokens, "token_start": ends - instances.n_tokens, "truncated": instances.truncated}
    return pa.table(columns, schema=INSTANCES)


def _blocks(paths: list[str], instances: Instances, dtype: np.dtype[Any], size: int) -> Iterator[npt.NDArray[Any]]:
    """The instances' tokens, joined, in blocks of so many; a document that lies in two is cut between them."""
    ends = np.cumsum(instances.n_tokens)
    begins = ends - instances.n_tokens
    total = int(ends[-1]) if len(ends) else 0
    for low in range(0, total, size):
        high = min(low + size, total)
        here = np.flatnonzero((ends > low) & (begins < high))
        first, last = np.maximum(begins[here], low), np.minimum(ends[here], high)
        block = np.empty(high - low, dtype)
        copy_parts(paths, instances.part[here], instances.token_start[here] + first - begins[here], first - low,
                   last - first, block)
        yield block
