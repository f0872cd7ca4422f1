"""What a trainer reads: rows of a packed dataset, what to learn in them, and the documents they are made of.

Opening reads the Parquet manifest alone; shards are mapped when first touched. What a batch needs to know of documents
comes from the row index beside each shard (`manifests.rows`), at a cost of the batch's rows alone.
`manifests.loader` puts the rows in an order that resumes exactly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ShardError
from manifests.look_ups import LookUps
from manifests.manifest import read_manifest, read_sources
from manifests.node_cache import default_folder, node_cache
from manifests.packed_folder import open_folder
from manifests.packing import PACKINGS
from manifests.prefetch import Prefetch
from manifests.removals import superseded
from manifests.row_facts import IGNORED, Known, Places, RowFacts, Segments, segments_of
from manifests.row_reader import Empty, RowReader
from manifests.schema import PACKED_MANIFEST
from manifests.shard import Tokens
from manifests.shards import SplitShards, dataset_digest
from manifests.storage import is_local
from manifests.tables import read_columns

_MOST_TOKENS = (1 << 31) - 1  # of rows that are described at once: bounds are int32
_TOKENS_DESCRIBED = 1 << 27  # at once where rows are long: of documents of 500 tokens, some 20 MB
__all__ = ["IGNORED", "PackedDataset", "RowDocuments", "Segments", "dataset_digest"]

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


class PackedDataset:
    """The rows of one split: `len()`, `[i]` and iteration give tokens, the methods targets and documents.

    A shard is checked when it is first touched: its size, its header's crc32, and that the header states the payload
    digest of the manifest. It can be pickled, and opens its files again where it comes out. Maps keep no file
    descriptor; without them, a process keeps at most three quarters of the descriptors that it may have.

    `first_rows` (int64 [shards]) and `phase_ends` say where shards begin and phases of a staged mixture end, in rows;
    `most_segments`, how many documents and gaps the fullest row of the split has, None in data sets of version 1.

    Behind a URL, the manifest alone is read to open it; shards come into a cache on this node's disk when they are
    read or about to be (`manifests.node_cache`), are compared with their digests, and shared by all processes there.

    Args:
        path: A run's folder, or its `packed` folder: here, or behind any URL that fsspec reads (`s3://`, `https://`).
        split: `train` or `val`.
        mmap: Whether shards are mapped, of a split of up to 1 GiB. False reads them, for file systems that refuse maps,
            as those of larger splits always are: nothing of them stays in this process's memory.
        validate: Which shards' digests are compared with the manifest, which reads each of them whole: `never`; `lazy`,
            a shard when it is first touched; `open`, all of the split at once. Spans files always are.
        cache: Folder of the cache, for URLs; by default `$CURATE_CACHE/shards`, or one in the user's cache.
        cache_limit: Bytes that are kept there; None: everything.
        retry_seconds: How long a fetch is tried again.
        fetch: What comes from behind a URL: `shards`, whole, each compared with its digest; or `rows`, those of a batch
            at once by ranges of bytes, which no digest is of, and nothing of which is kept.
    Raises:
        InputError: There is no packed dataset.
        ShardError: Later, when a shard or spans file that is read is not the one that the manifest describes, or cannot
            be fetched.
        ValueError: `validate` or `fetch` is none of these, or both want what excludes the other.
    """

    def __init__(self, path: str | os.PathLike[str], split: str, mmap: bool = True, validate: str = "never", *,
                 cache: str | os.PathLike[str] | None = None, cache_limit: int | None = None,
                 retry_seconds: float = 120.0, fetch: str = "shards") -> None:
        self._options: dict[str, Any] = {"split": split, "mmap": mmap, "validate": validate, "cache": cache,
                                         "cache_limit": cache_limit, "retry_seconds": retry_seconds, "fetch": fetch}
        if fetch not in ("shards", "rows") or (fetch == "rows" and validate != "never"):
            raise ValueError(f"fetch {fetch!r}, validate {validate!r}: need shards or rows, and rows that are fetched "
                             "by themselves cannot be compared with digests")
        remote = isinstance(path, str) and not is_local(path)
        self._cache = node_cache(Path(cache) if cache is not None else default_folder(), cache_limit,
                                 retry_seconds) if remote else None
        self._folder = open_folder(path, self._cache)
        self.where, self.folder = self._folder.where, self._folder.tables
        self.split, self.mmap, self.validate = split, mmap, validate
        self._manifest = read_manifest(str(self.folder / "manifest.parquet"))
        shards: Any = self._manifest.filter(pc.equal(self._manifest["split"], split))
        self.first_rows: npt.NDArray[np.int64] = shards["first_row"].to_numpy()
        self._n_rows = int(self.first_rows[-1] + shards["n_rows"][-1].as_py()) if len(shards) else 0
        first: Any = self._manifest.slice(0, 1).to_pylist()
        self.row_length = int(first[0]["row_length"]) if first else 0
        self.packing = str(first[0]["packing"]) if first else "concat"
        self.dtype = np.dtype(first[0]["dtype"] if first else "uint16").newbyteorder("<")
        self.tokenizer_sha256 = str(first[0]["tokenizer_sha256"]) if first else ""
        self.vocab_size, self.eot_id = (int(first[0][n]) if first else 0 for n in ("vocab_size", "eot_id"))
        self.phase_ends = self._ends_of_phases(shards)
        most = shards["most_segments"].to_numpy() if "most_segments" in shards.column_names else np.empty(0)
        self.most_segments = int(most.max()) if len(most) else None
        self._shards = SplitShards(self._folder, shards, self.row_length, mmap, validate, fetch == "rows")
        self._prefetch = Prefetch(self._shards.fetch) if self._cache is not None else None
        has_gaps = (shards["padding_tokens"].to_numpy() > 0 if "padding_tokens" in shards.column_names
                    else np.zeros(len(shards), bool))
        self._reader = RowReader(self._shards, self.first_rows, self.row_length, self.dtype,
                                 PACKINGS[self.packing].is_stream, has_gaps)

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
        start = local * self.row_length
        if self._shards.ranges is not None:
            fetched: Tokens = self._reader.tokens(Places(np.array([shard]), np.array([local])))[0]
            return fetched
        tokens: Tokens = self._shards.payloads[shard][start : start + self.row_length]
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
        return self._reader.tokens(self._places(rows))

    def batch(self, rows: npt.NDArray[np.int64]) -> tuple[Tokens, npt.NDArray[np.int64]]:
        """Tokens and targets of many rows.

        Args:
            rows: int64 [n], each in [0, len).
        Returns:
            Tokens [n, T] in the stored dtype, and targets int64 [n, T] as `targets` gives them.
        Raises:
            IndexError: There is no such row.
        """
        tokens, targets, _ = self.read(rows, documents=False)
        return tokens, targets

    def batch_with_segments(self, rows: npt.NDArray[np.int64]) -> tuple[Tokens, npt.NDArray[np.int64], Segments]:
        """`batch` and `segments` of the same rows, at less than the cost of both.

        Args:
            rows: int64 [n], each in [0, len); else IndexError.
        """
        tokens, targets, segments = self.read(rows)
        assert segments is not None
        return tokens, targets, segments

    def read(self, rows: npt.NDArray[np.int64], documents: bool = True, as_int64: bool = False,
             empty: Empty = np.empty, known: Known | None = None
             ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], Segments | None]:
        """What `batch` gives, and what `segments` does where it is asked for: what loaders call.

        Args:
            rows: int64 [n], each in [0, len); else IndexError.
            documents: Whether there are segments.
            as_int64: Whether tokens are int64, as PyTorch's embeddings take them, rather than as stored.
            empty: Gives arrays of a shape and dtype, to write to.
            known: What `describe` said of these rows.
        """
        places = self._places(rows) if known is None else known[0].places(known[1])
        return self._reader.batch(places, documents, as_int64, empty, known)

    def rows_described(self, looked_up: bool) -> int:
        """How many rows are best described at once: many take less time for each, but where files are read for it, a
        batch would have to wait. looked_up: whether `look_ups` has read them."""
        return min(4096 if looked_up or self._shards.mapped else 256, _TOKENS_DESCRIBED // self.row_length)

    def describe(self, rows: npt.NDArray[np.int64], documents: bool) -> RowFacts:
        """What `read` needs to know of the rows of several batches, worked out at once: where they lie, and what the
        row indexes say of them, where that is needed and no file is fetched for it.

        Args:
            rows: int64 [batches, n], each in [0, len).
            documents: As `read` will be asked for them.
        """
        places = self._places(rows.ravel())
        with_runs = (self._needs_runs(documents) and rows.size * self.row_length <= _MOST_TOKENS
                     and (not self.is_remote or self._are_here(places)))
        return self._reader.describe(places, len(rows), with_runs)

    def rows_looked_up(self, documents: bool) -> int:
        """How many rows `look_ups` is best asked about; 0: none, since nothing is read to describe them, or has to be
        fetched. documents: As `read` will be asked for them."""
        if self._shards.mapped or self.is_remote or not self._needs_runs(documents):
            return 0
        return min(1 << 16, max(256, (1 << 27) // self.row_length))  # of which some MB are kept

    def look_ups(self, rows: npt.NDArray[np.int64]) -> LookUps:
        """What `describe` gives for the rows of several batches, read bit by bit.

        Args:
            rows: int64 [batches, n], each in [0, len).
        """
        return LookUps(self._places(rows.ravel()), rows.shape[1], self._shards, self.row_length)

    def _needs_runs(self, documents: bool) -> bool:
        """Whether row indexes are read for batches."""
        return (documents or not PACKINGS[self.packing].is_stream) and self._shards.has_row_indexes

    def _are_here(self, places: Places) -> bool:
        """Whether the row indexes of all these rows are open, so that nothing is fetched to look them up."""
        return self._shards.rows.keys() >= set(places.shard.tolist())

    def segments(self, rows: npt.NDArray[np.int64]) -> Segments:
        """Document boundaries, sources and position ids of many rows, laid end to end, from the row index.

        Args:
            rows: int64 [n], each in [0, len); else IndexError.
        """
        return segments_of(self._reader.runs(self._places(rows)), self.row_length)

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
            source_names=[_name_of(names, s, self.where) for s in source_ids.tolist()],
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
        table: Any = read_columns(str(self.folder / "manifest.parquet"), PACKED_MANIFEST, (), ("special_tokens",))
        first = table["special_tokens"][0].as_py() if table.column_names and len(table) else None
        return dict(first or [])

    @cached_property
    def source_names(self) -> dict[int, str]:
        """Names of sources by the ids that spans and segments carry."""
        path = self.table("sources.parquet")
        if path is None:
            raise ShardError("is missing", where=f"{self.where}/sources.parquet", hint="fetch or pack it again")
        return read_sources(path)

    def _locate(self, row: int) -> tuple[int, int]:
        """(shard, row within it); negative rows count from the end, as in any sequence."""
        index = row + len(self) if row < 0 else row
        if not 0 <= index < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        shard = int(np.searchsorted(self.first_rows, index, "right")) - 1
        return shard, index - int(self.first_rows[shard])

    def _places(self, rows: npt.NDArray[np.int64]) -> Places:
        """Where rows lie, all of which exist."""
        if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < self._n_rows):
            raise IndexError(f"rows {int(rows.min())} to {int(rows.max())} of {len(self)}")
        return self._reader.places(rows)

    def _ends_of_phases(self, shards: pa.Table) -> list[int]:
        """Where each phase of a staged mixture ends, in rows; one phase, the split, where there are no stages."""
        if "phase" not in shards.column_names or not len(shards):
            return [len(self)]
        last = np.flatnonzero(np.diff(shards["phase"].to_numpy(), append=-1))
        ends: list[int] = (self.first_rows[last] + shards["n_rows"].to_numpy()[last]).tolist()
        return ends


def _name_of(names: dict[int, str], source_id: int, where: str) -> str | None:
    """The name of a segment's source; None where it has no document."""
    if source_id < 0:
        return None
    if source_id not in names:
        raise ShardError(f"column source_id of the spans names source {source_id}, which sources.parquet does not know",
                         where=where, hint="run `curate verify`, then fetch or pack the dataset again")
    return names[source_id]


def _reopened(where: str, options: dict[str, Any]) -> PackedDataset:
    return PackedDataset(where, **options)
