"""What a trainer reads: rows of a packed dataset, their documents, and an endless order over them that resumes exactly.

Opening reads the Parquet manifest alone; shards are mapped when first touched. Nothing is indexed and nothing is
shuffled in memory: the order of an epoch is a keyed permutation, so a loader's whole state is one number.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from manifests.errors import DatasetMismatchError, InputError, ShardError
from manifests.permutation import Permutation
from manifests.shard import Tokens, open_shard
from manifests.storage import digest_file
from manifests.tables import read_table

IGNORED = -100  # the target that PyTorch's cross-entropy skips
_COLUMNS = ["split", "shard_index", "path", "n_rows", "row_length", "packing", "payload_xxh3", "spans_path",
            "spans_xxh3", "first_row"]
_SPAN_COLUMNS = ["token_start", "n_tokens", "doc_id", "source_id", "doc_token_offset", "epoch", "row"]


def dataset_digest(manifest: pa.Table) -> str:
    """One hash of a dataset's content: xxh3-128 over (split, shard_index, payload_xxh3, spans_xxh3) in manifest order.

    A training checkpoint pins it. 32 hex digits."""
    columns = [manifest[c].to_pylist() for c in ("split", "shard_index", "payload_xxh3", "spans_xxh3")]
    lines = (f"{split}\t{index}\t{payload}\t{spans}\n" for split, index, payload, spans in zip(*columns, strict=True))
    return xxhash.xxh3_128_hexdigest("".join(lines).encode())


@dataclass(frozen=True, slots=True)
class RowDocuments:
    """The k segments of one row. A segment without a document is the end-of-text at a shard's start, or padding.

    cu_seqlens: int32 [k + 1], 0 to T. doc_ids, source_names: None where the segment has no document. source_ids: int32
    [k], -1 there. doc_token_offsets: int64 [k], where the segment begins in its document. epochs: int32 [k].
    position_ids: int32 [T], counting from 0 in each segment."""

    cu_seqlens: npt.NDArray[np.int32]
    doc_ids: list[bytes | None]
    source_ids: npt.NDArray[np.int32]
    source_names: list[str | None]
    doc_token_offsets: npt.NDArray[np.int64]
    epochs: npt.NDArray[np.int32]
    position_ids: npt.NDArray[np.int32]


class PackedDataset:
    """The rows of one split. path: a run's folder, or its `packed` folder.

    Raises InputError where there is no dataset, and ShardError when a shard that is touched is not the one the
    manifest describes (size, header crc32, payload digest as the header states it)."""

    def __init__(self, path: str | os.PathLike[str], split: str) -> None:
        self.folder = _packed_folder(Path(path))
        self.split = split
        self._manifest = read_table(str(self.folder / "manifest.parquet"), _COLUMNS)
        chosen = [i for i, s in enumerate(self._manifest["split"].to_pylist()) if s == split]
        mine: Any = self._manifest.take(pa.array(chosen, pa.int64()))
        self._paths: list[str] = mine["path"].to_pylist()
        self._spans_paths: list[str] = mine["spans_path"].to_pylist()
        self._payloads: list[str] = mine["payload_xxh3"].to_pylist()
        self._spans_digests: list[str] = mine["spans_xxh3"].to_pylist()
        self._first_rows = mine["first_row"].to_numpy()
        self._n_rows = int(self._first_rows[-1] + mine["n_rows"][-1].as_py()) if len(mine) else 0
        first: Any = self._manifest.slice(0, 1).to_pylist()
        self.row_length = int(first[0]["row_length"]) if first else 0
        self.packing = str(first[0]["packing"]) if first else "concat"
        self._shard = lru_cache(maxsize=_most_open_shards())(self._open)
        self._spans = lru_cache(maxsize=4)(self._read_spans)

    def __len__(self) -> int:
        return self._n_rows

    def __getitem__(self, row: int) -> Tokens:
        """Tokens of a row: a read-only view, uint16 or uint32 [T]."""
        shard, local = self._place(row)
        return self._shard(shard)[local * self.row_length : (local + 1) * self.row_length]

    def __iter__(self) -> Iterator[Tokens]:
        return (self[row] for row in range(len(self)))

    @cached_property
    def digest(self) -> str:
        """The dataset digest, over all splits: 32 hex digits."""
        return dataset_digest(self._manifest)

    def targets(self, row: int) -> npt.NDArray[np.int64]:
        """The next token of the same shard for each token of a row, int64 [T]; -100 where there is none to learn.

        That is the shard's end and, in best_fit and pad, the row's end and padding."""
        shard, local = self._place(row)
        targets: npt.NDArray[np.int64] = self._shard_targets(shard, np.array([local]))[0]
        return targets

    def batch(self, rows: npt.NDArray[np.int64]) -> tuple[Tokens, npt.NDArray[np.int64]]:
        """Tokens [n, T] in the stored dtype and targets int64 [n, T] of many rows, gathered shard by shard."""
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        shards = np.searchsorted(self._first_rows, rows, "right") - 1
        local = rows - self._first_rows[shards]
        targets = np.empty((len(rows), self.row_length), np.int64)
        tokens: Tokens | None = None
        for shard in np.unique(shards).tolist():
            here = np.flatnonzero(shards == shard)
            payload = self._shard(shard)
            tokens = np.empty(targets.shape, payload.dtype) if tokens is None else tokens
            tokens[here] = payload.reshape(-1, self.row_length)[local[here]]
            targets[here] = self._shard_targets(shard, local[here])
        return tokens if tokens is not None else np.empty((0, self.row_length), np.uint16), targets

    def documents(self, row: int) -> RowDocuments:
        """Which documents a row is made of, from the spans file, without scanning for separators."""
        shard, local = self._place(row)
        spans = self._spans(shard)
        where = slice(*np.searchsorted(spans.row, [local, local + 1]))
        starts = spans.token_start[where] - local * self.row_length
        ends = starts + spans.n_tokens[where]
        bounds = np.unique(np.concatenate([[0, self.row_length], starts, ends]))
        segment = np.full(len(bounds) - 1, -1)
        segment[np.searchsorted(bounds, starts)] = np.arange(where.start, where.stop)
        known, at = segment >= 0, np.maximum(segment, 0)
        source_ids = np.where(known, spans.source_id[at], -1) if known.any() else segment
        names = self._source_names
        doc_ids: Any = spans.doc_id.take(pa.array(segment, mask=~known))
        zero = np.zeros(len(segment), np.int64)
        return RowDocuments(
            cu_seqlens=bounds.astype(np.int32), doc_ids=doc_ids.to_pylist(), source_ids=source_ids.astype(np.int32),
            source_names=[names[s] if s >= 0 else None for s in source_ids.tolist()],
            doc_token_offsets=np.where(known, spans.doc_token_offset[at], 0) if known.any() else zero,
            epochs=(np.where(known, spans.epoch[at], 0) if known.any() else zero).astype(np.int32),
            position_ids=(np.arange(self.row_length) - np.repeat(bounds[:-1], np.diff(bounds))).astype(np.int32))

    @cached_property
    def _source_names(self) -> dict[int, str]:
        table: Any = read_table(str(self.folder / "sources.parquet"), ["source_id", "name"])
        return dict(zip(table["source_id"].to_pylist(), table["name"].to_pylist(), strict=True))

    def _place(self, row: int) -> tuple[int, int]:
        """(shard, row within it); negative rows count from the end, as in any sequence."""
        index = row + len(self) if row < 0 else row
        if not 0 <= index < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        shard = int(np.searchsorted(self._first_rows, index, "right")) - 1
        return shard, index - int(self._first_rows[shard])

    def _shard_targets(self, shard: int, local: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Targets int64 [n, T] of rows of one shard."""
        payload, length = self._shard(shard), self.row_length
        targets = np.empty((len(local), length), np.int64)
        targets[:, :-1] = payload.reshape(-1, length)[local, 1:]
        if self.packing == "concat":
            following = (local + 1) * length
            inside = following < len(payload)
            targets[:, -1] = np.where(inside, payload[np.where(inside, following, 0)].astype(np.int64), IGNORED)
            return targets
        targets[:, -1] = IGNORED
        targets[:, :-1][~self._covered(shard, local)[:, 1:]] = IGNORED
        return targets

    def _covered(self, shard: int, local: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which tokens of rows belong to a document, bool [n, T]: the others are padding."""
        spans = self._spans(shard)
        change = np.zeros(len(self._shard(shard)) + 1, np.int8)
        np.add.at(change, spans.token_start, 1)
        np.add.at(change, spans.token_start + spans.n_tokens, -1)
        covered: npt.NDArray[np.bool_] = np.cumsum(change, dtype=np.int8)[:-1].astype(bool)
        return covered.reshape(-1, self.row_length)[local]

    def _open(self, shard: int) -> Tokens:
        path = str(self.folder / self._paths[shard])
        header, tokens = open_shard(path)
        if header.payload_digest.hex() != self._payloads[shard] or header.row_length != self.row_length:
            raise ShardError("is another shard than the manifest describes", where=path,
                             hint="run `curate verify`, then fetch or pack the shard again")
        return tokens

    def _read_spans(self, shard: int) -> _Spans:
        path = str(self.folder / self._spans_paths[shard])
        if not os.path.exists(path) or digest_file(path) != self._spans_digests[shard]:
            raise ShardError("is missing, or not the spans file that the manifest describes", where=path)
        table: Any = read_table(path, _SPAN_COLUMNS)
        numbers = {n: table[n].to_numpy().astype(np.int64) for n in _SPAN_COLUMNS if n != "doc_id"}
        return _Spans(doc_id=table["doc_id"].combine_chunks(), **numbers)


@dataclass(frozen=True, slots=True)
class _Spans:
    """A spans file in memory, sorted by token_start; integers as int64 [n]."""

    token_start: npt.NDArray[np.int64]
    n_tokens: npt.NDArray[np.int64]
    doc_id: pa.FixedSizeBinaryArray
    source_id: npt.NDArray[np.int64]
    doc_token_offset: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


class Batch(NamedTuple):
    """One rank's part of a step: tokens [batch_rows, T], targets int64 [batch_rows, T], rows int64 [batch_rows]."""

    tokens: Tokens
    targets: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class PackedLoader:
    """An endless iterator of batches, exact at any step and for any number of ranks.

    The order is the concatenation of epochs without end, each a keyed permutation of all rows. A step takes the next
    batch_rows * world_size rows of it, and rank r the r-th slice, so the global batch does not depend on the number of
    ranks. batch_rows: rows of a batch on one rank."""

    def __init__(self, dataset: PackedDataset, batch_rows: int, rank: int = 0, world_size: int = 1,
                 seed: int = 0) -> None:
        if batch_rows < 1 or not 0 <= rank < world_size:
            raise ValueError(f"batch_rows {batch_rows}, rank {rank}, world_size {world_size}: "
                             "need batch_rows >= 1 and 0 <= rank < world_size")
        if not len(dataset):
            raise InputError(f"split {dataset.split!r} has no rows", where=str(dataset.folder))
        self.dataset = dataset
        self.batch_rows, self.rank, self.world_size, self.seed = batch_rows, rank, world_size, seed
        self._rows_handed_out = 0
        self._epoch = lru_cache(maxsize=4)(lambda epoch: Permutation(len(dataset), seed, f"epoch-{epoch}"))

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        rows = self.rows(self._rows_handed_out + self.rank * self.batch_rows, self.batch_rows)
        tokens, targets = self.dataset.batch(rows)
        self._rows_handed_out += self.batch_rows * self.world_size
        return Batch(tokens, targets, rows)

    def rows(self, first: int, n: int) -> npt.NDArray[np.int64]:
        """Row numbers at places [first, first + n) of the endless order, int64 [n]."""
        epochs, positions = np.divmod(np.arange(first, first + n, dtype=np.int64), len(self.dataset))
        rows = np.empty(n, np.int64)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            rows[here] = self._epoch(epoch)(positions[here])
        return rows

    def state_dict(self) -> dict[str, int | str]:
        """Where the order stands, over all ranks: rows handed out, and what they were handed out of."""
        return {"rows": self._rows_handed_out, "dataset": self.dataset.digest, "split": self.dataset.split,
                "seed": self.seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, with any number of ranks; DatasetMismatchError if it is of another order."""
        mine = self.state_dict()
        for name in ("dataset", "split", "seed"):
            if state.get(name) != mine[name]:
                raise DatasetMismatchError(f"the checkpoint was made with {name} {state.get(name)!r}, here it is "
                                      f"{mine[name]!r}", where=str(self.dataset.folder),
                                      hint="open the dataset and seed that the checkpoint names")
        self._rows_handed_out = int(state["rows"])


def _packed_folder(path: Path) -> Path:
    for folder in (path, path / "packed"):
        # A run's own root has no manifest.parquet; a packed folder has sources.parquet beside it.
        if (folder / "manifest.parquet").exists() and (folder / "sources.parquet").exists():
            return folder
    raise InputError("holds no packed dataset", where=str(path), hint="give a finished run, or its packed folder")


def _most_open_shards() -> int:
    """Python's mmap keeps a file descriptor for each map, so half of what the process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, soft // 2) if soft != resource.RLIM_INFINITY else 65_536
