"""What functions of tables return: decisions, one a row, or the rows that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate.sources.rows import ExtractReason

DECISION: Final = (
    pa.field("keep", pa.bool_(), nullable=False, metadata={"comment": "whether the row stays"}),
    pa.field("reason", pa.string(), metadata={"comment": "rule that dropped it; null where it stays"}),
)
MEASURED: Final = (
    pa.field("value", pa.float64(), metadata={"comment": "what the rule measured"}),
    pa.field("threshold", pa.float64(), metadata={"comment": "what it was compared with"}),
)
_IDS: Final = ("id", "doc_id")


def with_ids(table: pa.Table, decisions: pa.Table, enters: pa.BooleanArray | None) -> pa.Table:
    """Decisions of a table's rows, behind its columns of ids, if it has such. enters: which rows were read, None for
    all; the reason of the others is that they had been left out before."""
    if enters is not None:
        reason = pc.if_else(enters, decisions["reason"], ExtractReason.LEFT_OUT.value)
        said = {"keep": decisions["keep"], "reason": reason}
        columns = [said[f.name] if f.name in said else pc.if_else(enters, decisions[f.name], pa.scalar(None, f.type))
                   for f in decisions.schema]
        fields = [field.with_nullable(field.name != "keep") for field in decisions.schema]
        decisions = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    ids = [name for name in _IDS if name in table.column_names]
    fields = [*(table.schema.field(name) for name in ids), *decisions.schema]
    return pa.Table.from_arrays([*(table[name] for name in ids), *decisions.columns], schema=pa.schema(fields))


def kept_rows(table: pa.Table, column: str, rows: Sequence[int] | pa.Array, texts: Any,
              replaced: Sequence[tuple[pa.Field, Any]] = ()) -> pa.Table:
    """Some rows of a table with new texts.

    Args:
        table: The table.
        column: Name of its column of texts; it keeps its type if that is of plain strings.
        rows: Which rows, integers [m], ascending; a row may come several times.
        texts: large_string [m].
        replaced: Columns [m] that replace those of the same name, or come last.
    """
    out = table.take(rows if isinstance(rows, pa.Array) else pa.array(rows, pa.int64()))
    texts = pc.if_else(out[column].is_valid(), texts, pa.scalar(None, texts.type))  # what was null stays so
    kind = table.schema.field(column).type
    plain = kind if kind in (pa.string(), pa.large_string()) else pa.large_string()
    for field, values in ((table.schema.field(column).with_type(plain), texts.cast(plain)), *replaced):
        index = out.schema.get_field_index(field.name)
        out = out.append_column(field, values) if index < 0 else out.set_column(index, field, values)
    return out
