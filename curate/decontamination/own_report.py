"""The overlap report by the ids of a user's own files."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curate.decontamination.report import report_schema
from manifests.tables import one_array, read_table


def own_report(items: pa.Table, documents: Sequence[str]) -> pa.Table:
    """The report's items, with the user's ids of the documents that touch them. documents: paths of the document
    tables."""
    lists = one_array(items["documents"])
    touching = lists.flatten()
    wanted = pc.unique(touching.field("doc_id"))
    tables = [read_table(path, ["doc_id", "record_id"]) for path in documents if len(wanted)]
    known = pa.concat_tables([t.filter(pc.is_in(t["doc_id"], value_set=wanted)) for t in tables]) if tables else None
    schema = report_schema(pa.string())
    kind = schema.field("documents").type
    if known is None:
        return items.set_column(items.column_names.index("documents"), schema.field("documents"),
                                pa.array([[]] * len(items), kind)).cast(schema)
    ids = one_array(known["record_id"]).take(pc.index_in(touching.field("doc_id"), one_array(known["doc_id"])))
    fields = list(kind.value_type)
    structs = pa.StructArray.from_arrays([ids, *(touching.field(f.name) for f in fields[1:])], fields=fields)
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    return items.set_column(items.column_names.index("documents"), schema.field("documents"),
                            pa.ListArray.from_arrays(offsets, structs, type=kind)).cast(schema)
