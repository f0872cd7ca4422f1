"""Many rows at once: their tokens, what is to be learned in them, and their documents, at the least cost.

A batch has few rows and many tokens, so rows are found in loops of Python's own integers, and tokens are copied by one
call for all of them: bare gathers from NumPy's maps take as long. Where files are read, one call a row puts its tokens
in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.row_facts import IGNORED, Known, Places, RowFacts, Segments, Targets, runs_of, segments_of
from manifests.rows import BatchRuns, learns_first
from manifests.shard import HEADER_BYTES, Tokens
from manifests.shards import SplitShards

_FEW_RUNS: Final = 256  # for which a loop is faster than a mask of every token
Empty = Callable[[tuple[int, ...], Any], npt.NDArray[Any]]


class RowReader:
    """Rows of one split.

    Args:
        shards: Its files.
        first_rows: Number of each shard's first row, int64 [shards].
        row_length: Tokens of a row.
        dtype: Of tokens.
        is_stream: Whether a row's last target is the next row's first token.
        has_gaps: Whether `curate remove` took tokens out of each shard, or rows are padded, bool [shards].
    """

    def __init__(self, shards: SplitShards, first_rows: npt.NDArray[np.int64], row_length: int, dtype: np.dtype[Any],
                 is_stream: bool, has_gaps: npt.NDArray[np.bool_]) -> None:
        self._shards, self._first_rows = shards, first_rows
        self._length, self._dtype, self._is_stream = row_length, dtype, is_stream
        self._has_gaps, self._any_gap = has_gaps, bool(has_gaps.any())

    def places(self, rows: npt.NDArray[np.int64]) -> Places:
        """Where rows lie. rows: int64 [n], of rows that exist."""
        shard = self._first_rows.searchsorted(rows, "right") - 1
        return Places(shard, rows - self._first_rows[shard])

    def tokens(self, places: Places) -> Tokens:
        """Tokens of rows, [n, T], in the stored dtype."""
        return self._gather(places, 0)

    def batch(self, places: Places, documents: bool, as_int64: bool = False, empty: Empty = np.empty,
              known: Known | None = None) -> tuple[npt.NDArray[Any], Targets, Segments | None]:
        """Tokens [n, T], targets int64 [n, T], and the rows' documents.

        Args:
            places: Where the rows lie.
            documents: Whether documents are given.
            as_int64: Whether tokens are int64 rather than as stored.
            empty: Gives arrays of a shape and dtype.
            known: What `describe` said of these rows.
        """
        dtype = np.dtype(np.int64) if as_int64 else self._dtype
        tokens, targets = (self._in_stream if self._is_stream else self._in_rows)(places, dtype, empty)
        masked = not self._is_stream or self._gap_near(places)
        segments = None
        if known is not None and known[0].has_runs:
            facts, number = known
            if masked:
                facts.ignore(number, targets)
            if documents:
                segments = facts.segments(number)
        elif masked or documents:
            runs = self.runs(places)
            if masked:
                self._ignore(targets, runs)
            if documents:
                segments = segments_of(runs, self._length)
        if masked and self._is_stream:
            targets[~self._learns_following(places), -1] = IGNORED
        return tokens, targets, segments

    def describe(self, places: Places, n_batches: int, with_runs: bool) -> RowFacts:
        """What can be known of the rows of several batches, of as many rows each, before `batch` reads them. with_runs:
        also what the row index says."""
        return RowFacts(places, self.runs(places) if with_runs else None, n_batches, self._length)

    def runs(self, places: Places) -> BatchRuns:
        """The runs of some rows, from the row indexes of their shards."""
        return runs_of(places, self._shards, self._length)

    def _gather(self, places: Places, more: int) -> Tokens:
        """Tokens of rows, [n, T + more], each with so many that follow it; 0 for those behind a shard's end."""
        shape = len(places.shard), self._length + more
        if self._shards.ranges is not None or not self._shards.mapped:
            return self._read(places, shape, more)
        if not shape[0]:
            return np.empty(shape, self._dtype)
        payloads, size = self._shards.payloads, shape[1]
        flat: npt.NDArray[Any] = np.concatenate([payloads[shard][start : start + size] for shard, start in zip(
            places.shard.tolist(), (places.local * self._length).tolist(), strict=True)])
        if len(flat) != shape[0] * size:
            at_end = np.flatnonzero(self._is_last(places))
            flat = np.insert(flat, (at_end + 1) * size - 1 - np.arange(len(at_end)), 0)
        tokens: Tokens = flat.reshape(shape)
        return tokens

    def _read(self, places: Places, shape: tuple[int, int], more: int) -> Tokens:
        """The same, read into place."""
        out = np.empty(shape, self._dtype)
        payloads: Any = self._shards.payloads
        at_end = self._is_last(places) if more else np.zeros(len(out), np.bool_)
        rows: list[Tokens] = [*out]
        for i in np.flatnonzero(at_end).tolist():
            rows[i] = rows[i][: self._length]
        shards = places.shard.tolist()
        firsts = (HEADER_BYTES + places.local * (self._length * out.itemsize)).tolist()
        if self._shards.ranges is not None:
            self._shards.ranges.read([(shard, first, first + row.nbytes) for row, shard, first in zip(
                rows, shards, firsts, strict=True)], rows)
        else:
            for row, shard, first in zip(rows, shards, firsts, strict=True):
                payloads[shard].read_into(row, first)
        out[at_end, self._length :] = 0
        return out

    def _ignore(self, targets: Targets, runs: BatchRuns) -> None:
        """-100 for targets that are tokens of runs that are not learned; a row's last one is of the next row."""
        unlearned = np.flatnonzero(~runs.learned)
        if len(unlearned) > _FEW_RUNS:
            lengths = np.diff(runs.start, append=runs.n_tokens)
            ignored = np.repeat(~runs.learned, lengths).reshape(targets.shape)
            np.copyto(targets[:, :-1], IGNORED, where=ignored[:, 1:])
            return
        flat, ends = targets.reshape(-1), np.append(runs.start[1:], runs.n_tokens)
        for start, end in zip(runs.start[unlearned].tolist(), ends[unlearned].tolist(), strict=True):
            first = start if start % self._length == 0 else start - 1
            flat[first : end - 1] = IGNORED

    def _in_stream(self, places: Places, dtype: np.dtype[Any], empty: Empty) -> tuple[npt.NDArray[Any], Targets]:
        """Tokens and targets of rows, each row's last target being the next token of its shard."""
        wide = self._gather(places, 1)
        shape = len(wide), self._length
        tokens, targets = empty(shape, dtype), empty(shape, np.int64)
        tokens[...], targets[...] = wide[:, :-1], wide[:, 1:]
        targets[self._is_last(places), -1] = IGNORED
        return tokens, targets

    def _in_rows(self, places: Places, dtype: np.dtype[Any], empty: Empty) -> tuple[npt.NDArray[Any], Targets]:
        """Tokens and targets of rows; nothing is learned across a row's end."""
        stored: npt.NDArray[Any] = self._gather(places, 0)
        targets = empty(stored.shape, np.int64)
        targets[:, :-1], targets[:, -1] = stored[:, 1:], IGNORED  # from the copy, which the processor's cache holds
        if dtype == stored.dtype:
            return stored, targets
        tokens = empty(stored.shape, dtype)
        tokens[...] = stored
        return tokens, targets

    def _is_last(self, places: Places) -> npt.NDArray[np.bool_]:
        """Which rows are the last ones of their shards."""
        is_last: npt.NDArray[np.bool_] = places.local + 1 == self._shards.n_rows[places.shard]
        return is_last

    def _gap_near(self, places: Places) -> bool:
        """Whether `curate remove` took tokens out of any shard that some rows are in."""
        return bool(self._any_gap and self._has_gaps[places.shard].any())

    def _learns_following(self, places: Places) -> npt.NDArray[np.bool_]:
        """Of which rows the token behind is to be learned; true at the end of a shard, where there is none."""
        is_last = self._is_last(places).tolist()
        return np.array([last or learns_first(self._shards.index(shard), local + 1) for shard, local, last in zip(
            places.shard.tolist(), places.local.tolist(), is_last, strict=True)], np.bool_)
