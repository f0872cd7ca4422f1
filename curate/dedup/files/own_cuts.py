"""Repeated passages in files of one's own: the decisions' `cuts` by the user's ids, and the texts without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.files.kept_rows import Kept
from curate.edits.spans import FlatEdits
from curate.edits.texts import EditedTexts
from manifests.hashing import Int64
from manifests.schema import BOILERPLATE, ID
from manifests.storage import Storage
from manifests.tables import one_array, read_row_groups, read_table

_SPAN: Final = pa.struct([
    pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False),
    pa.field("kind", pa.string(), nullable=False), pa.field("duplicate_of", pa.string())])
CUTS: Final = pa.list_(_SPAN)
"""UTF-8 bytes start:end of a text that were cut, by which rule, and the id of the row in which they stand first (null
where the rule cannot tell)."""

OWN_BOILERPLATE: Final = pa.schema([f if f.name != "doc_id" else pa.field("id", pa.string()) for f in BOILERPLATE])


def named_documents(decisions: Sequence[str]) -> list[pa.Array]:
    """doc_ids that decisions with `repeats` name, a part each."""
    found = []
    for path in decisions:
        flat = pc.list_flatten(one_array(read_table(path, ["repeats"])["repeats"]))
        found.append(pc.unique(flat.field("duplicate_of").cast(ID).drop_null()))
    return found


def own_cuts(repeats: Sequence[pa.ChunkedArray], survivors: pa.Table) -> pa.Array:
    """CUTS from the `repeats` of decisions, one column a stage that cut. survivors: doc_id and own_id of every document
    named there."""
    n = len(repeats[0])
    tables = [pa.table({"row": pa.array([], pa.int64()), "start": pa.array([], pa.int64()),
                        "end": pa.array([], pa.int64()), "kind": pa.array([], pa.string()), "id": pa.array([], ID)})]
    for column in repeats:
        whole = one_array(column)
        flat = pc.list_flatten(whole)
        kind = flat.field("kind") if "kind" in [f.name for f in flat.type] else pa.array(["substring"] * len(flat))
        tables.append(pa.table({"row": pc.list_parent_indices(whole), "start": flat.field("start"),
                                "end": flat.field("end"), "kind": kind, "id": flat.field("duplicate_of")}))
    table = pa.concat_tables([t.cast(tables[0].schema) for t in tables]).sort_by(
        [(name, "ascending") for name in ("row", "start", "end", "kind")])
    place = pc.index_in(one_array(table["id"]), value_set=one_array(survivors["doc_id"]))
    struct = pa.StructArray.from_arrays(
        [one_array(table[name]) for name in ("start", "end", "kind")] + [one_array(survivors["own_id"]).take(place)],
        fields=list(_SPAN))
    rows = table["row"].to_numpy()
    bounds = np.searchsorted(rows, np.arange(n + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(bounds), struct, type=CUTS, mask=pa.array(bounds[1:] == bounds[:-1]))


def bytes_left(sizes: Int64, edits: pa.ChunkedArray) -> Int64:
    """Bytes that each text has once its cuts are made, int64 [n]."""
    return FlatEdits.of(edits, sizes).text_sizes()


def kept_groups(path: str, keep: pa.ChunkedArray, edits: pa.ChunkedArray | None) -> Iterator[Kept]:
    """The documents that stay of one file, piece by piece. path: its documents as the stages had them."""
    row = 0
    for group in read_row_groups(path, ["own_id", "file_row", "url", "text", "n_bytes"]):
        mask = keep.slice(row, len(group))
        mine = group.filter(mask)
        own = edits.slice(row, len(group)).filter(mask) if edits is not None else None
        text = EditedTexts.of(mine["text"], own, mine["n_bytes"].to_numpy()).texts
        rows: Int64 = mine["file_row"].to_numpy()
        yield Kept(group["file_row"][0].as_py(), rows, *map(one_array, (mine["own_id"], mine["url"], text)))
        row += len(group)


def boilerplate_pages(storage: Storage, shards: Sequence[str]) -> list[pa.Array]:
    """doc_ids that the boilerplate report names."""
    return [pc.unique(one_array(read_table(storage.path(_boilerplate(s)), ["doc_id"])["doc_id"])) for s in shards]


def own_boilerplate(storage: Storage, shards: Sequence[str], survivors: pa.Table) -> pa.Table:
    """OWN_BOILERPLATE of all files, hosts by name, what is on most pages first."""
    tables = [read_table(storage.path(_boilerplate(shard))) for shard in shards]
    table = pa.concat_tables([BOILERPLATE.empty_table(), *tables])
    place = pc.index_in(one_array(table["doc_id"]), value_set=one_array(survivors["doc_id"]))
    table = table.set_column(BOILERPLATE.get_field_index("doc_id"), OWN_BOILERPLATE.field("id"),
                             one_array(survivors["own_id"]).take(place))
    return table.cast(OWN_BOILERPLATE).sort_by([("host", "ascending"), ("n_pages", "descending"), ("key", "ascending")])


def _boilerplate(shard: str) -> str:
    return f"dedup/cuts/boilerplate/{shard}.parquet"
