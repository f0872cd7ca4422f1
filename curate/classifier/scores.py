"""Scores of every document, by the run's own classifier and by any others, once; rules are applied to them later.

A document of the run is scored by the model that has not seen its host. What is left is a table of scores and their
histogram, so that a keep rule, its threshold and its sources can change without a look at the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curate.classifier.config import ScoresConfig
from curate.classifier.lines import classifier_lines
from curate.classifier.scorer import Scorer, load_scorer
from manifests.errors import InputError, StageError
from manifests.schema import ID
from manifests.storage import open_read
from manifests.tables import open_table, read_table
from manifests.tasks import Work

WHOLE_MODEL: Final = "model"
OWN: Final = "quality"
"""The run's own classifier, as rules name it."""
BIN_SHIFT: Final = 10
"""A bin of the histogram is a score's float32 bits without their last ten: at most 6e-5 wide, finer near zero."""


def _field(name: str, kind: pa.DataType, comment: str, nullable: bool = False) -> pa.Field[Any]:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


HISTOGRAM = pa.schema([
    _field("score", pa.string(), "which score: quality, or the name of another classifier"),
    _field("source", pa.string(), "source after derivation"),
    _field("language", pa.string(), "of the document; empty where it is unknown"),
    _field("bin", pa.uint32(), "bits of the float32 score, shifted right by 10"),
    _field("n", pa.int64(), "documents in it"),
])


def score_column(name: str) -> str:
    """Column of a classifier's scores: `quality_score` for the run's own, else `quality_<name>`."""
    return "quality_score" if name == OWN else f"quality_{name}"


def scores_schema(names: list[str]) -> pa.Schema:
    """doc_id and a float32 column for each classifier."""
    return pa.schema([_field("doc_id", ID, "document"), *(
        _field(score_column(name), pa.float32(), f"probability of the positive label, by {name}", nullable=True)
        for name in names)])


def scores(config: ScoresConfig, work: Work) -> None:
    """Stage classifier/scores, one shard a source part: what every classifier says of every document.

    Inputs: `documents` (DOCUMENTS part), `labels` (its LABELS; without them sources are the documents' own and the
    model on everything scores), `models` (manifest of classifier; absent where the recipe trains none),
    `classifier_<name>` (a model's file). Outputs: `scores` (scores_schema, documents' order and row groups),
    `histogram` (HISTOGRAM). Counters: documents; scored_<way> (folded, summed, library or hashed), all classifiers."""
    models = Models(work.inputs("models", role="model"), work.inputs("models", role="card"))
    names = [*([OWN] if models else []), *config.classifiers]
    counts: list[pl.DataFrame] = []
    work.write("scores", scores_schema(names), _scored(config, work, models, names, counts))
    empty = pl.DataFrame(HISTOGRAM.empty_table())
    frame = pl.concat([empty, *counts]).group_by(HISTOGRAM.names[:4]).agg(pl.col("n").sum())
    table = frame.sort(HISTOGRAM.names[:4]).to_arrow().cast(HISTOGRAM)
    work.write("histogram", HISTOGRAM, [table], name=f"histograms/{work.task.name}.parquet")


def _scored(config: ScoresConfig, work: Work, models: Models, names: list[str],
            counts: list[pl.DataFrame]) -> Iterator[pa.Table]:
    path = work.input("documents")
    labels = [read_table(name, ["doc_id", "source", "fold"]) for name in work.inputs("labels")]
    with open_table(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            columns = ["doc_id", "source", "language", "text"]
            documents = file.read_row_group(group, columns=columns, use_threads=False)
            own = labels[0].slice(start, len(documents)) if labels else None
            start += len(documents)
            if own is not None and not own["doc_id"].equals(documents["doc_id"]):
                raise StageError("the labels are not those of these documents", where=path, hint="run with --fresh")
            folds = None if own is None else own["fold"].to_numpy()
            found = []
            for name in names:
                score = models.score(documents["text"], folds, work) if name == OWN else _other(config, work, name,
                                                                                                documents["text"])
                found.append(pa.array(score))
                counts.append(_counted(name, (documents if own is None else own)["source"], documents["language"],
                                       score))
            work.count("documents", len(documents))
            yield pa.table([documents["doc_id"], *found], schema=scores_schema(names))


def _other(config: ScoresConfig, work: Work, name: str, texts: pa.ChunkedArray[Any]) -> npt.NDArray[np.float32]:
    classifier = config.classifiers[name]
    scorer = load_scorer(work.input(f"classifier_{name}"), classifier.label, classifier.exact)
    work.count(f"scored_{scorer.way}", len(texts))
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
        """Quality scores, float32 [n], each by the model without its fold; by the whole model where folds is None."""
        found = np.zeros(len(texts), np.float32)
        lines: dict[int, pa.Array[Any]] = {}
        for fold in [None] if folds is None else np.unique(folds).tolist():
            scorer, n_bytes = self._model(WHOLE_MODEL if fold is None else f"fold-{fold}")
            if n_bytes not in lines:
                lines[n_bytes] = classifier_lines(texts, n_bytes)
            rows = np.arange(len(texts)) if folds is None else np.flatnonzero(folds == fold)
            work.count(f"scored_{scorer.way}", len(rows))
            scorer.score(lines[n_bytes], rows, found)
        return found

    def _model(self, name: str) -> tuple[Scorer, int]:
        if name not in self._paths or name not in self._cards:
            have = ", ".join(sorted(self._paths))
            raise StageError(f"there is no classifier `{name}` with its card, only: {have}", where="classifier/scores",
                             hint="the labels and the models are of different numbers of folds; run with --fresh")
        card = read_card(self._cards[name])
        return load_scorer(self._paths[name], card.get("positive_label")), int(card["max_bytes_per_document"])


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
