"""What every exporter reads: shards in order, their documents, and the text of a split without what belongs to none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.dataset import dataset_digest
from manifests.errors import InputError, ShardError
from manifests.hashing import UInt64, id_words
from manifests.shard import Tokens, open_shard
from manifests.tables import read_table
from tokenizer.packing.gather import copy_runs

Ints = npt.NDArray[np.int64]
SPLITS = ("train", "val")
_SPANS = ["token_start", "n_tokens", "doc_id", "source_id", "doc_token_offset", "epoch", "truncated_right"]


@dataclass(frozen=True, slots=True)
class Fragments:
    """Documents of a shard, each as one run of its payload: spans of one document that follow one another are joined.

    start, n_tokens: range in the payload, int64 [n]. doc_token_offset: int64 [n]. ends: whether the document ends here,
    with its end-of-text token. joins: whether the first one goes on with the last one of the shard before."""

    start: Ints
    n_tokens: Ints
    words: UInt64
    source_id: Ints
    doc_token_offset: Ints
    epoch: Ints
    ends: npt.NDArray[np.bool_]
    joins: bool = False

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class ExportShard:
    """A shard of a dataset as its manifest describes it."""

    path: str
    spans_path: str
    payload_xxh3: str
    n_tokens: int
    n_rows: int
    index: int

    @property
    def n_bytes(self) -> int:
        return os.path.getsize(self.path)

    def tokens(self) -> Tokens:
        """The payload, mapped: uint16 or uint32 [N]."""
        header, tokens = open_shard(self.path)
        if header.payload_digest.hex() != self.payload_xxh3:
            raise ShardError("is another shard than the manifest describes", where=self.path,
                             hint="run `curate verify`, then fetch or pack the shard again")
        return tokens

    def fragments(self) -> Fragments:
        """The shard's documents, in the order of the payload."""
        table: Any = read_table(self.spans_path, _SPANS)
        words = id_words(table["doc_id"])
        start, n_tokens, source_id, offset, epoch = (
            table[c].to_numpy().astype(np.int64)
            for c in ("token_start", "n_tokens", "source_id", "doc_token_offset", "epoch"))
        goes_on = np.zeros(len(start), np.bool_)
        goes_on[1:] = ((words[1:] == words[:-1]).all(axis=1) & (epoch[1:] == epoch[:-1])
                       & (start[1:] == (start + n_tokens)[:-1]) & (offset[1:] == (offset + n_tokens)[:-1]))
        first = np.flatnonzero(~goes_on)
        last = np.concatenate([first[1:], [len(start)]]).astype(np.int64) - 1
        ends = ~table["truncated_right"].to_numpy()[last]
        return Fragments(start[first], (start + n_tokens)[last] - start[first], words[first], source_id[first],
                         offset[first], epoch[first], ends)

    def bounds(self, row_length: int) -> list[npt.NDArray[np.int32]]:
        """cu_seqlens of every row: where its documents begin, 0, and row_length."""
        spans: Any = read_table(self.spans_path, ["token_start", "n_tokens"])
        start = spans["token_start"].to_numpy().astype(np.int64)
        edges = np.unique(np.concatenate([start, start + spans["n_tokens"].to_numpy(),
                                          np.arange(self.n_rows + 1) * row_length]))
        bounds = np.searchsorted(edges, np.arange(self.n_rows + 1) * row_length)
        return [(edges[a : b + 1] - edges[a]).astype(np.int32)
                for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class ExportDataset:
    """A packed dataset that is to be exported. sources: names by source id."""

    splits: dict[str, list[ExportShard]]
    dtype: np.dtype[Any]
    row_length: int
    packing: str
    eot_id: int
    vocab_size: int
    tokenizer_sha256: str
    digest: str
    sources: dict[int, str]

    def stream(self, split: str) -> Iterator[tuple[ExportShard, Tokens, Fragments]]:
        """Every shard of a split with the tokens of its documents, joined, and the documents' offsets in those.

        What belongs to no document is left out: the end-of-text at a shard's start, and padding."""
        last: tuple[Any, ...] | None = None
        for shard in self.splits.get(split, []):
            fragments = shard.fragments()
            body = _body(shard.tokens(), fragments, self.dtype)
            starts = np.cumsum(fragments.n_tokens) - fragments.n_tokens
            joins = bool(len(fragments)) and last == (*fragments.words[0].tolist(), int(fragments.epoch[0]),
                                                      int(fragments.doc_token_offset[0]))
            if len(fragments):
                end = int(fragments.doc_token_offset[-1] + fragments.n_tokens[-1])
                last = (*fragments.words[-1].tolist(), int(fragments.epoch[-1]), end)
            yield shard, body, replace(fragments, start=starts, joins=joins)


def _body(tokens: Tokens, fragments: Fragments, dtype: np.dtype[Any]) -> Tokens:
    """Tokens of documents, joined: a view where they lie in one run."""
    if not len(fragments):
        return np.empty(0, dtype)
    ends = fragments.start + fragments.n_tokens
    if (fragments.start[1:] == ends[:-1]).all():
        return tokens[int(fragments.start[0]) : int(ends[-1])]
    body = np.empty(int(fragments.n_tokens.sum()), dtype)
    copy_runs(tokens, fragments.start, np.cumsum(fragments.n_tokens) - fragments.n_tokens, fragments.n_tokens, body)
    return body


def open_dataset(path: str) -> ExportDataset:
    """The packed dataset in a folder, as exports read it.

    Args:
        path: A run's folder, or its `packed` folder.
    Raises:
        InputError: There is no dataset, or it has no shard.
    """
    folder = next((f for f in (path, os.path.join(path, "packed"))
                   if all(os.path.exists(os.path.join(f, n)) for n in ("manifest.parquet", "sources.parquet"))), None)
    if folder is None:
        raise InputError("holds no packed dataset", where=path, hint="give a finished run, or its packed folder")
    manifest = read_table(os.path.join(folder, "manifest.parquet"))
    rows: list[dict[str, Any]] = manifest.to_pylist()
    if not rows:
        raise InputError("has no shard", where=folder)
    splits: dict[str, list[ExportShard]] = {}
    for row in sorted(rows, key=lambda r: (r["split"], r["shard_index"])):
        splits.setdefault(row["split"], []).append(ExportShard(
            os.path.join(folder, row["path"]), os.path.join(folder, row["spans_path"]), row["payload_xxh3"],
            row["n_tokens"], row["n_rows"], row["shard_index"]))
    sources = read_table(os.path.join(folder, "sources.parquet"), ["source_id", "name"]).to_pylist()
    first = rows[0]
    return ExportDataset(
        splits=splits, dtype=np.dtype(first["dtype"]).newbyteorder("<"), row_length=first["row_length"],
        packing=first["packing"], eot_id=first["eot_id"], vocab_size=first["vocab_size"],
        tokenizer_sha256=first["tokenizer_sha256"], digest=dataset_digest(manifest),
        sources={s["source_id"]: s["name"] for s in sources})


def arrow_list(values: npt.NDArray[Any], lengths: Any, kind: pa.DataType) -> pa.ListArray:
    """Lists of given lengths over one flat array."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values).cast(kind))
