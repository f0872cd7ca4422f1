"""A shard's spans file in memory: which documents its rows are made of, and which tokens are to be learned."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ShardError
from manifests.hashing import Int64
from manifests.schema import CHAT_SPANS
from manifests.storage import digest_file
from manifests.tables import one_array, open_table, read_columns

BYTES_PER_SPAN: Final = 96  # in memory
_COLUMNS: Final = ["token_start", "n_tokens", "doc_id", "source_id", "doc_token_offset", "epoch", "row"]
# Only dialogues have them (schema.CHAT_SPANS), and the oldest not all.
_CHAT_COLUMNS: Final = ["group_id", "rank", "turns", "label", "readout", "target"]


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of a shard, by token_start; integers as int64 [n].

    learned_*: int64 [m], the runs of tokens that may be targets: whole spans or, in dialogues, the answers in them.
    learned_weight: how much their tokens count in the loss, float32 [m], of dialogues alone. label, target: null, and
    readout: -1, where the file has none."""

    token_start: Int64
    n_tokens: Int64
    doc_id: pa.FixedSizeBinaryArray
    source_id: Int64
    doc_token_offset: Int64
    epoch: Int64
    row: Int64
    group_id: pa.FixedSizeBinaryArray
    rank: Int64
    label: pa.BooleanArray
    readout: Int64
    target: pa.StringArray
    learned_start: Int64
    learned_n: Int64
    learned_row: Int64
    learned_weight: npt.NDArray[np.float32] | None = None


def read_spans(path: str, digest: str) -> Spans:
    """Read a spans file; ShardError where it is missing, its xxh3-128 is not `digest`, or it has other columns."""
    if not os.path.exists(path) or digest_file(path) != digest:
        raise ShardError("is missing, or not the spans file that the manifest describes", where=path)
    table = read_columns(path, CHAT_SPANS, _COLUMNS, [name for name in _CHAT_COLUMNS if name != "turns"])
    with open_table(path) as file:
        if "turns" in file.schema_arrow.names:  # their type has grown
            turns = file.read(columns=["turns"], use_threads=False)["turns"]
            if not pa.types.is_list(turns.type) or not pa.types.is_struct(turns.type.value_type):
                raise ShardError(f"column turns is {turns.type}", where=path)
            table = table.append_column("turns", turns)
    try:
        return spans_of(table)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise ShardError(f"column turns lacks what turns have: {error}", where=path) from error


def check_spans(spans: Spans, n_rows: int, row_length: int, where: str) -> None:
    """Raise ShardError, naming the column, unless spans agree with their shard: in order, apart, each within its row.

    Args:
        spans: Of one shard.
        n_rows: Rows of the shard.
        row_length: Tokens of a row.
        where: The spans file.
    """
    start, end = spans.token_start, spans.token_start + spans.n_tokens
    learned_end = spans.learned_start + spans.learned_n
    problems = (
        ("n_tokens", "gives a span no token", spans.n_tokens < 1),
        ("token_start", "lies outside the shard", (start < 0) | (end > n_rows * row_length)),
        ("row", "is not the row that the span begins in", spans.row != start // row_length),
        ("n_tokens", "carries a span over the end of its row", (end - 1) // row_length != spans.row),
        ("token_start", "is not ascending, or a span reaches into the next", (start[1:] < end[:-1])),
        ("turns", "name tokens outside the shard",
         (spans.learned_start < 0) | (spans.learned_n < 0) | (learned_end > n_rows * row_length)))
    for column, what, wrong in problems:
        if wrong.any():
            raise ShardError(f"column {column} of span {int(wrong.argmax())} {what}", where=where, hint=(
                "run `curate verify`, then fetch or pack the shard again"))


def spans_of(table: Any) -> Spans:
    """A table of `schema.SPANS` or `schema.CHAT_SPANS` as arrays."""
    numbers = {n: table[n].to_numpy().astype(np.int64) for n in _COLUMNS if n != "doc_id"}
    chat = _CHAT_COLUMNS[0] in table.column_names
    learned = _answers(one_array(table["turns"]), numbers["token_start"], numbers["row"]) if chat else (
        numbers["token_start"], numbers["n_tokens"], numbers["row"], None)
    group: Any = one_array(table["group_id"]) if chat else pa.nulls(len(table), pa.binary(16))
    rank = table["rank"].cast(pa.int64()).fill_null(-1).to_numpy() if chat else np.full(len(table), -1)
    doc_id: Any = one_array(table["doc_id"])
    names = table.column_names
    label: Any = one_array(table["label"]) if "label" in names else pa.nulls(len(table), pa.bool_())
    target: Any = one_array(table["target"]) if "target" in names else pa.nulls(len(table), pa.string())
    readout = (table["readout"].cast(pa.int64()).fill_null(-1).to_numpy() if "readout" in names else
               np.full(len(table), -1))
    return Spans(doc_id=doc_id, group_id=group, rank=rank.astype(np.int64), label=label,
                 readout=readout.astype(np.int64), target=target,
                 learned_start=learned[0], learned_n=learned[1], learned_row=learned[2], learned_weight=learned[3],
                 **numbers)


def _answers(turns: Any, token_start: Int64, row: Int64) -> tuple[Int64, Int64, Int64, npt.NDArray[np.float32]]:
    """(first token in the payload, tokens, row of the shard), int64 [m], and weight of every turn with loss."""
    span = np.repeat(np.arange(len(turns)), np.diff(turns.offsets.to_numpy()))
    flat = turns.flatten()
    loss = flat.field("loss").to_numpy(zero_copy_only=False).astype(np.bool_)
    start = token_start[span] + flat.field("start").to_numpy()
    weighted = flat.type.get_field_index("weight") >= 0  # not in the oldest
    weight = (flat.field("weight").fill_null(1).to_numpy(zero_copy_only=False).astype(np.float32) if weighted else
              np.ones(len(loss), np.float32))
    return start[loss], flat.field("n_tokens").to_numpy().astype(np.int64)[loss], row[span][loss], weight[loss]
