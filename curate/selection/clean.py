"""The clean corpus: every decision of the stages before, applied once.

This is the second and last time a run writes text. A document that decontamination cut becomes one row a fragment;
`edits` says which bytes of the extracted text each row is made of, so any byte of clean text maps back to its page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.kernels.pieces import COPIED
from curate.edits.spans import FlatEdits, edits_array, join_replaced
from curate.sources.columns import GROUP
from manifests.hashing import piece_id
from manifests.removals import is_removed, removed_ids
from manifests.schema import CLEAN_EXTRA, DOCUMENTS, EDITS, ID, SIGNAL_PREFIX, SOURCE_COLUMNS, SPAN
from manifests.tables import one_array, open_table, read_row_groups, read_table
from manifests.tasks import Work


def clean(config: Any, work: Work) -> None:
    """Write what a part keeps, one file for each source its documents belong to.

    inputs: documents; select, dedup, passages, substrings, decontaminate: decisions in the documents' order (all but
    select may be absent); removals, documents that were taken out of the run, if any. variables: sources, the names of
    the sources its documents may belong to; part, the part's file name. outputs (role documents):
    `<source>/<part>.parquet`, present even where it has no row."""
    path = work.input("documents")
    schema = clean_schema(open_table(path).schema_arrow)
    decisions = _decisions(work)
    for source in work.variables["sources"]:
        def rows(source: str = source) -> Iterator[pa.Table]:
            # One pass for each source: decompressing twice costs less than holding a part's text.
            row = 0
            for table in read_row_groups(path):
                kept = apply_decisions(table, decisions.slice(row, len(table)), source, schema)
                row += len(table)
                for name, value in (("documents", len(kept)), ("bytes", pc.sum(kept["n_bytes"]).as_py() or 0)):
                    work.count(name, value)
                    work.count(f"{name}_{source}", value)
                yield kept

        work.write("documents", schema, rows(), name=f"{source}/{work.variables['part']}.parquet")


def clean_schema(extracted: pa.Schema) -> pa.Schema:
    """The schema of clean documents: DOCUMENTS, its extra columns, and the signals and the facts of its source that the
    extracted part has."""
    signals = [f for f in extracted if f.name.startswith(SIGNAL_PREFIX)]
    facts = [f for f in extracted if f.name in SOURCE_COLUMNS]
    return pa.schema([*DOCUMENTS, *CLEAN_EXTRA, *facts, *signals])


def apply_decisions(table: pa.Table, decisions: pa.Table, source: str, schema: pa.Schema) -> pa.Table:
    """The clean rows that extracted documents give to one source.

    decisions: aligned with the table: keep bool, source string, edits EDITS (null: the whole text), pieces
    list<struct<start, end>> in UTF-8 bytes of the extracted text, group_id."""
    mask = pc.and_(decisions["keep"], pc.equal(decisions["source"], source))
    table = table.set_column(table.column_names.index("source"), DOCUMENTS.field("source"), decisions["source"])
    table = pa.table({**{name: table[name] for name in table.column_names}, GROUP: decisions[GROUP]})
    return _fragments(table.filter(mask), decisions["pieces"].filter(mask), decisions["edits"].filter(mask), schema)


def _fragments(table: pa.Table, fragments: pa.ChunkedArray, edits: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """One row for each fragment of each document that has something left after the edits; a document that was not cut
    stays itself."""
    sizes = table["n_bytes"].to_numpy()
    cut = copied_spans(fragments)
    counts = np.diff(cut.bounds)
    spans, owner = FlatEdits.of(edits, sizes).within(cut)
    bounds = np.searchsorted(owner, np.arange(len(cut.starts) + 1))
    documents = np.repeat(np.arange(len(table), dtype=np.int64), counts)  # of each fragment
    text = join_replaced(table["text"], documents[owner], spans, bounds)
    left = pc.greater(pc.binary_length(pc.utf8_trim_whitespace(text)), 0)
    uncut = (counts[documents] == 1) & (cut.starts == 0) & (cut.ends == sizes[documents])
    out = table.take(pa.array(documents))
    ids, parent_ids = fragment_ids(out["doc_id"], uncut, documents)
    replacements = pa.array(spans.replacements or [""], pa.string())
    new = {"doc_id": ids, "text": text, "n_bytes": pc.binary_length(text).cast(pa.int64()), "parent_id": parent_ids,
           "edits": edits_array(spans.starts, spans.ends, spans.codes, bounds, replacements)}
    rows = pa.table([new[f.name] if f.name in new else out[f.name] for f in schema], schema=schema)
    return rows.filter(left)


def copied_spans(fragments: pa.ChunkedArray) -> FlatEdits:
    """Fragments as spans that are copied."""
    lists = one_array(fragments)
    flat = lists.flatten()
    counts = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    starts, ends = (flat.field(i).to_numpy().astype(np.int64) for i in (0, 1))
    return FlatEdits(starts, ends, np.full(len(starts), COPIED, np.int64), bounds, [])


def fragment_ids(parents: pa.ChunkedArray, uncut: npt.NDArray[np.bool_],
                  rows: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
    """(doc_id, parent_id) of fragments: an uncut document keeps its own id and has no parent."""
    if uncut.all():  # nearly always
        return one_array(parents), pa.nulls(len(rows), ID)
    numbers = np.arange(len(rows)) - np.searchsorted(rows, rows)
    values = parents.to_pylist()
    ids = [v if u else piece_id(v, int(n)) for v, u, n in zip(values, uncut, numbers, strict=True)]
    return pa.array(ids, ID), pa.array([None if u else v for v, u in zip(values, uncut, strict=True)], ID)


def _decisions(work: Work) -> pa.Table:
    """keep, source, edits and pieces of every document of the part, from whichever stages ran."""
    select = read_table(work.input("select"), ["doc_id", "source", "keep", "edits"])
    keep = pc.and_(select["keep"], pc.invert(is_removed(select["doc_id"], removed_ids(work.inputs("removals")))))
    edits = select["edits"]
    for name in ("dedup", "passages", "substrings", "decontaminate"):
        if work.inputs(name):
            keep = pc.and_(keep, read_table(work.input(name), ["keep"])["keep"])
        if work.inputs(name) and name in ("passages", "substrings"):
            # What cuts repeated passages out of edited texts has the edits before it in its own.
            edits = read_table(work.input(name), ["edits"])["edits"].cast(EDITS)
    if work.inputs("decontaminate"):
        pieces = read_table(work.input("decontaminate"), ["pieces"])["pieces"].cast(pa.list_(SPAN))
    else:
        n_bytes = read_table(work.input("documents"), ["n_bytes"])["n_bytes"].to_numpy()
        starts, bounds = np.zeros(len(n_bytes), np.int64), np.arange(len(n_bytes) + 1, dtype=np.int32)
        flat = pa.StructArray.from_arrays([pa.array(starts), pa.array(n_bytes)], fields=list(SPAN))
        pieces = pa.chunked_array([pa.ListArray.from_arrays(pa.array(bounds), flat)])
    group = select["doc_id"]
    if GROUP in open_table(work.input("documents")).schema_arrow.names:  # a table that came with groups
        group = pc.coalesce(read_table(work.input("documents"), [GROUP])[GROUP], group)
    if work.inputs("dedup"):
        group = pc.coalesce(read_table(work.input("dedup"), ["cluster_id"])["cluster_id"], group)
    return pa.table({"source": select["source"], "keep": keep, "edits": edits, "pieces": pieces, "group_id": group})
