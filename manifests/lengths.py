"""Sequences of several lengths out of one packed dataset: dataset decomposition and variable sequence length training
(Pouransari et al. 2024, arXiv 2405.13226, sections 2 and 3).

Each document is divided into runs of 2^i tokens, from `largest` down to `smallest`; a batch holds sequences of one
length and always as many tokens, so no attention goes to other documents, and a schedule may begin with short ones. No
token is copied: `packed/lengths/` says where sequences begin, and a loader reads them out of the shards.

    lengths.json          lengths, sequences of each, tokens left out, the dataset's digest
    SPLIT-LENGTH.u64      little-endian uint64 a sequence, in the order of the shards: its first token, counted over the
                          split's payloads; the highest bit is set where its document goes on behind it
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from manifests.dataset import PackedDataset
from manifests.errors import InputError, RecipeError, ShardError
from manifests.storage import digest_file, replacing
from manifests.tables import read_table

FOLDER: Final = "lengths"
GOES_ON: Final = np.uint64(1 << 63)
_DESCRIPTION: Final = "lengths.json"
Int64 = npt.NDArray[np.int64]


def decompose(n_tokens: Int64, smallest: int, largest: int) -> tuple[Int64, Int64, Int64]:
    """Runs of powers of two that documents are divided into, the longest first.

    Args:
        n_tokens: Tokens of each document, int64 [n].
        smallest, largest: Powers of two; what is left and shorter than the smallest is in no run.
    Returns:
        (document, first token within it, tokens) of every run, int64 [m], by document and token.
    """
    parts = []
    done = n_tokens // largest * largest
    n_largest = n_tokens // largest
    document = np.repeat(np.arange(len(n_tokens)), n_largest)
    number = np.arange(len(document)) - np.repeat(np.cumsum(n_largest) - n_largest, n_largest)
    parts.append((document, number * largest, np.full(len(document), largest, np.int64)))
    length = largest // 2
    while length >= smallest:
        here = np.flatnonzero((n_tokens - done) & length)
        parts.append((here, done[here], np.full(len(here), length, np.int64)))
        done[here] += length
        length //= 2
    document, first, size = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((first, document))
    return document[order], first[order], size[order]


def build_lengths(path: str | os.PathLike[str], smallest: int = 256, largest: int = 8192) -> dict[str, Any]:
    """Write `lengths/` of a packed dataset; the same bytes for the same dataset. Memory: that of a shard's spans.

    Args:
        path: A run's folder, or its `packed` folder.
        smallest, largest: Of the sequences, in tokens: powers of two.
    Returns:
        What lengths.json says.
    Raises:
        InputError: There is no packed dataset, or it is one of dialogues.
        RecipeError: The lengths are no powers of two, in order.
    """
    if not (1 < smallest <= largest and smallest & (smallest - 1) == 0 and largest & (largest - 1) == 0):
        raise RecipeError(f"lengths {smallest} to {largest} must be powers of two, the smaller one first",
                          where="length buckets")
    folder = PackedDataset(path, "train").folder
    manifest: Any = read_table(str(folder / "manifest.parquet"))
    lengths = [largest >> i for i in range(largest.bit_length() - smallest.bit_length() + 1)]
    facts: dict[str, Any] = {"dataset": PackedDataset(path, "train").digest, "lengths": lengths[::-1], "splits": {}}
    target = os.path.join(folder, FOLDER)
    shutil.rmtree(target, ignore_errors=True)
    with replacing(target) as staged:
        os.makedirs(staged)
        for split in sorted(set(manifest["split"].to_pylist())):
            shards = manifest.filter(pc.equal(manifest["split"], split)).to_pylist()
            facts["splits"][split] = _write_split(str(folder), staged, split, shards, lengths)
        with open(os.path.join(staged, _DESCRIPTION), "w", encoding="utf-8") as file:
            file.write(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return facts


def _write_split(folder: str, staged: str, split: str, shards: list[dict[str, Any]], lengths: list[int]
                 ) -> dict[str, Any]:
    counts, left_out = dict.fromkeys(lengths, 0), 0
    with ExitStack() as stack:
        files = {n: stack.enter_context(open(os.path.join(staged, f"{split}-{n}.u64"), "wb")) for n in lengths}
        for shard in shards:
            spans: Any = read_table(os.path.join(folder, shard["spans_path"]))
            if "turns" in spans.column_names:
                raise InputError("holds dialogues, which are learned in parts", where=folder,
                                 hint="length buckets are of documents that are learned whole")
            start, n_tokens = _documents(spans)
            document, first, size = decompose(n_tokens, lengths[-1], lengths[0])
            begins = (start[document] + first + shard["first_row"] * shard["row_length"]).astype(np.uint64)
            begins |= np.where(first + size < n_tokens[document], GOES_ON, np.uint64(0))
            for length, file in files.items():
                here = begins[size == length]
                file.write(here.astype("<u8").tobytes())
                counts[length] += len(here)
            left_out += int(n_tokens.sum() - size.sum())
    return {"sequences": {str(n): k for n, k in counts.items()}, "left_out_tokens": left_out,
            "xxh3": {str(n): digest_file(os.path.join(staged, f"{split}-{n}.u64")) for n in lengths}}


def _documents(spans: Any) -> tuple[Int64, Int64]:
    """(first token in the payload, tokens) of every document of a shard, its fragments joined where they follow one
    another."""
    start, n_tokens, offset = (spans[c].to_numpy().astype(np.int64)
                               for c in ("token_start", "n_tokens", "doc_token_offset"))
    if not len(start):
        return start, n_tokens
    goes_on = np.zeros(len(start), np.bool_)
    same: Any = pc.equal(spans["doc_id"][1:], spans["doc_id"][:-1]).to_numpy(zero_copy_only=False)
    goes_on[1:] = same & (start[1:] == (start + n_tokens)[:-1]) & (offset[1:] == (offset + n_tokens)[:-1])
    firsts = np.flatnonzero(~goes_on)
    return start[firsts], np.add.reduceat(n_tokens, firsts)


def read_lengths(dataset: PackedDataset) -> dict[int, npt.NDArray[np.uint64]]:
    """Where the sequences of each length begin, uint64 [n], mapped; the highest bit is `GOES_ON`.

    Args:
        dataset: One split of a dataset with `lengths/`.
    Raises:
        InputError: It has none, or one of another dataset.
        ShardError: A file is not the one that was written.
    """
    folder = os.path.join(dataset.folder, FOLDER)
    path = os.path.join(folder, _DESCRIPTION)
    hint = "make it: `curate pack --length-buckets`, or manifests.lengths.build_lengths"
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
        made_of, split = facts["dataset"], facts["splits"][dataset.split]
        counts = {int(n): int(k) for n, k in split["sequences"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot be read: {error}", where=path, hint=hint) from error
    if made_of != dataset.digest:
        raise InputError("is of another dataset", where=path, hint=hint)
    found = {}
    for length, count in counts.items():
        name = os.path.join(folder, f"{dataset.split}-{length}.u64")
        if not os.path.exists(name) or digest_file(name) != split["xxh3"][str(length)]:
            raise ShardError("is missing, or not the file that was written", where=name, hint=hint)
        found[length] = np.memmap(name, "<u8", "r") if count else np.empty(0, "<u8")
    return found
