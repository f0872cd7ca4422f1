"""External signals in the stage graph: those that need files which the recipe names, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from curate.text.versions import UNICODE_VERSION
from manifests.graph import Stage, Task, View, file_ref, files_under, source_ref

MODEL_INPUT: Final = "perplexity_"
PIECES_INPUT: Final = "pieces_"
WORDS_INPUT: Final = "toxic_words"
SIGNAL: Final = "signal"
"""Role of the output of a plug-in's signal; those of perplexity and listed words are `signals`."""
TOXIC_INPUT: Final = "select.toxic_words"
FOLDERS: Final = {"cutoffs", "histograms"}
"""Folders under signals/ that are no signal's."""


def signal_task(name: str, part: str) -> str:
    """The task of a plug-in's signal on a part."""
    return f"{name}/{part}"


def _signals(view: View) -> Iterator[Task]:
    yield from _from_files(view)
    for name, plugin in view.section("signals").items():
        facts = {"signal": name, "plugin": plugin.facts()}
        files = files_under(view.files, f"signals.{name}.parameters")
        for record in view.tasks("extract"):
            yield Task(signal_task(name, record.task),
                       {"documents": file_ref(record.output("documents")), **files}, facts)


def _from_files(view: View) -> Iterator[Task]:
    """Perplexity and listed words: all of a part in one task."""
    fields = {"perplexity.models.": MODEL_INPUT, "perplexity.pieces.": PIECES_INPUT,
              f"{TOXIC_INPUT}.": f"{WORDS_INPUT}_"}
    inputs = {name.replace(field, prefix, 1): source_ref(files) for field, prefix in fields.items()
              for name, files in view.files.items() if name.startswith(field)}
    if listed := view.files.get(TOXIC_INPUT):
        inputs[WORDS_INPUT] = source_ref(listed)
    reading = view.section("perplexity")
    facts = {"perplexity": reading.model_dump(mode="json")} if reading is not None else {}
    for record in view.tasks("extract") if inputs else ():
        yield Task(record.task, {"documents": file_ref(record.output("documents")), **inputs}, facts)


def _perplexity_cutoffs(view: View) -> Iterator[Task]:
    if view.section("perplexity") is not None:
        yield Task("cutoffs", {"histograms": view.every("signals", "histogram")},
                   {"sources": view.section("sources").crawled()})


STAGES: tuple[Stage, ...] = (
    # No section: a task names what it depends on, so that one signal's settings leave the others up to date.
    Stage("signals", 3, "curate.heuristics.external:external_signals", None, ("extract",), _signals,
          unicode=UNICODE_VERSION),
    Stage("signals/cutoffs", 1, "curate.perplexity.buckets:cutoffs", "perplexity.cutoffs", ("signals",),
          _perplexity_cutoffs),
)
"""From documents to signals beside those that extraction counts."""
