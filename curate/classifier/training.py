"""Training the quality classifier: one model for each fold, which has not seen the fold's hosts, and one on everything.

A crawl that is small against the model is memorised: each of its unlabelled pages was a negative example, gets a score
near zero from a model that saw it, and nothing survives the keep rule. So every page is scored by a model that has
seen no page of its host. fastText runs on one thread in a fixed order from a fixed seed: same samples, same file.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.config import ClassifierConfig
from curate.classifier.examples import choose
from curate.classifier.kinds import KINDS, Kind
from curate.classifier.lines import NORMALISATION
from curate.classifier.samples import SAMPLES
from curate.classifier.scorers import POSITIVE, SCORERS, load_scorer
from manifests.errors import StageError
from manifests.tasks import Work

SCORES = pa.schema([
    *(SAMPLES.field(name) for name in ("doc_id", "label", "kind", "positive", "fold")),
    pa.field("score", pa.float32(), nullable=False,
             metadata={"comment": "probability of the positive class, by the model that has not seen the host"}),
    pa.field("excerpt", pa.large_string(), nullable=False,
             metadata={"comment": "the first 300 characters of the line"}),
])
CARD_VERSION = 2
_EXCERPT_CHARACTERS = 300


def classifier(config: ClassifierConfig, work: Work) -> None:
    """Stage classifier, one task a fold (`fold-0`, ...) and one on everything (`model`).

    Input `examples` (of classifier/examples). Variables: seed; fold: the fold left out, None for none. Outputs:
    `model` (.bin, of the recipe's kind), `card` (.json: what the model must be fed and what it saw) and, for a fold,
    `scores` (SCORES of the fold's samples, .scores.parquet). Counters: trained_<kind>, held_out_<kind>. Raises
    StageError, naming the sources, where either class has no example to train on. Memory: 3 x max_documents x
    max_bytes_per_document."""
    fold = work.variables["fold"]
    paths = work.inputs("examples")
    table, seen = choose(config, paths, fold, held_out=False)
    kinds = Counter(str(kind) for kind in table["kind"].to_pylist())
    _check(kinds, seen, fold)
    for kind in KINDS:
        work.count(f"trained_{kind}", kinds[str(kind)])
    model_path = work.output("model", suffix=".bin")
    SCORERS[config.kind].train(config, table, int(work.variables["seed"]), model_path)
    _write_card(config, kinds, fold, work.output("card", suffix=".json"))
    if fold is not None:
        _score_held_out(config, work, paths, int(fold), model_path)


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


def _write_card(config: ClassifierConfig, kinds: Counter[str], fold: int | None, path: str) -> None:
    """What a user of the model must know: how text is normalised, where it is cut, what the model learnt from."""
    card: dict[str, Any] = {
        "version": CARD_VERSION, "positive_label": POSITIVE, "normalisation": NORMALISATION,
        "max_bytes_per_document": config.max_bytes_per_document, "held_out_fold": fold,
        "examples": {str(kind): kinds[str(kind)] for kind in KINDS},
        "kind": config.kind, "settings": {name: getattr(config, name) for name in SCORERS[config.kind].settings}}
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(card, stream, indent=1, sort_keys=True)
        stream.write("\n")


def _score_held_out(config: ClassifierConfig, work: Work, paths: list[str], fold: int, model: str) -> None:
    table, _ = choose(config, paths, fold, held_out=True)
    for kind in KINDS:
        work.count(f"held_out_{kind}", table["kind"].to_pylist().count(str(kind)))
    scores = load_scorer(model).score(table["text"])
    excerpts = pc.utf8_slice_codeunits(table["text"], 0, _EXCERPT_CHARACTERS)
    columns = [table[name] for name in SCORES.names[:-2]] + [pa.array(scores), excerpts]
    work.write("scores", SCORES, [pa.table(columns, schema=SCORES)], name=f"{work.task.name}.scores.parquet")
