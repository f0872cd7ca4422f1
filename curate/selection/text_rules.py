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
from curate.heuristics.listed_words import ListedReason, ToxicWordsConfig
from curate.heuristics.pii import PiiConfig, PiiReason, pii_spans
from curate.heuristics.signals import PERPLEXITY, TOXIC, Words
from curate.heuristics.verdicts import rule_edits, rule_verdicts
from curate.perplexity.buckets import unwanted
from curate.perplexity.config import Bucket
from curate.text.strings import string_buffers
from manifests.schema import SIGNAL_PREFIX


@dataclass(frozen=True, slots=True)
class TextRules:
    """What a recipe asks of texts. words: how the stored signals were counted. buckets: which of head, middle and tail
    stay of the sources `crawled` (before derivation); None for all. cut: CUTOFFS of perplexity."""

    rules: RulesConfig | None = None
    toxic: ToxicWordsConfig | None = None
    pii: PiiConfig | None = None
    words: Words = Words.PAPER
    buckets: tuple[Bucket, ...] | None = None
    crawled: tuple[str, ...] = ()
    cut: pa.Table | None = None

    @property
    def reads_text(self) -> bool:
        """Whether it needs texts, beside stored signals."""
        own = self.rules is not None and (self.rules.editing is not None or self.rules.own_lines)
        return own or self.pii is not None

    def verdicts(self, documents: pa.Table) -> tuple[pa.Array, pa.Array, pa.Array]:
        """(reason string, value, threshold float64) of documents, null where they pass: rules first, then toxic words,
        then buckets of perplexity, then kinds of personal data that drop a document."""
        found = rule_verdicts(self.rules, documents, self.words)
        if self.toxic is not None:
            share = documents[SIGNAL_PREFIX + TOXIC].to_numpy()
            failed = share > np.float32(self.toxic.max_fraction)
            found = _next(found, failed, ListedReason.TOXIC_WORDS, share, self.toxic.max_fraction)
        if self.buckets is not None and self.cut is not None:
            values = given_values(documents, PERPLEXITY)
            said, edge = unwanted(values, documents["language"], self.cut, self.buckets)
            mine = pc.is_in(documents["source"], pa.array(self.crawled, pa.string()))
            first = pc.and_(pc.and_(mine, pc.is_valid(said)), pc.is_null(found[0]))
            new = (said, pa.array(values.astype(np.float64)), pa.array(edge))
            found = (pc.if_else(first, new[0], found[0]), pc.if_else(first, new[1], found[1]),
                     pc.if_else(first, new[2], found[2]))
        if self.pii is not None and "drop" in self.pii.actions():
            _, counts = pii_spans(self.pii, documents["text"])
            for kind, (reason, action) in enumerate(zip(PiiReason, self.pii.actions(), strict=True)):
                if action == "drop":
                    found = _next(found, counts[:, kind] > 0, reason, counts[:, kind], 0.0)
        return found

    def edits(self, documents: pa.Table, keep: pa.Array) -> tuple[pa.Array, dict[str, int]]:
        """(EDITS of documents, counters): what of each kept text stays, null where that is all of it; `edited`, and
        `pii_<kind>` for personal data taken out."""
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
        counters["edited"] = len(edits) - edits.null_count
        return edits, dict(counters)


def given_values(documents: pa.Table, name: str) -> np.ndarray:
    """A signal that may be null, as float32 [n] with NaN there."""
    return np.asarray(documents[SIGNAL_PREFIX + name].to_numpy(), np.float32)


def _next(found: tuple[pa.Array, pa.Array, pa.Array], failed: Any, reason: str, value: Any, threshold: float,
          ) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The verdicts, where documents that passed so far and fail this rule get its reason."""
    mask = pc.and_(pa.array(failed), pc.is_null(found[0]))
    return (pc.if_else(mask, pa.scalar(str(reason)), found[0]),
            pc.if_else(mask, pa.array(np.asarray(value, np.float64)), found[1]),
            pc.if_else(mask, pa.scalar(float(threshold)), found[2]))
