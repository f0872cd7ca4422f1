"""What the row index says of the rows of several batches, worked out for all of them at once.

A batch has some hundred runs: calls to NumPy take longer than what they do for so few. Loaders know the rows that they
read next, so the runs of a thousand rows are cut into segments together, and a batch takes its part.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.hashing import Int64
from manifests.rows import BatchRuns, join_runs
from manifests.shards import SplitShards

_ROWS_OF_A_SHARD: Final = 8  # from which on rows are looked up a shard at a time
IGNORED: Final = -100  # the target that PyTorch's cross-entropy skips
Targets = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segments:
    """Documents of n rows, laid end to end, as attention over packed sequences takes them.

    cu_seqlens: int32 [k + 1], 0 to n * T; every row begins a segment. source_ids: int32 [k], -1 where a segment has no
    document. position_ids: int32 [n, T], counting from 0 in each segment; int64 where tokens were asked for as int64.
    is_padding: bool [k], segments that nothing is learned from: what lies behind the documents of a row, and what was
    removed, but for the end-of-text token before a document, which is a segment of its own."""

    cu_seqlens: npt.NDArray[np.int32]
    source_ids: npt.NDArray[np.int32]
    position_ids: npt.NDArray[np.int32] | npt.NDArray[np.int64]
    is_padding: npt.NDArray[np.bool_]

    def with_empty_rows(self, n: int, row_length: int) -> Segments:
        """The same, with n more rows of padding behind."""
        length = int(self.cu_seqlens[-1])
        bounds = length + row_length * np.arange(1, n + 1, dtype=np.int32)
        positions = np.broadcast_to(np.arange(row_length, dtype=self.position_ids.dtype), (n, row_length))
        return Segments(np.concatenate([self.cu_seqlens, bounds]).astype(np.int32),
                        np.append(self.source_ids, np.full(n, -1, np.int32)),
                        np.concatenate([self.position_ids, positions]),
                        np.append(self.is_padding, np.ones(n, np.bool_)))


class RowFacts:
    """Runs of the rows of several batches of one size.

    Args:
        runs: Of all rows, laid end to end.
        n_batches: How many batches they are of.
        row_length: Tokens of a row.
    """

    def __init__(self, runs: BatchRuns, n_batches: int, row_length: int) -> None:
        self._row_length, self._n_tokens = row_length, runs.n_tokens // n_batches
        edges = np.arange(n_batches + 1, dtype=np.int64) * self._n_tokens
        unlearned = np.flatnonzero(~runs.learned)
        start = runs.start[unlearned]
        self._ignored_first = start - (start % row_length != 0)
        self._ignored_last = np.append(runs.start[1:], runs.n_tokens)[unlearned] - 1
        self._ignored = np.searchsorted(start, edges).tolist()
        self._bounds, self._sources, self._is_padding = _segments_of(runs, row_length)
        self._lengths = np.diff(self._bounds)
        self._segments = np.searchsorted(self._bounds[:-1], edges).tolist()
        self._steps = np.arange(self._n_tokens, dtype=np.int32)

    def ignore(self, batch: int, targets: Targets) -> None:
        """-100 for targets of a batch that are tokens of runs that are not learned; a row's last one is of the next
        row."""
        low, high = self._ignored[batch : batch + 2]
        if low == high:
            return
        flat, before = targets.reshape(-1), batch * self._n_tokens
        for first, last in zip((self._ignored_first[low:high] - before).tolist(),
                               (self._ignored_last[low:high] - before).tolist(), strict=True):
            flat[first:last] = IGNORED

    def segments(self, batch: int, positions: Positions) -> Segments:
        """Documents of the rows of a batch. positions: where position ids are written to, [n, T]."""
        low, high = self._segments[batch : batch + 2]
        bounds = self._bounds[low : high + 1] - np.int32(batch * self._n_tokens)
        np.subtract(self._steps, np.repeat(bounds[:-1], self._lengths[low:high]), out=positions.reshape(-1))
        return Segments(bounds, self._sources[low:high].copy(), positions, self._is_padding[low:high].copy())


Known = tuple[RowFacts, int]
"""What is known of a batch's rows: facts of several batches, and which of them it is."""


def runs_of(rows: list[int], firsts: list[int], shards: SplitShards, row_length: int) -> BatchRuns:
    """The runs of some rows, from the row indexes of their shards.

    Args:
        rows: Numbers of rows that exist.
        firsts: Number of each shard's first row.
        shards: The files.
        row_length: Tokens of a row.
    """
    numbers = [bisect_right(firsts, row) - 1 for row in rows]
    if rows and shards.has_mapped_rows and len(rows) >= _ROWS_OF_A_SHARD * len(set(numbers)):
        return join_runs(*_by_shard(rows, numbers, firsts, shards), row_length)
    found = []
    if shards.has_mapped_rows:
        opened = shards.rows
        for row, shard in zip(rows, numbers, strict=True):
            index, local = opened[shard], row - firsts[shard]
            first: Any = index.first
            found.append(index.runs[first.item(local) : first.item(local + 1)])
    else:
        found = [shards.index(shard).of(row - firsts[shard]) for row, shard in zip(rows, numbers, strict=True)]
    counts = np.fromiter(map(len, found), np.int64, len(found))
    return join_runs(np.concatenate(found) if found else np.empty(0, np.uint64), counts, row_length)


def _by_shard(rows: list[int], numbers: list[int], firsts: list[int], shards: SplitShards
              ) -> tuple[npt.NDArray[np.uint64], Int64]:
    """(runs of the rows, end to end, how many each row has), looked up a shard at a time."""
    at, shard_of = np.array(rows, np.int64), np.array(numbers)
    counts, place = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    parts, n = [], 0
    for shard in sorted(set(numbers)):
        index, here = shards.rows[shard], np.flatnonzero(shard_of == shard)
        first: Any = index.first
        runs: Any = index.runs
        local = at[here] - firsts[shard]
        low, high = first[local].astype(np.int64), first[local + 1].astype(np.int64)
        counts[here], place[here] = high - low, n + np.cumsum(high - low) - (high - low)
        parts.append(runs[_ranges(low, high - low)])
        n += len(parts[-1])
    return np.concatenate(parts)[_ranges(place, counts)], counts


def _ranges(start: Int64, n: Int64) -> Int64:
    """The numbers from each start on, n of each, end to end."""
    ends = np.cumsum(n)
    numbers: Int64 = np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - (ends - n), n)
    return numbers


def segments_of(runs: BatchRuns, positions: Positions) -> Segments:
    """Documents of the rows that some runs are of. positions: where position ids are written to, [n, T]."""
    bounds, sources, is_padding = _segments_of(runs, positions.shape[1])
    np.subtract(np.arange(runs.n_tokens, dtype=np.int32), np.repeat(bounds[:-1], np.diff(bounds)),
                out=positions.reshape(-1))
    return Segments(bounds, sources, positions, is_padding)


def _segments_of(runs: BatchRuns, row_length: int
                 ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """(bounds, sources, which are padding)"""
    start, source = runs.start, runs.source
    if not runs.begins.all():
        start, source = start[runs.begins], source[runs.begins]
    bounds = np.empty(len(start) + 1, np.int32)
    bounds[:-1], bounds[-1] = start, runs.n_tokens
    is_padding = source < 0
    return _padding(bounds, source, row_length) if is_padding.any() else (bounds, source, is_padding)


def _padding(bounds: npt.NDArray[np.int32], source: npt.NDArray[np.int32], row_length: int
             ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Segments without a document as padding, with the token before a document, if any, as a segment of its own."""
    gap, before_document = source < 0, bounds[1:] % row_length != 0
    cut = np.flatnonzero(gap & before_document & (np.diff(bounds) > 1))
    is_padding = gap & ~before_document
    is_padding[cut] = True
    if len(cut):
        bounds, source = np.insert(bounds, cut + 1, bounds[cut + 1] - 1), np.insert(source, cut + 1, -1)
        is_padding = np.insert(is_padding, cut + 1, False)
    return bounds, source, is_padding
