"""What a trainer reads: rows of a packed dataset, what to learn in them, and the documents they are made of.

Opening reads the Parquet manifest alone; shards are mapped when first touched, and nothing is indexed.
`manifests.loader` puts the rows in an order that resumes exactly.
"""

from __future__ import annotations

import os
import resource
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from manifests.errors import InputError, ShardError
from manifests.packing import PACKINGS
from manifests.shard import Tokens, open_shard
from manifests.spans import BYTES_PER_SPAN, Spans, covered, entries_of, read_spans
from manifests.tables import open_table, read_table

IGNORED = -100  # the target that PyTorch's cross-entropy skips
_COLUMNS = ["split", "shard_index", "path", "n_rows", "row_length", "packing", "payload_xxh3", "spans_path",
            "spans_xxh3", "first_row", "dtype", "n_spans", "tokenizer_sha256", "vocab_size", "eot_id"]
_PHASE = "phase"  # only staged mixtures have the column
_PADDING = "padding_tokens"  # not in the oldest manifests
_SPANS_BYTES = 1 << 28  # of spans that are kept in memory


def dataset_digest(manifest: pa.Table) -> str:
    """One hash of a dataset's content: xxh3-128 over (split, shard_index, payload_xxh3, spans_xxh3) in manifest order.

    A training checkpoint pins it, and a loader refuses to go on with another dataset.

    Args:
        manifest: `packed/manifest.parquet`, or those four columns of it, in the file's order.
    Returns:
        32 hex digits.
    """
    columns = [manifest[c].to_pylist() for c in ("split", "shard_index", "payload_xxh3", "spans_xxh3")]
    lines = (f"{split}\t{index}\t{payload}\t{spans}\n" for split, index, payload, spans in zip(*columns, strict=True))
    return xxhash.xxh3_128_hexdigest("".join(lines).encode())


@dataclass(frozen=True, slots=True)
class RowDocuments:
    """The k segments of one row. A segment without a document is the end-of-text at a shard's start, or padding.

    cu_seqlens: int32 [k + 1], 0 to T. doc_ids, source_names: None where the segment has no document. source_ids: int32
    [k], -1 there. doc_token_offsets: int64 [k], where the segment begins in its document. epochs: int32 [k].
    position_ids: int32 [T], counting from 0 in each segment. group_ids and ranks (int32 [k], 0 is preferred) say which
    answers to one prompt were compared; None and -1 where that is not so."""

    cu_seqlens: npt.NDArray[np.int32]
    doc_ids: list[bytes | None]
    source_ids: npt.NDArray[np.int32]
    source_names: list[str | None]
    doc_token_offsets: npt.NDArray[np.int64]
    epochs: npt.NDArray[np.int32]
    position_ids: npt.NDArray[np.int32]
    group_ids: list[bytes | None]
    ranks: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Segments:
    """Documents of n rows, laid end to end, as attention over packed sequences takes them.

    cu_seqlens: int32 [k + 1], 0 to n * T; every row begins a segment. source_ids: int32 [k], -1 where a segment has no
    document. position_ids: int32 [n, T], counting from 0 in each segment."""

    cu_seqlens: npt.NDArray[np.int32]
    source_ids: npt.NDArray[np.int32]
    position_ids: npt.NDArray[np.int32]


class PackedDataset:
    """The rows of one split: `len()`, `[i]` and iteration give tokens, the methods targets and documents.

    A shard is checked when it is first touched: its size, its header's crc32, and that the header states the payload
    digest of the manifest. `manifests.verify` reads the payload itself.

    Args:
        path: A run's folder, or its `packed` folder.
        split: `train` or `val`.
    Raises:
        InputError: There is no packed dataset.
        ShardError: Later, when a shard or spans file that is read is not the one that the manifest describes.
    """

    def __init__(self, path: str | os.PathLike[str], split: str) -> None:
        self.folder = _packed_folder(Path(path))
        self.split = split
        self._manifest = _read_manifest(str(self.folder / "manifest.parquet"))
        shards: Any = self._manifest.filter(pc.equal(self._manifest["split"], split))
        self._paths: list[str] = shards["path"].to_pylist()
        self._spans_paths: list[str] = shards["spans_path"].to_pylist()
        self._payloads: list[str] = shards["payload_xxh3"].to_pylist()
        self._spans_digests: list[str] = shards["spans_xxh3"].to_pylist()
        self._first_rows = shards["first_row"].to_numpy()
        self._first_row_numbers: list[int] = self._first_rows.tolist()
        self._n_rows = int(self._first_rows[-1] + shards["n_rows"][-1].as_py()) if len(shards) else 0
        self._has_gaps = (shards[_PADDING].to_numpy() > 0 if _PADDING in shards.column_names
                          else np.zeros(len(shards), bool))
        first: Any = self._manifest.slice(0, 1).to_pylist()
        self.row_length = int(first[0]["row_length"]) if first else 0
        self.packing = str(first[0]["packing"]) if first else "concat"
        self.dtype = np.dtype(first[0]["dtype"] if first else "uint16").newbyteorder("<")
        self.tokenizer_sha256 = str(first[0]["tokenizer_sha256"]) if first else ""
        self.vocab_size, self.eot_id = (int(first[0][n]) if first else 0 for n in ("vocab_size", "eot_id"))
        self.phase_ends = self._ends_of_phases(shards)
        self._shards = _OpenShards(self._open, _most_open_shards())
        largest = int(shards["n_spans"].to_numpy().max(initial=1))
        self._spans = lru_cache(maxsize=max(4, _SPANS_BYTES // (BYTES_PER_SPAN * largest)))(self._read_spans)

    def __len__(self) -> int:
        return self._n_rows

    def __getitem__(self, row: int) -> Tokens:
        """Tokens of a row: a read-only view, uint16 or uint32 [T]."""
        shard, local = self._locate(row)
        tokens: Tokens = self._shards[shard][local]
        return tokens

    def __iter__(self) -> Iterator[Tokens]:
        return (self[row] for row in range(len(self)))

    @cached_property
    def digest(self) -> str:
        """The dataset digest, over all splits: 32 hex digits."""
        return dataset_digest(self._manifest)

    def targets(self, row: int) -> npt.NDArray[np.int64]:
        """The next token of the same shard for each token of a row.

        Args:
            row: Number of the row in the split; negative ones count from the end.
        Returns:
            int64 [T]; -100 where there is nothing to learn: at the shard's end, where `curate remove` took tokens out
            and, in best_fit and pad, at the row's end and on padding; in dialogues, on all but answers.
        Raises:
            IndexError: There is no such row.
        """
        index = row + len(self) if row < 0 else row
        targets: npt.NDArray[np.int64] = self.batch(np.array([index]))[1][0]
        return targets

    def tokens(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """Tokens [n, T] of many rows, in the stored dtype. rows: int64 [n], each in [0, len); else IndexError."""
        return self._gather(self._checked(rows))

    def batch(self, rows: npt.NDArray[np.int64]) -> tuple[Tokens, npt.NDArray[np.int64]]:
        """Tokens and targets of many rows.

        Args:
            rows: int64 [n], each in [0, len).
        Returns:
            Tokens [n, T] in the stored dtype, and targets int64 [n, T] as `targets` gives them.
        Raises:
            IndexError: There is no such row.
        """
        tokens = self._gather(self._checked(rows))
        shards, local = self._locate_all(rows)
        targets = np.empty(tokens.shape, np.int64)
        targets[:, :-1] = tokens[:, 1:]  # from the copy just made, which the processor's cache still holds
        if PACKINGS[self.packing].is_stream:
            targets[:, -1] = self._following(shards, local)
            for shard in np.unique(shards[self._has_gaps[shards]]).tolist():
                here = np.flatnonzero(shards == shard)
                targets[here] = self._without_removed(shard, local[here], targets[here])
            return tokens, targets
        targets[:, -1] = IGNORED
        for shard in np.unique(shards).tolist():
            here = np.flatnonzero(shards == shard)
            learned = self._learned(shard, local[here])
            targets[here, :-1] = np.where(learned[:, 1:], targets[here, :-1], IGNORED)
        return tokens, targets

    def segments(self, rows: npt.NDArray[np.int64]) -> Segments:
        """Document boundaries, sources and position ids of many rows, laid end to end, from the spans files.

        Args:
            rows: int64 [n], each in [0, len); else IndexError.
        """
        self._checked(rows)
        shards, local = self._locate_all(rows)
        length = self.row_length
        begins = np.zeros(len(rows) * length, np.bool_)
        begins[::length] = True
        source_of = np.full(len(begins), -1, np.int32)
        for shard in np.unique(shards).tolist():
            here = np.flatnonzero(shards == shard)
            spans = self._spans(shard)
            index, span = entries_of(spans.row, local[here])
            start = spans.token_start[span] + (here[index] - local[here][index]) * length
            end = start + spans.n_tokens[span]
            begins[start] = True
            begins[end[end < len(begins)]] = True
            source_of[start] = spans.source_id[span]
        bounds = np.append(np.flatnonzero(begins), len(begins))
        positions = np.arange(len(begins)) - np.repeat(bounds[:-1], np.diff(bounds))
        return Segments(bounds.astype(np.int32), source_of[bounds[:-1]],
                        positions.astype(np.int32).reshape(len(rows), length))

    def documents(self, row: int) -> RowDocuments:
        """The documents that a row is made of, from the spans file, without scanning for separators.

        Args:
            row: Number of the row in the split; negative ones count from the end. IndexError where there is none.
        """
        shard, local = self._locate(row)
        spans = self._spans(shard)
        where = slice(*np.searchsorted(spans.row, [local, local + 1]))
        starts = spans.token_start[where] - local * self.row_length
        ends = starts + spans.n_tokens[where]
        bounds = np.unique(np.concatenate([[0, self.row_length], starts, ends]))
        segment = np.full(len(bounds) - 1, -1)
        segment[np.searchsorted(bounds, starts)] = np.arange(where.start, where.stop)
        known, at = segment >= 0, np.maximum(segment, 0)
        source_ids = np.where(known, spans.source_id[at], -1) if known.any() else segment
        names = self.source_names
        doc_ids: Any = spans.doc_id.take(pa.array(segment, mask=~known))
        zero = np.zeros(len(segment), np.int64)
        return RowDocuments(
            cu_seqlens=bounds.astype(np.int32), doc_ids=doc_ids.to_pylist(), source_ids=source_ids.astype(np.int32),
            source_names=[names[s] if s >= 0 else None for s in source_ids.tolist()],
            doc_token_offsets=np.where(known, spans.doc_token_offset[at], 0) if known.any() else zero,
            epochs=(np.where(known, spans.epoch[at], 0) if known.any() else zero).astype(np.int32),
            position_ids=(np.arange(self.row_length) - np.repeat(bounds[:-1], np.diff(bounds))).astype(np.int32),
            group_ids=spans.group_id.take(pa.array(segment, mask=~known)).to_pylist(),
            ranks=(np.where(known, spans.rank[at], -1) if known.any() else segment).astype(np.int32))

    @cached_property
    def source_names(self) -> dict[int, str]:
        """Names of sources by the ids that spans and segments carry."""
        table: Any = read_table(str(self.folder / "sources.parquet"), ["source_id", "name"])
        return dict(zip(table["source_id"].to_pylist(), table["name"].to_pylist(), strict=True))

    def _locate(self, row: int) -> tuple[int, int]:
        """(shard, row within it); negative rows count from the end, as in any sequence."""
        index = row + len(self) if row < 0 else row
        if not 0 <= index < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        shard = int(np.searchsorted(self._first_rows, index, "right")) - 1
        return shard, index - int(self._first_rows[shard])

    def _locate_all(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(shard, row within it) of many rows, int64 [n] each."""
        shards = self._first_rows.searchsorted(rows, "right") - 1
        return shards, rows - self._first_rows[shards]

    def _checked(self, rows: npt.NDArray[np.int64]) -> list[int]:
        """The same rows, all of which exist, for loops in Python: of a batch's few rows they are the faster ones."""
        numbers: list[int] = rows.tolist()
        if numbers and not (min(numbers) >= 0 and max(numbers) < self._n_rows):
            raise IndexError(f"rows {min(numbers)} to {max(numbers)} of {len(self)}")
        return numbers

    def _gather(self, rows: list[int]) -> Tokens:
        """Tokens [n, T]: one copy from the mapped files, by one call for all rows."""
        if not rows:
            return np.empty((0, self.row_length), self.dtype)
        shards, firsts = self._shards, self._first_row_numbers
        tokens: Tokens = np.concatenate([
            shards[shard := bisect_right(firsts, row) - 1][row - firsts[shard]] for row in rows])
        return tokens.reshape(len(rows), self.row_length)

    def _following(self, shards: npt.NDArray[np.int64], local: npt.NDArray[np.int64]) -> list[int]:
        """The token after each row, [n]; -100 at the end of its shard."""
        following = []
        for shard, row in zip(shards.tolist(), local.tolist(), strict=True):
            payload = self._shards[shard]
            following.append(int(payload[row + 1, 0]) if row + 1 < len(payload) else IGNORED)
        return following

    def _without_removed(self, shard: int, local: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]
                         ) -> npt.NDArray[np.int64]:
        """Targets [n, T] of rows of a concat shard, -100 where a token is in no span: its document was removed."""
        spans = self._spans(shard)
        offsets = local[:, None] * self.row_length + np.arange(1, self.row_length + 1)
        return np.where(covered(offsets, spans.token_start, spans.n_tokens), targets, IGNORED)

    def _learned(self, shard: int, local: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which tokens of rows of one shard are to be learned, bool [n, T]: all of documents, or answers alone."""
        spans, length = self._spans(shard), self.row_length
        index, learned_run = entries_of(spans.learned_row, local)
        start = spans.learned_start[learned_run] - local[index] * length
        change = np.zeros((len(local), length + 1), np.int8)
        np.add.at(change, (index, start), 1)
        np.add.at(change, (index, start + spans.learned_n[learned_run]), -1)
        learned: npt.NDArray[np.bool_] = np.cumsum(change, axis=1, dtype=np.int8)[:, :-1].astype(np.bool_)
        return learned

    def _ends_of_phases(self, shards: pa.Table) -> list[int]:
        """Where each phase of a staged mixture ends, in rows; one phase, the split, where there are no stages."""
        if _PHASE not in shards.column_names or not len(shards):
            return [len(self)]
        last = np.flatnonzero(np.diff(shards[_PHASE].to_numpy(), append=-1))
        ends: list[int] = (self._first_rows[last] + shards["n_rows"].to_numpy()[last]).tolist()
        return ends

    def _open(self, shard: int) -> Tokens:
        """The mapped payload of a shard, [rows, T]."""
        path = str(self.folder / self._paths[shard])
        header, tokens = open_shard(path)
        if header.payload_digest.hex() != self._payloads[shard] or header.row_length != self.row_length:
            raise ShardError("is another shard than the manifest describes", where=path,
                             hint="run `curate verify`, then fetch or pack the shard again")
        return tokens.reshape(-1, self.row_length)

    def _read_spans(self, shard: int) -> Spans:
        return read_spans(str(self.folder / self._spans_paths[shard]), self._spans_digests[shard])


class _OpenShards(dict[int, Tokens]):
    """Mapped payloads by shard; a dictionary, because a look-up by functools.lru_cache costs a batch of 32 rows 8 %.

    A shard that is not there is opened; the one that was opened first is closed where there are `most`."""

    def __init__(self, open_one: Callable[[int], Tokens], most: int) -> None:
        super().__init__()
        self._open_one, self._most = open_one, most

    def __missing__(self, shard: int) -> Tokens:
        payload = self._open_one(shard)
        if len(self) >= self._most:
            self.pop(next(iter(self)), None)
        self[shard] = payload
        return payload


def _read_manifest(path: str) -> pa.Table:
    with open_table(path) as file:
        columns = [*_COLUMNS, *(n for n in file.schema_arrow.names if n in (_PHASE, _PADDING))]
        return file.read(columns=columns, use_threads=False)


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
