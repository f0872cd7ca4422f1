"""Deduplication in the stage graph: what each of its steps is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import xxhash

from curate.dedup.layout import filter_of
from manifests.errors import StageError
from manifests.graph import Stage, Task, View, documents_and, file_ref, part_of, partitions, source_ref
from manifests.tasks import InputRef

AGAINST_INPUT: Final = "dedup.against."
"""Fields of the recipe that name earlier runs: their indexes are inputs."""


def _old_parts(view: View) -> Iterator[tuple[str, int, InputRef]]:
    """(part, place among the runs, index) of every part of the earlier runs."""
    for number in range(len(view.section("dedup").against)):
        for file in view.files[f"{AGAINST_INPUT}{number}"]:
            yield f"{number}/{file.relative.removesuffix('.parquet')}", number, source_ref([file])


def _against(view: View) -> Iterator[Task]:
    for part, number, index in _old_parts(view):
        yield Task(part, {"index": index}, {"run": number})


def _old(view: View, role: str) -> dict[str, InputRef]:
    return {f"old_{role}": view.every("dedup/against", role)} if view.tasks("dedup/against") else {}


def _old_documents(view: View) -> dict[str, bool]:
    return {"old_documents": True} if view.tasks("dedup/against") else {}


def _url_keys(view: View) -> Iterator[Task]:
    if view.section("dedup").urls is not None:
        for part, inputs in documents_and(view, "select", "decisions", "decisions"):
            yield Task(part, inputs, {"source_rank": view.section("sources").rank()})


def _urls(view: View) -> Iterator[Task]:
    if view.section("dedup").urls is not None:
        inputs = {"url_keys": view.every("dedup/url_keys", "url_keys"), **_old(view, "url_keys")}
        yield from partitions(inputs, view.section("dedup").partitions)


def _signatures(view: View) -> Iterator[Task]:
    losers = {"losers": view.every("dedup/urls", "losers")} if view.tasks("dedup/urls") else {}
    for part, inputs in documents_and(view, "select", "decisions", "decisions"):
        yield Task(part, {**inputs, **losers}, {"source_rank": view.section("sources").rank()})


def _exact(view: View) -> Iterator[Task]:
    if view.section("dedup").exact:
        inputs = {"text_hashes": view.every("dedup/signatures", "text_hashes"), **_old(view, "text_hashes")}
        yield from partitions(inputs, view.section("dedup").partitions)


def _bands(view: View) -> Iterator[Task]:
    losers = view.every("dedup/exact", "losers")
    signed = [*view.tasks("dedup/signatures"), *view.tasks("dedup/against")]
    for record in signed if view.section("dedup").near else ():
        yield Task(record.identity.task, {"signatures": file_ref(record.output("signatures")), "losers": losers})


def _candidates(view: View) -> Iterator[Task]:
    yield from partitions({"bands": view.every("dedup/bands", "bands")}, view.section("dedup").partitions)


def _components(view: View) -> Iterator[Task]:
    yield Task("components", {role: view.every("dedup/candidates", role) for role in ("buckets", "extents")})


def _buckets(view: View) -> Iterator[Task]:
    homes = {part_of(o.path, "dedup/components/homes"): file_ref(o) for o in view.outputs("dedup/components", "homes")}
    for record in view.tasks("dedup/candidates"):
        part = record.identity.task
        yield Task(part, {"buckets": file_ref(record.output("buckets")), "homes": homes[part]})


def _shingles(view: View) -> Iterator[Task]:
    members = view.every("dedup/components", "members")
    for part, inputs in documents_and(view, "dedup/signatures", "signatures", "signatures"):
        yield Task(part, {**inputs, "decisions": view.output("select", part, "decisions"), "members": members},
                   _old_documents(view))
    for part, _, index in _old_parts(view):
        signed = view.output("dedup/against", part, "signatures")
        yield Task(part, {"index": index, "signatures": signed, "members": members}, _old_documents(view))


def _resolve(view: View) -> Iterator[Task]:
    inputs = {"buckets": view.every("dedup/buckets", "buckets"), "shingles": view.every("dedup/shingles", "shingles")}
    yield from partitions(inputs, view.section("dedup").partitions, **_old_documents(view))


def _url_copies(view: View) -> Iterator[Task]:
    if view.section("dedup").urls is not None:
        inputs = {"copies": view.every("dedup/urls", "copies"),
                  "removals": view.every("dedup/resolve", "removals_by_id"),
                  "drops": view.every("dedup/copies", "drops_by_id")}
        yield from partitions(inputs, view.section("dedup").partitions)


def _copies(view: View) -> Iterator[Task]:
    inputs = {"copies": view.every("dedup/exact", "copies"), "removals": view.every("dedup/resolve", "removals_by_id")}
    yield from partitions(inputs, view.section("dedup").partitions)


def _decisions(view: View) -> Iterator[Task]:
    whole = {"removals": view.every("dedup/resolve", "removals"), "drops": view.every("dedup/copies", "drops"),
             "members": view.every("dedup/components", "members")}
    if view.tasks("dedup/url_copies"):
        whole["url_drops"] = view.every("dedup/url_copies", "drops")
    for part, inputs in documents_and(view, "select", "decisions", "decisions"):
        yield Task(part, {**inputs, **whole})


def _summary(view: View) -> Iterator[Task]:
    yield Task("summary", {"counts": view.every("dedup/decisions", "counts")})


def _kept(view: View) -> Iterator[tuple[str, dict[str, InputRef]]]:
    for part, inputs in documents_and(view, "select", "decisions", "decisions"):
        yield part, {**inputs, "kept": view.output("dedup/decisions", part, "decisions")}


def _passages(view: View) -> Iterator[Task]:
    for part, inputs in _kept(view) if view.section("dedup").repeats else ():
        yield Task(part, inputs, {"source_rank": view.section("sources").rank()})


def _passage_cuts(view: View) -> Iterator[Task]:
    if view.tasks("dedup/passages"):
        inputs = {role: view.every("dedup/passages", role) for role in ("paragraphs", "sentences")
                  if getattr(view.section("dedup"), role) is not None}
        yield from partitions(inputs, view.section("dedup").partitions)


def _bloom(view: View) -> Iterator[Task]:
    if view.section("dedup").bloom is None:
        return
    rank, filters = view.section("sources").rank(), view.section("dedup").bloom.filters
    n_words = {r.identity.task: r.counters.get("words_signed", 0) for r in view.tasks("dedup/signatures")}
    parts = sorted(_kept(view), key=lambda part: (rank[part[0].split("/")[0]], part[0]))
    earlier = {"cuts": view.every("dedup/passage_cuts", "cuts")} if view.tasks("dedup/passage_cuts") else {}
    for number in range(filters):
        mine = [part for part in parts if filter_of(part[0], filters) == number]
        inputs = {name: _together([found[name] for _, found in mine]) for name in ("documents", "decisions", "kept")}
        yield Task(f"filter-{number:05d}", {**inputs, **earlier}, {
            "parts": [part for part, _ in mine], "n_grams": sum(n_words[part] for part, _ in mine)})


def _together(files: Sequence[InputRef]) -> InputRef:
    """Files of several shards as one input, in their order."""
    digest = xxhash.xxh3_128_hexdigest("".join(f.digest for f in files).encode())
    return InputRef(tuple(path for f in files for path in f.paths), digest)


def _both(view: View, stage: str, *roles: str) -> InputRef:
    """Files of several roles of a whole stage as one input."""
    found = [view.every(stage, role) for role in roles]
    return InputRef(found[0].paths, "".join(ref.digest for ref in found))


def _cuts(view: View) -> Iterator[Task]:
    whole = {}
    if view.tasks("dedup/passage_cuts"):
        whole["passages"] = _both(view, "dedup/passage_cuts", "cuts", "boilerplate")
    if view.tasks("dedup/bloom"):
        whole["bloom"] = _both(view, "dedup/bloom", "cuts", "seen")
    for part, inputs in _kept(view) if view.section("dedup").passages else ():
        yield Task(part, {**inputs, **whole})


def _no_source_loses_too_much(view: View) -> None:
    """The guard of dedup/summary, for documents of which too little was left."""
    counters, config = view.counters("dedup/cuts"), view.section("dedup")
    for source in view.section("sources").rank():
        seen, kept = (counters.get(f"{name}_{source}", 0) for name in ("documents", "kept"))
        if seen >= config.guard_min_documents and seen - kept > config.max_removed_fraction * seen:
            raise StageError(
                f"lost {seen - kept} of {seen} documents to repeated passages, more than the "
                f"{config.max_removed_fraction:.0%} that max_removed_fraction allows", where=f"source {source}",
                hint="look at dedup/cuts/boilerplate, lower min_left_bytes, or raise max_removed_fraction")


def _searched(view: View) -> Iterator[tuple[str, dict[str, InputRef]]]:
    """Every part with what the search for repeated passages reads of it; none where it is off."""
    if view.section("dedup").substrings is not None:
        for part, inputs in documents_and(view, "select", "decisions", "select"):
            if view.tasks("dedup/cuts"):  # they hold selection's edits in their own
                cut = view.output("dedup/cuts", part, "decisions")
                yield part, {**inputs, "select": cut, "decisions": cut}
            else:
                yield part, {**inputs, "decisions": view.output("dedup/decisions", part, "decisions")}


def _anchors(view: View) -> Iterator[Task]:
    for part, inputs in _searched(view):
        yield Task(part, inputs)


def _repeated(view: View) -> Iterator[Task]:
    if view.section("dedup").substrings is not None:
        yield from partitions({"anchors": view.every("dedup/anchors", "anchors")},
                               view.section("dedup").substrings.partitions)


def _contexts(view: View) -> Iterator[Task]:
    for part, inputs in _searched(view):
        yield Task(part, {**inputs, "signatures": view.output("dedup/signatures", part, "signatures"),
                            "repeated": view.every("dedup/repeated", "repeated")})


def _repeats(view: View) -> Iterator[Task]:
    if view.section("dedup").substrings is not None:
        yield from partitions({"contexts": view.every("dedup/contexts", "contexts")},
                               view.section("dedup").substrings.partitions)


def _substrings(view: View) -> Iterator[Task]:
    for part, inputs in _searched(view):
        yield Task(part, {**inputs, "runs": view.every("dedup/repeats", "runs")})


def last_decisions(view: View) -> str:
    """The stage whose decisions say which documents deduplication leaves."""
    made = (stage for stage in ("dedup/substrings", "dedup/cuts") if view.tasks(stage))
    return next(made, "dedup/decisions")


def _index(view: View) -> Iterator[Task]:
    if view.section("dedup").documents().keep_index:
        for part, inputs in documents_and(view, last_decisions(view), "decisions", "decisions"):
            yield Task(part, {**inputs, "signatures": view.output("dedup/signatures", part, "signatures")})


STAGES: tuple[Stage, ...] = (
    Stage("dedup/against", 3, "curate.dedup.index:against_stage", "dedup.documents", (), _against),
    Stage("dedup/url_keys", 2, "curate.dedup.urls:url_keys_stage", "dedup.documents", ("select",), _url_keys),
    Stage("dedup/urls", 2, "curate.dedup.urls:urls_stage", "dedup.documents", ("dedup/url_keys", "dedup/against"),
          _urls),
    Stage("dedup/signatures", 6, "curate.dedup.signing:signatures_stage", "dedup.documents", ("dedup/urls",),
          _signatures),
    Stage("dedup/exact", 3, "curate.dedup.exact:exact_stage", "dedup.documents", ("dedup/signatures",), _exact),
    Stage("dedup/bands", 3, "curate.dedup.search:bands_stage", "dedup.documents", ("dedup/exact",), _bands),
    Stage("dedup/candidates", 3, "curate.dedup.search:candidates_stage", "dedup.documents", ("dedup/bands",),
          _candidates),
    Stage("dedup/components", 3, "curate.dedup.components:components_stage", "dedup.documents", ("dedup/candidates",),
          _components),
    Stage("dedup/buckets", 2, "curate.dedup.components:buckets_stage", "dedup.documents", ("dedup/components",),
          _buckets),
    Stage("dedup/shingles", 5, "curate.dedup.verify:shingles_stage", "dedup.documents", ("dedup/components",),
          _shingles),
    Stage("dedup/resolve", 2, "curate.dedup.resolve:resolve_stage", "dedup.documents",
          ("dedup/buckets", "dedup/shingles"), _resolve),
    Stage("dedup/copies", 3, "curate.dedup.exact:copies_stage", "dedup.documents", ("dedup/resolve",), _copies),
    Stage("dedup/url_copies", 1, "curate.dedup.urls:url_copies_stage", "dedup.documents", ("dedup/copies",),
          _url_copies),
    Stage("dedup/decisions", 3, "curate.dedup.decisions:decisions_stage", "dedup.documents", ("dedup/url_copies",),
          _decisions),
    Stage("dedup/summary", 2, "curate.dedup.decisions:summary_stage", "dedup.documents", ("dedup/decisions",),
          _summary),
    Stage("dedup/passages", 1, "curate.dedup.passages.passages:passages_stage", "dedup.passages", ("dedup/summary",),
          _passages),
    Stage("dedup/passage_cuts", 1, "curate.dedup.passages.passage_cuts:passage_cuts_stage", "dedup.passages",
          ("dedup/passages",), _passage_cuts),
    Stage("dedup/bloom", 1, "curate.dedup.passages.bloom:bloom_stage", "dedup.cuts", ("dedup/passage_cuts",), _bloom),
    Stage("dedup/cuts", 1, "curate.dedup.passages.cuts:cuts_stage", "dedup.cuts", ("dedup/bloom",),
          _cuts, _no_source_loses_too_much),
    Stage("dedup/anchors", 1, "curate.dedup.substrings.substrings:anchors_stage", "dedup.substrings", ("dedup/cuts",),
          _anchors),
    Stage("dedup/repeated", 1, "curate.dedup.substrings.substrings:repeated_stage", "dedup.substrings",
          ("dedup/anchors",), _repeated),
    Stage("dedup/contexts", 1, "curate.dedup.substrings.substrings:contexts_stage", "dedup.substrings",
          ("dedup/repeated",), _contexts),
    Stage("dedup/repeats", 1, "curate.dedup.substrings.substrings:repeats_stage", "dedup.substrings",
          ("dedup/contexts",), _repeats),
    Stage("dedup/substrings", 1, "curate.dedup.substrings.substring_decisions:substring_decisions_stage",
          "dedup.substrings", ("dedup/repeats",), _substrings),
    Stage("dedup/index", 3, "curate.dedup.index:index_stage", "dedup.documents", ("dedup/substrings",), _index),
)
"""From selection's decisions to deduplication's."""
