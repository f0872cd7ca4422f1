"""Training a tokenizer in the stage graph: a sample of the clean corpus, its pre-tokens counted, and the merges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from manifests.graph import Stage, Task, View, partitions, source_ref
from manifests.shuffle import Shuffle, merging, shuffled
from tokenizer.encoding.stages import UNICODE_VERSION, corpus_parts


def _sample(view: View) -> Iterator[Task]:
    if view.section("tokenizer").path is not None:
        return
    for part, source, documents in corpus_parts(view):
        yield Task(part, {"documents": documents}, {"source": source, "seed": view.seed})


def _cutoffs(view: View) -> Iterator[Task]:
    if view.section("tokenizer").path is not None:
        return
    fields = {"share", "total_tokens", "weights", "epochs", "tokens"}
    phases = [amounts.model_dump(mode="json", include=fields) for _, amounts in view.section("mixture").stages()]
    yield Task("cutoffs", {"histograms": view.every("tokenizer/sample", "histogram")},
                {"phases": phases} if view.section("tokenizer").sample == "mixture" else {})


def _counts(view: View) -> Iterator[Task]:
    if view.tasks("tokenizer/cutoffs"):
        cutoffs = view.output("tokenizer/cutoffs", "cutoffs", "cutoffs")
        for part, source, documents in corpus_parts(view):
            yield Task(part, {"documents": documents, "cutoffs": cutoffs}, {"source": source, "seed": view.seed})


def _n_partitions(view: View) -> int:
    n: int = view.section("tokenizer").word_partitions
    return n


_COUNTS: Final = Shuffle("counts", ("tokenizer/counts",), _n_partitions)


def _words(view: View) -> Iterator[Task]:
    counts = shuffled(view, "tokenizer/counts_merged", _COUNTS)
    if counts is not None:
        yield from partitions({"counts": counts}, _n_partitions(view))


def _tokenizer(view: View) -> Iterator[Task]:
    if given := view.files.get("tokenizer.path", ()):
        yield Task("tokenizer", {"existing": source_ref(given)})
    else:
        yield Task("tokenizer", {"words": view.every("tokenizer/words", "words"),
                                  "cutoffs": view.output("tokenizer/cutoffs", "cutoffs", "cutoffs")})


STAGES: tuple[Stage, ...] = (
    Stage("tokenizer/sample", 2, "tokenizer.bpe.sampling:sample_histogram", "tokenizer", ("clean",), _sample),
    Stage("tokenizer/cutoffs", 1, "tokenizer.bpe.sampling:sample_cutoffs", "tokenizer", ("tokenizer/sample",),
          _cutoffs),
    Stage("tokenizer/counts", 2, "tokenizer.bpe.counting:count_words", "tokenizer", ("tokenizer/cutoffs",), _counts,
          unicode=UNICODE_VERSION),
    merging("tokenizer/counts_merged", ("tokenizer/counts",), _COUNTS),
    Stage("tokenizer/words", 2, "tokenizer.bpe.counting:add_words", "tokenizer", ("tokenizer/counts_merged",), _words),
    Stage("tokenizer", 4, "tokenizer.bpe.train:train_tokenizer", "tokenizer", ("tokenizer/words",), _tokenizer),
)
"""From the clean corpus to tokenizer.json."""
