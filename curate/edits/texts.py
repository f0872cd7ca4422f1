"""Texts as rules on lines, personal data and repeated passages leave them, and the way back to the extracted text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curate.edits.kernels.pieces import COPIED
from curate.edits.spans import FlatEdits
from manifests.hashing import Int64

_OFFSET_BITS = 40


@dataclass(frozen=True, slots=True)
class EditedTexts:
    """Texts after edits. texts: string or large_string [n]. n_bytes: their sizes, int64 [n].

    spans: what they are made of, in bytes of the texts before; None where nothing was edited."""

    texts: pa.Array | pa.ChunkedArray
    n_bytes: Int64
    spans: FlatEdits | None
    _made: Int64  # bytes of edited text before each span, and after the last

    @staticmethod
    def of(texts: pa.Array | pa.ChunkedArray, edits: pa.Array | pa.ChunkedArray | None, sizes: Int64) -> EditedTexts:
        """Texts, edited.

        Args:
            texts: string or large_string [n].
            edits: EDITS [n], null where a text stays as it is.
            sizes: UTF-8 bytes of the texts, int64 [n].
        """
        if edits is None or edits.null_count == len(edits):
            return EditedTexts(texts, sizes, None, np.empty(0, np.int64))
        return EditedTexts.made_of(texts, FlatEdits.of(edits, sizes))

    @staticmethod
    def made_of(texts: pa.Array | pa.ChunkedArray, spans: FlatEdits) -> EditedTexts:
        """From what is to be left of every text."""
        return EditedTexts(spans.texts(texts), spans.text_sizes(), spans, spans.starts_made())

    @staticmethod
    def made_by(spans: FlatEdits) -> EditedTexts:
        """Places in texts that these spans made, where the texts themselves are not needed."""
        return EditedTexts(pa.array([], pa.large_string()), spans.text_sizes(), spans, spans.starts_made())

    def starts(self, rows: Int64, offsets: Int64) -> Int64:
        """Where spans of edited texts begin in the texts before. rows: whose each is. offsets: bytes of edited text."""
        if self.spans is None:
            return offsets
        at = self._made[self.spans.bounds[rows]] + offsets
        i = np.minimum(np.searchsorted(self._made, at, "right") - 1, self.spans.bounds[rows + 1] - 1)
        inner = np.where(self.spans.codes[i] == COPIED, at - self._made[i], 0)
        return np.asarray(self.spans.starts[i] + inner)

    def ends(self, rows: Int64, offsets: Int64) -> Int64:
        """Where spans of edited texts end in the texts before."""
        if self.spans is None:
            return offsets
        at = self._made[self.spans.bounds[rows]] + offsets
        i = np.maximum(np.searchsorted(self._made, at, "left") - 1, self.spans.bounds[rows])
        copied = self.spans.starts[i] + at - self._made[i]
        return np.where(self.spans.codes[i] == COPIED, copied, self.spans.ends[i])

    def without(self, rows: Int64, starts: Int64, ends: Int64) -> FlatEdits:
        """What is left of the texts before once spans of the edited texts are removed: bytes starts:ends of `rows`,
        which may overlap, in any order."""
        left = what_is_left(rows, starts, ends, self.n_bytes)
        if self.spans is None:
            return left
        owners = np.repeat(np.arange(len(self.n_bytes)), np.diff(left.bounds))
        before = FlatEdits(self.starts(owners, left.starts), self.ends(owners, left.ends), left.codes, left.bounds, [])
        return self.spans.within(before)[0]


def union(rows: Int64, starts: Int64, ends: Int64) -> tuple[Int64, Int64]:
    """Runs of spans that overlap or touch. Returns (run of each span, as given; end of each run).

    Runs are numbered by row and offset."""
    order = np.lexsort((starts, rows))
    far = np.maximum.accumulate((rows[order] << _OFFSET_BITS) | ends[order])
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = ((rows[order] << _OFFSET_BITS) | starts[order])[1:] > far[:-1]
    run = np.empty(len(order), np.int64)
    run[order] = np.cumsum(fresh) - 1
    last = np.append(np.flatnonzero(fresh)[1:], len(order)) - 1 if len(order) else np.empty(0, np.int64)
    return run, far[last] & ((1 << _OFFSET_BITS) - 1)


def what_is_left(rows: Int64, starts: Int64, ends: Int64, sizes: Int64) -> FlatEdits:
    """The spans that stay of texts when others are removed.

    Args:
        rows: The text that each removed span is of, int64 [m], in any order.
        starts: Where each begins, in bytes of its text; they may overlap.
        ends: Where each ends.
        sizes: UTF-8 bytes of each text, int64 [n].
    Returns:
        Copied spans, by text and offset, apart.
    """
    run, run_ends = union(rows, starts, ends)
    first = np.full(len(run_ends), np.iinfo(np.int64).max)
    np.minimum.at(first, run, starts)
    owner = np.zeros(len(run_ends), np.int64)
    owner[run] = rows
    n = len(sizes)
    slots = np.bincount(owner, minlength=n) + 1
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(slots)))
    left_starts, left_ends = np.zeros(bounds[-1], np.int64), np.zeros(bounds[-1], np.int64)
    at = np.arange(len(owner)) + owner
    left_starts[at + 1] = run_ends
    left_ends[bounds[1:] - 1] = sizes
    left_ends[at] = first
    stays = left_ends > left_starts
    counts = np.add.reduceat(stays.astype(np.int64), bounds[:-1]) if n else np.empty(0, np.int64)
    return FlatEdits(left_starts[stays], left_ends[stays], np.full(int(stays.sum()), COPIED, np.int64),
                     np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))), [])
