"""Decisions about a user's own files: what the stages say of each row, by the user's ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import BOILERPLATE, EDITS, ID, REMOVED_SPAN
from manifests.tables import one_array, read_table

_SPAN: Final = pa.struct([f if f.name != "duplicate_of" else pa.field(f.name, pa.string()) for f in REMOVED_SPAN])
REMOVED_SPANS: Final = pa.list_(_SPAN)
"""UTF-8 bytes start:end of a text that are removed, by which rule, and the id of the row that has them first (null
where the rule cannot tell)."""

OWN_BOILERPLATE: Final = pa.schema([f if f.name != "doc_id" else pa.field("id", pa.string()) for f in BOILERPLATE])


def decisions_schema(removes_spans: bool = False, against: bool = False) -> pa.Schema:
    """The columns of a part of decisions. removes_spans: whether passages are compared; against: whether survivors may
    be of an earlier run, which `of_run` then names."""
    cuts = [pa.field("value", pa.float64()), pa.field("threshold", pa.float64()),
            pa.field("removed_spans", REMOVED_SPANS, metadata={"comment": "UTF-8 bytes of the text that are repeated"}),
            pa.field("edits", EDITS, metadata={"comment": "what is left of the text; null: all of it"})]
    return pa.schema([
        pa.field("keep", pa.bool_(), nullable=False), pa.field("reason", pa.string()),
        pa.field("duplicate_of", pa.string(), metadata={"comment": "id of the kept document it duplicates"}),
        pa.field("similarity", pa.float32()),
        pa.field("cluster_id", ID, metadata={"comment": "of documents that a chain of candidates joins"}),
        *(cuts if removes_spans else []), *([pa.field("of_run", pa.string())] if against else [])])


@dataclass(frozen=True, slots=True)
class Decided:
    """What the stages say of a file. decisions: as of dedup/decisions, but for keep and reason, which are those of the
    last stage. spans: `removed_spans` of each stage that compares passages. edits: EDITS [n], what is left. cut: value
    and threshold of documents of which too little is left, float64 [n]."""

    decisions: pa.Table
    spans: list[pa.Array]
    edits: pa.Array
    cut: dict[str, Any]

    @staticmethod
    def of(decisions: str, passages: Sequence[str]) -> Decided:
        """From the decisions of dedup/decisions, and of the stages after it that compare passages."""
        table = read_table(decisions)
        spans, edits = [], pa.nulls(len(table), EDITS)
        cut: dict[str, Any] = {name: pa.nulls(len(table), pa.float64()) for name in ("value", "threshold")}
        for path in passages:
            later = read_table(path)
            reason = pc.if_else(table["keep"], later["reason"], table["reason"])
            table = table.set_column(1, "keep", later["keep"]).set_column(2, "reason", reason)
            spans.append(one_array(later["removed_spans"]))
            edits = one_array(later["edits"])
            cut |= {name: later[name] for name in cut if name in later.column_names}
        return Decided(table, spans, edits, cut)

    def named(self, run: int | None = None) -> pa.Array:
        """Ids of documents of this run, or of an earlier one, that are named as survivors or as the first to have a
        passage."""
        of_run = self.decisions["of_run"]
        mask = pc.is_null(of_run) if run is None else pc.fill_null(pc.equal(of_run, run), False)
        ids = [one_array(self.decisions["duplicate_of"].filter(mask).drop_null())]
        if run is None:
            ids += [pc.list_flatten(spans).field("duplicate_of").cast(ID).drop_null() for spans in self.spans]
        return pc.unique(pa.concat_arrays(ids))


@dataclass(frozen=True, slots=True)
class OwnIds:
    """The user's ids of documents that decisions name: of this run, and of each earlier one by its number."""

    here: pa.Table
    earlier: list[pa.Table]

    @staticmethod
    def of(ids: Iterable[pa.Array], paths: Iterable[str], column: str) -> pa.Table:
        """doc_id and own_id of documents, from tables that have both; one without an own id is known by its doc_id."""
        wanted = pc.unique(pa.concat_arrays([pa.array([], ID), *ids]))
        schema = pa.schema([("doc_id", ID), (column, pa.string())])
        tables = [schema.empty_table()]
        for path in paths if len(wanted) else ():
            table = read_table(path, schema.names).select(schema.names).cast(schema)
            tables.append(table.filter(pc.is_in(table["doc_id"], value_set=wanted)))
        table = pa.concat_tables(tables)
        hexadecimal = pa.array([i.hex() for i in table["doc_id"].to_pylist()], pa.string())
        return pa.table({"doc_id": one_array(table["doc_id"]),
                         "own_id": pc.coalesce(one_array(table[column]), hexadecimal)})

    def look_up(self, ids: pa.Array | pa.ChunkedArray, run: int | None = None) -> pa.Array:
        """string [n], null where an id is."""
        table = self.here if run is None else self.earlier[run]
        index = pc.index_in(one_array(ids), value_set=one_array(table["doc_id"]))
        return one_array(table["own_id"]).take(index)


def own_decisions(decided: Decided, own: OwnIds, roots: Sequence[str] = ()) -> pa.Table:
    """What was decided of a file's documents, as of `decisions_schema`. roots: of the earlier runs, by their numbers.
    """
    decisions = decided.decisions
    of_run = one_array(decisions["of_run"])
    survivors = pc.if_else(pc.is_null(of_run), own.look_up(decisions["duplicate_of"]), None)
    for run in range(len(roots)):
        survivors = pc.if_else(pc.fill_null(pc.equal(of_run, run), False),
                               own.look_up(decisions["duplicate_of"], run), survivors)
    columns = [decisions["keep"], decisions["reason"], survivors, decisions["similarity"], decisions["cluster_id"]]
    if decided.spans:
        columns += [decided.cut["value"], decided.cut["threshold"], _removed_spans(decided.spans, own), decided.edits]
    if roots:
        columns.append(pa.array(list(roots), pa.string()).take(of_run))
    return pa.table(columns, schema=decisions_schema(bool(decided.spans), bool(roots)))


def _removed_spans(columns: Sequence[pa.Array], own: OwnIds) -> pa.ListArray:
    """REMOVED_SPANS of all stages together, by offset."""
    n = len(columns[0])
    rows = np.concatenate([pc.list_parent_indices(spans).to_numpy() for spans in columns])
    flat = pa.concat_arrays([pc.list_flatten(spans) for spans in columns])
    table = pa.table({"row": rows, **{f.name: flat.field(f.name) for f in REMOVED_SPAN}}).sort_by(
        [(name, "ascending") for name in ("row", "start", "end", "kind")])
    fields = [*(one_array(table[name]) for name in ("start", "end", "kind")), own.look_up(table["duplicate_of"])]
    struct = pa.StructArray.from_arrays(fields, fields=list(_SPAN))
    bounds = np.searchsorted(table["row"].to_numpy(), np.arange(n + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(bounds), struct, type=REMOVED_SPANS,
                                    mask=pa.array(bounds[1:] == bounds[:-1]))


def own_boilerplate(paths: Sequence[str], own: OwnIds) -> pa.Table:
    """OWN_BOILERPLATE of all files, hosts by name, what is on most pages first. paths: BOILERPLATE of each."""
    table = pa.concat_tables([BOILERPLATE.empty_table(), *map(read_table, paths)])
    table = table.set_column(BOILERPLATE.get_field_index("doc_id"), OWN_BOILERPLATE.field("id"),
                             own.look_up(table["doc_id"]))
    return table.cast(OWN_BOILERPLATE).sort_by([("host", "ascending"), ("n_pages", "descending"), ("key", "ascending")])
