"""Stage `packed`: one shard and its spans, from the runs of every shuffled part that its buckets cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ShardError
from manifests.hashing import ids_array
from manifests.removals import removed_ids
from manifests.rows import write_rows
from manifests.schema import SPANS
from manifests.shard import Header, write_shard
from manifests.tables import read_table
from manifests.tasks import Work
from tokenizer.encoding.encode import Encoder, load
from tokenizer.packing.config import PackConfig
from tokenizer.packing.fragments import Fragments, ShardRange
from tokenizer.packing.gather import copy_parts
from tokenizer.packing.groups import partitions_of
from tokenizer.packing.instances import read_instances
from tokenizer.packing.packers import packer
from tokenizer.packing.removed import take_out


def pack_shard(config: PackConfig, work: Work) -> None:
    """packed: the payload of one shard and its spans.

    Inputs: tokens and index (all shuffled parts, in one order), layout, shards, tokenizer. Variables: split,
    shard_index. Outputs: shard (.bin), spans (.spans.parquet, SPANS) and rows (.rows, `manifests.rows`). Counters:
    tokens (of the payload), span_tokens, rows, spans. Memory: one shard's tokens, and the index of the buckets it
    overlaps."""
    split, shard_index = str(work.variables["split"]), int(work.variables["shard_index"])
    encoder = load(work.input("tokenizer"))
    shard = _range_of(work.input("shards"), split, shard_index)
    buckets = _buckets_of(work.input("layout"), split, shard)
    partitions = [p for b in buckets for p in partitions_of(config, b)]
    instances = read_instances(work.inputs("index"), partitions)
    fragments = packer(config.packing).fragments(config, instances, buckets, shard)
    if fragments is None:
        raise ShardError("the shuffled parts do not hold the tokens that the layout promises",
                         where=f"{split}/{shard_index:06d}", hint="make pack/shuffle and pack/layout again")
    payload = _gather(work.inputs("tokens"), fragments, shard.n_tokens, encoder)
    spans = _spans(fragments, config.row_length)
    payload, spans = take_out(payload, spans, removed_ids(work.inputs("removals")), encoder.eot_id)
    header = write_shard(work.output("shard", ".bin"), payload, Header(
        row_length=config.row_length, packing=config.packing, eot_id=encoder.eot_id, vocab_size=encoder.vocab_size,
        tokenizer_sha256=encoder.sha256, shard_index=shard_index, n_spans=len(spans)))
    work.write("spans", SPANS, [spans], name=f"{work.task.name}.spans.parquet")
    write_rows(work.output("rows", ".rows"), spans, header.n_rows, header.row_length, header.payload_digest)
    work.count("tokens", header.n_tokens)
    work.count("span_tokens", int(spans["n_tokens"].to_numpy().sum()))
    work.count("rows", header.n_rows)
    work.count("spans", len(spans))


def _range_of(shards: str, split: str, shard_index: int) -> ShardRange:
    rows: Any = read_table(shards).to_pylist()
    (row,) = (r for r in rows if r["split"] == split and r["shard_index"] == shard_index)
    # first_row counts over the split; here it counts from where the phase begins.
    start = min(r["first_row"] for r in rows if r["split"] == split and r["phase"] == row["phase"])
    return ShardRange(row["phase"], row["first_token"], row["n_tokens"], row["first_row"] - start, row["n_rows"])


def _buckets_of(layout: str, split: str, shard: ShardRange) -> list[dict[str, Any]]:
    """Rows of the layout whose buckets a shard overlaps, in order."""
    table: Any = read_table(layout)
    rows = [r for r in table.to_pylist() if r["split"] == split and r["phase"] == shard.phase]
    if any(r["n_rows"] for r in rows):
        low, high, start, size = shard.first_row, shard.first_row + shard.n_rows, "row_start", "n_rows"
    else:
        low, high, start, size = shard.first_token, shard.first_token + shard.n_tokens - 1, "token_start", "n_tokens"
    overlapping = [r for r in rows if r[start] < high and r[start] + r[size] > low]
    if not overlapping:
        raise ShardError("the layout has no bucket for this shard", where=split, hint="make pack/layout again")
    return overlapping


def _gather(paths: list[str], fragments: Fragments, n_tokens: int, encoder: Encoder) -> npt.NDArray[Any]:
    """The payload, uint16 or uint32 [n_tokens]."""
    payload = np.full(n_tokens, encoder.eot_id, encoder.dtype)
    copy_parts(paths, fragments.part, fragments.source_start, fragments.begin, fragments.end - fragments.begin, payload)
    return payload


def _spans(fragments: Fragments, row_length: int) -> pa.Table:
    """SPANS of a shard: its fragments, split at every row."""
    first_row = fragments.begin // row_length
    n_cuts = (fragments.end - 1) // row_length - first_row + 1
    owner = np.repeat(np.arange(len(n_cuts)), n_cuts)
    row = first_row[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(n_cuts) - n_cuts, n_cuts)
    begin = np.maximum(fragments.begin[owner], row * row_length)
    end = np.minimum(fragments.end[owner], (row + 1) * row_length)
    offset = fragments.offset[owner] + begin - fragments.begin[owner]
    columns = {
        "token_start": begin.astype(np.uint64), "n_tokens": (end - begin).astype(np.uint32),
        "doc_id": ids_array(fragments.words[owner]), "source_id": fragments.source_id[owner].astype(np.uint16),
        "doc_token_offset": offset.astype(np.uint32), "epoch": fragments.epoch[owner].astype(np.uint16),
        "row": row.astype(np.uint32), "truncated_left": offset > 0,
        "truncated_right": (end < fragments.end[owner]) | fragments.cut[owner]}
    return pa.table(columns, schema=SPANS)
