"""Documents as the decisions about them leave them: their edits made, and cut to the pieces that stay."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.kernels.pieces import COPIED
from curate.edits.spans import FlatEdits, edits_array, join_replaced
from manifests.hashing import piece_id
from manifests.schema import ID, SPAN
from manifests.tables import one_array


def cut_documents(table: pa.Table, pieces: pa.Array | pa.ChunkedArray, edits: pa.Array | pa.ChunkedArray,
                  blank_stays: bool = False) -> pa.Table:
    """One row for each piece of each document that has something left after the edits.

    A document that was not cut keeps its own id; a piece has one made of its parent's and its number.

    Args:
        table: Documents: doc_id, text large_string, n_bytes int64, and other columns, which pieces inherit.
        pieces: list<struct<start, end>> [n], in UTF-8 bytes of the texts: what stays of each.
        edits: EDITS [n], null where a text stays as it is; they are in bytes of the same texts.
        blank_stays: Whether a document stays that came with nothing but white space.
    Returns:
        The table's columns, with doc_id, text and n_bytes of the pieces, and parent_id (null where whole) and edits:
        the spans of the parent's text that each is made of.
    """
    sizes = table["n_bytes"].to_numpy()
    cut = copied_spans(pieces)
    counts = np.diff(cut.bounds)
    spans, owner = FlatEdits.of(edits, sizes).within(cut)
    bounds = np.searchsorted(owner, np.arange(len(cut.starts) + 1))
    documents = np.repeat(np.arange(len(table), dtype=np.int64), counts)  # of each piece
    text = join_replaced(table["text"], documents[owner], spans, bounds)
    left = pc.greater(pc.binary_length(pc.utf8_trim_whitespace(text)), 0)
    uncut = (counts[documents] == 1) & (cut.starts == 0) & (cut.ends == sizes[documents])
    out = table.take(pa.array(documents))
    ids, parent_ids = piece_ids(out["doc_id"], uncut, documents)
    replacements = pa.array(spans.replacements or [""], pa.string())
    new = {"doc_id": ids, "text": text, "n_bytes": pc.binary_length(text).cast(pa.int64()), "parent_id": parent_ids,
           "edits": edits_array(spans.starts, spans.ends, spans.codes, bounds, replacements)}
    rows = pa.table({**{name: out[name] for name in out.column_names}, **new})
    if blank_stays:
        left = pc.or_(left, pa.array(uncut & (np.diff(spans.starts_made()[bounds]) == sizes[documents])))
    return rows.filter(left)


def whole_texts(sizes: npt.NDArray[np.int64]) -> pa.ListArray:
    """The pieces of documents that nothing cuts: all of each text. sizes: of the texts, in UTF-8 bytes."""
    starts, bounds = np.zeros(len(sizes), np.int64), np.arange(len(sizes) + 1, dtype=np.int32)
    flat = pa.StructArray.from_arrays([pa.array(starts), pa.array(sizes)], fields=list(SPAN))
    return pa.ListArray.from_arrays(pa.array(bounds), flat)


def copied_spans(pieces: pa.ChunkedArray) -> FlatEdits:
    """Pieces as spans that are copied."""
    lists = one_array(pieces)
    flat = lists.flatten()
    counts = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    starts, ends = (flat.field(i).to_numpy().astype(np.int64) for i in (0, 1))
    return FlatEdits(starts, ends, np.full(len(starts), COPIED, np.int64), bounds, [])


def piece_ids(parents: pa.ChunkedArray, uncut: npt.NDArray[np.bool_],
                  rows: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
    """(doc_id, parent_id) of pieces: an uncut document keeps its own id and has no parent."""
    if uncut.all():  # nearly always
        return one_array(parents), pa.nulls(len(rows), ID)
    numbers = np.arange(len(rows)) - np.searchsorted(rows, rows)
    values = parents.to_pylist()
    ids = [v if u else piece_id(v, int(n)) for v, u, n in zip(values, uncut, numbers, strict=True)]
    return pa.array(ids, ID), pa.array([None if u else v for v, u in zip(values, uncut, strict=True)], ID)
