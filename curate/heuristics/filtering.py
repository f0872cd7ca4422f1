"""The heuristic filters alone, on tables of texts: what `curate filter` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.spans import FlatEdits
from curate.heuristics.config import RulesConfig
from curate.heuristics.given import Given
from curate.heuristics.rules import judge
from curate.heuristics.signals import SIGNAL_FIELDS, Words, groups_of, signals
from curate.heuristics.verdicts import rule_edits


@dataclass(slots=True)
class Tally:
    """What filtering came to: documents and UTF-8 bytes seen and kept, drops by reason, bytes that edits cut."""

    documents: int = 0
    kept: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Count in what another file came to."""
        self.documents += other.documents
        self.kept += other.kept
        self.bytes += other.bytes
        self.kept_bytes += other.kept_bytes
        self.dropped.update(other.dropped)

    def facts(self) -> dict[str, Any]:
        """JSON-ready, reasons by frequency."""
        return {"documents": self.documents, "kept": self.kept, "bytes": self.bytes, "kept_bytes": self.kept_bytes,
                "dropped": dict(sorted(self.dropped.items(), key=lambda item: (-item[1], item[0])))}


def filter_schema(config: RulesConfig, id_column: str, given: Given | None = None) -> pa.Schema:
    """Columns of a filtered part: id, keep, reason, every signal (those of `given` last), the text where rules edit."""
    head = [pa.field(id_column, pa.string()), pa.field("keep", pa.bool_(), nullable=False),
            pa.field("reason", pa.string())]
    text = [pa.field("text", pa.large_string())] if config.editing is not None else []
    return pa.schema([*head, *SIGNAL_FIELDS, *(given.fields if given else []), *text])


def filter_texts(config: RulesConfig, words: Words, language: str, tables: Iterable[tuple[pa.Array, pa.Array]],
                 schema: pa.Schema, tally: Tally, given: Given | None = None) -> Iterator[pa.Table]:
    """Tables of `filter_schema` from (ids, texts), in order; counts into the tally.

    The text of a dropped document is null; a missing text counts as empty. given: signals that need models or lists."""
    for ids, texts in tables:
        texts = pc.fill_null(texts.cast(pa.large_string()), "")
        texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        spoken = pa.repeat(pa.scalar(language), len(texts))
        found = signals(texts, words, spoken, config.c4, config.refinedweb)
        for field_, values in zip(given.fields, given.columns(texts, spoken), strict=True) if given else ():
            found = found.append_column(field_, values)
        reason, _, _ = judge(found, config.in_force)
        keep = reason.is_null()
        sizes = pc.binary_length(texts).to_numpy().astype("int64")
        columns = {schema.names[0]: ids, "keep": keep, "reason": reason,
                   **{name: found[name] for name in found.column_names}}
        edited = texts
        if config.editing is not None:
            edited = FlatEdits.of(rule_edits(config, texts, keep), sizes).texts(texts)
            columns["text"] = pc.if_else(keep, edited, pa.scalar(None, pa.large_string()))
        tally.documents += len(texts)
        tally.kept += pc.sum(keep).as_py() or 0
        tally.bytes += int(sizes.sum())
        tally.kept_bytes += pc.sum(pc.if_else(keep, pc.binary_length(edited), 0)).as_py() or 0
        tally.dropped.update(reason.drop_null().to_pylist())
        yield pa.table(columns).select(schema.names).cast(schema)


def judge_texts(config: RulesConfig, words: Words, texts: pa.Array) -> pa.Array:
    """Reasons of texts (null where kept), computing no signal that no rule reads: the shortest way to a verdict."""
    wanted = {rule.signal for rule in config.in_force}
    found = signals(texts, words, None, config.c4, config.refinedweb, groups_of(wanted))
    return judge(found, config.in_force)[0]
