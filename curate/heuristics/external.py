"""External signals, which need files that the recipe names: perplexity under language models, share of listed words.

They are computed once, by a stage of their own, and stored beside the signals that extraction computes; rules, buckets
and `curate tune` read the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from curate.heuristics.listed_words import WordLists
from curate.heuristics.plugin_signals import plugin_signal
from curate.heuristics.signals import EXTERNAL, PERPLEXITY, TOXIC
from curate.heuristics.stages import MODEL_INPUT, PIECES_INPUT, WORDS_INPUT
from curate.perplexity.buckets import PERPLEXITY_HISTOGRAM, count_bins
from curate.perplexity.config import PerplexityReading
from curate.perplexity.models import load_language_model, load_pieces, perplexities
from manifests.schema import ID
from manifests.tables import one_array, open_table
from manifests.tasks import Work


@dataclass(frozen=True, slots=True)
class ExternalSignals:
    """What they are computed from. models, pieces: a language model, and its SentencePiece model, by language
    (ISO 639-1). words: lists of words, None for none."""

    reading: PerplexityReading = field(default_factory=PerplexityReading)
    models: Mapping[str, str] = field(default_factory=dict)
    pieces: Mapping[str, str] = field(default_factory=dict)
    words: WordLists | None = None

    @property
    def fields(self) -> list[pa.Field[Any]]:
        """Its columns, float32; null where nothing can be said."""
        names = [*([PERPLEXITY] if self.models else []), *([TOXIC] if self.words else [])]
        return [EXTERNAL[name].field for name in names]

    def columns(self, texts: Any, languages: Any) -> list[pa.Array]:
        """The values of `fields`. texts: string or large_string [n]; languages: string [n]."""
        columns: list[npt.NDArray[np.float32]] = []
        if self.models:
            columns.append(self._perplexity(texts, languages))
        if self.words is not None:
            columns.append(self.words.fractions(texts, languages))
        return [pa.array(values, mask=np.isnan(values)) for values in columns]

    def _perplexity(self, texts: Any, languages: Any) -> npt.NDArray[np.float32]:
        values = np.full(len(texts), np.nan, np.float32)
        for language, path in self.models.items():
            rows = pc.fill_null(pc.equal(languages, language), False).to_numpy(zero_copy_only=False)
            self._score(path, self.pieces.get(language), texts, np.flatnonzero(rows), values)
        return values

    def _score(self, path: str, pieces: str | None, texts: Any, rows: npt.NDArray[np.int64],
               values: npt.NDArray[np.float32]) -> None:
        if len(rows):
            subset = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
            model = load_language_model(path)
            values[rows] = perplexities(model, load_pieces(pieces) if pieces else None, self.reading, subset)


def external_signals(config: None, work: Work) -> None:
    """Stage signals, one task a part of documents: perplexity and listed words of every document; and one for each
    signal of a plug-in (`plugin_signals`), which the variable `plugin` says.

    Inputs: `documents` (DOCUMENTS part), `perplexity_<language>` (a language model), `pieces_<language>` (its
    SentencePiece model, perhaps), `toxic_words` and `toxic_words_<language>` (files of words). Outputs: `signals`
    (doc_id and the columns of ExternalSignals, documents' order and row groups) and, with models, `histogram`
    (PERPLEXITY_HISTOGRAM). Variables: perplexity, fields of PerplexityReading. Counters: documents, with_perplexity."""
    if "plugin" in work.variables:
        plugin_signal(work)
        return
    signals = _from_inputs(PerplexityReading(**work.variables.get("perplexity", {})), work)
    counts: list[pl.DataFrame] = []
    schema = pa.schema([pa.field("doc_id", ID, nullable=False, metadata={"comment": "document"}), *signals.fields])
    work.write("signals", schema, _rows(signals, work, schema, counts))
    if signals.models:
        frame = pl.concat([pl.DataFrame(PERPLEXITY_HISTOGRAM.empty_table()), *counts])
        keys = PERPLEXITY_HISTOGRAM.names[:3]
        frame = frame.group_by(keys).agg(pl.col("n").sum()).sort(keys)
        work.write("histogram", PERPLEXITY_HISTOGRAM, [frame.to_arrow().cast(PERPLEXITY_HISTOGRAM)],
                   name=f"histograms/{work.task.name}.parquet")


def _from_inputs(reading: PerplexityReading, work: Work) -> ExternalSignals:
    models, pieces, lists = dict[str, str](), dict[str, str](), dict[str | None, list[str]]()
    for name in sorted(work.task.inputs):
        if name.startswith(MODEL_INPUT):
            models[name.removeprefix(MODEL_INPUT)] = work.input(name)
        elif name.startswith(PIECES_INPUT):
            pieces[name.removeprefix(PIECES_INPUT)] = work.input(name)
        elif name.startswith(WORDS_INPUT):
            lists[name.removeprefix(WORDS_INPUT).removeprefix("_") or None] = work.inputs(name)
    words = WordLists.read(lists) if lists else None
    return ExternalSignals(reading, models, pieces, words)


def _rows(signals: ExternalSignals, work: Work, schema: pa.Schema, counts: list[pl.DataFrame]) -> Iterator[pa.Table]:
    with open_table(work.input("documents")) as file:
        for group in range(file.num_row_groups):
            documents = file.read_row_group(group, columns=["doc_id", "source", "language", "text"], use_threads=False)
            columns = signals.columns(one_array(documents["text"]), one_array(documents["language"]))
            work.count("documents", len(documents))
            if signals.models:
                values = columns[0].to_numpy(zero_copy_only=False).astype(np.float32)
                work.count("with_perplexity", int((~np.isnan(values)).sum()))
                counts.append(count_bins(documents["source"], documents["language"], values))
            yield pa.table([documents["doc_id"], *columns], schema=schema)
