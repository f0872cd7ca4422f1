"""External signals in the stage graph: those that need files which the recipe names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from curate.text.versions import UNICODE_VERSION
from manifests.graph import Stage, Task, View, file_ref, source_ref

MODEL_INPUT: Final = "perplexity_"
PIECES_INPUT: Final = "pieces_"
WORDS_INPUT: Final = "toxic_words"
TOXIC_INPUT: Final = "select.toxic_words"


def _signals(view: View) -> Iterator[Task]:
    fields = {"perplexity.models.": MODEL_INPUT, "perplexity.pieces.": PIECES_INPUT,
              f"{TOXIC_INPUT}.": f"{WORDS_INPUT}_"}
    inputs = {name.replace(field, prefix, 1): source_ref(files) for field, prefix in fields.items()
              for name, files in view.files.items() if name.startswith(field)}
    if listed := view.files.get(TOXIC_INPUT):
        inputs[WORDS_INPUT] = source_ref(listed)
    for record in view.tasks("extract") if inputs else ():
        yield Task(record.identity.task, {"documents": file_ref(record.output("documents")), **inputs})


def _perplexity_cutoffs(view: View) -> Iterator[Task]:
    if view.section("perplexity") is not None:
        yield Task("cutoffs", {"histograms": view.every("signals", "histogram")},
                   {"sources": view.section("sources").crawled()})


STAGES: tuple[Stage, ...] = (
    Stage("signals", 2, "curate.heuristics.external:external_signals", "perplexity", ("extract",), _signals,
          unicode=UNICODE_VERSION),
    Stage("signals/cutoffs", 1, "curate.perplexity.buckets:cutoffs", "perplexity.cutoffs", ("signals",),
          _perplexity_cutoffs),
)
"""From documents to signals beside those that extraction counts."""
