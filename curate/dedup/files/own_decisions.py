"""Marks of a user's own files: what the stages say of each row, by the user's ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.files.own_cuts import CUTS, own_cuts
from curate.dedup.layout import places_of
from manifests.schema import EDITS, ID
from manifests.tables import read_table

SURVIVORS: Final = pa.schema([
    pa.field("doc_id", ID, nullable=False), pa.field("own_id", pa.string()), pa.field("of_run", pa.string())])
"""Documents that decisions name, by the user's ids. of_run: the earlier run that one is of."""


def decisions_schema(id_column: str, cuts: bool = False, against: bool = False) -> pa.Schema:
    """The columns of a part of decisions, with the id column named as in the input; cuts: whether passages are cut;
    against: whether survivors may be of an earlier run, which `of_run` then names."""
    return pa.schema([
        pa.field(id_column, pa.string()), pa.field("keep", pa.bool_(), nullable=False), pa.field("reason", pa.string()),
        pa.field("duplicate_of", pa.string(), metadata={"comment": "id of the kept document it duplicates"}),
        pa.field("similarity", pa.float32()),
        *([pa.field("cuts", CUTS, metadata={"comment": "UTF-8 bytes of the text that stand elsewhere too"})]
          if cuts else []), *([pa.field("of_run", pa.string())] if against else [])])


def survivor_ids(decisions: Sequence[str], documents: Sequence[str], others: Sequence[pa.Array],
                 against: Sequence[tuple[str, str]]) -> pa.Table:
    """SURVIVORS of every document that some mark names; the rest of the corpus is only passed over.

    others: ids that are wanted beside those of the decisions. against: (root, path) of the parts of earlier runs."""
    named = [pc.unique(read_table(path, ["duplicate_of"])["duplicate_of"].drop_null()) for path in decisions]
    wanted = pc.unique(pa.concat_arrays([pa.array([], ID), *named, *others]))
    files, rows = places_of(wanted)
    found = [SURVIVORS.empty_table()]
    for number in np.unique(files):
        mine = files == number
        root, path = against[number - len(documents)] if number >= len(documents) else (None, documents[number])
        table = read_table(path, ["doc_id", "own_id"]).take(pa.array(rows[mine]))
        own = table["own_id"]
        if root is not None:  # a run knows its documents by ids alone
            own = pc.coalesce(own, pa.chunked_array([[i.hex() for i in table["doc_id"].to_pylist()]], pa.string()))
        of_run = pa.array([root] * len(table), pa.string())
        found.append(pa.table([wanted.filter(pa.array(mine)), own, of_run], schema=SURVIVORS))
    return pa.concat_tables(found)


def with_cuts(decisions: pa.Table, paths: Sequence[str]) -> tuple[pa.Table, list[pa.ChunkedArray]]:
    """Marks, with those of the stages that cut repeated passages over them, and what each of these cut. The decisions
    have `edits`: what is left of each text, null for all of it."""
    repeats = []
    edits = pa.nulls(len(decisions), EDITS)
    for path in paths:
        cut = read_table(path, ["keep", "reason", "edits", "repeats"])
        reason = pc.if_else(decisions["keep"], cut["reason"], decisions["reason"])
        decisions = decisions.set_column(1, "keep", cut["keep"]).set_column(2, "reason", reason)
        edits = cut["edits"]
        repeats.append(cut["repeats"])
    return decisions.append_column("edits", edits), repeats


def own_decisions(id_column: str, decisions: pa.Table, repeats: Sequence[pa.ChunkedArray], own_ids: pa.ChunkedArray,
              survivors: pa.Table, against: bool) -> pa.Table:
    """A part of decisions, as of `decisions_schema`. decisions, repeats: as of `with_cuts`; survivors: SURVIVORS."""
    place = pc.index_in(decisions["duplicate_of"], value_set=survivors["doc_id"].combine_chunks())
    columns = [own_ids, decisions["keep"], decisions["reason"], survivors["own_id"].take(place),
               decisions["similarity"]]
    if repeats:
        columns.append(own_cuts(repeats, survivors))
    if against:
        columns.append(survivors["of_run"].take(place))
    return pa.table(columns, schema=decisions_schema(id_column, bool(repeats), against))
