"""Formats that are little more than the tokens: llm.c, nanoGPT, OLMo and datatrove."""

from __future__ import annotations

import gzip
from typing import Any

from manifests.errors import InputError
from manifests.hashing import ids_array
from tokenizer.export.shards import ExportDataset, Fragments
from tokenizer.export.writing import Folder


def export_llmc(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`curate_SPLIT_NNNNNN.bin`: the shards themselves, under the names that llm.c and modded-nanogpt look for.

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Without effect: they are always hard links.
    Returns:
        For export.json: how many files each split has.
    """
    for split, shards in dataset.splits.items():
        for shard in shards:
            folder.link(f"curate_{split}_{shard.index:06d}.bin", shard.path)
    return {"files": {split: len(shards) for split, shards in dataset.splits.items()}, "zero_copy": True}


def export_nanogpt(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`train.bin` and `val.bin`: uint16 without header, every document with its end-of-text last (data/*/prepare.py).

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Without effect; the format has no such form.
    Returns:
        For export.json: tokens of each split.
    Raises:
        InputError: The vocabulary is beyond 65,536: nanoGPT reads uint16 alone.
    """
    if dataset.dtype.itemsize != 2:
        raise InputError(f"has a vocabulary of {dataset.vocab_size}; nanoGPT reads uint16 tokens only",
                         where="--format nanogpt", hint="export megatron or olmo, or train a smaller tokenizer")
    return {"tokens": {split: folder.write(f"{split}.bin", (body for _, body, _ in dataset.stream(split))) // 2
                       for split in dataset.splits}}


def export_olmo(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`SPLIT/part-0-NNNNN.npy`, raw tokens in spite of the name, and `.csv.gz`: start, end, id, source, offset.

    The offset is that of the first token in its document (dolma, tokens/memmap_writer.py, has a line number there).

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Without effect; the format has no such form.
    Returns:
        For export.json: tokens of each split.
    """
    tokens = {}
    for split in dataset.splits:
        tokens[split] = 0
        for shard, body, fragments in dataset.stream(split):
            name = f"{split}/part-0-{shard.index:05d}"
            tokens[split] += folder.write(f"{name}.npy", [body]) // dataset.dtype.itemsize
            folder.write(f"{name}.csv.gz", [gzip.compress(_csv(dataset, fragments), mtime=0)])
    return {"tokens": tokens}


def _csv(dataset: ExportDataset, fragments: Fragments) -> bytes:
    ids: list[bytes] = ids_array(fragments.words).to_pylist()
    columns = (fragments.start.tolist(), (fragments.start + fragments.n_tokens).tolist(), ids,
               fragments.source_id.tolist(), fragments.doc_token_offset.tolist())
    return "".join(f"{start},{end},{doc_id.hex()},{dataset.sources[source]},{offset}\n"
                   for start, end, doc_id, source, offset in zip(*columns, strict=True)).encode()


def export_datatrove(dataset: ExportDataset, folder: Folder, zero_copy: bool) -> dict[str, Any]:
    """`SPLIT/NNNNN_shuffled.ds`, `.ds.index` (where documents end, uint64) and `.ds.metadata`.

    A reader cuts rows of its own length plus one, and takes positions from the index.

    Args:
        dataset: The packed dataset.
        folder: Of the export.
        zero_copy: Without effect; the format has no such form.
    Returns:
        For export.json: tokens of each split.
    """
    counts = {}
    for split in dataset.splits:
        counts[split] = 0
        for shard, body, fragments in dataset.stream(split):
            name = f"{split}/{shard.index:05d}_shuffled.ds"
            folder.write(name, [body])
            folder.write(f"{name}.index", [(fragments.start + fragments.n_tokens).astype("<u8")])
            folder.write(f"{name}.metadata", [_metadata(dataset, len(body))])
            counts[split] += len(body)
    return {"tokens": counts}


def _metadata(dataset: ExportDataset, n_tokens: int) -> bytes:
    tokenizer = f"sha256-{dataset.tokenizer_sha256}|{dataset.dtype.itemsize}"
    return f"{tokenizer}\n{n_tokens}\n{n_tokens / 1e6:.3f} MT".encode()
