"""Decisions about a user's own files: what the stages say of each row, by the user's ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.spans import FlatEdits
from manifests.hashing import Int64
from manifests.schema import BOILERPLATE, EDITS, ID, REMOVED_SPAN
from manifests.tables import one_array, read_table

_SPAN: Final = pa.struct([f if f.name != "duplicate_of" else pa.field(f.name, pa.string()) for f in REMOVED_SPAN])
REMOVED_SPANS: Final = pa.list_(_SPAN)
"""UTF-8 bytes start:end of a text that are removed, by which rule, and the id of the row that has them first (null
where the rule cannot tell)."""

OWN_BOILERPLATE: Final = pa.schema([f if f.name != "doc_id" else pa.field("id", pa.string()) for f in BOILERPLATE])


def decisions_schema(id_column: str, removes_spans: bool = False, against: bool = False) -> pa.Schema:
    """The columns of a part of decisions, with the id column named as in the input. removes_spans: whether passages are
    compared; against: whether survivors may be of an earlier run, which `of_run` then names."""
    return pa.schema([
        pa.field(id_column, pa.string()), pa.field("keep", pa.bool_(), nullable=False), pa.field("reason", pa.string()),
        pa.field("duplicate_of", pa.string(), metadata={"comment": "id of the kept document it duplicates"}),
        pa.field("similarity", pa.float32()),
        *([pa.field("removed_spans", REMOVED_SPANS, metadata={"comment": "UTF-8 bytes of the text that are repeated"})]
          if removes_spans else []), *([pa.field("of_run", pa.string())] if against else [])])


@dataclass(frozen=True, slots=True)
class Decided:
    """What the stages say of a file. decisions: as of dedup/decisions, but for keep and reason, which are those of the
    last stage. spans: `removed_spans` of each stage that compares passages. edits: EDITS [n], what is left."""

    decisions: pa.Table
    spans: list[pa.Array]
    edits: pa.Array

    @staticmethod
    def of(decisions: str, passages: Sequence[str]) -> Decided:
        """From the decisions of dedup/decisions, and of the stages after it that compare passages."""
        table = read_table(decisions)
        spans, edits = [], pa.nulls(len(table), EDITS)
        for path in passages:
            later = read_table(path, ["keep", "reason", "edits", "removed_spans"])
            reason = pc.if_else(table["keep"], later["reason"], table["reason"])
            table = table.set_column(1, "keep", later["keep"]).set_column(2, "reason", reason)
            spans.append(one_array(later["removed_spans"]))
            edits = one_array(later["edits"])
        return Decided(table, spans, edits)

    def bytes_left(self, sizes: Int64) -> Int64:
        """UTF-8 bytes that are left of each text, int64 [n]. sizes: of the texts."""
        return FlatEdits.of(self.edits, sizes).text_sizes()

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


def own_decisions(id_column: str, decided: Decided, ids: pa.ChunkedArray, own: OwnIds,
                  roots: Sequence[str] = ()) -> pa.Table:
    """A part of decisions, as of `decisions_schema`. ids: of its rows. roots: of the earlier runs, by their numbers."""
    decisions = decided.decisions
    of_run = one_array(decisions["of_run"])
    survivors = pc.if_else(pc.is_null(of_run), own.look_up(decisions["duplicate_of"]), None)
    for run in range(len(roots)):
        survivors = pc.if_else(pc.fill_null(pc.equal(of_run, run), False),
                               own.look_up(decisions["duplicate_of"], run), survivors)
    columns = [ids, decisions["keep"], decisions["reason"], survivors, decisions["similarity"]]
    if decided.spans:
        columns.append(_removed_spans(decided.spans, own))
    if roots:
        columns.append(pa.array(list(roots), pa.string()).take(of_run))
    return pa.table(columns, schema=decisions_schema(id_column, bool(decided.spans), bool(roots)))


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
