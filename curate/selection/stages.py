"""Selection in the stage graph: what the keep rules mean for this corpus, who stays, and the clean corpus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curate.text.versions import UNICODE_VERSION
from manifests.errors import StageError
from manifests.graph import Stage, Task, View, documents_and, file_ref


def _cutoffs(view: View) -> Iterator[Task]:
    if view.tasks("classifier/scores") and any(
            rule.fraction_kept is not None for rule in view.section("select").keep_rules()):
        yield Task("cutoffs", {"histograms": view.every("classifier/scores", "histogram")})


def _select(view: View) -> Iterator[Task]:
    cut = {"cutoffs": view.output("select/cutoffs", "cutoffs", "cutoffs")} if view.tasks("select/cutoffs") else {}
    labelled = bool(view.tasks("classifier/labels"))
    for record in view.tasks("extract"):
        part = record.identity.task
        inputs = {"documents": file_ref(record.output("documents"))}
        if labelled:
            inputs["labels"] = view.output("classifier/labels", part, "labels")
        if view.tasks("classifier/scores"):
            inputs["scores"] = view.output("classifier/scores", part, "scores")
        if view.tasks("signals"):
            inputs["signals"] = view.output("signals", part, "signals")
        facts: dict[str, Any] = {"seed": view.seed, "words": str(view.section("extract").words)}
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
            raise StageError(cause, where=f"source {source!r}",
                             hint="lower select.alpha, relax the rules, or give the source no weight in the mixture")


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
    Stage("clean", 3, "curate.selection.clean:clean", None, ("decontaminate",), _clean),
)
"""From the decisions of every stage to the clean corpus."""
