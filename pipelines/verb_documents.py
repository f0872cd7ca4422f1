"""The documents that a command keeps, with all their columns, and a decision for every row that it read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.documents.own_decisions import decision_rows
from curate.documents.own_rows import Kept, own_rows
from curate.documents.prior import through
from curate.edits.spans import FlatEdits, far_ends
from curate.selection.clean import apply_decisions, decisions_of
from curate.sources.columns import ColumnNames
from manifests.schema import CLEAN_EXTRA, DOCUMENTS
from manifests.tables import open_table, read_row_groups, read_table
from pipelines.verb_files import DECISIONS
from pipelines.verbs import SOURCE, VerbFile, VerbRun

NO_TEXT: Final = "no_text"
"""Reason of a document that a command keeps, and of whose text its edits leave nothing."""

_PLACE: Final = pa.field("place", pa.int64())
_FIELDS: Final = {f.name: f for f in (*DOCUMENTS, *CLEAN_EXTRA)}


@dataclass(frozen=True, slots=True)
class Decided:
    """What a command's stages say of a file's documents, in their order.

    rows: keep, reason, and what else the decisions show; `edits` among them where texts are edited. stages: paths of
    decisions as `decisions_of` takes them. more: columns of the command's own that documents get, beside those that
    they have."""

    rows: pa.Table
    stages: Mapping[str, str]
    more: pa.Table | None = None


@dataclass(slots=True)
class Tally:
    """What came of a command: documents and UTF-8 bytes read and kept, drops by reason, rows that were left out."""

    documents: int = 0
    kept: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    left_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, Any]:
        """JSON-ready, reasons by frequency."""
        return {"documents": self.documents, "kept": self.kept, "bytes": self.bytes, "kept_bytes": self.kept_bytes,
                "left_out": self.left_out,
                "dropped": dict(sorted(self.dropped.items(), key=lambda item: (-item[1], item[0])))}


def write_documents(done: VerbRun, columns: ColumnNames, decide: Callable[[VerbFile, str], Decided],
                    own: Callable[[pa.Schema], list[str]]) -> Tally:
    """Leave what a command decided: its decisions, and with `apply` the documents that it keeps.

    Args:
        done: The command's run.
        columns: What the columns of its files are called.
        decide: From a file and the path of its documents to what was decided of them.
        own: From the schema of a file's documents, with the columns of `Decided.more`, to the names of the columns
            that documents get from the command; each of them is of that schema, or of clean documents.
    """
    tally = Tally(left_out=done.view.counters("extract").get("dropped_left_out", 0))
    exclusions = dict(done.outputs("extract", "exclusions"))
    for file, documents in done.outputs("extract", "documents"):
        decided = decide(file, documents)
        given = _File(file, documents, decided, own)
        if done.options.apply:
            schema, tables = own_rows(file.path, (columns.id, columns.text), given.own, given.kept)
            done.out.write(file.part, tables, schema)
        else:
            given.look()
        rows = given.verdicts()
        tally.documents += len(rows)
        tally.kept += pc.sum(rows["keep"]).as_py() or 0
        tally.bytes += given.n_bytes
        tally.kept_bytes += given.n_bytes_kept
        tally.dropped.update(rows["reason"].drop_null().to_pylist())
        table = decision_rows(done.name, columns.id, documents, exclusions[file], rows)
        done.out.write(file.part, [table], beside=DECISIONS if done.options.apply else "")
    return tally


class _File:
    """The documents of one file, as they are kept."""

    def __init__(self, file: VerbFile, documents: str, decided: Decided,
                 own: Callable[[pa.Schema], list[str]]) -> None:
        self._documents = documents
        self._decided = decided
        self._decisions = decisions_of(documents, decided.stages)
        with open_table(documents) as table:
            there = table.schema_arrow
        known = pa.schema([*there, *(decided.more.schema if decided.more is not None else ())])
        fields = {f.name: f for f in known} | _FIELDS
        self._prior = [name for name in ("prior_edits", "prior_parent_id") if name in there.names]
        names = [*own(known), *([name.removeprefix("prior_") for name in self._prior]), "n_bytes"]
        self.own = pa.schema([fields[name] for name in dict.fromkeys(names)])
        self._schema = pa.schema([_PLACE, *(fields[n] for n in dict.fromkeys([
            "record_id", "url", "text", "origin_offset", "n_bytes", *self.own.names, *self._prior]))])
        sizes = read_table(documents, ["n_bytes"])["n_bytes"].to_numpy()
        self.n_bytes = int(sizes.sum())
        self._left = np.zeros(len(sizes), np.int64)  # bytes of each that are left
        self._there = np.zeros(len(sizes), bool)

    @property
    def n_bytes_kept(self) -> int:
        """UTF-8 bytes of the texts that are kept, as edited; once they were gone through."""
        return int(self._left.sum())

    def kept(self) -> Iterator[Kept]:
        """The documents that are kept, a row group at a time."""
        for table in self._tables():
            yield Kept.of(table, self.own)

    def look(self) -> None:
        """Go through the documents for what their decisions must know of them."""
        for _ in self._tables():
            pass

    def _tables(self) -> Iterator[pa.Table]:
        row = 0
        more = self._decided.more
        for table in read_row_groups(self._documents):
            n = len(table)
            if more is not None:
                for name in more.column_names:
                    table = table.append_column(more.schema.field(name), more[name].slice(row, n))
            table = table.append_column(_PLACE, pa.array(np.arange(row, row + n)))
            kept = apply_decisions(table, self._decisions.slice(row, n), SOURCE, self._schema, blank_stays=True)
            places = kept["place"].to_numpy()
            self._there[places] = True
            self._left[row : row + n] = np.bincount(places - row, kept["n_bytes"].to_numpy(), n)
            row += n
            yield self._as_of_rows(kept) if self._prior else kept

    def _as_of_rows(self, kept: pa.Table) -> pa.Table:
        """Edits and parents of documents that earlier decisions edited and cut, as those of the file's rows."""
        prior = kept["prior_edits"]
        before = FlatEdits.of(prior, far_ends(prior, kept["edits"]))
        edits = FlatEdits.of(kept["edits"], before.text_sizes()).after(before).array()
        parents = pc.coalesce(kept["parent_id"], kept["prior_parent_id"])
        for name, column in (("edits", edits), ("parent_id", parents)):
            kept = kept.set_column(kept.schema.get_field_index(name), kept.schema.field(name), column)
        return kept

    def verdicts(self) -> pa.Table:
        """The rows of the decisions, once the documents were gone through: what is left of a text is known then."""
        rows = self._decided.rows
        gone = pc.and_(rows["keep"], pa.chunked_array([pa.array(~self._there)]))
        rows = rows.set_column(rows.schema.get_field_index("keep"), "keep", pc.and_not(rows["keep"], gone))
        reason = pc.if_else(gone, NO_TEXT, rows["reason"])
        rows = rows.set_column(rows.schema.get_field_index("reason"), "reason", reason)
        if self._prior:
            rows = through(read_table(self._documents, ["prior_edits"])["prior_edits"], rows)
        return rows

