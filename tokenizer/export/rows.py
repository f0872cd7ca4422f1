"""Formats whose samples are rows, as tokens alone: MosaicML's MDS and litdata's token chunks."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from manifests.shard import HEADER_BYTES
from tokenizer.export.shards import ExportDataset, ExportShard
from tokenizer.export.writing import Folder

_SHARD_LIMIT = (1 << 32) - 1  # MDS has 32-bit offsets
_NUMPY_CODE = {2: 5, 4: 6}  # litdata's _NUMPY_DTYPES_MAPPING: uint16, uint32
_HEADER_ITEMS = HEADER_BYTES // 4 - 2  # a chunk of so many items begins with as many bytes as our header has


def export_mds(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`SPLIT/shard.NNNNN.mds` and `index.json`, version 2: a sample a row, with the column `tokens`, ndarray of fixed
    type and length (streaming/base/format/mds/writer.py). Shards carry sha1 digests.

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Without effect; the format has no such form.
    Returns:
        For export.json: rows of each split.
    """
    counts = {}
    for split, shards in dataset.splits.items():
        entries = [_mds_shard(dataset, folder, split, shard) for shard in shards]
        folder.json(f"{split}/index.json", {"shards": entries, "version": 2})
        counts[split] = sum(e["samples"] for e in entries)
    return {"rows": counts}


def _mds_shard(dataset: ExportDataset, folder: Folder, split: str, shard: ExportShard) -> dict[str, Any]:
    row_bytes = dataset.row_length * dataset.dtype.itemsize
    config = {"version": 2, "format": "mds", "compression": None, "hashes": ["sha1"], "size_limit": _SHARD_LIMIT,
              "column_names": ["tokens"], "column_encodings": [f"ndarray:{dataset.dtype.name}:{dataset.row_length}"],
              "column_sizes": [row_bytes]}
    head = json.dumps(config, sort_keys=True).encode()
    first = 4 + 4 * (shard.n_rows + 1) + len(head)
    offsets = first + np.arange(shard.n_rows + 1, dtype=np.int64) * row_bytes
    payload = np.ascontiguousarray(shard.tokens()).view(np.uint8)
    blocks = [np.array([shard.n_rows], "<u4").view(np.uint8), offsets.astype("<u4").view(np.uint8),
              np.frombuffer(head, np.uint8), payload]
    digest = hashlib.sha1(usedforsecurity=False)
    for block in blocks:
        digest.update(block.data)
    name = f"shard.{shard.index:05d}.mds"
    n_bytes = folder.write(f"{split}/{name}", blocks)
    raw = {"basename": name, "bytes": n_bytes, "hashes": {"sha1": digest.hexdigest()}}
    return {**config, "raw_data": raw, "samples": shard.n_rows, "zip_data": None}


def export_litdata(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`SPLIT/chunk-0-N.bin` and `index.json` for TokensLoader (litdata/streaming/item_loader.py).

    With zero_copy a chunk is the shard: it claims 254 items, so the loader skips 4 * (254 + 2) bytes, which is the
    shard's header, and it reads nothing of them. Otherwise the chunk has litdata's own header, a row an item.

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Whether chunks are hard links of the shards.
    Returns:
        For export.json: `block_size`, the tokens of a row, and `zero_copy`.
    """
    for split, shards in dataset.splits.items():
        chunks = []
        for shard in shards:
            name = f"chunk-0-{shard.index}.bin"
            if zero_copy:
                folder.link(f"{split}/{name}", shard.path)
                n_items, n_bytes = _HEADER_ITEMS, shard.n_bytes
            else:
                n_items = shard.n_rows
                offsets = 4 * (n_items + 2) + np.arange(n_items + 1, dtype=np.int64) * (
                    dataset.row_length * dataset.dtype.itemsize)
                head = np.concatenate([[n_items], offsets]).astype("<u4")
                n_bytes = folder.write(f"{split}/{name}", [head, shard.tokens()])
            chunks.append({"chunk_bytes": n_bytes, "chunk_size": n_items, "dim": shard.n_tokens, "filename": name})
        folder.json(f"{split}/index.json", {"chunks": chunks, "config": _litdata_config(dataset), "updated_at": "0"})
    return {"block_size": dataset.row_length, "zero_copy": zero_copy}


def _litdata_config(dataset: ExportDataset) -> dict[str, Any]:
    return {"chunk_bytes": None, "chunk_size": None, "compression": None, "encryption": None,
            "data_format": [f"no_header_numpy:{_NUMPY_CODE[dataset.dtype.itemsize]}"],
            "data_spec": json.dumps([1, {"type": None, "context": None, "children_spec": []}]),
            "item_loader": "TokensLoader"}
