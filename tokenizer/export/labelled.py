"""Formats that say which tokens are learned: Hugging Face Parquet, and Megatron Bridge's packed fine-tuning data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.dataset import IGNORED
from manifests.tables import one_array, write_table
from tokenizer.export.shards import ExportDataset, ExportShard, arrow_list
from tokenizer.export.writing import Folder

_ROW_BLOCK = 4096


def _lists(**kinds: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, pa.list_(kind), nullable=False) for name, kind in kinds.items()]


HF = pa.schema(_lists(input_ids=pa.int32(), labels=pa.int32(), cu_seqlens=pa.int32(), source_ids=pa.int32()))
HF_CHAT = pa.schema([*HF, *_lists(group_ids=pa.string(), ranks=pa.int32(), desirable=pa.int32(), readouts=pa.int32(),
                                  targets=pa.string(), loss_weights=pa.float32())])
MEGATRON_SFT = pa.schema(_lists(input_ids=pa.int32(), loss_mask=pa.uint8(), seq_start_id=pa.int32()))


def export_hf(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`SPLIT/part-NNNNN.parquet` for `datasets`: a row each, every column a list.

    input_ids and labels, int32 [T]: labels are not shifted, -100 where a token is not learned. cu_seqlens: bounds of
    the row's documents, from 0 to the row's length, as flash attention takes them. source_ids: of each of those, -1
    where it is none. Dialogues also have, for each, group_ids (hexadecimal), ranks, desirable (KTO's verdict, 0 or 1)
    readouts (a token of the row) and targets (what is read there in a task), each null where there is none, and
    loss_weights, float32 [T].

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Without effect; the format has no such form.
    Returns:
        For export.json: rows of each split.
    """
    schema = HF_CHAT if "labels" in dataset.facets else HF
    return _write(dataset, folder, "part-{:05d}.parquet", schema, _hf_tables)


def export_megatron_sft(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`SPLIT/shard_NNNNNN.idx.parquet`: what Megatron Bridge's GPTSFTPackedParquetDataset reads.

    A row is a row's documents, joined, without padding: input_ids int32, seq_start_id int32 (where each begins) and
    loss_mask uint8, 1 where the *next* token of the same document is learned, as the reader aligns it with labels.

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Without effect; the format has no such form.
    Returns:
        For export.json: rows of each split.
    """
    return _write(dataset, folder, "shard_{:06d}.idx.parquet", MEGATRON_SFT, _megatron_tables)


def _write(dataset: ExportDataset, folder: Folder, name: str, schema: pa.Schema, tables: Any) -> dict[str, Any]:
    for split, shards in dataset.splits.items():
        for shard in shards:
            def fill(path: str, shard: ExportShard = shard) -> None:
                write_table(path, schema, tables(dataset, shard, schema))

            folder.make(f"{split}/{name.format(shard.index)}", fill)
    return {"rows": {split: sum(s.n_rows for s in shards) for split, shards in dataset.splits.items()}}


def _hf_tables(dataset: ExportDataset, shard: ExportShard, schema: pa.Schema) -> Iterator[pa.Table]:
    length, spans = dataset.row_length, shard.spans()
    rows, bounds = shard.tokens().reshape(-1, length), shard.bounds(length)
    learned = shard.learned().reshape(-1, length)
    weights = _loss_weights(spans, shard.n_tokens).reshape(-1, length) if "loss_weights" in schema.names else None
    for low in range(0, shard.n_rows, _ROW_BLOCK):
        here = slice(low, low + _ROW_BLOCK)
        edges = bounds[here]
        full = np.full(len(edges), length)
        labels = np.where(learned[here], rows[here].astype(np.int64), IGNORED)
        columns: list[Any] = [arrow_list(values.reshape(-1), full, pa.int32()) for values in (rows[here], labels)]
        columns.append(arrow_list(np.concatenate(edges), [len(e) for e in edges], pa.int32()))
        columns += _per_segment(spans, edges, low * length, length, schema)
        if weights is not None:
            columns.append(arrow_list(weights[here].reshape(-1), full, pa.float32()))
        yield pa.table(columns, schema=schema)


def _per_segment(spans: Any, edges: list[Any], first: int, length: int, schema: pa.Schema) -> list[pa.Array]:
    """Columns of lists with an entry for each segment of some rows. first: token of the payload that they begin at."""
    starts = np.concatenate([e[:-1].astype(np.int64) + first + i * length for i, e in enumerate(edges)])
    known: Any = spans["token_start"].to_numpy().astype(np.int64)
    at = np.minimum(np.searchsorted(known, starts), max(0, len(known) - 1))
    index = pa.array(at, mask=known[at] != starts if len(known) else np.ones(len(starts), np.bool_))
    offsets = pa.array(np.concatenate([[0], np.cumsum([len(e) - 1 for e in edges])]).astype(np.int32))
    source = pc.fill_null(one_array(spans["source_id"].cast(pa.int32()).take(index)), -1)
    columns = [source]
    if "ranks" in schema.names:
        group = [None if g is None else g.hex() for g in spans["group_id"].take(index).to_pylist()]
        none = pa.nulls(len(spans), pa.int64())
        label, readout = (spans[c].cast(pa.int64()) if c in spans.column_names else none for c in ("label", "readout"))
        in_row = pc.add(readout, pa.array(known % length))
        columns += [pa.array(group, pa.string()), *(
            one_array(column.take(index).cast(pa.int32())) for column in (spans["rank"], label, in_row))]
        target = spans["target"] if "target" in spans.column_names else pa.nulls(len(spans), pa.string())
        columns.append(one_array(target.take(index)))
    return [pa.ListArray.from_arrays(offsets, column) for column in columns]


def _loss_weights(spans: Any, n_tokens: int) -> Any:
    """How much each token of a payload counts in the loss, float32 [N]."""
    weights = np.zeros(n_tokens, np.float32)
    for start, turns in zip(spans["token_start"].to_pylist(), spans["turns"].to_pylist(), strict=True):
        for turn in turns:
            if turn["loss"]:
                first = start + turn["start"]
                weights[first : first + turn["n_tokens"]] = turn.get("weight", 1.0)
    return weights


def _megatron_tables(dataset: ExportDataset, shard: ExportShard, schema: pa.Schema) -> Iterator[pa.Table]:
    length, tokens, learned, spans = dataset.row_length, shard.tokens(), shard.learned(), shard.spans()
    start, n_tokens, row = (spans[c].to_numpy().astype(np.int64) for c in ("token_start", "n_tokens", "row"))
    following = np.append(learned[1:], False)
    following[start + n_tokens - 1] = False
    own = np.zeros(shard.n_tokens + 1, np.int8)
    np.add.at(own, start, 1)
    np.add.at(own, start + n_tokens, -1)
    chosen = np.flatnonzero(np.cumsum(own[:-1], dtype=np.int8))
    for low in range(0, shard.n_rows, _ROW_BLOCK):
        high = min(low + _ROW_BLOCK, shard.n_rows)
        here = slice(*np.searchsorted(row, [low, high]).tolist())
        at = chosen[slice(*np.searchsorted(chosen, [low * length, high * length]).tolist())]
        of_row = np.bincount(at // length - low, minlength=high - low)
        counts = np.bincount(row[here] - low, minlength=high - low)
        begins = np.cumsum(n_tokens[here]) - n_tokens[here] - (np.cumsum(of_row) - of_row)[row[here] - low]
        yield pa.table([arrow_list(tokens[at], of_row, pa.int32()), arrow_list(following[at], of_row, pa.uint8()),
                        arrow_list(begins, counts, pa.int32())], schema=schema)
