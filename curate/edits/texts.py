"""Texts as rules on lines, personal data and repeated passages leave them, and the way back to the extracted text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.layout import Int64
from curate.edits.kernels.pieces import COPIED
from curate.heuristics.verdicts import FlatEdits
from manifests.schema import EDITS

_ROW_BITS = 40


@dataclass(frozen=True, slots=True)
class EditedTexts:
    """Texts after edits. texts: large_string [n]. n_bytes: their sizes, int64 [n].

    spans: what they are made of, in bytes of the texts before; None where nothing was edited."""

    texts: pa.Array | pa.ChunkedArray
    n_bytes: Int64
    spans: FlatEdits | None
    _made: Int64  # bytes of edited text before each span, and after the last

    @staticmethod
    def of(texts: pa.Array | pa.ChunkedArray, edits: pa.Array | pa.ChunkedArray | None, sizes: Int64) -> EditedTexts:
        """texts: [n]. edits: EDITS [n], null where a text is as it was. sizes: UTF-8 bytes of the texts."""
        if edits is None or edits.null_count == len(edits):
            return EditedTexts(texts, sizes, None, np.empty(0, np.int64))
        return EditedTexts.made_of(texts, FlatEdits.of(_whole(edits), sizes))

    @staticmethod
    def made_of(texts: pa.Array | pa.ChunkedArray, spans: FlatEdits) -> EditedTexts:
        """From what is to be left of every text."""
        made = np.concatenate((np.zeros(1, np.int64), np.cumsum(span_sizes(spans))))
        return EditedTexts(spans.texts(texts), np.diff(made[spans.places]), spans, made)

    def starts(self, rows: Int64, places: Int64) -> Int64:
        """Where spans of edited texts begin in the texts before. places: bytes within the edited texts."""
        if self.spans is None:
            return places
        at = self._made[self.spans.places[rows]] + places
        i = np.minimum(np.searchsorted(self._made, at, "right") - 1, self.spans.places[rows + 1] - 1)
        inner = np.where(self.spans.codes[i] == COPIED, at - self._made[i], 0)
        found: Int64 = self.spans.starts[i] + inner
        return found

    def ends(self, rows: Int64, places: Int64) -> Int64:
        """Where spans of edited texts end in the texts before."""
        if self.spans is None:
            return places
        at = self._made[self.spans.places[rows]] + places
        i = np.maximum(np.searchsorted(self._made, at, "left") - 1, self.spans.places[rows])
        copied = self.spans.codes[i] == COPIED
        found: Int64 = np.asarray(self.spans.ends[i])
        found[copied] = (self.spans.starts[i] + at - self._made[i])[copied]
        return found


def span_sizes(spans: FlatEdits) -> Int64:
    """Bytes that each span gives, int64 [m]: its own, or those of what replaces it."""
    sizes = np.array([len(text.encode()) for text in spans.replacements] or [0], np.int64)
    replaced = spans.codes != COPIED
    found: Int64 = spans.ends - spans.starts
    found[replaced] = sizes[spans.codes[replaced]]
    return found


def union(rows: Int64, starts: Int64, ends: Int64) -> tuple[Int64, Int64]:
    """Runs of spans that overlap or touch. Returns (run of each span, as given; end of each run).

    Runs are numbered by row and place."""
    order = np.lexsort((starts, rows))
    far = np.maximum.accumulate((rows[order] << _ROW_BITS) | ends[order])
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = ((rows[order] << _ROW_BITS) | starts[order])[1:] > far[:-1]
    run = np.empty(len(order), np.int64)
    run[order] = np.cumsum(fresh) - 1
    last = np.append(np.flatnonzero(fresh)[1:], len(order)) - 1 if len(order) else np.empty(0, np.int64)
    return run, far[last] & ((1 << _ROW_BITS) - 1)


def what_is_left(rows: Int64, starts: Int64, ends: Int64, sizes: Int64) -> FlatEdits:
    """The spans that stay of texts when others are cut. rows, starts, ends: cuts in bytes, which may overlap, in any
    order. sizes: UTF-8 bytes of each text, int64 [n]."""
    run, run_ends = union(rows, starts, ends)
    first = np.full(len(run_ends), np.iinfo(np.int64).max)
    np.minimum.at(first, run, starts)
    owner = np.zeros(len(run_ends), np.int64)
    owner[run] = rows
    n = len(sizes)
    slots = np.bincount(owner, minlength=n) + 1
    places = np.concatenate((np.zeros(1, np.int64), np.cumsum(slots)))
    left_starts, left_ends = np.zeros(places[-1], np.int64), np.zeros(places[-1], np.int64)
    at = np.arange(len(owner)) + owner
    left_starts[at + 1] = run_ends
    left_ends[places[1:] - 1] = sizes
    left_ends[at] = first
    some = left_ends > left_starts
    counts = np.add.reduceat(some.astype(np.int64), places[:-1]) if n else np.empty(0, np.int64)
    return FlatEdits(left_starts[some], left_ends[some], np.full(int(some.sum()), COPIED, np.int64),
                     np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))), [])


def edits_of(edits: pa.Array | pa.ChunkedArray, sizes: npt.NDArray[np.int64]) -> FlatEdits:
    """EDITS [n] as spans; sizes: UTF-8 bytes of the texts, for those that are whole."""
    return FlatEdits.of(_whole(edits), sizes)


def _whole(edits: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(edits, pa.ChunkedArray):
        return pc.cast(pa.concat_arrays(edits.chunks), EDITS) if edits.num_chunks else pa.array([], EDITS)
    return edits
