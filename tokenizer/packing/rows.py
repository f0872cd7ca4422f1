"""Rows of whole documents, where a stream would cut a document at every row's end.

Documents longer than a row are cut into rows' lengths; nothing is discarded.

Every shard begins with an end-of-text token that belongs to no document. It takes a free slot of a row, so the first
row of a shard is one that is not full. Where there are too few of those, which takes documents that fill rows exactly,
slots are kept free, and only where even that is not enough is a document cut a token before a row's end.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Fragments in the order of their rows, int64 [n].

    instance: number of the instance. offset: its first token within that. n_tokens: 1 to the row length. row: from 0.
    start: where it begins in the row. n_rows: rows in all."""

    instance: Ints
    offset: Ints
    n_tokens: Ints
    row: Ints
    start: Ints
    n_rows: int


def begin_shards(rows: Rows, row_length: int, first_row: int, shard_rows: int) -> Rows:
    """The same rows, with one that is not full wherever a shard begins, and its fragments one slot further on.

    first_row: number of the first of these rows among all that are cut into shards of `shard_rows`. The first row that
    is not full from there on is moved up, or where there is none, the last one before it back; other rows stay in
    order. Raises ValueError where too few rows are not full."""
    starts = np.arange(-first_row % shard_rows, rows.n_rows, shard_rows)
    free = np.flatnonzero(used_tokens(rows) < row_length).tolist()
    if len(free) < len(starts):
        raise ValueError(f"{len(starts)} shards begin, but only {len(free)} rows have a free slot")
    chosen = [free.pop(min(bisect_left(free, start), len(free) - 1)) for start in starts.tolist()]
    position = np.empty(rows.n_rows, np.int64)
    position[chosen] = starts
    others = np.ones(rows.n_rows, np.bool_)
    others[chosen] = False
    left = np.ones(rows.n_rows, np.bool_)
    left[starts] = False
    position[others] = np.flatnonzero(left)
    row, start = position[rows.row], rows.start + ~others[rows.row]
    order = np.lexsort((start, row))
    return Rows(rows.instance[order], rows.offset[order], rows.n_tokens[order], row[order], start[order], rows.n_rows)


def used_tokens(rows: Rows) -> Ints:
    """Tokens of documents in each row, int64 [n_rows]."""
    return np.bincount(rows.row, rows.n_tokens, rows.n_rows).astype(np.int64)


@dataclass(frozen=True, slots=True)
class DocumentParts:
    """Documents cut to fit rows, in their order, int64 [n]: number of the instance, first token within it, tokens, and
    the tokens that a row must have room for."""

    instance: Ints
    offset: Ints
    n_tokens: Ints
    needed: Ints


def cut_to_rows(lengths: Ints, row_length: int, kept_free: int) -> DocumentParts:
    """Documents of given lengths, int64 [n], cut to rows' lengths, with so many free tokens, each beside another part.

    First beside the ends of documents that fill no row; then behind parts made a token shorter than a row."""
    fills_none = lengths % row_length != 0
    most = lengths // (row_length - 1)
    before = int(np.count_nonzero(fills_none)) + np.cumsum(most) - most
    shorter = np.clip(kept_free - before, 0, most)  # parts of each instance that are a token shorter than a row
    at_end = fills_none & (np.cumsum(fills_none) <= kept_free) | (shorter > 0)
    n_parts = shorter - (-(lengths - shorter * (row_length - 1)) // row_length)
    instance = np.repeat(np.arange(len(lengths)), n_parts)
    number = np.arange(len(instance)) - np.repeat(np.cumsum(n_parts) - n_parts, n_parts)
    is_shorter = number < shorter[instance]
    offset = number * row_length - np.minimum(number, shorter[instance])
    n_tokens = np.minimum(lengths[instance] - offset, row_length - is_shorter)
    is_last = number == n_parts[instance] - 1
    needed = n_tokens + (is_shorter | (is_last & at_end[instance] & (n_tokens < row_length)))
    return DocumentParts(instance, offset, n_tokens, needed)
