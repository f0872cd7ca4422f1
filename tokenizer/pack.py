"""Stage `packed`: one shard and its spans, from the runs of every shuffled part that its buckets cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ShardError
from manifests.hashing import id_words, ids_array
from manifests.schema import SPANS
from manifests.shard import Header, write_shard
from manifests.tables import open_table, read_table
from manifests.tasks import ShardWork
from tokenizer.encode import Encoder, load
from tokenizer.gather import copy_runs, read_tokens
from tokenizer.mix import SPLITS
from tokenizer.shuffle import PackConfig

Ints = npt.NDArray[np.int64]
_COLUMNS = ["key", "doc_id", "source_id", "epoch", "n_tokens", "token_start", "truncated"]


def pack_shard(config: PackConfig, work: ShardWork) -> None:
    """packed: the payload of one shard and its spans.

    Inputs: tokens and index (all of pack/shuffle, in one order), layout, shards, tokenizer. Variables: split,
    shard_index. Outputs: shard (.bin) and spans (.spans.parquet, SPANS). Counters: tokens (of the payload),
    span_tokens, rows, spans. Memory: one shard's tokens, and the index of the buckets it overlaps."""
    split, shard_index = str(work.variables["split"]), int(work.variables["shard_index"])
    encoder = load(work.input("tokenizer"))
    first, n_tokens = _place_of(work.input("shards"), split, shard_index)
    buckets, stream_start = _buckets_of(work.input("layout"), split, first, first + n_tokens - 1)
    partitions = [SPLITS.index(split) * config.buckets + b for b in buckets]
    pieces = _read_pieces(work.inputs("index"), partitions, stream_start, first, n_tokens - 1)
    if int((pieces.end - pieces.begin).sum()) != n_tokens - 1:
        raise ShardError("the shuffled parts do not hold the tokens that the layout promises",
                         where=f"{split}/{shard_index:06d}", hint="make pack/shuffle and pack/layout again")
    payload = _gather(work.inputs("tokens"), pieces, n_tokens, encoder)
    spans = _spans(pieces, config.row_length)
    header = write_shard(work.output("shard", ".bin"), payload, Header(
        row_length=config.row_length, packing=config.packing, eot_id=encoder.eot_id, vocab_size=encoder.vocab_size,
        tokenizer_sha256=encoder.sha256, shard_index=shard_index, n_spans=len(spans)))
    work.write("spans", SPANS, [spans], name=f"{work.task.shard}.spans.parquet")
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


def _place_of(shards: str, split: str, shard_index: int) -> tuple[int, int]:
    """(first token in the split's stream, payload tokens) of a shard."""
    rows: Any = read_table(shards).to_pylist()
    (row,) = (r for r in rows if r["split"] == split and r["shard_index"] == shard_index)
    return int(row["first_token"]), int(row["n_tokens"])


def _buckets_of(layout: str, split: str, low: int, high: int) -> tuple[list[int], int]:
    """Buckets that overlap tokens [low, high) of a split's stream, and where the first of them begins."""
    table: Any = read_table(layout)
    rows = [r for r in table.to_pylist() if r["split"] == split]
    found = [r for r in rows if r["token_start"] < high and r["token_start"] + r["n_tokens"] > low]
    return [int(r["bucket"]) for r in found], int(found[0]["token_start"]) if found else 0


def _read_pieces(paths: list[str], partitions: list[int], stream_start: int, first: int, n_stream: int) -> _Pieces:
    """The pieces of tokens [first, first + n_stream) of the stream, from the parts' rows of some partitions."""
    tables, parts = [], []
    for part, path in enumerate(paths):
        table = _read_partitions(path, partitions)
        if table is not None:
            tables.append(table)
            parts.append(np.full(len(table), part, np.int64))
    if not tables:
        raise ShardError("no shuffled part holds these buckets", where="pack/shuffle")
    rows: Any = pa.concat_tables(tables)
    words = id_words(rows["doc_id"])
    column = {n: rows[n].to_numpy() for n in _COLUMNS if n != "doc_id"}
    order = np.lexsort((column["epoch"], words[:, 1], words[:, 0], column["key"]))
    n_tokens = column["n_tokens"][order]
    ends = stream_start + np.cumsum(n_tokens)
    here = np.flatnonzero((ends > first) & (ends - n_tokens < first + n_stream))
    order, ends, starts = order[here], ends[here], (ends - n_tokens)[here]
    begin, end = np.maximum(starts, first), np.minimum(ends, first + n_stream)
    shift = 1 - first  # the payload's first token is the end-of-text that belongs to no document
    return _Pieces(
        begin=begin + shift, end=end + shift, offset=begin - starts,
        source_start=column["token_start"][order] + begin - starts, part=np.concatenate(parts)[order],
        cut=(end < ends) | column["truncated"][order], words=words[order],
        source_id=column["source_id"][order].astype(np.int64), epoch=column["epoch"][order].astype(np.int64))


def _read_partitions(path: str, partitions: list[int]) -> pa.Table | None:
    """Rows of some partitions of a shuffled part; None where it has none. The file is opened once."""
    wanted = set(partitions)
    with open_table(path) as file:
        groups = []
        for group in range(file.num_row_groups):
            statistics: Any = file.metadata.row_group(group).column(0).statistics
            if statistics.min in wanted:
                groups.append(group)
        return file.read_row_groups(groups, columns=_COLUMNS, use_threads=False) if groups else None


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
