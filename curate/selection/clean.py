"""The clean corpus: every decision of the stages before, applied once.

This is the second and last time a run writes text. A document that decontamination cut becomes one row a fragment;
`edits` says which bytes of the extracted text each row is made of, so any byte of clean text maps back to its page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.fragments import cut_documents, whole_texts
from curate.sources.columns import GROUP
from manifests.removals import is_removed, removed_ids
from manifests.schema import CLEAN_EXTRA, DOCUMENTS, EDITS, SIGNAL_PREFIX, SOURCE_COLUMNS, SPAN
from manifests.tables import open_table, read_row_groups, read_table
from manifests.tasks import Work


def clean(config: Any, work: Work) -> None:
    """Write what a part keeps, one file for each source its documents belong to.

    inputs: documents; select, dedup, passages, substrings, decontaminate: decisions in the documents' order (all but
    select may be absent); removals, documents that were taken out of the run, if any. variables: sources, the names of
    the sources its documents may belong to; part, the part's file name. outputs (role documents):
    `<source>/<part>.parquet`, present even where it has no row."""
    path = work.input("documents")
    schema = clean_schema(open_table(path).schema_arrow)
    stages = ("select", "dedup", "passages", "substrings", "decontaminate")
    decisions = decisions_of(path, {name: work.input(name) for name in stages if work.inputs(name)},
                             work.inputs("removals"))
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
    """The schema of clean documents: DOCUMENTS, its extra columns, SOURCE_COLUMNS, and the signals of the part. All
    parts of a run have one schema, whatever kinds its sources are of, so that a reader takes them together."""
    signals = [f for f in extracted if f.name.startswith(SIGNAL_PREFIX)]
    return pa.schema([*DOCUMENTS, *CLEAN_EXTRA, *SOURCE_COLUMNS.values(), *signals])


def apply_decisions(table: pa.Table, decisions: pa.Table, source: str, schema: pa.Schema,
                    blank_stays: bool = False) -> pa.Table:
    """The clean rows that extracted documents give to one source.

    decisions: aligned with the table: keep bool, source string, edits EDITS (null: the whole text), pieces
    list<struct<start, end>> in UTF-8 bytes of the extracted text, group_id. blank_stays: as of `cut_documents`."""
    mask = pc.and_(decisions["keep"], pc.equal(decisions["source"], source))
    table = table.set_column(table.column_names.index("source"), DOCUMENTS.field("source"), decisions["source"])
    table = pa.table({**{name: table[name] for name in table.column_names}, GROUP: decisions[GROUP]})
    cut = cut_documents(table.filter(mask), decisions["pieces"].filter(mask), decisions["edits"].filter(mask),
                        blank_stays)
    for name in SOURCE_COLUMNS.keys() & set(schema.names) - set(cut.column_names):
        cut = cut.append_column(SOURCE_COLUMNS[name], pa.nulls(len(cut), SOURCE_COLUMNS[name].type))
    return cut.select(schema.names).cast(schema)


def decisions_of(documents: str, decided: Mapping[str, str], removed: Sequence[str] = ()) -> pa.Table:
    """What the stages before decided of every document of a part.

    Args:
        documents: Path of the documents.
        decided: Paths of decisions in their order, by stage: select, and of dedup, passages, substrings and
            decontaminate those that ran.
        removed: Lists of documents that were taken out.
    Returns:
        keep, source, edits, pieces and group_id, as `apply_decisions` takes them.
    """
    select = read_table(decided["select"], ["doc_id", "source", "keep", "edits"])
    keep = pc.and_(select["keep"], pc.invert(is_removed(select["doc_id"], removed_ids(removed))))
    edits = select["edits"]
    for name in ("dedup", "passages", "substrings", "decontaminate"):
        if name in decided:
            keep = pc.and_(keep, read_table(decided[name], ["keep"])["keep"])
        if name in decided and name in ("passages", "substrings"):
            # What cuts repeated passages out of edited texts has the edits before it in its own.
            edits = read_table(decided[name], ["edits"])["edits"].cast(EDITS)
    if "decontaminate" in decided:
        pieces = read_table(decided["decontaminate"], ["pieces"])["pieces"].cast(pa.list_(SPAN))
    else:
        pieces = pa.chunked_array([whole_texts(read_table(documents, ["n_bytes"])["n_bytes"].to_numpy())])
    group = select["doc_id"]
    if GROUP in open_table(documents).schema_arrow.names:  # a table that came with groups
        group = pc.coalesce(read_table(documents, [GROUP])[GROUP], group)
    if "dedup" in decided:
        group = pc.coalesce(read_table(decided["dedup"], ["cluster_id"])["cluster_id"], group)
    return pa.table({"source": select["source"], "keep": keep, "edits": edits, "pieces": pieces, "group_id": group})
