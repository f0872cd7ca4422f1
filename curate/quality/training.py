"""Training the quality classifier: one model for each fold, which has not seen the fold's hosts, and one on everything.

A crawl that is small against the model is memorised: each of its unlabelled pages was a negative example, gets a score
near zero from a model that saw it, and nothing survives the keep rule. So every page is scored by a model that has
seen no page of its host. fastText runs on one thread in a fixed order from a fixed seed: same samples, same file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from typing import Any

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.strings import string_buffers
from curate.quality.config import ClassifierConfig
from curate.quality.lines import NORMALISATION
from curate.quality.samples import KINDS, SAMPLES, Kind, lowest_of_each
from curate.quality.scorer import NEGATIVE, POSITIVE, load_scorer
from manifests.errors import StageError
from manifests.tables import read_row_groups
from manifests.tasks import ShardWork

SCORES = pa.schema([
    *(SAMPLES.field(name) for name in ("doc_id", "label", "kind", "positive", "fold")),
    pa.field("score", pa.float32(), nullable=False,
             metadata={"comment": "probability of the positive class, by the model that has not seen the host"}),
])
CARD_VERSION = 1
_METADATA = ["order", "source", "kind", "fold"]
_FASTTEXT_SEEDS = 2**31 - 1


def classifier(config: ClassifierConfig, work: ShardWork) -> None:
    """Stage classifier, one shard a fold (`fold-0`, ...) and one on everything (`model`): a fastText model.

    Input `samples` (manifest of classifier/samples). Variables: seed; fold: the fold left out, None for none. Outputs:
    `model` (.bin), `card` (.json: what the model must be fed and what it saw) and, for a fold, `scores` (SCORES of the
    fold's samples, .scores.parquet). Counters: trained_<kind>, held_out_<kind>. Raises StageError, naming the sources,
    where either class has no example to train on. Memory: 3 x max_documents x max_bytes_per_document."""
    fold = work.variables["fold"]
    paths = work.inputs("samples", role="samples")
    table, seen = _choose(config, paths, fold, held_out=False)
    kinds = Counter(str(kind) for kind in table["kind"].to_pylist())
    _check(kinds, seen, fold)
    for kind in KINDS:
        work.count(f"trained_{kind}", kinds[str(kind)])
    model_path = work.output("model", suffix=".bin")
    _train(config, table, int(work.variables["seed"]), model_path)
    _write_card(config, kinds, fold, work.output("card", suffix=".json"))
    if fold is not None:
        _score_held_out(config, work, paths, int(fold), model_path)


def _choose(config: ClassifierConfig, paths: list[str], fold: int | None, held_out: bool) -> tuple[
        pa.Table, Counter[str]]:
    """The chosen samples with their text in the order of training, and how many of each `source: kind` there are.

    First their hashes alone, a file at a time; then the text of the chosen rows."""
    seen: Counter[str] = Counter()
    order, kind, place = np.empty(0, np.uint64), np.empty(0, np.int8), np.empty((0, 2), np.int64)
    limits = dict.fromkeys(range(len(KINDS)), config.max_documents)
    for number, path in enumerate(paths):
        new_order, new_kind, new_rows = _metadata(path, fold, held_out, seen)
        order, kind = np.concatenate([order, new_order]), np.concatenate([kind, new_kind])
        place = np.concatenate([place, np.column_stack([np.full_like(new_rows, number), new_rows])])
        taken = lowest_of_each(order, kind, limits)  # so that memory does not grow with the parts
        order, kind, place = order[taken], kind[taken], place[taken]
    if not held_out:
        taken = lowest_of_each(order, kind, _balance(config, kind))
        order, place = order[taken], place[taken]
    table = _read_places(paths, place)
    return table.take(np.argsort(table["order"].to_numpy(), kind="stable")), seen


def _metadata(path: str, fold: int | None, held_out: bool, seen: Counter[str]) -> tuple[
        npt.NDArray[np.uint64], npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """(order, kind, row) of the samples of one file that are in (or out of) the fold."""
    groups = list(read_row_groups(path, _METADATA))
    if not groups:
        return np.empty(0, np.uint64), np.empty(0, np.int8), np.empty(0, np.int64)
    table = pa.concat_tables(groups)
    kind = pc.index_in(table["kind"], pa.array([str(k) for k in KINDS])).to_numpy().astype(np.int8)
    for row in table.group_by(["source", "kind"]).aggregate([([], "count_all")]).to_pylist():
        seen[f"{row['source']}: {row['kind']}"] += row["count_all"]
    in_fold = table["fold"].to_numpy() == (-1 if fold is None else fold)
    rows = np.flatnonzero(in_fold == held_out)
    return table["order"].to_numpy()[rows], kind[rows], rows.astype(np.int64)


def _balance(config: ClassifierConfig, kind: npt.NDArray[np.int8]) -> dict[int, int]:
    """Most examples of each kind: curated ones against linked ones, then the larger class against the smaller.

    A surplus of positives is taken from the curated ones first."""
    linked, curated, negative = (int((kind == number).sum()) for number in range(len(KINDS)))
    if linked:
        curated = min(curated, int(config.max_curated_ratio * linked))
    positives = linked + curated
    negative_limit = min(negative, int(config.max_class_ratio * positives)) if positives else negative
    # Without negatives nothing is left out, so that `_check` sees which class is missing.
    positive_limit = min(positives, int(config.max_class_ratio * negative_limit)) if negative else positives
    linked = min(linked, positive_limit)
    return {KINDS.index(Kind.LINKED): linked, KINDS.index(Kind.CURATED): min(curated, positive_limit - linked),
            KINDS.index(Kind.NEGATIVE): negative_limit}


def _read_places(paths: list[str], place: npt.NDArray[np.int64]) -> pa.Table:
    """The samples at (file, row), a row group at a time."""
    tables = [SAMPLES.empty_table()]
    for number in np.unique(place[:, 0]):
        rows = np.sort(place[place[:, 0] == number, 1])
        start = 0
        for table in read_row_groups(paths[int(number)]):
            inside = rows[(rows >= start) & (rows < start + len(table))] - start
            if len(inside):
                tables.append(table.take(inside))
            start += len(table)
    return pa.concat_tables(tables)


def _check(kinds: Counter[str], seen: Counter[str], fold: int | None) -> None:
    """Both classes must be there to learn from, with and without the fold."""
    n_negative = kinds[str(Kind.NEGATIVE)]
    n_positive = kinds.total() - n_negative
    if n_positive and n_negative:
        return
    missing, have = ("positive", n_negative) if not n_positive else ("negative", n_positive)
    sources = sorted({name.rpartition(": ")[0] for name in seen})
    named = ", ".join(f"`{source}`" for source in sources) or "none: all are empty"
    where = "classifier" if fold is None else f"classifier/fold-{fold}"
    anywhere = any((name.rpartition(": ")[2] == Kind.NEGATIVE) == (missing == "negative") for name in seen)
    if fold is not None and anywhere:
        raise StageError(
            f"all {missing} examples are on hosts of fold {fold}, so its model has none to learn from; sources: "
            f"{named}",
            where=where, hint="give examples from more hosts, or change classifier.labels.folds or the seed")
    raise StageError(
        f"the classifier has no {missing} example beside {have} others; sources with examples: {named}", where=where,
        hint="give Reddit dumps whose links match the crawl, lower min_host_links, or mark a source as curated"
        if missing == "positive" else "at least one source must be an unfiltered crawl that is not all linked")


def _train(config: ClassifierConfig, table: pa.Table, seed: int, path: str) -> None:
    prefix = pc.if_else(table["positive"], f"{POSITIVE} ", f"{NEGATIVE} ").cast(pa.large_string())
    lines = pc.binary_join_element_wise(prefix, table["text"], pa.scalar("\n", pa.large_string()),
                                        pa.scalar("", pa.large_string()))
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        examples = os.path.join(folder, "examples.txt")
        with open(examples, "wb") as stream:
            stream.write(_joined(lines))
        model = fasttext.train_supervised(
            input=examples, lr=config.learning_rate, dim=config.dim, epoch=config.epochs, minCount=config.min_count,
            wordNgrams=config.word_ngrams, bucket=config.buckets, minn=0, maxn=0, loss="softmax", thread=1,
            seed=seed % _FASTTEXT_SEEDS, verbose=0)
        model.save_model(path)


def _joined(lines: pa.ChunkedArray[Any]) -> memoryview:
    """All strings of an array, one after the other, without a copy."""
    data, offsets = string_buffers(lines)
    return data[offsets[0] : offsets[-1]].data


def _write_card(config: ClassifierConfig, kinds: Counter[str], fold: int | None, path: str) -> None:
    """What a user of the model must know: how text is normalised, where it is cut, what the model learnt from."""
    card: dict[str, Any] = {
        "version": CARD_VERSION, "positive_label": POSITIVE, "normalisation": NORMALISATION,
        "max_bytes_per_document": config.max_bytes_per_document, "held_out_fold": fold,
        "examples": {str(kind): kinds[str(kind)] for kind in KINDS},
        "fasttext": {"dim": config.dim, "epochs": config.epochs, "learning_rate": config.learning_rate,
                     "word_ngrams": config.word_ngrams, "buckets": config.buckets, "min_count": config.min_count}}
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(card, stream, indent=1, sort_keys=True)
        stream.write("\n")


def _score_held_out(config: ClassifierConfig, work: ShardWork, paths: list[str], fold: int, model: str) -> None:
    table, _ = _choose(config, paths, fold, held_out=True)
    for kind in KINDS:
        work.count(f"held_out_{kind}", table["kind"].to_pylist().count(str(kind)))
    scores = load_scorer(model).score(table["text"])
    columns = [table[name] for name in SCORES.names[:-1]] + [pa.array(scores)]
    work.write("scores", SCORES, [pa.table(columns, schema=SCORES)], name=f"{work.task.shard}.scores.parquet")
