"""Stage `packed`: one shard and its spans, from the runs of every shuffled part that its buckets cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ShardError
from manifests.hashing import ids_array
from manifests.removals import removed_ids
from manifests.schema import SPANS
from manifests.shard import Header, write_shard
from manifests.tables import read_table
from manifests.tasks import Work
from tokenizer.encoding.encode import Encoder, load
from tokenizer.packing.gather import copy_runs, read_tokens
from tokenizer.packing.groups import partitions_of
from tokenizer.packing.instances import Instances, read_instances
from tokenizer.packing.removed import take_out
from tokenizer.packing.rows import begin_shards, fill_rows
from tokenizer.packing.shuffle import PackConfig

Ints = npt.NDArray[np.int64]


def pack_shard(config: PackConfig, work: Work) -> None:
    """packed: the payload of one shard and its spans.

    Inputs: tokens and index (all of pack/shuffle, in one order), layout, shards, tokenizer. Variables: split,
    shard_index. Outputs: shard (.bin) and spans (.spans.parquet, SPANS). Counters: tokens (of the payload),
    span_tokens, rows, spans. Memory: one shard's tokens, and the index of the buckets it overlaps."""
    split, shard_index = str(work.variables["split"]), int(work.variables["shard_index"])
    encoder = load(work.input("tokenizer"))
    place = _place_of(work.input("shards"), split, shard_index)
    buckets = _buckets_of(work.input("layout"), split, place)
    partitions = [p for b in buckets for p in partitions_of(config, b)]
    instances = read_instances(work.inputs("index"), partitions)
    if config.packing == "concat":
        pieces = _cut_stream(instances, buckets[0]["token_start"], place.first_token, place.n_tokens)
        whole = int((pieces.end - pieces.begin).sum()) == place.n_tokens - 1
    else:
        pieces = _cut_rows(config, instances, buckets, place)
        whole = int(instances.n_tokens.sum()) == sum(b["n_tokens"] for b in buckets)
    if not whole:
        raise ShardError("the shuffled parts do not hold the tokens that the layout promises",
                         where=f"{split}/{shard_index:06d}", hint="make pack/shuffle and pack/layout again")
    payload = _gather(work.inputs("tokens"), pieces, place.n_tokens, encoder)
    spans = _spans(pieces, config.row_length)
    payload, spans = take_out(payload, spans, removed_ids(work.inputs("removals")), encoder.eot_id)
    header = write_shard(work.output("shard", ".bin"), payload, Header(
        row_length=config.row_length, packing=config.packing, eot_id=encoder.eot_id, vocab_size=encoder.vocab_size,
        tokenizer_sha256=encoder.sha256, shard_index=shard_index, n_spans=len(spans)))
    work.write("spans", SPANS, [spans], name=f"{work.task.name}.spans.parquet")
    work.count("tokens", header.n_tokens)
    work.count("span_tokens", int(spans["n_tokens"].to_numpy().sum()))
    work.count("rows", header.n_rows)
    work.count("spans", len(spans))


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What a shard holds of each instance, in stream order. begin, end: places in the payload, int64 [n].

    offset: where the piece begins in its document. source_start: where it begins in its part's .tokens file. part:
    number of that part. cut: the instance goes on after the piece, or was truncated by its budget."""

    begin: Ints
    end: Ints
    offset: Ints
    source_start: Ints
    part: Ints
    cut: npt.NDArray[np.bool_]
    words: npt.NDArray[np.uint64]
    source_id: Ints
    epoch: Ints


@dataclass(frozen=True, slots=True)
class _Place:
    """A shard's place in its stream: a phase of the training split, or the val split."""

    phase: int
    first_token: int
    n_tokens: int
    first_row: int
    n_rows: int


def _place_of(shards: str, split: str, shard_index: int) -> _Place:
    rows: Any = read_table(shards).to_pylist()
    (row,) = (r for r in rows if r["split"] == split and r["shard_index"] == shard_index)
    # first_row counts over the split; here it counts from where the phase begins.
    start = min(r["first_row"] for r in rows if r["split"] == split and r["phase"] == row["phase"])
    return _Place(row["phase"], row["first_token"], row["n_tokens"], row["first_row"] - start, row["n_rows"])


def _buckets_of(layout: str, split: str, place: _Place) -> list[dict[str, Any]]:
    """Rows of the layout whose buckets a shard overlaps, in order."""
    table: Any = read_table(layout)
    rows = [r for r in table.to_pylist() if r["split"] == split and r["phase"] == place.phase]
    if any(r["n_rows"] for r in rows):
        low, high, start, size = place.first_row, place.first_row + place.n_rows, "row_start", "n_rows"
    else:
        low, high, start, size = place.first_token, place.first_token + place.n_tokens - 1, "token_start", "n_tokens"
    found = [r for r in rows if r[start] < high and r[start] + r[size] > low]
    if not found:
        raise ShardError("the layout has no bucket for this shard", where=split, hint="make pack/layout again")
    return found


def _cut_stream(instances: Instances, stream_start: int, first: int, n_tokens: int) -> _Pieces:
    """The pieces of tokens [first, first + n_tokens - 1) of the stream: concat."""
    ends = stream_start + np.cumsum(instances.n_tokens)
    starts = ends - instances.n_tokens
    high = first + n_tokens - 1
    here = np.flatnonzero((ends > first) & (starts < high))
    ends, starts = ends[here], starts[here]
    begin, end = np.maximum(starts, first), np.minimum(ends, high)
    shift = 1 - first  # the payload's first token is the end-of-text that belongs to no document
    return _pieces(instances, here, begin + shift, end - begin, begin - starts)


def _cut_rows(config: PackConfig, instances: Instances, buckets: list[dict[str, Any]], place: _Place) -> _Pieces:
    """The fragments in the shard's rows: best_fit and pad. Groups of buckets are filled one by one, as laid out."""
    bounds = np.cumsum([0, *(b["n_tokens"] for b in buckets)])
    edges = np.searchsorted(np.cumsum(instances.n_tokens), bounds, "right")
    found = []
    for bucket, low, high in zip(buckets, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        rows = fill_rows(config.packing, instances.n_tokens[low:high], config.row_length, config.shard_rows)
        rows = begin_shards(rows, config.row_length, bucket["row_start"], config.shard_rows)
        row = rows.row + (bucket["row_start"] - place.first_row)
        here = np.flatnonzero((row >= 0) & (row < place.n_rows))
        begin = row[here] * config.row_length + rows.place[here]
        found.append((rows.instance[here] + low, begin, rows.n_tokens[here], rows.offset[here]))
    chosen, begin, n_tokens, offset = (np.concatenate(column) for column in zip(*found, strict=True))
    return _pieces(instances, chosen, begin, n_tokens, offset)


def _pieces(instances: Instances, chosen: Ints, begin: Ints, n_tokens: Ints, offset: Ints) -> _Pieces:
    """Pieces of chosen instances; offset: where each begins in its instance."""
    goes_on = offset + n_tokens < instances.n_tokens[chosen]
    return _Pieces(
        begin=begin, end=begin + n_tokens, offset=instances.doc_token_offset[chosen] + offset,
        source_start=instances.token_start[chosen] + offset, part=instances.part[chosen],
        cut=goes_on | instances.truncated[chosen], words=instances.words[chosen],
        source_id=instances.source_id[chosen], epoch=instances.epoch[chosen])


def _gather(paths: list[str], pieces: _Pieces, n_tokens: int, encoder: Encoder) -> npt.NDArray[Any]:
    """The payload, uint16 or uint32 [n_tokens]: each part's pieces lie in one run of its file, read front to back."""
    payload = np.full(n_tokens, encoder.eot_id, encoder.dtype)
    by_part = np.argsort(pieces.part, kind="stable")
    bounds = np.flatnonzero(np.diff(pieces.part[by_part], prepend=-1, append=-1))
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        mine = by_part[a:b]
        lengths = pieces.end[mine] - pieces.begin[mine]
        low = int(pieces.source_start[mine].min())
        high = int((pieces.source_start[mine] + lengths).max())
        tokens = read_tokens(paths[int(pieces.part[mine[0]])], encoder.dtype, low, high - low)
        copy_runs(tokens, pieces.source_start[mine] - low, pieces.begin[mine], lengths, payload)
    return payload


def _spans(pieces: _Pieces, row_length: int) -> pa.Table:
    """SPANS of a shard: its pieces, cut at every row."""
    first_row = pieces.begin // row_length
    n_cuts = (pieces.end - 1) // row_length - first_row + 1
    piece = np.repeat(np.arange(len(n_cuts)), n_cuts)
    row = first_row[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(n_cuts) - n_cuts, n_cuts)
    begin = np.maximum(pieces.begin[piece], row * row_length)
    end = np.minimum(pieces.end[piece], (row + 1) * row_length)
    offset = pieces.offset[piece] + begin - pieces.begin[piece]
    columns = {
        "token_start": begin.astype(np.uint64), "n_tokens": (end - begin).astype(np.uint32),
        "doc_id": ids_array(pieces.words[piece]), "source_id": pieces.source_id[piece].astype(np.uint16),
        "doc_token_offset": offset.astype(np.uint32), "epoch": pieces.epoch[piece].astype(np.uint16),
        "row": row.astype(np.uint32), "truncated_left": offset > 0,
        "truncated_right": (end < pieces.end[piece]) | pieces.cut[piece]}
    return pa.table(columns, schema=SPANS)
