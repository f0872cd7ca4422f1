"""What a trainer reads: rows of a packed dataset, what to learn in them, and the documents they are made of.

Opening reads the Parquet manifest alone; shards are mapped when first touched. What a batch needs to know of documents
comes from the row index beside each shard (`manifests.rows`), at a cost of the batch's rows alone.
`manifests.loader` puts the rows in an order that resumes exactly.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.node_cache import default_folder, node_cache
from manifests.packed_folder import open_folder
from manifests.packing import PACKINGS
from manifests.prefetch import Prefetch
from manifests.removals import superseded
from manifests.rows import BatchRuns, join_runs
from manifests.shard import Tokens
from manifests.shards import SplitShards, dataset_digest, read_manifest
from manifests.storage import is_local
from manifests.tables import open_table, read_table

__all__ = ["IGNORED", "PackedDataset", "RowDocuments", "Segments", "dataset_digest"]

IGNORED = -100  # the target that PyTorch's cross-entropy skips


@dataclass(frozen=True, slots=True)
class RowDocuments:
    """The k segments of one row. A segment without a document is the end-of-text at a shard's start, or padding.

    cu_seqlens: int32 [k + 1], 0 to T. doc_ids, source_names: None where the segment has no document. source_ids: int32
    [k], -1 there. doc_token_offsets: int64 [k], where the segment begins in its document. epochs: int32 [k].
    position_ids: int32 [T], counting from 0 in each segment. group_ids and ranks (int32 [k], 0 is preferred) say which
    answers to one prompt were compared; None and -1 where that is not so. labels: KTO's verdicts. readouts: int32 [k],
    the token of the row at which a reward or a class is read, -1 where none is; targets: what that is in a task."""

    cu_seqlens: npt.NDArray[np.int32]
    doc_ids: list[bytes | None]
    source_ids: npt.NDArray[np.int32]
    source_names: list[str | None]
    doc_token_offsets: npt.NDArray[np.int64]
    epochs: npt.NDArray[np.int32]
    position_ids: npt.NDArray[np.int32]
    group_ids: list[bytes | None]
    ranks: npt.NDArray[np.int32]
    labels: list[bool | None]
    readouts: npt.NDArray[np.int32]
    targets: list[str | None]


@dataclass(frozen=True, slots=True)
class Segments:
    """Documents of n rows, laid end to end, as attention over packed sequences takes them.

    cu_seqlens: int32 [k + 1], 0 to n * T; every row begins a segment. source_ids: int32 [k], -1 where a segment has no
    document. position_ids: int32 [n, T], counting from 0 in each segment. is_padding: bool [k], segments that nothing
    is learned from: what lies behind the documents of a row, and what was removed, but for the end-of-text token before
    a document, which is a segment of its own."""

    cu_seqlens: npt.NDArray[np.int32]
    source_ids: npt.NDArray[np.int32]
    position_ids: npt.NDArray[np.int32]
    is_padding: npt.NDArray[np.bool_]

    def with_empty_rows(self, n: int, row_length: int) -> Segments:
        """The same, with n more rows of padding behind."""
        length = int(self.cu_seqlens[-1])
        bounds = length + row_length * np.arange(1, n + 1, dtype=np.int32)
        positions = np.broadcast_to(np.arange(row_length, dtype=np.int32), (n, row_length))
        return Segments(np.concatenate([self.cu_seqlens, bounds]).astype(np.int32),
                        np.append(self.source_ids, np.full(n, -1, np.int32)),
                        np.concatenate([self.position_ids, positions]),
                        np.append(self.is_padding, np.ones(n, np.bool_)))


class PackedDataset:
    """The rows of one split: `len()`, `[i]` and iteration give tokens, the methods targets and documents.

    A shard is checked when it is first touched: its size, its header's crc32, and that the header states the payload
    digest of the manifest. It can be pickled, and opens its files again where it comes out. Maps keep no file
    descriptor; without them, a process keeps at most half of the descriptors that it may have.

    `first_rows` (int64 [shards]) and `phase_ends` say where shards begin and phases of a staged mixture end, in rows;
    `most_segments`, how many documents and gaps the fullest row of the split has, None in data sets of version 1.

    Behind a URL, the manifest alone is read to open it; shards come into a cache on this node's disk when they are
    read or about to be (`manifests.node_cache`), are compared with their digests, and shared by all processes there.

    Args:
        path: A run's folder, or its `packed` folder: here, or behind any URL that fsspec reads (`s3://`, `https://`).
        split: `train` or `val`.
        mmap: Whether shards are mapped; False reads them, for file systems that refuse maps.
        validate: Which shards' digests are compared with the manifest, which reads each of them whole: `never`; `lazy`,
            a shard when it is first touched; `open`, all of the split at once. Spans files always are.
        cache: Folder of the cache, for URLs; by default `$CURATE_CACHE/shards`, or one in the user's cache.
        cache_limit: Bytes that are kept there; None: everything.
        retry_seconds: How long a fetch is tried again.
    Raises:
        InputError: There is no packed dataset.
        ShardError: Later, when a shard or spans file that is read is not the one that the manifest describes, or cannot
            be fetched.
        ValueError: `validate` is none of these.
    """

    def __init__(self, path: str | os.PathLike[str], split: str, mmap: bool = True, validate: str = "never", *,
                 cache: str | os.PathLike[str] | None = None, cache_limit: int | None = None,
                 retry_seconds: float = 120.0) -> None:
        self._options: dict[str, Any] = {"split": split, "mmap": mmap, "validate": validate, "cache": cache,
                                         "cache_limit": cache_limit, "retry_seconds": retry_seconds}
        remote = isinstance(path, str) and not is_local(path)
        self._cache = node_cache(Path(cache) if cache is not None else default_folder(), cache_limit,
                                 retry_seconds) if remote else None
        self._folder = open_folder(path, self._cache)
        self.where, self.folder = self._folder.where, self._folder.tables
        self.split, self.mmap, self.validate = split, mmap, validate
        self._manifest = read_manifest(str(self.folder / "manifest.parquet"))
        shards: Any = self._manifest.filter(pc.equal(self._manifest["split"], split))
        self.first_rows: npt.NDArray[np.int64] = shards["first_row"].to_numpy()
        self._first_row_numbers: list[int] = self.first_rows.tolist()
        self._n_rows = int(self.first_rows[-1] + shards["n_rows"][-1].as_py()) if len(shards) else 0
        self._has_gaps = (shards["padding_tokens"].to_numpy() > 0 if "padding_tokens" in shards.column_names
                          else np.zeros(len(shards), bool))
        self._any_gap = bool(self._has_gaps.any())
        first: Any = self._manifest.slice(0, 1).to_pylist()
        self.row_length = int(first[0]["row_length"]) if first else 0
        self.packing = str(first[0]["packing"]) if first else "concat"
        self.dtype = np.dtype(first[0]["dtype"] if first else "uint16").newbyteorder("<")
        self.tokenizer_sha256 = str(first[0]["tokenizer_sha256"]) if first else ""
        self.vocab_size, self.eot_id = (int(first[0][n]) if first else 0 for n in ("vocab_size", "eot_id"))
        self.phase_ends = self._ends_of_phases(shards)
        most = shards["most_segments"].to_numpy() if "most_segments" in shards.column_names else np.empty(0)
        self.most_segments = int(most.max()) if len(most) else None
        self._shards = SplitShards(self._folder, shards, self.row_length, mmap, validate)
        self._prefetch = Prefetch(self._shards.fetch) if self._cache is not None else None
        self._payloads = self._shards.payloads
        self._steps = np.arange(self.row_length, dtype=np.int32)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.where, self._options)

    def close(self) -> None:
        """Let go of every file; reading opens them again."""
        if self._prefetch is not None:
            self._prefetch.stop()
        self._shards.close()

    @property
    def is_remote(self) -> bool:
        """Whether shards are fetched from behind a URL."""
        return self._prefetch is not None

    def fetch_ahead(self, rows: npt.NDArray[np.int64]) -> None:
        """Begin to fetch the shards of rows that will be read, in that order, in place of what was asked for before.

        As many as half of the cache's limit has room for. Nothing happens where files are local.

        Args:
            rows: int64 [n], each in [0, len).
        """
        if self._prefetch is None or self._cache is None:
            return
        shards, at = np.unique(self.first_rows.searchsorted(rows, "right") - 1, return_index=True)
        self._prefetch.ask(shards[np.argsort(at)].tolist()[: min(64, self._cache.pool.most())])

    def table(self, name: str) -> str | None:
        """Local path of a small file of the packed folder, such as `tokenizer.json`; None where there is none."""
        return self._folder.table(name)

    def superseded(self) -> set[str]:
        """Digests of every dataset that this one supersedes, by `curate remove`."""
        return superseded(self.folder, self.digest) if self.table("succession.parquet") else set()

    def __len__(self) -> int:
        return self._n_rows

    def __getitem__(self, row: int) -> Tokens:
        """Tokens of a row: a read-only view, uint16 or uint32 [T]."""
        shard, local = self._locate(row)
        tokens: Tokens = self._payloads[shard][local]
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
        tokens, targets, _ = self._read(rows, runs_needed=False)
        return tokens, targets

    def batch_with_segments(self, rows: npt.NDArray[np.int64]
                            ) -> tuple[Tokens, npt.NDArray[np.int64], Segments]:
        """`batch` and `segments` of the same rows, at less than the cost of both.

        Args:
            rows: int64 [n], each in [0, len); else IndexError.
        """
        tokens, targets, runs = self._read(rows, runs_needed=True)
        assert runs is not None
        return tokens, targets, self._segments(runs)

    def segments(self, rows: npt.NDArray[np.int64]) -> Segments:
        """Document boundaries, sources and position ids of many rows, laid end to end, from the row index.

        Args:
            rows: int64 [n], each in [0, len); else IndexError.
        """
        return self._segments(self._runs(self._checked(rows)))

    def _read(self, rows: npt.NDArray[np.int64], runs_needed: bool
              ) -> tuple[Tokens, npt.NDArray[np.int64], BatchRuns | None]:
        numbers = self._checked(rows)
        tokens = self._gather(numbers)
        targets = np.empty(tokens.shape, np.int64)
        targets[:, :-1] = tokens[:, 1:]  # from the copy just made, which the processor's cache still holds
        is_stream = PACKINGS[self.packing].is_stream
        following = self._following(numbers) if is_stream else IGNORED
        targets[:, -1] = following
        masked = not is_stream or self._gap_near(rows)
        runs = self._runs(numbers) if masked or runs_needed else None
        if runs is not None and masked:
            self._mask(targets, runs)
            if is_stream:
                targets[[not self._learns_following(row) for row in numbers], -1] = IGNORED
        return tokens, targets, runs

    def _segments(self, runs: BatchRuns) -> Segments:
        all_begin = runs.begins.all()
        start, source = (runs.start, runs.source) if all_begin else (runs.start[runs.begins], runs.source[runs.begins])
        bounds = np.append(start, runs.n_tokens).astype(np.int32)
        is_padding = source < 0
        if is_padding.any():
            bounds, source, is_padding = self._padding(bounds, source)
        n = runs.n_tokens // self.row_length if self.row_length else 0
        steps = self._steps
        if len(steps) < runs.n_tokens:
            steps = self._steps = np.arange(runs.n_tokens, dtype=np.int32)
        positions = steps[: runs.n_tokens] - np.repeat(bounds[:-1], np.diff(bounds))
        return Segments(bounds, source, positions.reshape(n, self.row_length), is_padding)

    def _padding(self, bounds: npt.NDArray[np.int32], source: npt.NDArray[np.int32]
                 ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """Segments without a document as padding, with the token before a document, if any, as a segment of its own."""
        gap, before_document = source < 0, bounds[1:] % self.row_length != 0
        cut = np.flatnonzero(gap & before_document & (np.diff(bounds) > 1))
        is_padding = gap & ~before_document
        is_padding[cut] = True
        if len(cut):
            bounds, source = np.insert(bounds, cut + 1, bounds[cut + 1] - 1), np.insert(source, cut + 1, -1)
            is_padding = np.insert(is_padding, cut + 1, False)
        return bounds, source, is_padding

    def documents(self, row: int) -> RowDocuments:
        """The documents that a row is made of, from the spans file, without scanning for separators.

        Args:
            row: Number of the row in the split; negative ones count from the end. IndexError where there is none.
        """
        shard, local = self._locate(row)
        spans = self._shards.spans(shard)
        where = slice(*np.searchsorted(spans.row, [local, local + 1]))
        starts = spans.token_start[where] - local * self.row_length
        ends = starts + spans.n_tokens[where]
        bounds = np.unique(np.concatenate([[0, self.row_length], starts, ends]))
        segment = np.full(len(bounds) - 1, -1)
        segment[np.searchsorted(bounds, starts)] = np.arange(where.start, where.stop)
        known, at = segment >= 0, np.maximum(segment, 0)
        source_ids = np.where(known, spans.source_id[at], -1) if known.any() else segment
        names = self.source_names
        index = pa.array(segment, mask=~known)
        doc_ids: Any = spans.doc_id.take(index)
        read = known & (spans.readout[at] >= 0) if known.any() else known
        zero = np.zeros(len(segment), np.int64)
        return RowDocuments(
            cu_seqlens=bounds.astype(np.int32), doc_ids=doc_ids.to_pylist(), source_ids=source_ids.astype(np.int32),
            source_names=[names[s] if s >= 0 else None for s in source_ids.tolist()],
            doc_token_offsets=np.where(known, spans.doc_token_offset[at], 0) if known.any() else zero,
            epochs=(np.where(known, spans.epoch[at], 0) if known.any() else zero).astype(np.int32),
            position_ids=(np.arange(self.row_length) - np.repeat(bounds[:-1], np.diff(bounds))).astype(np.int32),
            group_ids=spans.group_id.take(index).to_pylist(),
            ranks=(np.where(known, spans.rank[at], -1) if known.any() else segment).astype(np.int32),
            labels=spans.label.take(index).to_pylist(), targets=spans.target.take(index).to_pylist(),
            readouts=(np.where(read, spans.readout[at] + bounds[:-1], -1) if read.any() else segment * 0 - 1).astype(
                np.int32))

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Ids of the tokenizer's special tokens by name; empty where the manifest does not tell them."""
        with open_table(str(self.folder / "manifest.parquet")) as file:
            if "special_tokens" not in file.schema_arrow.names or not file.metadata.num_rows:
                return {}
            table: Any = file.read(columns=["special_tokens"], use_threads=False)
        return dict(table["special_tokens"][0].as_py() or [])

    @cached_property
    def source_names(self) -> dict[int, str]:
        """Names of sources by the ids that spans and segments carry."""
        path = self.table("sources.parquet")
        assert path is not None
        table: Any = read_table(path, ["source_id", "name"])
        return dict(zip(table["source_id"].to_pylist(), table["name"].to_pylist(), strict=True))

    def _locate(self, row: int) -> tuple[int, int]:
        """(shard, row within it); negative rows count from the end, as in any sequence."""
        index = row + len(self) if row < 0 else row
        if not 0 <= index < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        shard = int(np.searchsorted(self.first_rows, index, "right")) - 1
        return shard, index - int(self.first_rows[shard])

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
        payloads, firsts = self._payloads, self._first_row_numbers
        tokens: Tokens = np.concatenate([
            payloads[shard := bisect_right(firsts, row) - 1][row - firsts[shard]] for row in rows])
        return tokens.reshape(len(rows), self.row_length)

    def _following(self, rows: list[int]) -> list[int]:
        """The token after each row, [n]; -100 at the end of its shard."""
        payloads, firsts, following = self._payloads, self._first_row_numbers, []
        for row in rows:
            shard = bisect_right(firsts, row) - 1
            payload, local = payloads[shard], row + 1 - firsts[shard]
            following.append(int(payload[local][0]) if local < len(payload) else IGNORED)
        return following

    def _runs(self, rows: list[int]) -> BatchRuns:
        """The runs of some rows, from the row indexes of their shards."""
        index, firsts = self._shards.index, self._first_row_numbers
        return join_runs([index(shard := bisect_right(firsts, row) - 1).of(row - firsts[shard]) for row in rows],
                         self.row_length)

    def _mask(self, targets: npt.NDArray[np.int64], runs: BatchRuns) -> None:
        """-100 for targets [n, T] that are the tokens of runs that are not learned; a row's last target is not seen."""
        lengths = np.diff(runs.start, append=runs.n_tokens)
        ignored = np.repeat(~runs.learned, lengths).reshape(targets.shape)
        np.copyto(targets[:, :-1], IGNORED, where=ignored[:, 1:])

    def _gap_near(self, rows: npt.NDArray[np.int64]) -> bool:
        """Whether `curate remove` took tokens out of any shard that some rows are in."""
        return bool(self._any_gap and self._has_gaps[self.first_rows.searchsorted(rows, "right") - 1].any())

    def _learns_following(self, row: int) -> bool:
        """Whether the token after a row is to be learned; true at the end of a shard, where there is none."""
        shard, local = self._locate(row)
        return local + 1 >= self._shards.n_rows[shard] or self._shards.index(shard).learns_first(local + 1)

    def _ends_of_phases(self, shards: pa.Table) -> list[int]:
        """Where each phase of a staged mixture ends, in rows; one phase, the split, where there are no stages."""
        if "phase" not in shards.column_names or not len(shards):
            return [len(self)]
        last = np.flatnonzero(np.diff(shards["phase"].to_numpy(), append=-1))
        ends: list[int] = (self.first_rows[last] + shards["n_rows"].to_numpy()[last]).tolist()
        return ends


def _reopened(where: str, options: dict[str, Any]) -> PackedDataset:
    return PackedDataset(where, **options)
