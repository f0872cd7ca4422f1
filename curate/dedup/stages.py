"""Deduplication in the stage graph: what each of its steps is made of.

A step that nothing asks for plans no task, and later steps do without its outputs; where nothing at all is asked for,
selection's decisions are the last ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import xxhash

from curate.dedup.layout import filter_of
from curate.dedup.shuffles import (
    from_shuffle,
    n_partitions,
    n_routes,
    n_search_partitions,
    slots,
    with_merges,
)
from curate.dedup.shuffles import recipe_of as _recipe
from curate.text.versions import UNICODE_VERSION
from manifests.errors import StageError
from manifests.graph import Stage, Task, View, documents_and, file_ref, partitions, source_ref
from manifests.part_paths import part_name
from manifests.tasks import InputRef

AGAINST_INPUT: Final = "dedup.against."
"""Fields of the recipe that name earlier runs: their indexes are inputs."""

Planned = Iterator[tuple[str, dict[str, InputRef]]]


def _every(view: View, stage: str, *roles: str) -> dict[str, InputRef]:
    """All files of roles of a stage, by role; nothing where the stage has no task."""
    return {role: view.every(stage, role) for role in roles} if view.tasks(stage) else {}


def _over_keys(view: View, inputs: dict[str, InputRef], **variables: Any) -> Iterator[Task]:
    """One task a partition of the documents' keys, which leaves facts for the parts."""
    n = n_partitions(view)
    yield from partitions(inputs, n, partitions=n, routes=slots(view, n), **variables)


def _selected(view: View) -> Planned:
    """Every part with selection's decisions; none where deduplication is not asked for."""
    if _recipe(view).is_on:
        yield from documents_and(view, "select", "decisions", "decisions")


def _earlier_parts(view: View) -> Iterator[tuple[str, int, InputRef]]:
    """(part, number of the run, index) of every part of the earlier runs."""
    for number in range(len(_recipe(view).against)):
        for file in view.files[f"{AGAINST_INPUT}{number}"]:
            yield f"{number}/{part_name(file.relative.removesuffix('.parquet'))}", number, source_ref([file])


def _against(view: View) -> Iterator[Task]:
    for part, number, index in _earlier_parts(view):
        yield Task(part, {"index": index}, {"run": number})


def _old_documents(view: View) -> dict[str, bool]:
    return {"old_documents": True} if view.tasks("dedup/against") else {}


def _ordering(view: View) -> dict[str, dict[str, Any]]:
    """Variables by part: what survivor order depends on beside the documents.

    first_position: rows before the part, by sources in order of trust and files as they are given."""
    rank = view.section("sources").rank()
    variables: dict[str, dict[str, Any]] = {r.task: {"source_rank": rank} for r in view.tasks("select")}
    if "position" in _recipe(view).survivor_order:
        n_rows = {r.task: r.output("documents").n_rows for r in view.tasks("extract")}
        first = 0
        for source in view.sources:
            for part in (f"{source.name}/{part}" for file in source.files for part in file.parts):
                if part in variables:
                    variables[part]["first_position"] = first
                first += n_rows.get(part, 0)
    return variables


def _url_keys(view: View) -> Iterator[Task]:
    variables = _ordering(view)
    for part, inputs in _selected(view) if _recipe(view).urls is not None else ():
        yield Task(part, inputs, variables[part])


def _urls(view: View) -> Iterator[Task]:
    if view.tasks("dedup/url_keys"):
        yield from _over_keys(view, from_shuffle(view, "dedup/url_keys", "url_keys"))


def _signatures(view: View) -> Iterator[Task]:
    variables, dropped = _ordering(view), from_shuffle(view, "dedup/urls", "dropped")
    for part, inputs in _selected(view):
        yield Task(part, {**inputs, **dropped}, variables[part])


def _exact(view: View) -> Iterator[Task]:
    if _recipe(view).exact and view.tasks("dedup/signatures"):
        yield from _over_keys(view, from_shuffle(view, "dedup/signatures", "text_hashes"))


def _bands(view: View) -> Iterator[Task]:
    dropped = from_shuffle(view, "dedup/exact", "dropped")
    signed = [r for r in view.tasks("dedup/signatures") if _is_of(_recipe(view).near_sources, r.task)]
    signed += view.tasks("dedup/against") if signed else []
    for record in signed if _recipe(view).near else ():
        yield Task(record.task, {"signatures": file_ref(record.output("signatures")), **dropped})


def _candidates(view: View) -> Iterator[Task]:
    if view.tasks("dedup/bands"):
        yield from _over_keys(view, from_shuffle(view, "dedup/bands", "bands"))


def _links(view: View) -> Iterator[Task]:
    if view.tasks("dedup/candidates"):
        n = 1 << (min(n_partitions(view), n_routes(view)).bit_length() - 1)  # so that each has as many routes
        yield from partitions(from_shuffle(view, "dedup/candidates", "buckets"), n, partitions=n,
                              routes=n_routes(view))


def _components(view: View) -> Iterator[Task]:
    if view.tasks("dedup/links"):
        yield Task("components", _every(view, "dedup/links", "links", "extents"), {"routes": n_routes(view)})


def _members(view: View) -> dict[str, InputRef]:
    """The one file of members; nothing where there is none."""
    there = view.tasks("dedup/components")
    return {"members": view.output("dedup/components", "components", "members")} if there else {}


def _shingles(view: View) -> Iterator[Task]:
    members = {**_members(view), **from_shuffle(view, "dedup/candidates", "buckets")}
    if not members:
        return
    for part, inputs in documents_and(view, "dedup/signatures", "signatures", "signatures"):
        yield Task(part, {**inputs, "decisions": view.output("select", part, "decisions"), **members},
                   {**_old_documents(view), **_large(view)})
    for part, _, index in _earlier_parts(view):
        signed = view.output("dedup/against", part, "signatures")
        yield Task(part, {"index": index, "signatures": signed, **members}, {**_old_documents(view), **_large(view)})


def _large(view: View) -> dict[str, bool]:
    """Whether there are components that several tasks compare."""
    return {"large": True} if view.counters("dedup/components").get("large_components") else {}


def _heads(view: View) -> Iterator[Task]:
    if view.tasks("dedup/shingles") and _large(view):
        yield from _over_keys(view, from_shuffle(view, "dedup/shingles", "sliced"))


def _pivots(view: View) -> Iterator[Task]:
    if view.tasks("dedup/heads"):
        yield from _over_keys(view, from_shuffle(view, "dedup/heads", "heads"), **_old_documents(view))


def _compared(view: View) -> Iterator[Task]:
    if view.tasks("dedup/pivots"):
        inputs = {**from_shuffle(view, "dedup/shingles", "sliced"), **from_shuffle(view, "dedup/pivots", "pivots")}
        yield from _over_keys(view, inputs, **_old_documents(view))


def _resolve(view: View) -> Iterator[Task]:
    if view.tasks("dedup/shingles"):
        inputs = {**from_shuffle(view, "dedup/shingles", "shingles"), **from_shuffle(view, "dedup/compared", "reduced")}
        yield from _over_keys(view, inputs, **_old_documents(view))


def _copies(view: View) -> Iterator[Task]:
    if view.tasks("dedup/exact"):
        inputs = {**from_shuffle(view, "dedup/exact", "copies"),
                  **from_shuffle(view, "dedup/resolve", "removals_by_id", "removals")}
        yield from _over_keys(view, inputs)


def _url_copies(view: View) -> Iterator[Task]:
    if view.tasks("dedup/urls"):
        inputs = {**from_shuffle(view, "dedup/urls", "copies"),
                  **from_shuffle(view, "dedup/resolve", "removals_by_id", "removals"),
                  **from_shuffle(view, "dedup/copies", "duplicates_by_id", "duplicates")}
        yield from _over_keys(view, inputs)


def _decisions(view: View) -> Iterator[Task]:
    inputs = {**from_shuffle(view, "dedup/resolve", "removals"), **from_shuffle(view, "dedup/copies", "duplicates"),
              **from_shuffle(view, "dedup/url_copies", "duplicates", "url_duplicates"),
              **_members(view)}
    for part, own in _selected(view):
        yield Task(part, {**own, **inputs})


def _summary(view: View) -> Iterator[Task]:
    if view.tasks("dedup/decisions"):
        yield Task("summary", _every(view, "dedup/decisions", "counts"))


def _kept(view: View) -> Planned:
    for part, inputs in _selected(view):
        yield part, {**inputs, "kept": view.output("dedup/decisions", part, "decisions")}


def _is_of(sources: tuple[str, ...] | None, part: str) -> bool:
    """Whether a part is of one of some sources; None is all of them."""
    return sources is None or part.split("/")[0] in sources


def _cut(view: View) -> Planned:
    """The parts of which passages may go."""
    return ((part, inputs) for part, inputs in _kept(view) if _is_of(_recipe(view).passage_sources, part))


def _passages(view: View) -> Iterator[Task]:
    variables = _ordering(view)
    for part, inputs in _cut(view) if _recipe(view).repeats else ():
        yield Task(part, inputs, variables[part])


def _removed_spans(view: View) -> Iterator[Task]:
    if view.tasks("dedup/passages"):
        yield from _over_keys(view, {**from_shuffle(view, "dedup/passages", "paragraphs"),
                                     **from_shuffle(view, "dedup/passages", "sentences")})


def _bloom(view: View) -> Iterator[Task]:
    rule = _recipe(view).bloom
    if rule is None:
        return
    rank, ordering = view.section("sources").rank(), _ordering(view)
    n_words = {r.task: r.counters.get("words_signed", 0) for r in view.tasks("dedup/signatures")}
    parts = sorted(_cut(view), key=lambda part: (
        ordering[part[0]].get("first_position", 0), rank[part[0].split("/")[0]], part[0]))
    earlier = from_shuffle(view, "dedup/removed_spans", "removed_spans")
    for number in range(rule.filters if parts else 0):
        own = [part for part in parts if filter_of(part[0], rule.filters) == number]
        inputs = {name: _together([refs[name] for _, refs in own]) for name in ("documents", "decisions", "kept")}
        yield Task(f"filter-{number:05d}", {**inputs, **earlier}, {
            "parts": [part for part, _ in own], "n_grams": sum(n_words[part] for part, _ in own),
            "routes": slots(view, rule.filters)})


def _together(files: Sequence[InputRef]) -> InputRef:
    """Files of several parts as one input, in their order."""
    digest = xxhash.xxh3_128_hexdigest("".join(f.digest for f in files).encode())
    return InputRef(tuple(path for f in files for path in f.paths), digest,
                    seals=tuple(seal for f in files for seal in f.seals))


def _passage_decisions(view: View) -> Iterator[Task]:
    spans = {**from_shuffle(view, "dedup/removed_spans", "removed_spans"),
             **from_shuffle(view, "dedup/removed_spans", "boilerplate"),
             **from_shuffle(view, "dedup/bloom", "removed_spans", "bloom_spans"),
             **from_shuffle(view, "dedup/bloom", "seen")}
    for part, inputs in _kept(view) if _recipe(view).passages else ():
        yield Task(part, {**inputs, **spans})


def _no_source_loses_too_much(view: View) -> None:
    """The guard of dedup/summary, for documents of which too little was left."""
    counters, config = view.counters("dedup/passage_decisions"), _recipe(view)
    for source in view.section("sources").rank():
        seen, kept = (counters.get(f"{name}_{source}", 0) for name in ("documents", "kept"))
        if seen >= config.guard_min_documents and seen - kept > config.max_removed_fraction * seen:
            raise StageError(
                f"lost {seen - kept} of {seen} documents to repeated passages, more than the "
                f"{config.max_removed_fraction:.0%} that max_removed_fraction allows", where=f"source {source}",
                hint="look at dedup/passage_decisions/boilerplate, lower min_left_bytes, or raise "
                     "max_removed_fraction")


def _searched(view: View) -> Planned:
    """Every part with what the search for repeated passages reads of it; none where it is off."""
    for part, inputs in _selected(view) if _recipe(view).substrings is not None else ():
        if view.tasks("dedup/passage_decisions"):  # they hold selection's edits in their own
            shortened = view.output("dedup/passage_decisions", part, "decisions")
            yield part, {**inputs, "select": shortened, "decisions": shortened}
        else:
            yield part, {"documents": inputs["documents"], "select": inputs["decisions"],
                         "decisions": view.output("dedup/decisions", part, "decisions")}


def _anchors(view: View) -> Iterator[Task]:
    for part, inputs in _searched(view):
        yield Task(part, inputs)


def _search_partitions(view: View, inputs: dict[str, InputRef]) -> Iterator[Task]:
    if inputs:
        n = n_search_partitions(view)
        yield from partitions(inputs, n, partitions=n, routes=slots(view, n))


def _repeated(view: View) -> Iterator[Task]:
    yield from _search_partitions(view, from_shuffle(view, "dedup/anchors", "anchors"))


def _contexts(view: View) -> Iterator[Task]:
    repeated = from_shuffle(view, "dedup/repeated", "repeated")
    for part, inputs in _searched(view):
        yield Task(part, {**inputs, "signatures": view.output("dedup/signatures", part, "signatures"),
                          **repeated})


def _repeats(view: View) -> Iterator[Task]:
    yield from _search_partitions(view, from_shuffle(view, "dedup/contexts", "contexts"))


def _substrings(view: View) -> Iterator[Task]:
    runs = from_shuffle(view, "dedup/repeats", "runs")
    for part, inputs in _searched(view):
        yield Task(part, {**inputs, **runs})


def last_decisions(view: View) -> str:
    """The stage whose decisions say which documents are left after deduplication, be it that of selection."""
    stages = ("dedup/substrings", "dedup/passage_decisions", "dedup/decisions")
    return next((stage for stage in stages if view.tasks(stage)), "select")


def _index(view: View) -> Iterator[Task]:
    if _recipe(view).documents().keep_index:
        tables = {name for name, source in view.section("sources").items() if source.kind == "table"}
        for part, inputs in documents_and(view, last_decisions(view), "decisions", "decisions"):
            own_ids = {"own_ids": True} if part.split("/")[0] in tables else {}
            yield Task(part, {**inputs, "signatures": view.output("dedup/signatures", part, "signatures")}, own_ids)


STAGES: tuple[Stage, ...] = with_merges((
    Stage("dedup/against", 4, "curate.dedup.index:against_stage", "dedup.documents", (), _against),
    Stage("dedup/url_keys", 3, "curate.dedup.urls:url_keys_stage", "dedup.documents", ("select",), _url_keys),
    Stage("dedup/urls", 4, "curate.dedup.urls:urls_stage", "dedup.documents", ("dedup/url_keys", "dedup/against"),
          _urls),
    Stage("dedup/signatures", 7, "curate.dedup.signing:signatures_stage", "dedup.documents",
          ("dedup/urls", "select"), _signatures, unicode=UNICODE_VERSION),
    Stage("dedup/exact", 5, "curate.dedup.exact:exact_stage", "dedup.documents", ("dedup/signatures",), _exact),
    Stage("dedup/bands", 5, "curate.dedup.search:bands_stage", "dedup.documents", ("dedup/exact",), _bands),
    Stage("dedup/candidates", 5, "curate.dedup.search:candidates_stage", "dedup.documents", ("dedup/bands",),
          _candidates),
    Stage("dedup/links", 1, "curate.dedup.components:links_stage", "dedup.documents", ("dedup/candidates",), _links),
    Stage("dedup/components", 6, "curate.dedup.components:components_stage", "dedup.documents", ("dedup/links",),
          _components),
    Stage("dedup/shingles", 7, "curate.dedup.verify:shingles_stage", "dedup.documents", ("dedup/components",),
          _shingles, unicode=UNICODE_VERSION),
    Stage("dedup/heads", 1, "curate.dedup.splitting:heads_stage", "dedup.documents", ("dedup/shingles",), _heads),
    Stage("dedup/pivots", 1, "curate.dedup.splitting:pivots_stage", "dedup.documents", ("dedup/heads",), _pivots),
    Stage("dedup/compared", 1, "curate.dedup.splitting:compared_stage", "dedup.documents", ("dedup/pivots",),
          _compared),
    Stage("dedup/resolve", 5, "curate.dedup.resolve:resolve_stage", "dedup.documents", ("dedup/compared",), _resolve),
    Stage("dedup/copies", 5, "curate.dedup.exact:copies_stage", "dedup.documents", ("dedup/resolve",), _copies),
    Stage("dedup/url_copies", 3, "curate.dedup.urls:url_copies_stage", "dedup.documents", ("dedup/copies",),
          _url_copies),
    Stage("dedup/decisions", 4, "curate.dedup.decisions:decisions_stage", "dedup.documents", ("dedup/url_copies",),
          _decisions),
    Stage("dedup/summary", 2, "curate.dedup.decisions:summary_stage", "dedup.documents", ("dedup/decisions",),
          _summary),
    Stage("dedup/passages", 2, "curate.dedup.passages.passages:passages_stage", "dedup.passages", ("dedup/summary",),
          _passages, unicode=UNICODE_VERSION),
    Stage("dedup/removed_spans", 2, "curate.dedup.passages.removed_spans:removed_spans_stage", "dedup.passages",
          ("dedup/passages",), _removed_spans),
    Stage("dedup/bloom", 3, "curate.dedup.passages.bloom:bloom_stage", "dedup.passage_decisions",
          ("dedup/removed_spans",), _bloom, unicode=UNICODE_VERSION),
    Stage("dedup/passage_decisions", 1, "curate.dedup.passages.decisions:passage_decisions_stage",
          "dedup.passage_decisions", ("dedup/bloom",), _passage_decisions, _no_source_loses_too_much),
    Stage("dedup/anchors", 2, "curate.dedup.substrings.substrings:anchors_stage", "dedup.substrings",
          ("dedup/passage_decisions",), _anchors),
    Stage("dedup/repeated", 2, "curate.dedup.substrings.substrings:repeated_stage", "dedup.substrings",
          ("dedup/anchors",), _repeated),
    Stage("dedup/contexts", 2, "curate.dedup.substrings.substrings:contexts_stage", "dedup.substrings",
          ("dedup/repeated",), _contexts),
    Stage("dedup/repeats", 2, "curate.dedup.substrings.substrings:repeats_stage", "dedup.substrings",
          ("dedup/contexts",), _repeats),
    Stage("dedup/substrings", 2, "curate.dedup.substrings.substring_decisions:substring_decisions_stage",
          "dedup.substrings", ("dedup/repeats",), _substrings),
    Stage("dedup/index", 3, "curate.dedup.index:index_stage", "dedup.documents", ("dedup/substrings",), _index),
))
"""From selection's decisions to deduplication's."""
