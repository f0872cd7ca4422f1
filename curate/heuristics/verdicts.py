"""What the heuristic rules say of documents: drop or keep, why, and which spans of the text stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.kernels.join import join_spans
from curate.edits.kernels.pieces import COPIED, intersect
from curate.heuristics.config import RulesConfig
from curate.heuristics.line_rules import edits_array, line_edits
from curate.heuristics.rules import judge
from curate.heuristics.signals import Words, groups_of, signals
from curate.text.strings import string_buffers
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
    wanted = {rule.signal for rule in config.in_force if rule.signal.startswith(("c4_", "refinedweb_"))}
    if not wanted:
        return documents
    languages = documents["language"] if "language" in documents.column_names else None
    found = signals(documents["text"], words, languages, config.c4, config.refinedweb, groups_of(wanted))
    for name in sorted(wanted):
        column = SIGNAL_PREFIX + name
        if column in documents.column_names:
            documents = documents.drop_columns([column])
        documents = documents.append_column(column, found[column])
    return documents


def whole_as_null(edits: pa.Array, texts: Any) -> pa.Array:
    """Edits, null where the text is null and where one span is the whole of it."""
    sizes = np.diff(string_buffers(texts)[1])
    flat = edits.flatten()
    counts = np.diff(edits.offsets.to_numpy())
    first = edits.offsets.to_numpy()[:-1]
    one = np.flatnonzero(counts == 1)
    whole = np.zeros(len(edits), bool)
    span = first[one] - edits.offsets[0].as_py()
    starts, ends = flat.field("start").to_numpy()[span], flat.field("end").to_numpy()[span]
    copied = flat.field("replacement").is_null().to_numpy(zero_copy_only=False)[span]
    whole[one] = (starts == 0) & (ends == sizes[one]) & copied
    whole |= pc.is_null(texts).to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(whole), pa.scalar(None, EDITS), edits)


@dataclass(frozen=True, slots=True)
class FlatEdits:
    """EDITS as arrays: starts, ends, codes int64 [m]; places int64 [n + 1]; replacements: what codes stand for."""

    starts: np.ndarray
    ends: np.ndarray
    codes: np.ndarray
    places: np.ndarray
    replacements: list[str]

    @staticmethod
    def of(edits: pa.Array, sizes: np.ndarray) -> FlatEdits:
        """From EDITS; a null stands for the whole text, whose bytes are sizes int64 [n]."""
        counts = np.where(edits.is_null().to_numpy(zero_copy_only=False), 1,
                          pc.fill_null(pc.list_value_length(edits), 1).to_numpy(zero_copy_only=False)).astype(np.int64)
        places = np.concatenate(([0], np.cumsum(counts)))
        starts, ends = np.zeros(places[-1], np.int64), np.zeros(places[-1], np.int64)
        codes = np.full(places[-1], COPIED, np.int64)
        nulls = np.flatnonzero(edits.is_null().to_numpy(zero_copy_only=False))
        ends[places[nulls]] = sizes[nulls]
        given = np.ones(places[-1], bool)
        given[places[nulls]] = False
        flat = pc.list_flatten(edits)
        starts[given], ends[given] = flat.field("start").to_numpy(), flat.field("end").to_numpy()
        words = flat.field("replacement").dictionary_encode()
        codes[given] = pc.fill_null(words.indices, COPIED).to_numpy(zero_copy_only=False)
        return FlatEdits(starts, ends, codes, places, words.dictionary.to_pylist())

    def array(self) -> pa.ListArray:
        """As EDITS again, without nulls."""
        words = pa.array(self.replacements or [""], pa.string())
        return edits_array(self.starts, self.ends, self.codes, self.places, words)

    def within(self, other: FlatEdits) -> tuple[FlatEdits, np.ndarray]:
        """What of these spans lies in another list's, and which of its spans (int64) each came from."""
        codes = np.where(other.codes >= 0, other.codes + len(self.replacements), COPIED)
        starts, ends, merged, places, owner = intersect(
            self.starts, self.ends, self.codes, self.places, other.starts, other.ends, codes, other.places)
        words = [*self.replacements, *other.replacements]
        return FlatEdits(starts, ends, merged, places, words), owner

    def texts(self, texts: Any, places: np.ndarray | None = None) -> pa.LargeStringArray:
        """The edited texts. texts: string or large_string [n]. places: other bounds of texts among the spans, with
        each span still of its own text."""
        rows = np.repeat(np.arange(len(self.places) - 1), np.diff(self.places))
        bounds = self.places if places is None else places
        return join_replaced(texts, rows, self, bounds)


def join_replaced(texts: Any, rows: np.ndarray, edits: FlatEdits, bounds: np.ndarray) -> pa.LargeStringArray:
    """Texts from spans, of which some are replaced by other texts."""
    if not edits.replacements or not (edits.codes >= 0).any():
        return join_spans(texts, rows, edits.starts, edits.ends, bounds)
    words = pa.array(edits.replacements, pa.large_string())
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    both = pa.concat_arrays([*(chunk.cast(pa.large_string()) for chunk in chunks), words])
    sizes = np.diff(string_buffers(words)[1])
    replaced = edits.codes >= 0
    safe = np.maximum(edits.codes, 0)
    return join_spans(both, np.where(replaced, len(both) - len(words) + safe, rows),
                      np.where(replaced, 0, edits.starts), np.where(replaced, sizes[safe], edits.ends), bounds)
