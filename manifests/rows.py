"""The row index beside a shard, `000000.rows`: what a batch needs of its rows' documents, at those rows' cost alone.

A row is cut into *runs*: stretches of tokens of one document, or of none, that are all learned or all not. All fields
are little-endian and at fixed offsets:

    0     8 bytes    "CURATE\\0R"
    8     uint32     version, 1
    12    uint32     row length T in tokens
    16    uint64     n, rows of the shard
    24    uint64     m, runs
    32    16 bytes   xxh3-128 of the shard's payload, as its header has it
    48    uint32     most segments that a row has
    60    uint32     crc32 of bytes 0 to 59
    64    uint32 [n + 1]   number of each row's first run; the last one is m
    then, at the next multiple of 8,
          8 bytes a run    uint32: its first token in the row; uint16: source id, 65535 for no document;
                           uint16: 1 where a segment begins, 2 where its tokens are learned

The first run of a row begins at token 0 and begins a segment; a run ends where the next one begins, or the row does. A
segment is a fragment of a document, or a stretch of none: padding, a shard's first token, what a removal took out.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ShardError
from manifests.hashing import Int64
from manifests.local_files import ReadFile, map_file
from manifests.spans import Spans, spans_of
from manifests.storage import digest_file, open_read

NO_DOCUMENT: Final = 0xFFFF
BYTES_PER_RUN: Final = 8
_MAGIC: Final = b"CURATE\0R"
_VERSION: Final = 1
_BLOCK: Final = struct.Struct("<8sIIQQ16sI")
_CRC: Final = struct.Struct("<I")
_PAIR: Final = struct.Struct("<II")
_CRC_OFFSET: Final = 60
_HEADER_BYTES: Final = 64
_BEGINS, _LEARNED = 1, 2
_ADVICE: Final = "run `curate verify`, then fetch or pack the shard again"
_FIRST: Final = np.dtype("<u4")
_RUN: Final = np.dtype("<u8")
_FIRST_BYTES: Final = 4
_PAIR_BYTES: Final = 2 * _FIRST_BYTES
Runs = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class RowIndex:
    """The runs of a shard's rows: those of row r are runs[first[r] : first[r + 1]].

    first: uint32 [n + 1]. runs: uint64 [m], as the file has them. most_segments: of a row."""

    first: npt.NDArray[np.uint32]
    runs: Runs
    most_segments: int

    def of(self, row: int) -> Runs:
        """Runs of a row, uint64 [k]."""
        first: Any = self.first
        return self.runs[first.item(row) : first.item(row + 1)]


class ReadRows(ReadFile):
    """As `open_rows`, but rows are read, and checked, when they are looked up: two reads of some bytes for each.

    Args:
        path: A local file.
        n_rows: Rows of the shard, by the manifest.
        row_length: Tokens of a row, by the manifest.
        payload_xxh3: Digest of the shard's payload, by the manifest.
        n_runs: What it has by its header, where that has been checked before.
    Raises:
        ShardError: As `open_rows`.
    """

    __slots__ = ("_offset", "n_runs")

    def __init__(self, path: str, n_rows: int, row_length: int, payload_xxh3: str, n_runs: int | None = None) -> None:
        super().__init__(path)
        self._offset = _runs_offset(n_rows)
        self.n_runs = n_runs if n_runs is not None else _check(self, n_rows, row_length, payload_xxh3)[0]

    def of(self, row: int) -> Runs:
        """Runs of a row, uint64 [k]; ShardError where it has none."""
        return np.frombuffer(self.bytes_of(row), _RUN)

    def bytes_of(self, row: int) -> bytes:
        """The same, as the file has them."""
        low, high = _PAIR.unpack(self.read(_HEADER_BYTES + row * _FIRST_BYTES, _PAIR_BYTES))
        if not low < high <= self.n_runs:
            raise ShardError(f"has no runs for row {row}", where=self.path, hint=_ADVICE)
        return self.read(self._offset + low * BYTES_PER_RUN, (high - low) * BYTES_PER_RUN)


def runs_in(parts: list[bytes]) -> tuple[Runs, Int64]:
    """(runs of rows whose bytes these are, end to end; how many each has)"""
    return np.frombuffer(b"".join(parts), _RUN), np.fromiter(map(len, parts), np.int64, len(parts)) // BYTES_PER_RUN


def learns_first(index: RowIndex | ReadRows, row: int) -> bool:
    """Whether the first token of a row is to be learned."""
    return bool(int(index.of(row)[0]) >> 48 & _LEARNED)


def index_spans(spans: Spans, n_rows: int, row_length: int) -> RowIndex:
    """The row index that a shard's spans say. n_rows, row_length: of the shard."""
    n_tokens = n_rows * row_length
    within = slice(0, int(np.searchsorted(spans.token_start, n_tokens)))
    start = spans.token_start[within]
    end = start + spans.n_tokens[within]
    by_start = np.argsort(spans.learned_start, kind="stable")
    by_start = by_start[spans.learned_start[by_start] < n_tokens]
    learned_start = spans.learned_start[by_start]
    learned_end = learned_start + spans.learned_n[by_start]
    row_start = np.arange(n_rows, dtype=np.int64) * row_length
    segment_start = np.unique(np.concatenate([row_start, start, end[end < n_tokens]]))
    run_start = np.unique(np.concatenate([segment_start, learned_start, learned_end[learned_end < n_tokens]]))
    flags = np.zeros(len(run_start), np.uint64)
    flags[np.searchsorted(run_start, segment_start)] = _BEGINS
    learned = _containing(run_start, learned_start, learned_end) >= 0
    flags |= learned * np.uint64(_LEARNED)
    span = _containing(run_start, start, end)
    source = np.full(len(run_start), NO_DOCUMENT, np.int64)
    source[span >= 0] = spans.source_id[span[span >= 0]]
    first = np.append(np.searchsorted(run_start, row_start), len(run_start))
    runs = (run_start % row_length).astype(np.uint64) | source.astype(np.uint64) << np.uint64(32) | flags << np.uint64(
        48)
    segments = np.diff(np.append(np.searchsorted(segment_start, row_start), len(segment_start)))
    return RowIndex(first.astype(_FIRST), runs.astype(_RUN), int(segments.max(initial=0)))


def _containing(points: Int64, start: Int64, end: Int64) -> Int64:
    """Number of the stretch that holds each point, int64; -1 where none does. start: ascending; stretches disjoint."""
    if not len(start):
        return np.full(len(points), -1)
    index = np.searchsorted(start, points, "right") - 1
    return np.where((index >= 0) & (points < end[np.maximum(index, 0)]), index, -1)


def write_rows(path: str, spans: pa.Table, n_rows: int, row_length: int, payload_digest: bytes) -> RowIndex:
    """Write the row index of a shard; the same bytes for the same spans.

    Args:
        path: A local file, which is overwritten.
        spans: `schema.SPANS` or `schema.CHAT_SPANS` of the shard.
        n_rows: Rows of the shard.
        row_length: Tokens of a row.
        payload_digest: xxh3-128 of the shard's payload.
    Returns:
        What was written.
    Raises:
        ShardError: A source has the number that stands for no document.
    """
    index = index_spans(spans_of(spans), n_rows, row_length)
    if len(spans) and int(spans["source_id"].to_numpy().max()) >= NO_DOCUMENT:
        raise ShardError(f"source {NO_DOCUMENT} does not fit a row index", where=path, hint="use fewer sources")
    header = _BLOCK.pack(_MAGIC, _VERSION, row_length, n_rows, len(index.runs), payload_digest, index.most_segments)
    header = header.ljust(_CRC_OFFSET, b"\0")
    header += _CRC.pack(zlib.crc32(header))
    with open(path, "wb") as file:
        file.write(header)
        file.write(np.asarray(index.first).tobytes())
        file.write(bytes(_runs_offset(n_rows) - _HEADER_BYTES - _FIRST.itemsize * (n_rows + 1)))
        file.write(np.asarray(index.runs).tobytes())
    return index


def open_rows(path: str, n_rows: int, row_length: int, payload_xxh3: str) -> RowIndex:
    """Map the row index of a shard: its header, its size and that every row has runs are checked.

    Args:
        path: A local file.
        n_rows: Rows of the shard, by the manifest.
        row_length: Tokens of a row, by the manifest.
        payload_xxh3: Digest of the shard's payload, by the manifest.
    Raises:
        ShardError: It cannot be read, or is not the index of that shard.
    """
    n_runs, most = _check(ReadFile(path), n_rows, row_length, payload_xxh3)
    data = map_file(path)
    first = data[_HEADER_BYTES : _HEADER_BYTES + _FIRST.itemsize * (n_rows + 1)].view(_FIRST)
    if first[0] != 0 or first[-1] != n_runs or not (first[1:] > first[:-1]).all():
        raise ShardError("has rows without runs, or runs of no row", where=path, hint=_ADVICE)
    return RowIndex(first, data[_runs_offset(n_rows) :].view(_RUN), most)


def _check(file: ReadFile, n_rows: int, row_length: int, payload_xxh3: str) -> tuple[int, int]:
    """(the file's runs, most segments of a row), its header and size checked."""
    size = file.check()
    n_runs, digest, most = _unpack(file.head(_HEADER_BYTES), file.path, n_rows, row_length)
    expected = _runs_offset(n_rows) + n_runs * BYTES_PER_RUN
    if size != expected:
        raise ShardError(f"is {size} bytes, but its header says {expected}", where=file.path,
                         hint="the copy was cut short or something was appended")
    if digest.hex() != payload_xxh3:
        raise ShardError("is the row index of another payload than the manifest describes", where=file.path,
                         hint=_ADVICE)
    return n_runs, most


def _unpack(data: bytes, path: str, n_rows: int, row_length: int) -> tuple[int, bytes, int]:
    """(runs, payload's digest, most segments of a row) of a header, checked."""
    if len(data) < _HEADER_BYTES or data[:8] != _MAGIC:
        raise ShardError("is not a row index", where=path, hint="fetch or pack the shard again")
    if _CRC.unpack_from(data, _CRC_OFFSET)[0] != zlib.crc32(data[:_CRC_OFFSET]):
        raise ShardError("header checksum does not match", where=path, hint="fetch or pack the shard again")
    _, version, length, rows, n_runs, digest, most = _BLOCK.unpack_from(data)
    if version != _VERSION:
        raise ShardError(f"has version {version}; this reader knows {_VERSION}", where=path,
                         hint="read it with a later version of the package")
    if (length, rows) != (row_length, n_rows):
        raise ShardError(f"is of {rows} rows of {length} tokens, the shard of {n_rows} of {row_length}", where=path,
                         hint=_ADVICE)
    return int(n_runs), bytes(digest), int(most)


def _runs_offset(n_rows: int) -> int:
    end = _HEADER_BYTES + _FIRST.itemsize * (n_rows + 1)
    return -(-end // BYTES_PER_RUN) * BYTES_PER_RUN


def ranges(start: Int64, n: Int64) -> Int64:
    """The numbers from each start on, n of each, end to end: int64."""
    ends = np.cumsum(n)
    numbers: Int64 = np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - n), n)
    return numbers


@dataclass(frozen=True, slots=True)
class BatchRuns:
    """Runs of n rows, laid end to end: int64 [m] each but for the flags.

    start: the first token of each in the n * T tokens of the batch. source: -1 for no document, int32. begins: where a
    segment begins; learned: whether its tokens are; bool [m]. n_tokens: n * T."""

    start: Int64
    source: npt.NDArray[np.int32]
    begins: npt.NDArray[np.bool_]
    learned: npt.NDArray[np.bool_]
    n_tokens: int


def join_runs(runs: Runs, counts: Int64, row_length: int) -> BatchRuns:
    """The runs of some rows, end to end as the files have them, as one. counts: runs of each row, int64 [n].

    Raises ShardError where they do not cut their rows."""
    fields: npt.NDArray[np.uint16] = runs.view(np.uint16).reshape(-1, 4)
    in_row: Int64 = runs.view(np.uint32)[::2].astype(np.int64)
    start = in_row + np.repeat(np.arange(len(counts), dtype=np.int64) * row_length, counts)
    if len(start) and (not counts.all() or int(in_row.max()) >= row_length or (start[1:] <= start[:-1]).any()
                       or in_row[np.cumsum(counts) - counts].any()):
        raise ShardError("a row index has runs that do not cut their row", hint=(
            "run `curate verify`, then fetch or pack the dataset again"))
    source = fields[:, 2].astype(np.int32)
    source[source == NO_DOCUMENT] = -1
    return BatchRuns(start, source, (fields[:, 3] & _BEGINS).astype(np.bool_),
                     (fields[:, 3] & _LEARNED).astype(np.bool_), len(counts) * row_length)


def describe_rows(path: str, name: str) -> dict[str, Any]:
    """What a row index adds to its shard's row of the manifest.

    Args:
        path: A file that `write_rows` wrote, anywhere.
        name: Its path in the packed folder.
    """
    with open_read(path) as file:
        data = file.read(_HEADER_BYTES)
    return {"rows_path": name, "rows_xxh3": digest_file(path), "most_segments": _BLOCK.unpack_from(data)[-1]}
