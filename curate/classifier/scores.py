"""Scores of every document, by the run's own classifier and by any others, once; rules are applied to them later.

A document of the run is scored by the model that has not seen its host. What is left is a table of scores and their
histogram, so that a keep rule, its threshold and its sources can change without a look at the text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curate.classifier.config import ScoresConfig
from curate.classifier.lines import classifier_lines
from curate.classifier.plugin_scorer import PluginScorer
from curate.classifier.score_tables import BIN_SHIFT, OWN, SCORE_HISTOGRAM, scores_schema
from curate.classifier.scorers import Scorer, load_scorer
from curate.classifier.stages import MODEL, plugin_field
from manifests.errors import InputError, StageError
from manifests.plugins import load_for
from manifests.storage import open_read
from manifests.tables import open_table, read_table
from manifests.tasks import Work


def scores(config: ScoresConfig, work: Work) -> None:
    """Stage classifier/scores, one task a source part: what every classifier says of every document.

    Inputs: `documents` (DOCUMENTS part), `labels` (its LABELS; without them sources are the documents' own and the
    model on everything scores), `models` (manifest of classifier; absent where the recipe trains none),
    `classifier_<name>` (a model's file), `classifiers.<name>.parameters.…` (files of a plug-in). Outputs: `scores`
    (scores_schema, documents' order and row groups), `histogram` (SCORE_HISTOGRAM). Counters: documents;
    scored_<method> (exact, library, hashed or plugin), of all classifiers."""
    models = Models(work.inputs("models", role="model"), work.inputs("models", role="card"))
    names = [*([OWN] if models else []), *config.classifiers]
    counts: list[pl.DataFrame] = []
    work.write("scores", scores_schema(names), _scored(config, work, models, names, counts))
    empty = pl.DataFrame(SCORE_HISTOGRAM.empty_table())
    frame = pl.concat([empty, *counts]).group_by(SCORE_HISTOGRAM.names[:4]).agg(pl.col("n").sum())
    table = frame.sort(SCORE_HISTOGRAM.names[:4]).to_arrow().cast(SCORE_HISTOGRAM)
    work.write("histogram", SCORE_HISTOGRAM, [table], name=f"histograms/{work.task.name}.parquet")


def _scored(config: ScoresConfig, work: Work, models: Models, names: list[str],
            counts: list[pl.DataFrame]) -> Iterator[pa.Table]:
    path = work.input("documents")
    labels = [read_table(name, ["doc_id", "source", "fold"]) for name in work.inputs("labels")]
    with open_table(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            documents = file.read_row_group(group, columns=["doc_id", "source", "language", "text"], use_threads=False)
            own = labels[0].slice(start, len(documents)) if labels else None
            start += len(documents)
            if own is not None and not own["doc_id"].equals(documents["doc_id"]):
                raise StageError("the labels are not those of these documents", where=path, hint="run with --fresh")
            folds = None if own is None else own["fold"].to_numpy()
            columns = [documents["doc_id"]]
            for name in names:
                score = models.score(documents["text"], folds, work) if name == OWN else _other(config, work, name,
                                                                                                documents["text"])
                columns.append(pa.array(score))
                counts.append(_counted(name, (documents if own is None else own)["source"], documents["language"],
                                       score))
            work.count("documents", len(documents))
            yield pa.table(columns, schema=scores_schema(names))


def _other(config: ScoresConfig, work: Work, name: str, texts: pa.ChunkedArray[Any]) -> npt.NDArray[np.float32]:
    classifier = config.classifiers[name]
    if classifier.facts is not None:
        scorer: Scorer = PluginScorer(load_for(work, "scorers", classifier.facts, plugin_field(name)))
    else:
        scorer = load_scorer(work.input(f"classifier_{name}"), classifier.label)
    work.count(f"scored_{scorer.method}", len(texts))
    return scorer.score(texts if classifier.max_bytes is None else classifier_lines(texts, classifier.max_bytes))


def _counted(name: str, source: pa.ChunkedArray[Any], language: pa.ChunkedArray[Any],
             score: npt.NDArray[np.float32]) -> pl.DataFrame:
    frame = pl.DataFrame({"source": pl.Series(source), "language": pl.Series(language).fill_null(""),
                          "bin": score.view(np.uint32) >> np.uint32(BIN_SHIFT)})
    counted = frame.group_by("source", "language", "bin").agg(pl.len().cast(pl.Int64).alias("n"))
    return counted.select(pl.lit(name).alias("score"), "source", "language", "bin", "n")


class Models:
    """The models of a run by name (`fold-0`, ..., `model`), each with the length of text its card asks for."""

    def __init__(self, paths: list[str], cards: list[str]) -> None:
        self._paths = {_stem(path): path for path in paths}
        self._cards = {_stem(path): path for path in cards}

    def __bool__(self) -> bool:
        return bool(self._paths)

    def score(self, texts: pa.ChunkedArray[Any], folds: npt.NDArray[np.uint8] | None,
              work: Work) -> npt.NDArray[np.float32]:
        """Quality scores, float32 [n], each by the model without its fold; without folds by the one on all."""
        result = np.zeros(len(texts), np.float32)
        lines: dict[int, pa.Array[Any]] = {}
        for fold in [None] if folds is None else np.unique(folds).tolist():
            scorer, n_bytes = self._model(MODEL if fold is None else f"fold-{fold}")
            if n_bytes not in lines:
                lines[n_bytes] = classifier_lines(texts, n_bytes)
            rows = np.arange(len(texts)) if folds is None else np.flatnonzero(folds == fold)
            work.count(f"scored_{scorer.method}", len(rows))
            scorer.score(lines[n_bytes], rows, result)
        return result

    def _model(self, name: str) -> tuple[Scorer, int]:
        if name not in self._paths or name not in self._cards:
            have = ", ".join(sorted(self._paths))
            raise StageError(f"there is no classifier `{name}` with its card, only: {have}", where="classifier/scores",
                             hint="the labels and the models are of different numbers of folds; run with --fresh")
        card = read_card(self._cards[name])
        return load_scorer(self._paths[name], card.get("positive_label")), int(card["max_bytes_per_document"])


def reading_of(model: str, label: str | None, max_bytes: int | None) -> tuple[str | None, int | None]:
    """How a model of one's own is to be read: as given, or else as the card beside it says, if there is one.

    Args:
        model: The model's file; its card is called the same, but for `.json` at the end.
        label: The positive label, where it is known.
        max_bytes: Bytes of the normalised line, where they are known.
    Returns:
        The positive label, and the bytes of the normalised line; None for the text as it is.
    Raises:
        InputError: The card is none.
    """
    card = os.path.splitext(model)[0] + ".json"
    facts = read_card(card) if os.path.exists(card) else {}
    return label or facts.get("positive_label"), max_bytes or facts.get("max_bytes_per_document")


def read_card(path: str) -> dict[str, Any]:
    """A model's card; raises InputError where the file is none."""
    try:
        with open_read(path) as stream:
            card = json.load(stream)
        int(card["max_bytes_per_document"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"is no model card: {error!r}", where=path) from error
    return dict(card)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]
