"""What a command decided of a user's own file, a row for every row it read: the table that stands beside its output."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from curate.documents.prior import DECISIONS, ID_COLUMN
from manifests.schema import ID
from manifests.tables import read_table

VERDICT: Final = pa.schema([
    pa.field("keep", pa.bool_(), nullable=False), pa.field("reason", pa.string()), pa.field("value", pa.float64()),
    pa.field("threshold", pa.float64())])
"""Of every decision: whether the row stays, the rule that dropped it, what the rule measured and asked for."""


def decision_rows(command: str, id_column: str, documents: str, exclusions: str, decided: pa.Table) -> pa.Table:
    """The decisions about all rows of a file, in their order.

    Args:
        command: That decided; the schema's metadata names it.
        id_column: Name of the column of the rows' own ids.
        documents: Path of the documents that were read of the file.
        exclusions: Path of those that were not, with the reasons.
        decided: VERDICT, of which value and threshold may be absent, and columns of the command's own, aligned with the
            documents.
    Returns:
        The id (the row's own, its `doc_id` in hexadecimal digits, or its number), doc_id, VERDICT and the command's
        columns, null for rows that were not read.
    """
    there = read_table(documents, ["record_id", "doc_id", "origin_offset"])
    left_out = read_table(exclusions, ["record_id", "doc_id", "origin_offset", "url", "reason", "value", "threshold"])
    more = [f.with_nullable(True) for f in decided.schema if f.name not in VERDICT.names]
    schema = pa.schema([pa.field("record_id", pa.string()), pa.field("doc_id", ID), *VERDICT, *more])
    columns = {**{name: there[name] for name in there.column_names},
               **{name: decided[name] for name in decided.column_names}}
    read = pa.table([columns[f.name] if f.name in columns else pa.nulls(len(there), f.type) for f in schema],
                    schema=schema)
    columns = {**{name: left_out[name] for name in left_out.column_names},
               "keep": pa.repeat(pa.scalar(False), len(left_out))}
    others = pa.table([columns[f.name] if f.name in columns else pa.nulls(len(left_out), f.type) for f in schema],
                      schema=schema)
    table = pa.concat_tables([read, others])
    if len(others):
        places = np.concatenate([part["origin_offset"].to_numpy() for part in (there, left_out)])
        table = table.take(pa.array(np.argsort(places, kind="stable")))
    if id_column == "doc_id":
        return table.drop_columns("record_id").replace_schema_metadata(_made_by(command, id_column))
    return table.rename_columns([id_column, *table.column_names[1:]]).replace_schema_metadata(
        _made_by(command, id_column))


def _made_by(command: str, id_column: str) -> dict[bytes, bytes]:
    return {DECISIONS: command.encode(), ID_COLUMN: id_column.encode()}


def made_by(schema: pa.Schema) -> str | None:
    """The command that wrote a table of decisions; None for a table that is none, or has texts beside them."""
    command = (schema.metadata or {}).get(DECISIONS)
    return command.decode() if command is not None else None
