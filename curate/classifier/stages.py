"""The quality classifier in the stage graph: links, labels, a sample, folds, and the scores of every document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from curate.classifier.kinds import KINDS, halvings
from curate.text.versions import UNICODE_VERSION
from manifests.graph import Stage, Task, View, file_ref, files_under, source_ref


def plugin_field(name: str) -> str:
    """Field of a recipe with the parameters of a plug-in that scores; their files are inputs under names that begin
    so."""
    return f"classifiers.{name}.parameters"


MODEL: Final = "model"
"""The task of stage `classifier` that trains on every fold."""


def _links(view: View) -> Iterator[Task]:
    for file in view.files.get("links.files", ()):
        yield Task(file.part, {"dump": source_ref([file])})


def _link_index(view: View) -> Iterator[Task]:
    if view.tasks("classifier/links"):
        yield Task("links", {"links": view.every("classifier/links", "links")})


def _labels(view: View) -> Iterator[Task]:
    linked = {role: view.output("classifier/link_index", "links", role) for role in ("urls", "hosts")} \
        if view.tasks("classifier/link_index") else {}
    for record in view.tasks("extract"):
        part = record.task
        source = part.split("/")[0]
        derived = [{"source": name, "labels": list(config.labels), "page_types": list(config.page_types),
                    "min_page_type_score": config.min_page_type_score}
                   for name, config in view.section("sources").derived(source)]
        yield Task(part, {"documents": file_ref(record.output("documents")), **linked}, {
            "seed": view.seed, "source": source, "curated": view.section("sources")[source].curated,
            "derived": derived})


def _samples(view: View) -> Iterator[Task]:
    if view.section("classifier") is None:
        return
    shares = _sample_shares(view, view.section("classifier").max_documents)
    for record in view.tasks("classifier/labels"):
        part = record.task
        curated = view.section("sources")[part.split("/")[0]].curated
        inputs = {"documents": view.output("extract", part, "documents"), "labels": file_ref(record.output("labels"))}
        yield Task(part, inputs, {"seed": view.seed, "negative": not curated, "halvings": shares})


def _sample_shares(view: View, max_documents: int) -> dict[str, int]:
    """How often each kind's range of hashes is halved, from the counts of the whole corpus."""
    total = dict.fromkeys((str(kind) for kind in KINDS), 0)
    for record in view.tasks("classifier/labels"):
        counters = record.counters
        linked = counters.get("label_url", 0) + counters.get("label_host", 0)
        total["linked"] += linked
        total["curated"] += counters.get("label_curated", 0)
        if not view.section("sources")[record.task.split("/")[0]].curated:
            total["negative"] += counters.get("documents", 0) - linked
    return {name: halvings(n, max_documents) for name, n in total.items()}


def _examples(view: View) -> Iterator[Task]:
    if view.section("classifier") is not None:
        yield Task("examples", {"samples": view.every("classifier/samples", "samples")})


def _classifier(view: View) -> Iterator[Task]:
    if view.section("classifier") is None:
        return
    sample = view.output("classifier/examples", "examples", "examples")
    folds: list[int | None] = [*range(view.section("labels").folds), None]
    for fold in folds:
        name = MODEL if fold is None else f"fold-{fold}"
        yield Task(name, {"examples": sample}, {"seed": view.seed, "fold": fold})


def _metrics(view: View) -> Iterator[Task]:
    if view.tasks("classifier"):
        yield Task("metrics", {"scores": view.every("classifier", "scores"),
                                "model": view.output("classifier", MODEL, "model")})


def _scores(view: View) -> Iterator[Task]:
    models = {"models": view.every("classifier", "model")} if view.tasks("classifier") else {}
    for name, other in view.section("classifiers").items():
        if other.plugin is None:
            models[f"classifier_{name}"] = source_ref(view.files[f"classifiers.{name}.path"])
        models |= files_under(view.files, plugin_field(name))
    if not models and not view.section("classifiers"):
        return
    labelled = bool(view.tasks("classifier/labels"))
    for record in view.tasks("extract"):
        part = record.task
        labels = {"labels": view.output("classifier/labels", part, "labels")} if labelled else {}
        yield Task(part, {"documents": file_ref(record.output("documents")), **labels, **models})


STAGES: tuple[Stage, ...] = (
    Stage("classifier/links", 2, "curate.classifier.links:links", "links", (), _links, reads_source=True),
    Stage("classifier/link_index", 1, "curate.classifier.links:link_index", "links", ("classifier/links",),
          _link_index),
    Stage("classifier/labels", 2, "curate.classifier.labels:labels", "labels", ("extract", "classifier/link_index"),
          _labels),
    Stage("classifier/samples", 2, "curate.classifier.samples:samples", "classifier", ("classifier/labels",), _samples,
          unicode=UNICODE_VERSION),
    Stage("classifier/examples", 2, "curate.classifier.examples:examples", "classifier", ("classifier/samples",),
          _examples, unicode=UNICODE_VERSION),
    Stage("classifier", 3, "curate.classifier.training:classifier", "classifier", ("classifier/examples",),
          _classifier),
    Stage("classifier/metrics", 4, "curate.classifier.metrics:metrics", "select", ("classifier",), _metrics),
    Stage("classifier/scores", 3, "curate.classifier.scores:scores", "scores", ("classifier", "classifier/labels"),
          _scores, unicode=UNICODE_VERSION),
)
"""From links and documents to scores."""
