"""Megatron's indexed datasets: `.bin` of tokens, `.idx` of documents (megatron/core/datasets/indexed_dataset.py).

    0   9 bytes  "MMIDIDX", two zeros        18  uint64   S, sequences             34   int32[S]   tokens of each
    9   uint64   version, 1                  26  uint64   S + 1                    ...  int64[S]   byte offset in .bin
    17  uint8    8 uint16, 4 int32                                                 ...  int64[S+1] documents: 0 to S

A sequence is a document with its end-of-text token last, as `preprocess_data.py --append-eod` leaves it. Megatron has
no uint32: ids of larger vocabularies are below 2^31 and read as int32.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from manifests.part_paths import part_path
from manifests.shard import HEADER_BYTES
from tokenizer.export.shards import ExportDataset
from tokenizer.export.writing import Folder

Ints = npt.NDArray[np.int64]
_HEAD = struct.Struct("<9sQBQQ")
_CODES = {2: 8, 4: 4}


def index_bytes(lengths: Ints, pointers: Ints, itemsize: int) -> bytes:
    """An .idx. lengths: tokens of each document, int64 [n]. pointers: where each begins in the .bin, in bytes."""
    n = len(lengths)
    head = _HEAD.pack(b"MMIDIDX\0\0", 1, _CODES[itemsize], n, n + 1)
    return b"".join((head, lengths.astype("<i4").tobytes(), pointers.astype("<i8").tobytes(),
                     np.arange(n + 1, dtype="<i8").tobytes()))


def export_megatron(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`SPLIT.bin` and `SPLIT.idx`; with zero_copy, `SPLIT/NNNNNN.bin`, which is the shard, and an .idx whose pointers
    start behind the shard's header. A document that goes on in the next shard is then two.

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Whether the shards themselves are the .bin files, as hard links.
    Returns:
        For export.json: documents of each split, and `zero_copy`.
    """
    size = dataset.dtype.itemsize
    counts = {}
    for split, shards in dataset.splits.items():
        if zero_copy:
            counts[split] = 0
            for shard in shards:
                fragments = dataset.fragments(shard)
                name = part_path(f"{split}/{shard.index:06d}")
                folder.link(f"{name}.bin", shard.path)
                pointers = HEADER_BYTES + fragments.start * size
                folder.write(f"{name}.idx", [index_bytes(fragments.n_tokens, pointers, size)])
                counts[split] += len(fragments)
            continue
        lengths: list[Ints] = []
        folder.write(f"{split}.bin", _bodies(dataset, split, lengths))
        joined = np.concatenate(lengths) if lengths else np.empty(0, np.int64)
        folder.write(f"{split}.idx", [index_bytes(joined, (np.cumsum(joined) - joined) * size, size)])
        counts[split] = len(joined)
    return {"documents": counts, "zero_copy": zero_copy}


def _bodies(dataset: ExportDataset, split: str, lengths: list[Ints]) -> Iterator[npt.NDArray[Any]]:
    """The documents' tokens of every shard; `lengths` gets their lengths, parts of one document added up."""
    for _, body, fragments in dataset.stream(split):
        of_shard = fragments.n_tokens.copy()
        if fragments.joins:
            lengths[-1][-1] += of_shard[0]
            of_shard = of_shard[1:]
        if len(of_shard):
            lengths.append(of_shard)
        yield body
