"""The heuristic filters alone, on tables of texts: what `curate filter` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.spans import FlatEdits
from curate.heuristics.config import RulesConfig
from manifests.schema import SIGNAL_PREFIX
from manifests.tables import one_array, open_table, read_row_groups, read_table


@dataclass(slots=True)
class Tally:
    """What filtering came to: documents and UTF-8 bytes seen and kept, drops by reason, bytes that edits cut."""

    documents: int = 0
    kept: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, Any]:
        """JSON-ready, reasons by frequency."""
        return {"documents": self.documents, "kept": self.kept, "bytes": self.bytes, "kept_bytes": self.kept_bytes,
                "dropped": dict(sorted(self.dropped.items(), key=lambda item: (-item[1], item[0])))}


def filtered(documents: str, external: str | None, decisions: str, config: RulesConfig, id_column: str,
             tally: Tally) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """(schema, tables) of what the rules decided of one file, row by row.

    Args:
        documents: The file's documents with their signals, as stage `extract` leaves them.
        external: Signals beside those, as stage `signals` leaves them.
        decisions: What stage `select` decided of the documents.
        config: The rules.
        id_column: Name of the first column, which holds the file's own ids.
        tally: Counts what comes.
    Returns:
        The id, `keep`, `reason`, every signal and, where rules on lines edit, `text`: as edited, null where dropped.
    """
    schemas = [open_table(path).schema_arrow for path in (documents, external) if path is not None]
    fields = [f for schema in schemas for f in schema if f.name.startswith(SIGNAL_PREFIX)]
    edits = config.editing is not None
    schema = pa.schema([pa.field(id_column, pa.string()), pa.field("keep", pa.bool_(), nullable=False),
                        pa.field("reason", pa.string()), *fields,
                        *([pa.field("text", pa.large_string())] if edits else [])])
    decided = read_table(decisions, ["keep", "reason", "edits"])
    more = read_table(external) if external is not None else None

    def tables() -> Iterator[pa.Table]:
        row = 0
        for table in read_row_groups(documents):
            verdict = decided.slice(row, len(table))
            columns = {name: table[name] for name in table.column_names}
            if more is not None:
                columns |= {name: more[name].slice(row, len(table)) for name in more.column_names if name != "doc_id"}
            row += len(table)
            keep, sizes = one_array(verdict["keep"]), table["n_bytes"].to_numpy()
            text = FlatEdits.of(one_array(verdict["edits"]), sizes).texts(one_array(table["text"]))
            columns |= {id_column: table["record_id"], "keep": keep, "reason": verdict["reason"],
                        "text": pc.if_else(keep, text, pa.scalar(None, pa.large_string()))}
            tally.documents += len(table)
            tally.kept += keep.true_count
            tally.bytes += int(sizes.sum())
            tally.kept_bytes += pc.sum(pc.if_else(keep, pc.binary_length(text), 0)).as_py() or 0
            tally.dropped.update(verdict["reason"].drop_null().to_pylist())
            yield pa.table([columns[name] for name in schema.names], schema=schema)

    return schema, tables()
