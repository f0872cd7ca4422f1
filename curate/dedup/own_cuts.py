"""Repeated passages in files of one's own: the marks' `cuts` by the user's ids, and the texts without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.layout import Int64
from curate.heuristics.verdicts import FlatEdits
from manifests.schema import EDITS, ID
from manifests.tables import read_table

CUTS: Final = pa.list_(pa.struct([
    pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False),
    pa.field("duplicate_of", pa.string())]))
"""UTF-8 bytes start:end of a text that were cut, and the id of the row in which they stand first."""


def named_documents(marks: Sequence[str]) -> list[pa.Array]:
    """doc_ids that marks of `dedup/substrings` name, a part each."""
    found = []
    for path in marks:
        repeats = read_table(path, ["repeats"])["repeats"]
        flat = [chunk.flatten().field("duplicate_of") for chunk in repeats.chunks]
        found.append(pc.unique(pa.concat_arrays([pa.array([], ID), *flat]).drop_null()))
    return found


def own_cuts(repeats: pa.ChunkedArray, survivors: pa.Table) -> pa.Array:
    """CUTS from the `repeats` of marks. survivors: doc_id and own_id of every document named there."""
    whole = pa.concat_arrays([pa.array([], repeats.type), *repeats.chunks])
    flat = whole.flatten()
    place = pc.index_in(flat.field("duplicate_of"), value_set=survivors["doc_id"].combine_chunks())
    names = survivors["own_id"].take(place)
    names = pa.concat_arrays([pa.array([], pa.string()), *names.chunks])
    struct = pa.StructArray.from_arrays([flat.field("start"), flat.field("end"), names], fields=list(CUTS.value_type))
    sizes = pc.fill_null(pc.list_value_length(whole), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(sizes).cast(pa.int32())])
    return pa.ListArray.from_arrays(offsets, struct, type=CUTS, mask=whole.is_null())


def cut_bytes(marks: pa.Table) -> int:
    """Bytes cut out of documents that are kept."""
    flat = marks.filter(marks["keep"])["repeats"].combine_chunks().flatten()
    flat = pa.concat_arrays(flat.chunks) if isinstance(flat, pa.ChunkedArray) else flat
    return int(pc.sum(pc.subtract(flat.field("end"), flat.field("start"))).as_py() or 0)


def left_texts(texts: pa.ChunkedArray, edits: pa.ChunkedArray, n_bytes: Int64) -> pa.LargeStringArray:
    """What edits leave of texts."""
    return FlatEdits.of(pa.concat_arrays([pa.array([], EDITS), *edits.chunks]), n_bytes).texts(texts)
