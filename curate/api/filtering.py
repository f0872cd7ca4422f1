"""Published heuristic filters on a table in memory: the decisions, or what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.api.results import DECISION, MEASURED, kept_rows, with_ids
from curate.edits.spans import FlatEdits
from curate.heuristics.computed import signals
from curate.heuristics.config import RulesConfig
from curate.heuristics.rules import unknown_signal
from curate.heuristics.signals import COMPUTED, DOCUMENT_SIGNALS, Words
from curate.selection.text_rules import TextRules
from curate.sources.rows import ExtractReason
from manifests.arrow import as_table, as_texts, kept_mask, text_slices
from manifests.arrow import text_column as texts_of
from manifests.errors import RecipeError
from manifests.schema import EDITS, SIGNAL_PREFIX
from manifests.settings import settings
from manifests.tables import one_array

DECISIONS: Final = pa.schema([*DECISION, *MEASURED, pa.field("edits", EDITS, metadata={
    "comment": "spans of the text that stay; null for all of it"})])


def filter(table: Any, preset: str = "gopher", *, thresholds: Mapping[str, float | None] | None = None,
           rules: Sequence[Mapping[str, Any]] = (), edit: bool = True, words: str = "paper",
           language: str | None = None, text_column: str = "text", apply: bool = True,
           ignore_keep: bool = False) -> pa.Table:
    """Keep or drop documents by a published preset, as the stage `select` does.

    Args:
        table: A table with a column of texts, n rows. Signals are computed, but for those that need models or lists,
            or come from elsewhere: columns `signal_perplexity`, `signal_toxic_word_fraction` or any other `signal_*`
            serve rules that read them. Rows whose `keep` is false are left out.
        preset: gopher, c4, fineweb, refinedweb, dclm or gpt3.
        thresholds: Other thresholds for rules of the preset, by reason; None turns a rule off.
        rules: Further rules, with the fields of a recipe's `select.rules.rules`.
        edit: Whether rules on lines rewrite the text, where the preset has such.
        words: What counts as a word: `paper`, or `datatrove` for exactly its counts.
        language: ISO 639-1 code of all texts, for stop words; by default the column `language`, or English.
        text_column: Name of the column of texts.
        apply: Whether to return what is left, or the decisions.
        ignore_keep: Whether rows whose `keep` is false are read too.
    Returns:
        The rows that are kept, texts as edited, with all their columns. Without `apply`, n rows: `id` or `doc_id` where
        the table has it, `keep`, `reason`, `value`, `threshold` and `edits` (UTF-8 bytes).
    Raises:
        InputError: There is no such column, `keep` is not boolean, or a name occurs twice.
        RecipeError: There is no such preset, rule or way of counting.
    """
    if words not in {kind.value for kind in Words}:
        raise RecipeError(f"is not a way of counting words: {words!r}", where="words", hint="paper or datatrove")
    config = settings(RulesConfig, {"preset": preset, "thresholds": dict(thresholds or {}), "rules": tuple(rules),
                                    "edit": edit}, "filter")
    given = as_table(table)
    if problem := unknown_signal(config.rules, _own_signals(given)):
        raise RecipeError(problem, where="filter()")
    texts = pc.fill_null(texts_of(given, text_column), "")
    enters = None if ignore_keep else kept_mask(given)
    judge = TextRules(rules=config, words=Words(words))
    decisions = pa.concat_tables([
        _decide(judge, _documents(given.slice(a, b - a), texts[a:b], language, judge.words),
                None if enters is None else enters[a:b]) for a, b in text_slices(texts)])
    if not apply:
        return with_ids(given, decisions, enters)
    keep = one_array(decisions["keep"])
    sizes = pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    edited = FlatEdits.of(decisions["edits"], sizes).texts(texts)
    return kept_rows(given, text_column, pc.indices_nonzero(keep).cast(pa.int64()), edited.filter(keep))


def _own_signals(table: pa.Table) -> list[str]:
    """Signals that a table has and that are not computed from the text alone."""
    names = (name.removeprefix(SIGNAL_PREFIX) for name in table.column_names if name.startswith(SIGNAL_PREFIX))
    return [name for name in names if name not in COMPUTED]


def _documents(table: pa.Table, texts: pa.LargeStringArray, language: str | None, words: Words) -> pa.Table:
    """What rules read of documents: text, language and signals."""
    if language is None and "language" in table.column_names:
        languages = as_texts(table["language"], "column 'language'").cast(pa.string())
    else:
        languages = pa.repeat(pa.scalar(language or "en"), len(texts))
    columns = {"text": texts, "language": languages}
    columns |= {name: table[name] for name in (SIGNAL_PREFIX + signal for signal in _own_signals(table))}
    columns |= {name: table[name] for name in ("page_type", *DOCUMENT_SIGNALS) if name in table.column_names}
    measured = signals(texts, words, languages)
    return pa.table({**columns, **{name: measured[name] for name in measured.column_names}})


def _decide(judge: TextRules, documents: pa.Table, enters: pa.BooleanArray | None) -> pa.Table:
    """DECISIONS of documents. enters: which of them count; None for all."""
    reason, value, threshold = judge.verdicts(documents)
    if enters is not None:
        none = pa.scalar(None, pa.float64())
        reason = pc.if_else(enters, reason, str(ExtractReason.LEFT_OUT))
        value, threshold = pc.if_else(enters, value, none), pc.if_else(enters, threshold, none)
    keep = one_array(pc.is_null(reason))
    return pa.table([keep, reason, value, threshold, judge.edits(documents, keep)[0]], schema=DECISIONS)
