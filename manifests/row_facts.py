"""What the row index says of the rows of several batches, worked out for all of them at once.

A batch has some hundred runs: calls to NumPy take longer than what they do for so few. Loaders know the rows that they
read next, so the runs of a thousand rows are cut into segments together, and a batch takes its part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.hashing import Int64
from manifests.rows import BatchRuns, join_runs, ranges, runs_in
from manifests.shards import SplitShards

_ROWS_OF_A_SHARD: Final = 8  # from which on rows are looked up a shard at a time
IGNORED: Final = -100  # the target that PyTorch's cross-entropy skips
Targets = npt.NDArray[np.int64]


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
        positions = np.broadcast_to(np.arange(row_length, dtype=self.position_ids.dtype), (n, row_length))
        return Segments(np.concatenate([self.cu_seqlens, bounds]).astype(np.int32),
                        np.append(self.source_ids, np.full(n, -1, np.int32)),
                        np.concatenate([self.position_ids, positions]),
                        np.append(self.is_padding, np.ones(n, np.bool_)))


@dataclass(frozen=True, slots=True)
class Places:
    """Where rows lie: number of the shard of each, and its number there; int64 [n]."""

    shard: Int64
    local: Int64

    def part(self, first: int, last: int) -> Places:
        """Those of some of the rows."""
        return Places(self.shard[first:last], self.local[first:last])


class RowFacts:
    """Where the rows of several batches of one size lie, and the runs that they are cut into.

    Args:
        places: Of all rows.
        runs: Of all rows, laid end to end; None where they are looked up by each batch, or not needed.
        n_batches: How many batches they are of.
        row_length: Tokens of a row.
    """

    def __init__(self, places: Places, runs: BatchRuns | None, n_batches: int, row_length: int) -> None:
        self._places, self._batch_rows = places, len(places.shard) // n_batches
        self.has_runs = runs is not None
        if runs is None:
            return
        self._n_tokens = runs.n_tokens // n_batches
        edges = np.arange(n_batches + 1, dtype=np.int64) * self._n_tokens
        unlearned = np.flatnonzero(~runs.learned)
        start = runs.start[unlearned]
        self._ignored_first = start - (start % row_length != 0)
        self._ignored_last = np.append(runs.start[1:], runs.n_tokens)[unlearned] - 1
        self._ignored = np.searchsorted(start, edges).tolist()
        self._bounds, self._sources, self._is_padding = _segments_of(runs, row_length)
        self._lengths = np.diff(self._bounds)
        self._segments = np.searchsorted(self._bounds[:-1], edges).tolist()
        self._in_row = self._bounds[:-1] % np.int32(row_length)
        self._steps = np.arange(row_length, dtype=np.int32)

    def places(self, batch: int) -> Places:
        """Where the rows of a batch lie."""
        return self._places.part(batch * self._batch_rows, (batch + 1) * self._batch_rows)

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

    def segments(self, batch: int) -> Segments:
        """Documents of the rows of a batch."""
        low, high = self._segments[batch : batch + 2]
        positions = np.repeat(self._in_row[low:high], self._lengths[low:high]).reshape(-1, len(self._steps))
        np.subtract(self._steps, positions, out=positions)
        return Segments(self._bounds[low : high + 1] - np.int32(batch * self._n_tokens), self._sources[low:high].copy(),
                        positions, self._is_padding[low:high].copy())


_NOWHERE: Final = Places(np.empty(0, np.int64), np.empty(0, np.int64))
Known = tuple[RowFacts, int]
"""What is known of a batch's rows: facts of several batches, and which of them it is."""


def runs_of(places: Places, shards: SplitShards, row_length: int) -> BatchRuns:
    """The runs of some rows, from the row indexes of their shards.

    Args:
        places: Where the rows lie.
        shards: The files.
        row_length: Tokens of a row.
    """
    numbers, index = places.shard.tolist(), shards.index
    if shards.mapped and len(numbers) >= _ROWS_OF_A_SHARD * len(set(numbers)) > 0:
        return join_runs(*_by_shard(places, index), row_length)
    if shards.has_row_indexes and not shards.mapped:
        return join_runs(*runs_in(_read(places, shards.rows)), row_length)
    found = [index(shard).of(row) for shard, row in zip(numbers, places.local.tolist(), strict=True)]
    counts = np.fromiter(map(len, found), np.int64, len(found))
    return join_runs(np.concatenate(found) if found else np.empty(0, np.uint64), counts, row_length)


def _read(places: Places, rows: Any) -> list[bytes]:
    """The bytes of the runs of each row, a shard's rows one after the other, so that each shard is opened once."""
    found = [b""] * len(places.shard)
    order = np.argsort(places.shard, kind="stable")
    for i, shard, row in zip(order.tolist(), places.shard[order].tolist(), places.local[order].tolist(), strict=True):
        found[i] = rows[shard].bytes_of(row)
    return found


def _by_shard(places: Places, index: Callable[[int], Any]) -> tuple[npt.NDArray[np.uint64], Int64]:
    """(runs of the rows, end to end, how many each row has), looked up in maps a shard at a time."""
    order = np.argsort(places.shard, kind="stable")
    shard, local = places.shard[order], places.local[order]
    behind = local + 1
    cuts = np.flatnonzero(np.diff(shard, prepend=-1, append=-1))
    opened = [index(n) for n in shard[cuts[:-1]].tolist()]
    parts = list(zip(opened, cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
    low, high = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    for rows, a, b in parts:
        low[a:b], high[a:b] = rows.first[local[a:b]], rows.first[behind[a:b]]
    counts = high - low
    at, ends = ranges(low, counts), np.append(0, np.cumsum(counts))
    runs = np.empty(len(at), np.uint64)
    for (rows, _, _), a, b in zip(parts, ends[cuts[:-1]].tolist(), ends[cuts[1:]].tolist(), strict=True):
        runs[a:b] = rows.runs[at[a:b]]
    back = np.argsort(order)
    return runs[ranges(ends[:-1][back], counts[back])], counts[back]


def segments_of(runs: BatchRuns, row_length: int) -> Segments:
    """Documents of the rows that some runs are of."""
    return RowFacts(_NOWHERE, runs, 1, row_length).segments(0)


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
