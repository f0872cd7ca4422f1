"""Many rows at once: their tokens, what is to be learned in them, and their documents, at the least cost.

A batch has few rows and many tokens, so rows are found in loops of Python's own integers, and tokens are copied by one
call for all of them: bare gathers from NumPy's maps take as long.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.local_files import mapped_bytes
from manifests.row_facts import IGNORED, Known, RowFacts, Segments, Targets, runs_of, segments_of
from manifests.rows import BatchRuns
from manifests.shard import Tokens
from manifests.shards import SplitShards

_MAPPED_BYTES: Final = 1 << 29  # of files in this process's memory, above which pages of large splits are let go
_BATCHES_BETWEEN: Final = 64  # that this is looked at
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
        self._shards, self._first_rows, self._firsts = shards, first_rows, first_rows.tolist()
        self._length, self._dtype, self._is_stream = row_length, dtype, is_stream
        self._has_gaps, self._any_gap = has_gaps, bool(has_gaps.any())
        self._recent: list[list[int]] = []  # rows read since pages were last let go

    def tokens(self, rows: list[int]) -> Tokens:
        """Tokens of rows, [n, T], in the stored dtype."""
        tokens: Tokens = self._gather(rows, 0).reshape(len(rows), self._length)
        return tokens

    def batch(self, rows: list[int], documents: bool, as_int64: bool = False, empty: Empty = np.empty,
              known: Known | None = None) -> tuple[npt.NDArray[Any], Targets, Segments | None]:
        """Tokens [n, T], targets int64 [n, T], and the rows' documents.

        Args:
            rows: Numbers of rows that exist.
            documents: Whether documents are given.
            as_int64: Whether tokens are int64 rather than as stored.
            empty: Gives arrays of a shape and dtype.
            known: What `describe` said of these rows.
        """
        dtype = np.dtype(np.int64) if as_int64 else self._dtype
        tokens, targets = (self._in_stream if self._is_stream else self._in_rows)(rows, dtype, empty)
        masked = not self._is_stream or self._gap_near(rows)
        if known is None:
            runs = self.runs(rows) if masked or documents else None
            if masked and runs is not None:
                self._ignore(targets, runs)
            segments = segments_of(runs, self._positions(len(rows), as_int64, empty)) if (
                documents and runs is not None) else None
        else:
            facts, number = known
            if masked:
                facts.ignore(number, targets)
            segments = facts.segments(number, self._positions(len(rows), as_int64, empty)) if documents else None
        if masked and self._is_stream:
            targets[[not self._learns_following(row) for row in rows], -1] = IGNORED
        return tokens, targets, segments

    def describe(self, rows: list[int], n_batches: int) -> RowFacts:
        """What the row index says of the rows of several batches, for `batch`. They have as many rows each."""
        return RowFacts(self.runs(rows), n_batches, self._length)

    @property
    def describes(self) -> bool:
        """Whether looking up rows before they are read costs no more than then: indexes are mapped."""
        return self._shards.has_mapped_rows

    def runs(self, rows: list[int]) -> BatchRuns:
        """The runs of some rows, from the row indexes of their shards."""
        return runs_of(rows, self._firsts, self._shards, self._length)

    def _positions(self, n_rows: int, as_int64: bool, empty: Empty) -> npt.NDArray[Any]:
        return empty((n_rows, self._length), np.int64 if as_int64 else np.int32)

    def _gather(self, rows: list[int], more: int) -> Tokens:
        """Tokens of rows, end to end, each with so many that follow it; fewer at a shard's end."""
        if not rows:
            return np.empty(0, self._dtype)
        payloads, firsts, length = self._shards.payloads, self._firsts, self._length
        size = length + more
        parts = [payloads[shard := bisect_right(firsts, row) - 1][
            (start := (row - firsts[shard]) * length) : start + size] for row in rows]
        tokens: Tokens = np.concatenate(parts)
        if self._shards.is_large:
            self._recent.append(rows)
            if len(self._recent) >= _BATCHES_BETWEEN:
                self._let_pages_go()
        return tokens

    def _let_pages_go(self) -> None:
        """Maps of data that the memory holds may stay; of more than that, they would grow with every row read."""
        if mapped_bytes() > _MAPPED_BYTES:
            rows = np.concatenate(self._recent).astype(np.int64)
            self._shards.let_pages_go(np.unique(self._first_rows.searchsorted(rows, "right") - 1).tolist())
            self._recent = []
        elif len(self._recent) > 16 * _BATCHES_BETWEEN:
            self._recent = self._recent[-_BATCHES_BETWEEN:]

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

    def _in_stream(self, rows: list[int], dtype: np.dtype[Any], empty: Empty) -> tuple[npt.NDArray[Any], Targets]:
        """Tokens and targets of rows, each row's last target being the next token of its shard."""
        n, length = len(rows), self._length
        flat: npt.NDArray[Any] = self._gather(rows, 1)
        at_end: list[int] = []
        if len(flat) != n * (length + 1):
            firsts, n_rows = self._firsts, self._shards.n_rows
            at_end = [i for i, row in enumerate(rows)
                      if row + 1 - firsts[shard := bisect_right(firsts, row) - 1] == n_rows[shard]]
            # Where the row behind is missing, any token stands for it.
            flat = np.insert(flat, [(i + 1) * (length + 1) - 1 - at for at, i in enumerate(at_end)], 0)
        wide = flat.reshape(n, length + 1)
        tokens, targets = empty((n, length), dtype), empty((n, length), np.int64)
        tokens[...], targets[...] = wide[:, :-1], wide[:, 1:]
        targets[at_end, -1] = IGNORED
        return tokens, targets

    def _in_rows(self, rows: list[int], dtype: np.dtype[Any], empty: Empty) -> tuple[npt.NDArray[Any], Targets]:
        """Tokens and targets of rows; nothing is learned across a row's end."""
        stored: npt.NDArray[Any] = self.tokens(rows)
        targets = empty(stored.shape, np.int64)
        targets[:, :-1], targets[:, -1] = stored[:, 1:], IGNORED  # from the copy, which the processor's cache holds
        if dtype == stored.dtype:
            return stored, targets
        tokens = empty(stored.shape, dtype)
        tokens[...] = stored
        return tokens, targets

    def _gap_near(self, rows: list[int]) -> bool:
        """Whether `curate remove` took tokens out of any shard that some rows are in."""
        return bool(self._any_gap and self._has_gaps[self._first_rows.searchsorted(rows, "right") - 1].any())

    def _learns_following(self, row: int) -> bool:
        """Whether the token after a row is to be learned; true at the end of a shard, where there is none."""
        shard = bisect_right(self._firsts, row) - 1
        local = row + 1 - self._firsts[shard]
        return bool(local >= self._shards.n_rows[shard]) or self._shards.index(shard).learns_first(local)
