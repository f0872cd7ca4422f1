"""Selection: the score of every document by a model that has not seen its host, the heuristic rules, the keep rule.

Nothing is rewritten: the stage leaves one mark a document, with the reason and what it would have taken to stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from curate.heuristics.gopher import judge
from curate.quality.config import SelectConfig
from curate.quality.lines import classifier_lines
from curate.quality.pareto import needed_score, pareto_keeps
from curate.quality.scorer import load_scorer
from manifests.errors import InputError, StageError
from manifests.hashing import id_words, uniform
from manifests.schema import SELECT_MARKS, SIGNAL_PREFIX
from manifests.storage import open_read
from manifests.tables import open_table, read_table
from manifests.tasks import ShardWork

_PURPOSE = "select"
WHOLE_MODEL: Final = "model"


class SelectReason(StrEnum):
    """Why selection dropped a document, beside the reasons of `GopherReason`."""

    PARETO = "pareto"  # value: its score; threshold: the smallest score with which it would have stayed


class Models:
    """The models of a run by name (`fold-0`, ..., `model`), each with the length of text its card asks for."""

    def __init__(self, paths: list[str], cards: list[str]) -> None:
        self._paths = {_stem(path): path for path in paths}
        self._cards = {_stem(path): path for path in cards}

    def __bool__(self) -> bool:
        return bool(self._paths)

    def score(self, texts: pa.ChunkedArray[Any], folds: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.float32]:
        """Quality scores, float32 [n], each by the model without its fold; by the whole model where folds is None."""
        scores = np.zeros(len(texts), np.float32)
        lines: dict[int, pa.Array[Any]] = {}
        for fold in [None] if folds is None else np.unique(folds).tolist():
            path, n_bytes = self._model(WHOLE_MODEL if fold is None else f"fold-{fold}")
            if n_bytes not in lines:
                lines[n_bytes] = classifier_lines(texts, n_bytes)
            rows = np.arange(len(texts)) if folds is None else np.flatnonzero(folds == fold)
            load_scorer(path).score(lines[n_bytes], rows, scores)
        return scores

    def _model(self, name: str) -> tuple[str, int]:
        if name not in self._paths or name not in self._cards:
            have = ", ".join(sorted(self._paths))
            raise StageError(f"there is no classifier `{name}` with its card, only: {have}", where="select",
                             hint="the labels and the models are of different numbers of folds; run with --fresh")
        return self._paths[name], int(read_card(self._cards[name])["max_bytes_per_document"])


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


def select(config: SelectConfig, work: ShardWork) -> None:
    """Stage select, one shard a source part: scores and keeps or drops every document.

    Inputs: `documents` (DOCUMENTS part), `labels` (its LABELS), `models` (manifest of classifier; absent where the
    recipe trains none). Variables: seed. Output `marks` (SELECT_MARKS, one row a document, in order). Without labels,
    sources are the documents' own and the model on everything scores. Counters: documents, kept, dropped_<reason>,
    bytes, kept_bytes, documents_<source> and kept_<source> by source after derivation; a source that keeps nothing
    shows there."""
    models = Models(work.inputs("models", role="model"), work.inputs("models", role="card"))
    work.write("marks", SELECT_MARKS, _marks(config, work, models))


def _marks(config: SelectConfig, work: ShardWork, models: Models) -> Iterator[pa.Table]:
    path = work.input("documents")
    labels = [read_table(name, ["doc_id", "source", "fold"]) for name in work.inputs("labels")]
    with open_table(path) as file:
        names = ["doc_id", "source", "n_bytes", *(["text"] if models else [])]
        if config.rules is not None:
            names += [name for name in file.schema_arrow.names if name.startswith(SIGNAL_PREFIX)]
        start = 0
        for group in range(file.num_row_groups):
            documents = file.read_row_group(group, columns=names, use_threads=False)
            own = labels[0].slice(start, len(documents)) if labels else None
            start += len(documents)
            if own is not None and not own["doc_id"].equals(documents["doc_id"]):
                raise StageError("the labels are not those of these documents", where=path, hint="run with --fresh")
            marks = _judge(config, documents, own, models, int(work.variables["seed"]))
            _count(work, documents["n_bytes"].to_numpy(), marks)
            yield marks


def _judge(config: SelectConfig, documents: pa.Table, labels: pa.Table | None, models: Models, seed: int) -> pa.Table:
    """SELECT_MARKS of one row group: the heuristic rules first, then the keep rule on what passed them."""
    n = len(documents)
    source = (documents if labels is None else labels)["source"].combine_chunks()
    filtered = pc.is_in(source, pa.array(list(config.filtered_sources or ()), pa.string())).to_numpy(zero_copy_only=False)
    if filtered.any() and not models:
        name = pc.filter(source, pa.array(filtered))[0].as_py()
        raise StageError("the keep rule needs a trained classifier, and the recipe has none", where=f"source `{name}`",
                         hint="set select.filtered_sources to [], or give the classifier positive examples")
    folds = None if labels is None else labels["fold"].to_numpy()
    score = models.score(documents["text"], folds) if models else None
    reason, value, threshold = _ruled(config, documents)
    if score is not None:
        u = uniform(seed, _PURPOSE, id_words(documents["doc_id"]))
        dropped = filtered & ~pareto_keeps(score, u, config.alpha) & reason.is_null().to_numpy(zero_copy_only=False)
        needed = np.zeros(n)
        needed[dropped] = needed_score(u[dropped], config.alpha)
        mask = pa.array(dropped)
        reason = pc.if_else(mask, str(SelectReason.PARETO), reason)
        value = pc.if_else(mask, pa.array(score.astype(np.float64)), value)
        threshold = pc.if_else(mask, pa.array(needed), threshold)
    scores = pa.nulls(n, pa.float32()) if score is None else pa.array(score)
    return pa.table([documents["doc_id"], source, scores, reason.is_null(), reason, value, threshold],
                    schema=SELECT_MARKS)


def _ruled(config: SelectConfig, documents: pa.Table) -> tuple[pa.Array[Any], pa.Array[Any], pa.Array[Any]]:
    if config.rules is not None:
        return judge(documents, config.rules)
    n = len(documents)
    return pa.nulls(n, pa.string()), pa.nulls(n, pa.float64()), pa.nulls(n, pa.float64())


def _count(work: ShardWork, n_bytes: npt.NDArray[np.int64], marks: pa.Table) -> None:
    keep = marks["keep"].to_numpy()
    work.count("documents", len(marks))
    work.count("kept", int(keep.sum()))
    work.count("bytes", int(n_bytes.sum()))
    work.count("kept_bytes", int(n_bytes[keep].sum()))
    frame = pl.DataFrame(marks.select(["source", "keep", "reason"]))
    for reason, n in frame["reason"].drop_nulls().value_counts().iter_rows():
        work.count(f"dropped_{reason}", n)
    for source, n, n_kept in frame.group_by("source").agg(pl.len(), pl.col("keep").sum()).iter_rows():
        work.count(f"documents_{source}", n)
        work.count(f"kept_{source}", n_kept)
