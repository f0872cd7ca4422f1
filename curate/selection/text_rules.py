"""Everything that selection does to texts before scores are asked: heuristic rules, word lists, personal data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.spans import FlatEdits, whole_as_null
from curate.heuristics.config import RulesConfig
from curate.heuristics.listed_words import ListedReason
from curate.heuristics.listed_words_config import ToxicWordsConfig
from curate.heuristics.pii import PiiReason, pii_spans
from curate.heuristics.pii_config import PiiConfig
from curate.heuristics.signals import PERPLEXITY, TOXIC, Words
from curate.heuristics.verdicts import rule_edits, rule_verdicts
from curate.perplexity.buckets import unwanted
from curate.perplexity.config import Bucket
from curate.selection.plugin_edits import plugin_spans
from curate.text.strings import string_buffers
from manifests.plugins import Loaded
from manifests.schema import SIGNAL_PREFIX

Verdicts = tuple[pa.Array, pa.Array, pa.Array]
"""(reason, value, threshold) of documents, null where they pass."""


@dataclass(frozen=True, slots=True)
class TextRules:
    """What a recipe asks of texts. words: how the stored signals were counted. buckets: which of head, middle and tail
    stay of the sources `crawled` (before derivation); None for all. cut: PERPLEXITY_CUTOFFS of perplexity."""

    rules: RulesConfig | None = None
    toxic: ToxicWordsConfig | None = None
    pii: PiiConfig | None = None
    words: Words = Words.PAPER
    buckets: tuple[Bucket, ...] | None = None
    crawled: tuple[str, ...] = ()
    cut: pa.Table | None = None
    plugins: tuple[Loaded, ...] = ()

    @property
    def reads_text(self) -> bool:
        """Whether it needs texts, beside stored signals."""
        own = self.rules is not None and (self.rules.editing is not None or self.rules.own_lines)
        return own or self.pii is not None or bool(self.plugins)

    def verdicts(self, documents: pa.Table) -> Verdicts:
        """Of every document: by rules first, then toxic words, then buckets of perplexity, then kinds of personal data
        that drop a document."""
        verdicts = rule_verdicts(self.rules, documents, self.words)
        if self.toxic is not None:
            share = documents[SIGNAL_PREFIX + TOXIC].to_numpy()
            failed = pa.array(share > np.float32(self.toxic.max_fraction))
            verdicts = _next(verdicts, failed, ListedReason.TOXIC_WORDS, share, self.toxic.max_fraction)
        if self.buckets is not None and self.cut is not None:
            values = external_values(documents, PERPLEXITY)
            reason, edge = unwanted(values, documents["language"], self.cut, self.buckets)
            crawled = pc.is_in(documents["source"], pa.array(self.crawled, pa.string()))
            verdicts = _next(verdicts, pc.and_(crawled, pc.is_valid(reason)), reason, values, edge)
        if self.pii is not None and "drop" in self.pii.actions():
            _, counts = pii_spans(self.pii, documents["text"])
            for kind, (pii_reason, action) in enumerate(zip(PiiReason, self.pii.actions(), strict=True)):
                if action == "drop":
                    verdicts = _next(verdicts, pa.array(counts[:, kind] > 0), pii_reason, counts[:, kind], 0.0)
        return verdicts

    def edits(self, documents: pa.Table, keep: pa.Array) -> tuple[pa.Array, dict[str, int]]:
        """(EDITS of documents, counters): what of each kept text stays, null where that is all of it; `edited`,
        `edited_<plug-in>`, and `pii_<kind>` for personal data taken out."""
        texts = documents["text"] if self.reads_text else None
        edits = rule_edits(self.rules, texts, keep)
        counters: Counter[str] = Counter()
        if self.pii is not None and texts is not None:
            kept = pc.if_else(keep, texts, pa.scalar(None, pa.large_string()))
            sizes = np.diff(string_buffers(kept)[1])
            spans, counts = pii_spans(self.pii, kept)
            if (spans.codes >= 0).any():
                both, _ = FlatEdits.of(edits, sizes).within(spans)
                edits = whole_as_null(both.array(), kept)
            counters.update({f"{reason}": int(n) for reason, n in zip(PiiReason, counts.sum(axis=0), strict=True) if n})
        for plugin in self.plugins:
            assert texts is not None  # reads_text says so
            spans, n_changed = plugin_spans(plugin, texts, keep)
            if n_changed:
                kept = pc.if_else(keep, texts, pa.scalar(None, pa.large_string()))
                both, _ = FlatEdits.of(edits, documents["n_bytes"].to_numpy()).within(spans)
                edits = whole_as_null(both.array(), kept)
            counters[f"edited_{plugin.plugin.name}"] += n_changed
        counters["edited"] = len(edits) - edits.null_count
        return edits, dict(counters)


def external_values(documents: pa.Table, name: str) -> np.ndarray:
    """A signal that may be null, as float32 [n] with NaN there."""
    return np.asarray(documents[SIGNAL_PREFIX + name].to_numpy(), np.float32)


def _next(verdicts: Verdicts, failed: Any, reason: Any, value: Any, threshold: Any) -> Verdicts:
    """The verdicts, where documents that passed so far and fail this rule get its reason, value and threshold.

    reason, threshold: one for all, or one a document."""
    mask = pc.and_(failed, pc.is_null(verdicts[0]))
    new = (pa.scalar(str(reason)) if isinstance(reason, str) else reason, pa.array(np.asarray(value, np.float64)),
           pa.scalar(threshold) if isinstance(threshold, float) else pa.array(threshold))
    return pc.if_else(mask, new[0], verdicts[0]), pc.if_else(mask, new[1], verdicts[1]), pc.if_else(
        mask, new[2], verdicts[2])
