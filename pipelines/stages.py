"""Every stage of the pipeline, in order, and what feeds what. This is the map of the whole; nothing else knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curate.classifier.config import LinksConfig
from curate.classifier.examples import examples
from curate.classifier.labels import labels
from curate.classifier.links import link_index, links
from curate.classifier.metrics import metrics
from curate.classifier.samples import KINDS, halvings, samples
from curate.classifier.scores import scores
from curate.classifier.training import classifier
from curate.decontamination.marks import frequent_stage
from curate.decontamination.marks import marks_stage as decontamination_marks
from curate.decontamination.overlap import hits_stage, index_stage
from curate.decontamination.report import overlaps_stage, report_index_stage, report_stage
from curate.documents.stage import extract
from curate.heuristics.given import MODEL_INPUT, PIECES_INPUT, WORDS_INPUT, given_signals
from curate.language.download import lid_model_path
from curate.perplexity.buckets import cutoffs as perplexity_cutoffs
from curate.selection.clean import clean
from curate.selection.keep import cutoffs, keep_rules
from curate.selection.select import select
from manifests.errors import StageError
from manifests.storage import digest_file, is_local
from manifests.tasks import InputRef
from pipelines.dedup_stages import DEDUP_STAGES, last_marks
from pipelines.graph import Progress, Shard, Stage, documents_and, file_ref, source_ref
from pipelines.pack_stages import PACK_STAGES
from pipelines.recipe import TOXIC_INPUT, Recipe
from pipelines.tokenizer_stages import TOKENIZER_STAGES

MODEL_SHARD = "model"


def _extract(p: Progress) -> Iterator[Shard]:
    model: dict[str, InputRef] = {}
    if p.recipe.extract.identify_language:
        path = p.recipe.extract.language_model or str(lid_model_path())
        model["language_model"] = InputRef((path,), digest_file(path))
    for name, files in p.other_inputs.items():
        if name.startswith("extract."):
            model[name] = source_ref(files)
    for source in p.sources:
        recipe = p.recipe.sources[source.name]
        kind = recipe.commoncrawl.kind if recipe.commoncrawl else recipe.kind
        facts = {"source": source.name, "kind": kind, "filter_language": recipe.filter_language,
                 **({"languages": list(recipe.languages)} if recipe.languages is not None else {}),
                 "id_column": recipe.id_column, "text_column": recipe.text_column}
        http = {"http": p.recipe.http.model_dump(mode="json")}
        for file in source.files:
            inputs = {"source": source_ref([file]), **model, **p.removals()}
            if source.selection is not None:
                inputs["records"] = InputRef((source.selection,), file.digest)
            yield Shard(f"{source.name}/{file.part}", inputs, {**facts, "origin_path": file.relative},
                        {} if is_local(file.path) else http)


def _no_source_is_empty(p: Progress) -> None:
    for source in p.sources:
        mine = [r for r in p.shards("extract") if r.identity.shard.startswith(f"{source.name}/")]
        if not sum(o.n_rows for r in mine for o in r.outputs if o.role == "documents"):
            raise StageError("has no document", where=f"source {source.name!r}",
                             hint="see the exclusions under extract/, or take the source out of the recipe")


def _links(p: Progress) -> Iterator[Shard]:
    for file in p.other_inputs.get("links.files", ()):
        yield Shard(file.part, {"dump": source_ref([file])})


def _link_index(p: Progress) -> Iterator[Shard]:
    if p.shards("classifier/links"):
        yield Shard("links", {"links": p.whole("classifier/links", "links")})


def _labels(p: Progress) -> Iterator[Shard]:
    linked = {role: p.output("classifier/link_index", "links", role) for role in ("urls", "hosts")} \
        if p.records["classifier/link_index"] else {}
    for record in p.shards("extract"):
        shard = record.identity.shard
        source = shard.split("/")[0]
        derived = p.recipe.derived(source)
        yield Shard(shard, {"documents": file_ref(record.output("documents")), **linked}, {
            "seed": p.recipe.seed, "source": source, "curated": p.recipe.sources[source].curated,
            "derived": {"source": derived[0], "labels": list(derived[1].labels)} if derived else None})


def _samples(p: Progress) -> Iterator[Shard]:
    if p.recipe.classifier is None:
        return
    shares = _sample_shares(p, p.recipe.classifier.max_documents)
    for record in p.shards("classifier/labels"):
        shard = record.identity.shard
        curated = p.recipe.sources[shard.split("/")[0]].curated
        inputs = {"documents": p.output("extract", shard, "documents"), "labels": file_ref(record.output("labels"))}
        yield Shard(shard, inputs, {"seed": p.recipe.seed, "negative": not curated, "halvings": shares})


def _sample_shares(p: Progress, max_documents: int) -> dict[str, int]:
    """How often each kind's range of hashes is halved, from the counts of the whole corpus."""
    total = dict.fromkeys((str(kind) for kind in KINDS), 0)
    for record in p.shards("classifier/labels"):
        counters = record.counters
        linked = counters.get("label_url", 0) + counters.get("label_host", 0)
        total["linked"] += linked
        total["curated"] += counters.get("label_curated", 0)
        if not p.recipe.sources[record.identity.shard.split("/")[0]].curated:
            total["negative"] += counters.get("documents", 0) - linked
    return {name: halvings(n, max_documents) for name, n in total.items()}


def _examples(p: Progress) -> Iterator[Shard]:
    if p.recipe.classifier is not None:
        yield Shard("examples", {"samples": p.whole("classifier/samples", "samples")})


def _classifier(p: Progress) -> Iterator[Shard]:
    if p.recipe.classifier is None:
        return
    sample = p.output("classifier/examples", "examples", "examples")
    folds: list[int | None] = [*range(p.recipe.labels.folds), None]
    for fold in folds:
        name = MODEL_SHARD if fold is None else f"fold-{fold}"
        yield Shard(name, {"examples": sample}, {"seed": p.recipe.seed, "fold": fold})


def _metrics(p: Progress) -> Iterator[Shard]:
    if p.shards("classifier"):
        yield Shard("metrics", {"scores": p.whole("classifier", "scores"),
                                "model": p.output("classifier", MODEL_SHARD, "model")})


def _scores(p: Progress) -> Iterator[Shard]:
    models = {"models": p.whole("classifier", "model")} if p.shards("classifier") else {}
    for name in p.recipe.classifiers:
        models[f"classifier_{name}"] = source_ref(p.other_inputs[f"classifiers.{name}.path"])
    if not models:
        return
    for record in p.shards("classifier/labels"):
        shard = record.identity.shard
        yield Shard(shard, {"documents": p.output("extract", shard, "documents"),
                            "labels": file_ref(record.output("labels")), **models})


def _signals(p: Progress) -> Iterator[Shard]:
    given = {"perplexity.models.": MODEL_INPUT, "perplexity.pieces.": PIECES_INPUT,
             f"{TOXIC_INPUT}.": f"{WORDS_INPUT}_"}
    inputs = {name.replace(field, mine, 1): source_ref(files) for field, mine in given.items()
              for name, files in p.other_inputs.items() if name.startswith(field)}
    if listed := p.other_inputs.get(TOXIC_INPUT):
        inputs[WORDS_INPUT] = source_ref(listed)
    for record in p.shards("extract") if inputs else ():
        yield Shard(record.identity.shard, {"documents": file_ref(record.output("documents")), **inputs})


def _perplexity_cutoffs(p: Progress) -> Iterator[Shard]:
    if p.recipe.perplexity is not None:
        yield Shard("cutoffs", {"histograms": p.whole("signals", "histogram")}, {"sources": p.recipe.crawled()})


def _cutoffs(p: Progress) -> Iterator[Shard]:
    if p.shards("classifier/scores") and any(r.fraction_kept is not None for r in keep_rules(p.recipe.selection())):
        yield Shard("cutoffs", {"histograms": p.whole("classifier/scores", "histogram")})


def _select(p: Progress) -> Iterator[Shard]:
    cut = {"cutoffs": p.output("select/cutoffs", "cutoffs", "cutoffs")} if p.shards("select/cutoffs") else {}
    for record in p.shards("classifier/labels"):
        shard = record.identity.shard
        inputs = {"documents": p.output("extract", shard, "documents"), "labels": file_ref(record.output("labels"))}
        if p.shards("classifier/scores"):
            inputs["scores"] = p.output("classifier/scores", shard, "scores")
        if p.shards("signals"):
            inputs["signals"] = p.output("signals", shard, "signals")
        facts: dict[str, Any] = {"seed": p.recipe.seed, "words": str(p.recipe.extract.words)}
        if p.shards("signals/cutoffs"):
            inputs["perplexity_cutoffs"] = p.output("signals/cutoffs", "cutoffs", "cutoffs")
            facts["crawled"] = p.recipe.crawled()
        yield Shard(shard, {**inputs, **cut}, facts)


def _every_source_keeps_some(p: Progress) -> None:
    counters = p.counters("select")
    for source, weight in p.recipe.mixture.sources().items():
        seen, kept = counters.get(f"documents_{source}", 0), counters.get(f"kept_{source}", 0)
        if weight and not kept:
            cause = f"selection kept none of its {seen} documents" if seen else "no page matched its links"
            raise StageError(cause, where=f"source {source!r}",
                             hint="lower select.alpha, relax the rules, or give the source no weight in the mixture")


def _benchmark_index(p: Progress) -> Iterator[Shard]:
    files = [f for name, found in p.other_inputs.items() if name.startswith("decontaminate.") for f in found]
    if files:
        yield Shard("index", {"benchmarks": source_ref(files)})


def _hits(p: Progress) -> Iterator[Shard]:
    if not p.shards("decontaminate/index"):
        return
    index = p.output("decontaminate/index", "index", "grams")
    for shard, inputs in documents_and(p, last_marks(p), "marks", "marks"):
        yield Shard(shard, {**inputs, "index": index})


def _frequent(p: Progress) -> Iterator[Shard]:
    if p.shards("decontaminate/hits"):
        yield Shard("frequent", {"gram_counts": p.whole("decontaminate/hits", "gram_counts"),
                                 "index": p.output("decontaminate/index", "index", "grams")})


def _decontaminate(p: Progress) -> Iterator[Shard]:
    if not p.shards("decontaminate/hits"):
        return
    index = p.output("decontaminate/index", "index", "grams")
    frequent = p.output("decontaminate/frequent", "frequent", "frequent")
    for shard, inputs in documents_and(p, last_marks(p), "marks", "marks"):
        yield Shard(shard, {**inputs, "index": index, "frequent": frequent,
                            "hits": p.output("decontaminate/hits", shard, "hits")})


def _report_index(p: Progress) -> Iterator[Shard]:
    for shard in _benchmark_index(p):
        yield Shard("items", shard.inputs)


def _overlaps(p: Progress) -> Iterator[Shard]:
    if not p.shards("decontaminate/report_index"):
        return
    grams = p.output("decontaminate/report_index", "items", "grams")
    for shard, inputs in documents_and(p, "decontaminate", "marks", "marks"):
        yield Shard(shard, {**inputs, "grams": grams})


def _overlap_report(p: Progress) -> Iterator[Shard]:
    if p.shards("decontaminate/overlaps"):
        yield Shard("report", {"items": p.output("decontaminate/report_index", "items", "items"),
                               **{role: p.whole("decontaminate/overlaps", role) for role in ("matches", "counts")}})


def _clean(p: Progress) -> Iterator[Shard]:
    for shard, inputs in documents_and(p, "select", "marks", "select"):
        source, part = shard.split("/")
        inputs["dedup"] = p.output("dedup/marks", shard, "marks")
        if p.records["dedup/cuts"]:
            inputs["passages"] = p.output("dedup/cuts", shard, "marks")
        if p.records["dedup/substrings"]:
            inputs["substrings"] = p.output("dedup/substrings", shard, "marks")
        if p.records["decontaminate"]:
            inputs["decontaminate"] = p.output("decontaminate", shard, "marks")
        yield Shard(shard, {**inputs, **p.removals()}, {"sources": p.recipe.effective_sources(source), "part": part})


def _nothing(_: Recipe) -> None:
    return None


def _link_rules(recipe: Recipe) -> LinksConfig | None:
    return recipe.links.rules() if recipe.links else None


STAGES: tuple[Stage, ...] = (
    Stage("extract", 7, extract, (), lambda r: r.extract, _extract, _no_source_is_empty, reads_source=True),
    Stage("classifier/links", 1, links, (), _link_rules, _links, reads_source=True),
    Stage("classifier/link_index", 1, link_index, ("classifier/links",), _link_rules, _link_index),
    Stage("classifier/labels", 2, labels, ("extract", "classifier/link_index"), lambda r: r.labels, _labels),
    Stage("classifier/samples", 2, samples, ("classifier/labels",), lambda r: r.classifier, _samples),
    Stage("classifier/examples", 2, examples, ("classifier/samples",), lambda r: r.classifier, _examples),
    Stage("classifier", 2, classifier, ("classifier/examples",), lambda r: r.classifier, _classifier),
    Stage("classifier/metrics", 3, metrics, ("classifier",), lambda r: r.selection(), _metrics),
    Stage("classifier/scores", 2, scores, ("classifier", "classifier/labels"), lambda r: r.scoring(), _scores),
    Stage("signals", 1, given_signals, ("extract",), lambda r: r.perplexity and r.perplexity.reading(), _signals),
    Stage("signals/cutoffs", 1, perplexity_cutoffs, ("signals",), lambda r: r.perplexity and r.perplexity.cuts(),
          _perplexity_cutoffs),
    Stage("select/cutoffs", 1, cutoffs, ("classifier/scores",), lambda r: r.selection(), _cutoffs),
    Stage("select", 5, select, ("select/cutoffs", "signals/cutoffs", "classifier/labels"), lambda r: r.selection(),
          _select, _every_source_keeps_some),
    *DEDUP_STAGES,
    Stage("decontaminate/index", 1, index_stage, (), lambda r: r.decontaminate, _benchmark_index),
    Stage("decontaminate/hits", 1, hits_stage, ("decontaminate/index", "dedup/substrings"), lambda r: r.decontaminate,
          _hits),
    Stage("decontaminate/frequent", 1, frequent_stage, ("decontaminate/hits",), lambda r: r.decontaminate, _frequent),
    Stage("decontaminate", 2, decontamination_marks, ("decontaminate/frequent",), lambda r: r.decontaminate,
          _decontaminate),
    Stage("decontaminate/report_index", 1, report_index_stage, (), lambda r: r.decontaminate, _report_index),
    Stage("decontaminate/overlaps", 1, overlaps_stage, ("decontaminate", "decontaminate/report_index"),
          lambda r: r.decontaminate, _overlaps),
    Stage("decontaminate/report", 1, report_stage, ("decontaminate/overlaps",), lambda r: r.decontaminate,
          _overlap_report),
    Stage("clean", 3, clean, ("decontaminate",), _nothing, _clean),
    *TOKENIZER_STAGES,
    *PACK_STAGES,
)
"""In an order in which every stage comes after what it needs; a stage starts as soon as that is whole."""
