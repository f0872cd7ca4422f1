"""Decisions that were made about the rows of a table before, joined to them: what they drop, and what they edit.

Commands over files write decisions a row for every row they read. They belong to rows by their place, where a part of
decisions has as many rows as the file, with the same ids; otherwise by id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.edits.fragments import cut_documents, whole_texts
from curate.edits.spans import FlatEdits, far_ends
from curate.edits.texts import EditedTexts
from curate.sources.columns import GROUP
from manifests.errors import InputError
from manifests.hashing import Int64
from manifests.schema import EDITS, ID, SPAN
from manifests.tables import one_array, open_table, read_table

DECISIONS: Final = b"curate.decisions"
"""Key of the metadata of decisions' schema: the command that made them. `ID_COLUMN`: the column of the rows' ids."""
ID_COLUMN: Final = b"curate.id_column"
PRIOR: Final = pa.schema([pa.field("prior_edits", EDITS), pa.field("prior_parent_id", ID)])
"""Of documents that decisions were joined to: what of the file's text each is made of, and whose piece it is."""

_PIECES: Final = pa.list_(SPAN)
_READ: Final = ("keep", "edits", "pieces", "cluster_id")


@dataclass(frozen=True, slots=True)
class PriorDecisions:
    """What earlier commands decided of every row of a file. rows: its number in the file, int64, ascending. keep: bool.
    edits: EDITS, null for all of the text. pieces: list of spans that stay, null for all. group: ids of clusters, null
    where there is none."""

    rows: Int64
    keep: pa.Array
    edits: pa.Array
    pieces: pa.Array
    group: pa.Array

    def keeps(self, rows: pa.ChunkedArray) -> pa.Array:
        """Whether rows stay, bool. rows: their numbers in the file."""
        return self.keep.take(self._at(rows))

    def _at(self, rows: pa.ChunkedArray) -> pa.Array:
        return pa.array(np.searchsorted(self.rows, rows.to_numpy()))

    def apply(self, rows: pa.Table) -> pa.Table:
        """Documents as the decisions leave them, with the columns of PRIOR.

        Args:
            rows: Documents, with the row of the file that each is of as `origin_offset`.
        Returns:
            The same, cut to pieces where the decisions cut them.
        """
        table, at, sizes = rows, self._at(rows["origin_offset"]), rows["n_bytes"].to_numpy()
        pieces = pc.coalesce(self.pieces.take(at), pa.chunked_array([whole_texts(sizes)]))
        group = pc.coalesce(table[GROUP], self.group.take(at))
        cut = cut_documents(table, pieces, self.edits.take(at), blank_stays=True)
        parents = cut["parent_id"]
        # Pieces of one document are held out together, as those of a cluster are.
        group = pc.coalesce(group.take(pc.index_in(pc.coalesce(parents, cut["doc_id"]),
                                                   value_set=one_array(table["doc_id"]))), parents)
        cut = cut.set_column(cut.column_names.index(GROUP), rows.schema.field(GROUP), group)
        names = ["prior_" + name if name in ("edits", "parent_id") else name for name in cut.column_names]
        schema = pa.schema([*rows.schema, *PRIOR])
        return cut.rename_columns(names).select(schema.names).cast(schema)


def join_decisions(folders: Sequence[Sequence[str]], path: str, ids: pa.Array, rows: Int64) -> PriorDecisions:
    """The decisions of several folders about the rows of a file: a row stays where all keep it.

    Args:
        folders: The parts of each folder.
        path: The file, whose name says which part is its own.
        ids: Of its rows, string.
        rows: Their numbers in the file.
    Raises:
        InputError: Rows are without a decision, or ids are not unique where rows are known by them.
    """
    n = len(ids)
    keep, group = pa.array([True] * n, pa.bool_()), pa.nulls(n, ID)
    edits, pieces = pa.nulls(n, EDITS), pa.nulls(n, _PIECES)
    for parts in folders:
        table = _of_file(parts, path, ids, numbered=ids.equals(pa.array([str(row) for row in rows], pa.string())))
        keep = pc.and_(keep, pc.fill_null(one_array(table["keep"]), True))
        edits = _both(edits, one_array(table["edits"]))
        pieces = pc.coalesce(one_array(table["pieces"]), pieces)
        group = pc.coalesce(group, one_array(table["cluster_id"]))
    return PriorDecisions(rows, keep, edits, pieces, group)


def through(prior: pa.ChunkedArray, decided: pa.Table) -> pa.Table:
    """Decisions about documents that prior ones edited, as decisions about the rows of the file.

    Args:
        prior: EDITS [n]: what of the rows' texts the documents were made of.
        decided: Of each document: `edits`, and spans in UTF-8 bytes as `removed_spans` and `pieces`, if it has them.
    Returns:
        The same with spans of the rows' texts; `edits` with the prior ones in them.
    """
    if prior.null_count == len(prior):
        return decided
    before = FlatEdits.of(prior, np.zeros(len(prior), np.int64))
    edits = decided["edits"] if "edits" in decided.column_names else pa.nulls(len(decided), EDITS)
    both = FlatEdits.of(edits, before.text_sizes()).after(before).array()
    at = decided.schema.get_field_index("edits")
    table = decided.set_column(at, "edits", both) if at >= 0 else decided.append_column("edits", both)
    texts = EditedTexts.made_by(before)
    for name in ("removed_spans", "pieces"):
        if (at := table.schema.get_field_index(name)) >= 0:
            table = table.set_column(at, table.schema.field(name), _moved(one_array(table[name]), texts))
    return table


def _moved(lists: pa.Array, texts: EditedTexts) -> pa.Array:
    """Lists of spans of edited texts, as spans of the texts before."""
    flat, rows = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    places = {"start": texts.starts(rows, flat.field("start").to_numpy()),
              "end": texts.ends(rows, flat.field("end").to_numpy())}
    names = [field.name for field in lists.type.value_type]
    fields = [pa.array(places[name]) if name in places else flat.field(name) for name in names]
    struct = pa.StructArray.from_arrays(fields, fields=list(lists.type.value_type))
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    bounds = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(bounds), struct, type=lists.type, mask=lists.is_null())


def _both(edits: pa.Array, more: pa.Array) -> pa.Array:
    """What two lists of EDITS of the same texts leave."""
    if more.null_count == len(more):
        return edits
    if edits.null_count == len(edits):
        return more
    sizes = far_ends(edits, more)
    left = FlatEdits.of(edits, sizes).within(FlatEdits.of(more, sizes))[0].array()
    return pc.if_else(pc.and_(pc.is_null(edits), pc.is_null(more)), pa.scalar(None, EDITS), left)


def _of_file(parts: Sequence[str], path: str, ids: pa.Array, numbered: bool) -> pa.Table:
    """The decisions about a file's rows, in their order. numbered: whether the rows have no ids but their numbers, by
    which they could be anybody's: the part's name must then be this file's."""
    same = []
    for part in parts:
        with open_table(part) as file:
            if file.metadata.num_rows != len(ids):
                continue
        if one_array(_ids(part)).equals(ids):
            same.append(part)
    if numbered and len(same) < 2:
        own = _own_names(path)
        same = [part for part in same if PurePath(part).stem in own]
        if not same:
            raise InputError("has rows without ids, and no part of the decisions is called like it and has as many",
                             where=path, hint="--decisions names a folder of decisions about these rows")
    if len(same) > 1:  # rows without ids are numbered in every file, and parts tell by their names whose they are
        own = _own_names(path)
        named = [part for part in same if PurePath(part).stem in own]
        if len(named) != 1:
            raise InputError(f"could be what any of {len(same)} parts of decisions is about: as many rows, with "
                             "the same ids", where=path, hint="give the paths of the files as they were given then, or "
                             "ids of its own to every row")
        same = named
    return _decisions(same[0]) if same else _by_id(parts, path, ids)


def _own_names(path: str) -> set[str]:
    """What a command may have called its part of a file, as `part_names` does; its path may have been relative."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePath(path).name.split(".")[0]).removeprefix("part-") or "file"
    paths = (path, os.path.relpath(path)) if path.startswith("/") else (path,)
    return {f"part-{stem}", *(f"part-{stem}-{xxhash.xxh3_64_hexdigest(p.encode())[:8]}" for p in paths)}


def _by_id(parts: Sequence[str], path: str, ids: pa.Array) -> pa.Table:
    if len(pc.unique(ids)) < len(ids):
        raise InputError("has ids that are not unique, and decisions can only be joined by them", where=path,
                         hint="give the decisions of this very file, or ids of its own to every row")
    found = []
    for part in parts:
        own = _ids(part)
        mine = pc.is_in(own, value_set=ids)
        if pc.any(mine).as_py():
            found.append(_decisions(part).append_column("id", own).filter(mine))
    table = pa.concat_tables(found) if found else pa.table({"id": pa.array([], pa.string())})
    if len(pc.unique(table["id"])) < len(table):
        raise InputError("has rows with more than one decision by the same id", where=path,
                         hint="ids must be unique where decisions are joined by them")
    if len(table) < len(ids):
        raise InputError(f"{len(ids) - len(table):,} of its {len(ids):,} rows have no decision", where=path,
                         hint="--decisions names a folder of decisions about these rows")
    return table.take(pc.index_in(ids, value_set=one_array(table["id"])))


def _ids(part: str) -> pa.ChunkedArray:
    """The ids of a part of decisions, string."""
    with open_table(part) as file:
        schema = file.schema_arrow
    chosen = (schema.metadata or {}).get(ID_COLUMN, b"").decode()
    name = next((name for name in (chosen, "id", "doc_id") if name in schema.names), None)
    if name is None or "keep" not in schema.names:
        raise InputError("holds no decisions: it has no ids, or no column 'keep'", where=part,
                         hint="--decisions takes what a command wrote with --no-apply, or OUT.decisions")
    column = read_table(part, [name])[name]
    if pa.types.is_string(column.type):
        return column
    values = [v.hex() if isinstance(v, bytes) else v for v in column.to_pylist()]
    return pa.chunked_array([pa.array([None if v is None else str(v) for v in values], pa.string())])


def _decisions(part: str) -> pa.Table:
    """keep, edits, pieces and cluster_id of a part; null where it has none."""
    with open_table(part) as file:
        schema = file.schema_arrow
    there = read_table(part, [name for name in _READ if name in schema.names])
    if not pa.types.is_boolean(there["keep"].type):
        raise InputError(f"has a column 'keep' that is not boolean: {there['keep'].type}", where=part)
    types = {"keep": pa.bool_(), "edits": EDITS, "pieces": _PIECES, "cluster_id": ID}
    return pa.table({name: there[name].cast(kind) if name in there.column_names else pa.nulls(len(there), kind)
                     for name, kind in types.items()})
