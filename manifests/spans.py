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
from manifests.storage import digest_file
from manifests.tables import one_array, open_table

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
    """Read a spans file; ShardError where it is missing or its xxh3-128 is not `digest`."""
    if not os.path.exists(path) or digest_file(path) != digest:
        raise ShardError("is missing, or not the spans file that the manifest describes", where=path)
    with open_table(path) as file:
        names = [n for n in _COLUMNS + _CHAT_COLUMNS if n in file.schema_arrow.names]
        return spans_of(file.read(columns=names, use_threads=False))


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
