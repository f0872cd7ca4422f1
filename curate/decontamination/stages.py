"""Decontamination in the stage graph: an index of the benchmarks, hits, decisions, and a report of overlaps."""

from __future__ import annotations

from collections.abc import Iterator

from curate.dedup.stages import last_decisions
from curate.text.versions import UNICODE_VERSION
from manifests.graph import Stage, Task, View, documents_and, source_ref


def _benchmark_index(view: View) -> Iterator[Task]:
    files = [f for name, found in view.files.items() if name.startswith("decontaminate.") for f in found]
    if files:
        yield Task("index", {"benchmarks": source_ref(files)})


def _hits(view: View) -> Iterator[Task]:
    if not view.tasks("decontaminate/index"):
        return
    index = view.output("decontaminate/index", "index", "grams")
    for part, inputs in documents_and(view, last_decisions(view), "decisions", "decisions"):
        yield Task(part, {**inputs, "index": index})


def _frequent(view: View) -> Iterator[Task]:
    if view.tasks("decontaminate/hits"):
        yield Task("frequent", {"gram_counts": view.every("decontaminate/hits", "gram_counts"),
                                 "index": view.output("decontaminate/index", "index", "grams")})


def _decontaminate(view: View) -> Iterator[Task]:
    if not view.tasks("decontaminate/hits"):
        return
    index = view.output("decontaminate/index", "index", "grams")
    frequent = view.output("decontaminate/frequent", "frequent", "frequent")
    for part, inputs in documents_and(view, last_decisions(view), "decisions", "decisions"):
        yield Task(part, {**inputs, "index": index, "frequent": frequent,
                            "hits": view.output("decontaminate/hits", part, "hits")})


def _report_index(view: View) -> Iterator[Task]:
    for part in _benchmark_index(view):
        yield Task("items", part.inputs)


def _overlaps(view: View) -> Iterator[Task]:
    if not view.tasks("decontaminate/report_index"):
        return
    grams = view.output("decontaminate/report_index", "items", "grams")
    for part, inputs in documents_and(view, "decontaminate", "decisions", "decisions"):
        yield Task(part, {**inputs, "grams": grams})


def _overlap_report(view: View) -> Iterator[Task]:
    if view.tasks("decontaminate/overlaps"):
        yield Task("report", {"items": view.output("decontaminate/report_index", "items", "items"),
                               **{role: view.every("decontaminate/overlaps", role) for role in ("matches", "counts")}})


STAGES: tuple[Stage, ...] = (
    Stage("decontaminate/index", 2, "curate.decontamination.overlap:index_stage", "decontaminate", (),
          _benchmark_index, unicode=UNICODE_VERSION),
    Stage("decontaminate/hits", 2, "curate.decontamination.overlap:hits_stage", "decontaminate",
          ("decontaminate/index", "dedup/substrings"), _hits, unicode=UNICODE_VERSION),
    Stage("decontaminate/frequent", 1, "curate.decontamination.decisions:frequent_stage", "decontaminate",
          ("decontaminate/hits",), _frequent),
    Stage("decontaminate", 3, "curate.decontamination.decisions:decisions_stage", "decontaminate",
          ("decontaminate/frequent",), _decontaminate),
    Stage("decontaminate/report_index", 2, "curate.decontamination.report:report_index_stage", "decontaminate", (),
          _report_index, unicode=UNICODE_VERSION),
    Stage("decontaminate/overlaps", 2, "curate.decontamination.report:overlaps_stage", "decontaminate",
          ("decontaminate", "decontaminate/report_index"), _overlaps, unicode=UNICODE_VERSION),
    Stage("decontaminate/report", 2, "curate.decontamination.report:report_stage", "decontaminate",
          ("decontaminate/overlaps",), _overlap_report),
)
"""From benchmarks and what deduplication leaves to decisions."""
