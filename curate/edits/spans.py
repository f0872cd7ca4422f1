"""Spans of texts that stay, and texts made of them: the `edits` of documents, as Arrow lists and as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.kernels.join import join_spans
from curate.edits.kernels.pieces import COPIED, intersect
from curate.text.strings import string_buffers
from manifests.hashing import Int64
from manifests.schema import EDIT, EDITS
from manifests.tables import one_array


def edits_array(starts: Int64, ends: Int64, codes: Int64, bounds: Int64,
                replacements: pa.Array) -> pa.ListArray:
    """EDITS from flat spans. codes: index in replacements, -1 for spans that are copied. bounds: int64 [n + 1]."""
    text = replacements.take(pa.array(np.maximum(codes, 0), mask=codes < 0))
    flat = pa.StructArray.from_arrays([pa.array(starts), pa.array(ends), text.cast(pa.string())], fields=list(EDIT))
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), flat, type=EDITS)


def whole_as_null(edits: pa.Array, texts: Any) -> pa.Array:
    """Edits, null where the text is null and where one span is all of it."""
    sizes = np.diff(string_buffers(texts)[1])
    flat = edits.flatten()
    counts = np.diff(edits.offsets.to_numpy())
    first = edits.offsets.to_numpy()[:-1]
    one = np.flatnonzero(counts == 1)
    untouched = np.zeros(len(edits), bool)
    span = first[one] - edits.offsets[0].as_py()
    starts, ends = flat.field("start").to_numpy()[span], flat.field("end").to_numpy()[span]
    copied = flat.field("replacement").is_null().to_numpy(zero_copy_only=False)[span]
    untouched[one] = (starts == 0) & (ends == sizes[one]) & copied
    untouched |= pc.is_null(texts).to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(untouched), pa.scalar(None, EDITS), edits)


def far_ends(*lists: pa.Array | pa.ChunkedArray) -> Int64:
    """At least the bytes of the texts that EDITS are of: where the last span of each row ends, int64 [n]; lists: of the
    same texts."""
    ends = np.zeros(len(lists[0]), np.int64)
    for column in map(one_array, lists):
        np.maximum.at(ends, pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column).field("end").to_numpy())
    return ends


@dataclass(frozen=True, slots=True)
class FlatEdits:
    """EDITS as arrays: starts, ends, codes int64 [m]; bounds, where the spans of each text begin, int64 [n + 1];
    replacements: what codes stand for."""

    starts: Int64
    ends: Int64
    codes: Int64
    bounds: Int64
    replacements: list[str]

    @staticmethod
    def of(edits: pa.Array | pa.ChunkedArray, sizes: Int64) -> FlatEdits:
        """Edits as flat arrays.

        Args:
            edits: EDITS [n]; a null is for all of the text.
            sizes: UTF-8 bytes of each text, int64 [n].
        """
        edits = one_array(edits)
        counts = np.where(edits.is_null().to_numpy(zero_copy_only=False), 1,
                          pc.fill_null(pc.list_value_length(edits), 1).to_numpy(zero_copy_only=False)).astype(np.int64)
        bounds = np.concatenate(([0], np.cumsum(counts)))
        starts, ends = np.zeros(bounds[-1], np.int64), np.zeros(bounds[-1], np.int64)
        codes = np.full(bounds[-1], COPIED, np.int64)
        nulls = np.flatnonzero(edits.is_null().to_numpy(zero_copy_only=False))
        ends[bounds[nulls]] = sizes[nulls]
        given = np.ones(bounds[-1], bool)
        given[bounds[nulls]] = False
        flat = pc.list_flatten(edits)
        starts[given], ends[given] = flat.field("start").to_numpy(), flat.field("end").to_numpy()
        words = flat.field("replacement").dictionary_encode()
        codes[given] = pc.fill_null(words.indices, COPIED).to_numpy(zero_copy_only=False)
        return FlatEdits(starts, ends, codes, bounds, words.dictionary.to_pylist())

    def array(self) -> pa.ListArray:
        """As EDITS again, without nulls."""
        words = pa.array(self.replacements or [""], pa.string())
        return edits_array(self.starts, self.ends, self.codes, self.bounds, words)

    def sizes(self) -> Int64:
        """Bytes that each span gives, int64 [m]: its own, or those of what replaces it."""
        replacements = np.array([len(text.encode()) for text in self.replacements] or [0], np.int64)
        return np.where(self.codes == COPIED, self.ends - self.starts, replacements[np.maximum(self.codes, 0)])

    def starts_made(self) -> Int64:
        """Bytes that the spans before each one give, and all of them: int64 [m + 1]."""
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(self.sizes())))

    def text_sizes(self) -> Int64:
        """Bytes of each edited text, int64 [n]."""
        return np.diff(self.starts_made()[self.bounds])

    def within(self, other: FlatEdits) -> tuple[FlatEdits, Int64]:
        """What of these spans lies in another list's, and which of its spans (int64) each came from."""
        codes = np.where(other.codes >= 0, other.codes + len(self.replacements), COPIED)
        starts, ends, merged, bounds, owner = intersect(
            self.starts, self.ends, self.codes, self.bounds, other.starts, other.ends, codes, other.bounds)
        words = [*self.replacements, *other.replacements]
        return FlatEdits(starts, ends, merged, bounds, words), owner

    def after(self, before: FlatEdits) -> FlatEdits:
        """These edits of texts that others made, as edits of the texts before both."""
        made = before.starts_made()
        base = np.repeat(made[before.bounds[:-1]], np.diff(before.bounds))
        made_starts, made_ends = made[:-1] - base, made[1:] - base
        copied = np.full(len(made_starts), COPIED, np.int64)
        spans, owner = self.within(FlatEdits(made_starts, made_ends, copied, before.bounds, []))
        last = self._last_touched(spans, made, before.bounds)
        starts = np.where(before.codes[owner] == COPIED,
                          before.starts[owner] + spans.starts - made_starts[owner], before.starts[owner])
        ends = np.where(before.codes[last] == COPIED,
                        before.starts[last] + spans.ends - made_starts[last], before.ends[last])
        words = [*self.replacements, *before.replacements]
        codes = np.where((spans.codes == COPIED) & (before.codes[owner] != COPIED),
                         before.codes[owner] + len(self.replacements), spans.codes)
        whole = (spans.starts == made_starts[owner]) & (spans.ends == made_ends[owner])
        for i in np.flatnonzero((spans.codes == COPIED) & (before.codes[owner] != COPIED) & ~whole):
            text = before.replacements[before.codes[owner[i]]].encode()  # cut in the middle of what replaced
            first = made_starts[owner[i]]
            words.append(text[spans.starts[i] - first : spans.ends[i] - first].decode("utf-8", "ignore"))
            codes[i] = len(words) - 1
        return FlatEdits(starts, ends, codes, spans.bounds, words)

    @staticmethod
    def _last_touched(spans: FlatEdits, made: Int64, bounds: Int64) -> Int64:
        """Which of the spans that made the texts holds the last byte of each span; int64."""
        rows = np.repeat(np.arange(len(bounds) - 1), np.diff(spans.bounds))
        at = made[bounds[rows]] + spans.ends
        return np.maximum(np.searchsorted(made, at, "left") - 1, bounds[rows])

    def texts(self, texts: Any, bounds: Int64 | None = None) -> pa.LargeStringArray:
        """The edited texts. texts: string or large_string [n]. bounds: other bounds of texts among the spans, with
        each span still of its own text."""
        rows = np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))
        return join_replaced(texts, rows, self, self.bounds if bounds is None else bounds)


def join_replaced(texts: Any, rows: Int64, edits: FlatEdits, bounds: Int64) -> pa.LargeStringArray:
    """Texts from spans, of which some are replaced by other texts."""
    if not edits.replacements or not (edits.codes >= 0).any():
        return join_spans(texts, rows, edits.starts, edits.ends, bounds)
    words = pa.array(edits.replacements, pa.large_string())
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    both = pa.concat_arrays([*(chunk.cast(pa.large_string()) for chunk in chunks), words])
    sizes = np.diff(string_buffers(words)[1])
    replaced = edits.codes >= 0
    safe = np.maximum(edits.codes, 0)
    return join_spans(both, np.where(replaced, len(both) - len(words) + safe, rows),
                      np.where(replaced, 0, edits.starts), np.where(replaced, sizes[safe], edits.ends), bounds)
