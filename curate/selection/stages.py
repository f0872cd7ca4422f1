"""Selection in the stage graph: what the keep rules mean for this corpus, who stays, and the clean corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from curate.heuristics.stages import SIGNAL, signal_task
from curate.text.versions import UNICODE_VERSION
from manifests.errors import StageError
from manifests.graph import Stage, Task, View, documents_and, file_ref, files_under

EDITS_INPUT: Final = "select.edits"
"""Field of a recipe; the files that edits need are inputs of the task under names that begin so."""
PLUGIN_SIGNAL: Final = "signal_"
"""What inputs with the signals of plug-ins are called, before the signal's name."""
_NAMED: Final = 3  # reasons that an error names


def _cutoffs(view: View) -> Iterator[Task]:
    if view.tasks("classifier/scores") and any(
            rule.fraction_kept is not None for rule in view.section("select").keep_rules()):
        yield Task("cutoffs", {"histograms": view.every("classifier/scores", "histogram")})


def _select(view: View) -> Iterator[Task]:
    cut = {"cutoffs": view.output("select/cutoffs", "cutoffs", "cutoffs")} if view.tasks("select/cutoffs") else {}
    labelled = bool(view.tasks("classifier/labels"))
    signals = {record.task: record for record in view.tasks("signals")}
    asked = sorted(view.section("select").signals() & set(view.section("signals")))
    edits = view.section("edits")
    fields = [f"{EDITS_INPUT}.{number}.parameters" for number in range(len(edits))]
    for record in view.tasks("extract"):
        part = record.task
        inputs = {"documents": file_ref(record.output("documents"))}
        if labelled:
            inputs["labels"] = view.output("classifier/labels", part, "labels")
        if view.tasks("classifier/scores"):
            inputs["scores"] = view.output("classifier/scores", part, "scores")
        if part in signals:
            inputs["signals"] = file_ref(signals[part].output("signals"))
        inputs |= {f"{PLUGIN_SIGNAL}{name}": view.output("signals", signal_task(name, part), SIGNAL) for name in asked}
        inputs |= {name: ref for field in fields for name, ref in files_under(view.files, field).items()}
        facts: dict[str, Any] = {"seed": view.seed, "words": str(view.section("extract").words)}
        if edits:
            facts["edits"] = [edit.facts() for edit in edits]
        if view.tasks("signals/cutoffs"):
            inputs["perplexity_cutoffs"] = view.output("signals/cutoffs", "cutoffs", "cutoffs")
            facts["crawled"] = view.section("sources").crawled()
        yield Task(part, {**inputs, **cut}, facts)


def _every_source_keeps_some(view: View) -> None:
    counters = view.counters("select")
    for source, weight in view.section("mixture").sources().items():
        seen, kept = counters.get(f"documents_{source}", 0), counters.get(f"kept_{source}", 0)
        if weight and not kept:
            cause = f"selection kept none of its {seen} documents" if seen else "no page matched its links"
            dropped = Counter({name.removeprefix("dropped_"): n for name, n in counters.items()
                               if seen and name.startswith("dropped_")})
            why = "".join(f"{reason} dropped {n:,}, " for reason, n in dropped.most_common(_NAMED)).rstrip(", ")
            raise StageError(cause, where=f"source {source!r}", hint=f"{why}{': ' if why else ''}relax select.rules, "
                             "lower select.alpha, or give the source no weight in the mixture")


def _clean(view: View) -> Iterator[Task]:
    decided = {"dedup": "dedup/decisions", "passages": "dedup/passage_decisions", "substrings": "dedup/substrings",
               "decontaminate": "decontaminate"}
    for task, inputs in documents_and(view, "select", "decisions", "select"):
        inputs |= {name: view.output(stage, task, "decisions") for name, stage in decided.items() if view.tasks(stage)}
        source, part = task.split("/")
        yield Task(task, {**inputs, **view.removals()},
                   {"sources": view.section("sources").names_of(source), "part": part})


SELECT: tuple[Stage, ...] = (
    Stage("select/cutoffs", 1, "curate.selection.keep:cutoffs", "select", ("classifier/scores",), _cutoffs),
    Stage("select", 6, "curate.selection.select:select", "select",
          ("select/cutoffs", "signals/cutoffs", "classifier/labels"), _select, _every_source_keeps_some,
          unicode=UNICODE_VERSION),
)
"""From scores and signals to decisions."""

CLEAN: tuple[Stage, ...] = (
    Stage("clean", 4, "curate.selection.clean:clean", None, ("decontaminate",), _clean),
)
"""From the decisions of every stage to the clean corpus."""
