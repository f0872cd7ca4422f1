"""The clean corpus: every mark of the stages before, applied once.

This is the second and last time a run writes text. A document that decontamination cut becomes one row a piece; `edits`
says which bytes of the extracted text each row is made of, so any place in clean text maps back to its page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.spans import join_spans
from manifests.hashing import piece_id
from manifests.schema import CLEAN_EXTRA, DOCUMENTS, ID, SIGNAL_PREFIX, SPAN
from manifests.tables import open_table, read_row_groups, read_table
from manifests.tasks import ShardWork


def clean(config: Any, work: ShardWork) -> None:
    """Write what a part keeps, one file for each source its documents belong to.

    inputs: documents; select, dedup, decontaminate: marks in the documents' order (dedup and decontaminate may be
    absent). variables: sources, the names of the sources its documents may belong to; part, the part's file name.
    outputs (role documents): `<source>/<part>.parquet`, present even where it has no row."""
    path = work.input("documents")
    schema = clean_schema(open_table(path).schema_arrow)
    marks = _marks(work)
    for source in work.variables["sources"]:
        def rows(source: str = source) -> Iterator[pa.Table]:
            # One pass for each source: decompressing twice costs less than holding a part's text.
            row = 0
            for table in read_row_groups(path):
                kept = apply_marks(table, marks.slice(row, len(table)), source, schema)
                row += len(table)
                for name, value in (("documents", len(kept)), ("bytes", pc.sum(kept["n_bytes"]).as_py() or 0)):
                    work.count(name, value)
                    work.count(f"{name}_{source}", value)
                yield kept

        work.write("documents", schema, rows(), name=f"{source}/{work.variables['part']}.parquet")


def clean_schema(extracted: pa.Schema) -> pa.Schema:
    """The schema of clean documents: DOCUMENTS, its extra columns, and the signals of the extracted part."""
    signals = [f for f in extracted if f.name.startswith(SIGNAL_PREFIX)]
    return pa.schema([*DOCUMENTS, *CLEAN_EXTRA, *signals])


def apply_marks(table: pa.Table, marks: pa.Table, source: str, schema: pa.Schema) -> pa.Table:
    """The clean rows that extracted documents give to one source.

    marks: aligned with the table: keep bool, source string, pieces list<struct<start, end>> in UTF-8 bytes."""
    mask = pc.and_(marks["keep"], pc.equal(marks["source"], source))
    table = table.set_column(table.column_names.index("source"), DOCUMENTS.field("source"), marks["source"])
    return _pieces(table.filter(mask), marks["pieces"].filter(mask), schema)


def _pieces(table: pa.Table, pieces: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """One row for each piece of each document; a document that is whole stays itself."""
    spans = pa.concat_arrays(pieces.chunks) if pieces.num_chunks else pa.array([], pa.list_(SPAN))
    flat = spans.flatten()
    counts = pc.list_value_length(spans).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(table), dtype=np.int64), counts)
    starts, ends = (flat.field(i).to_numpy().astype(np.int64) for i in (0, 1))
    offsets = np.arange(len(rows) + 1, dtype=np.int64)
    text = join_spans(table["text"], rows, starts, ends, offsets)
    whole = (counts[rows] == 1) & (starts == 0) & (ends == table["n_bytes"].to_numpy()[rows])
    out = table.take(pa.array(rows))
    parents = out["doc_id"]
    ids, parent_ids = _piece_ids(parents, whole, rows)
    one_each = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), flat)
    replaced = {"doc_id": ids, "text": text, "n_bytes": pa.array(ends - starts), "parent_id": parent_ids,
                "edits": one_each}
    return pa.table([replaced[f.name] if f.name in replaced else out[f.name] for f in schema], schema=schema)


def _piece_ids(parents: pa.ChunkedArray, whole: npt.NDArray[np.bool_],
               rows: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
    if whole.all():  # nearly always: nothing to name anew
        return pa.concat_arrays(parents.chunks) if parents.num_chunks else pa.array([], ID), pa.nulls(len(rows), ID)
    numbers = np.arange(len(rows)) - np.searchsorted(rows, rows)
    values = parents.to_pylist()
    ids = [v if w else piece_id(v, int(n)) for v, w, n in zip(values, whole, numbers, strict=True)]
    return pa.array(ids, ID), pa.array([None if w else v for v, w in zip(values, whole, strict=True)], ID)


def _marks(work: ShardWork) -> pa.Table:
    """keep, source and pieces of every document of the part, from whichever stages ran."""
    select = read_table(work.input("select"), ["doc_id", "source", "keep"])
    keep = select["keep"]
    for name in ("dedup", "decontaminate"):
        if work.inputs(name):
            keep = pc.and_(keep, read_table(work.input(name), ["keep"])["keep"])
    if work.inputs("decontaminate"):
        pieces = read_table(work.input("decontaminate"), ["pieces"])["pieces"].cast(pa.list_(SPAN))
    else:
        n_bytes = read_table(work.input("documents"), ["n_bytes"])["n_bytes"].to_numpy()
        starts, places = np.zeros(len(n_bytes), np.int64), np.arange(len(n_bytes) + 1, dtype=np.int32)
        flat = pa.StructArray.from_arrays([pa.array(starts), pa.array(n_bytes)], fields=list(SPAN))
        pieces = pa.chunked_array([pa.ListArray.from_arrays(pa.array(places), flat)])
    return pa.table({"source": select["source"], "keep": keep, "pieces": pieces})
