"""What the heuristic rules say of documents: drop or keep, why, and which spans of the text stay."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.spans import whole_as_null
from curate.heuristics.computed import signals
from curate.heuristics.config import RulesConfig
from curate.heuristics.line_rules import line_edits
from curate.heuristics.rules import judge
from curate.heuristics.signals import Group, Words, groups_of
from manifests.schema import EDITS, SIGNAL_PREFIX


def rule_verdicts(config: RulesConfig | None, documents: pa.Table, words: Words) -> tuple[pa.Array, pa.Array, pa.Array]:
    """(reason string, value, threshold float64) of documents: the first rule each fails, null where it passes.

    documents: the signals of the rules, and `text` (and `language`) where line rules are the recipe's own. words: how
    the signals were counted."""
    if config is None:
        return judge(documents, ())
    if config.own_lines:
        documents = _with_own_lines(config, documents, words)
    return judge(documents, config.in_force)


def rule_edits(config: RulesConfig | None, texts: Any, keep: pa.Array) -> pa.Array:
    """What line rules leave of documents that are kept: EDITS, null where the text stays as it is or is dropped."""
    if config is None or config.editing is None:
        return pa.nulls(len(keep), EDITS)
    kept = pc.if_else(keep, texts, pa.scalar(None, pa.large_string()))
    return whole_as_null(line_edits(kept, config.editing, config.c4, config.refinedweb), kept)


def _with_own_lines(config: RulesConfig, documents: pa.Table, words: Words) -> pa.Table:
    """The signals after line edits, computed again with the recipe's line rules."""
    wanted = {rule.signal for rule in config.in_force if groups_of({rule.signal}) & (Group.C4 | Group.REFINEDWEB)}
    if not wanted:
        return documents
    languages = documents["language"] if "language" in documents.column_names else None
    computed = signals(documents["text"], words, languages, config.c4, config.refinedweb, groups_of(wanted))
    for name in sorted(wanted):
        column = SIGNAL_PREFIX + name
        if column in documents.column_names:
            documents = documents.drop_columns([column])
        documents = documents.append_column(column, computed[column])
    return documents
