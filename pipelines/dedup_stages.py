"""Deduplication in the map of stages: what each of its steps is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import xxhash

from curate.dedup.components import buckets_stage, components_stage
from curate.dedup.config import DedupConfig
from curate.dedup.exact import copies_stage, exact_stage
from curate.dedup.index import against_stage, index_stage
from curate.dedup.marks import marks_stage, summary_stage
from curate.dedup.passages.bloom import bloom_stage, filter_of
from curate.dedup.passages.cuts import cuts_stage
from curate.dedup.passages.passage_cuts import passage_cuts_stage
from curate.dedup.passages.passages import passages_stage
from curate.dedup.resolve import resolve_stage
from curate.dedup.search import bands_stage, candidates_stage
from curate.dedup.signing import signatures_stage
from curate.dedup.substrings.substring_config import SubstringConfig
from curate.dedup.substrings.substring_marks import substring_marks_stage
from curate.dedup.substrings.substrings import anchors_stage, contexts_stage, repeated_stage, repeats_stage
from curate.dedup.urls import url_copies_stage, url_keys_stage, urls_stage
from curate.dedup.verify import shingles_stage
from manifests.errors import StageError
from manifests.tasks import InputRef
from pipelines.earlier import PREFIX
from pipelines.graph import Progress, Shard, Stage, documents_and, file_ref, part_of, source_ref
from pipelines.recipe import Recipe


def _of_documents(recipe: Recipe) -> DedupConfig:
    return recipe.dedup.documents()


def _of_substrings(recipe: Recipe) -> SubstringConfig | None:
    return recipe.dedup.substrings


def _partitions(inputs: dict[str, InputRef], n: int, **variables: Any) -> Iterator[Shard]:
    for partition in range(n):
        yield Shard(f"part-{partition:05d}", inputs, {"partition": partition, **variables})


def _old_parts(p: Progress) -> Iterator[tuple[str, int, InputRef]]:
    """(shard, place among the runs, index) of every part of the earlier runs."""
    for number in range(len(p.recipe.dedup.against)):
        for file in p.other_inputs[f"{PREFIX}{number}"]:
            yield f"{number}/{file.relative.removesuffix('.parquet')}", number, source_ref([file])


def _against(p: Progress) -> Iterator[Shard]:
    for shard, number, index in _old_parts(p):
        yield Shard(shard, {"index": index}, {"run": number})


def _old(p: Progress, role: str) -> dict[str, InputRef]:
    return {f"old_{role}": p.whole("dedup/against", role)} if p.shards("dedup/against") else {}


def _old_documents(p: Progress) -> dict[str, bool]:
    return {"old_documents": True} if p.shards("dedup/against") else {}


def _url_keys(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.urls is not None:
        for shard, inputs in documents_and(p, "select", "marks", "marks"):
            yield Shard(shard, inputs, {"source_rank": p.recipe.source_rank()})


def _urls(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.urls is not None:
        inputs = {"url_keys": p.whole("dedup/url_keys", "url_keys"), **_old(p, "url_keys")}
        yield from _partitions(inputs, p.recipe.dedup.partitions)


def _signatures(p: Progress) -> Iterator[Shard]:
    losers = {"losers": p.whole("dedup/urls", "losers")} if p.shards("dedup/urls") else {}
    for shard, inputs in documents_and(p, "select", "marks", "marks"):
        yield Shard(shard, {**inputs, **losers}, {"source_rank": p.recipe.source_rank()})


def _exact(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.exact:
        inputs = {"text_hashes": p.whole("dedup/signatures", "text_hashes"), **_old(p, "text_hashes")}
        yield from _partitions(inputs, p.recipe.dedup.partitions)


def _bands(p: Progress) -> Iterator[Shard]:
    losers = p.whole("dedup/exact", "losers")
    signed = [*p.shards("dedup/signatures"), *p.shards("dedup/against")]
    for record in signed if p.recipe.dedup.near else ():
        yield Shard(record.identity.shard, {"signatures": file_ref(record.output("signatures")), "losers": losers})


def _candidates(p: Progress) -> Iterator[Shard]:
    yield from _partitions({"bands": p.whole("dedup/bands", "bands")}, p.recipe.dedup.partitions)


def _components(p: Progress) -> Iterator[Shard]:
    yield Shard("components", {role: p.whole("dedup/candidates", role) for role in ("buckets", "extents")})


def _buckets(p: Progress) -> Iterator[Shard]:
    homes = {part_of(o.path, "dedup/components/homes"): file_ref(o) for o in p.outputs("dedup/components", "homes")}
    for record in p.shards("dedup/candidates"):
        shard = record.identity.shard
        yield Shard(shard, {"buckets": file_ref(record.output("buckets")), "homes": homes[shard]})


def _shingles(p: Progress) -> Iterator[Shard]:
    members = p.whole("dedup/components", "members")
    for shard, inputs in documents_and(p, "dedup/signatures", "signatures", "signatures"):
        yield Shard(shard, {**inputs, "marks": p.output("select", shard, "marks"), "members": members},
                    _old_documents(p))
    for shard, _, index in _old_parts(p):
        signed = p.output("dedup/against", shard, "signatures")
        yield Shard(shard, {"index": index, "signatures": signed, "members": members}, _old_documents(p))


def _resolve(p: Progress) -> Iterator[Shard]:
    inputs = {"buckets": p.whole("dedup/buckets", "buckets"), "shingles": p.whole("dedup/shingles", "shingles")}
    yield from _partitions(inputs, p.recipe.dedup.partitions, **_old_documents(p))


def _url_copies(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.urls is not None:
        inputs = {"copies": p.whole("dedup/urls", "copies"), "removals": p.whole("dedup/resolve", "removals_by_id"),
                  "drops": p.whole("dedup/copies", "drops_by_id")}
        yield from _partitions(inputs, p.recipe.dedup.partitions)


def _copies(p: Progress) -> Iterator[Shard]:
    inputs = {"copies": p.whole("dedup/exact", "copies"), "removals": p.whole("dedup/resolve", "removals_by_id")}
    yield from _partitions(inputs, p.recipe.dedup.partitions)


def _marks(p: Progress) -> Iterator[Shard]:
    whole = {"removals": p.whole("dedup/resolve", "removals"), "drops": p.whole("dedup/copies", "drops"),
             "members": p.whole("dedup/components", "members")}
    if p.shards("dedup/url_copies"):
        whole["url_drops"] = p.whole("dedup/url_copies", "drops")
    for shard, inputs in documents_and(p, "select", "marks", "marks"):
        yield Shard(shard, {**inputs, **whole})


def _summary(p: Progress) -> Iterator[Shard]:
    yield Shard("summary", {"counts": p.whole("dedup/marks", "counts")})


def _kept(p: Progress) -> Iterator[tuple[str, dict[str, InputRef]]]:
    for shard, inputs in documents_and(p, "select", "marks", "marks"):
        yield shard, {**inputs, "kept": p.output("dedup/marks", shard, "marks")}


def _passages(p: Progress) -> Iterator[Shard]:
    for shard, inputs in _kept(p) if p.recipe.dedup.repeats else ():
        yield Shard(shard, inputs, {"source_rank": p.recipe.source_rank()})


def _passage_cuts(p: Progress) -> Iterator[Shard]:
    if p.shards("dedup/passages"):
        inputs = {role: p.whole("dedup/passages", role) for role in ("paragraphs", "sentences")
                  if getattr(p.recipe.dedup, role) is not None}
        yield from _partitions(inputs, p.recipe.dedup.partitions)


def _bloom(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.bloom is None:
        return
    rank, filters = p.recipe.source_rank(), p.recipe.dedup.bloom.filters
    n_words = {r.identity.shard: r.counters.get("words_signed", 0) for r in p.shards("dedup/signatures")}
    parts = sorted(_kept(p), key=lambda part: (rank[part[0].split("/")[0]], part[0]))
    earlier = {"cuts": p.whole("dedup/passage_cuts", "cuts")} if p.shards("dedup/passage_cuts") else {}
    for number in range(filters):
        mine = [part for part in parts if filter_of(part[0], filters) == number]
        inputs = {name: _together([found[name] for _, found in mine]) for name in ("documents", "marks", "kept")}
        yield Shard(f"filter-{number:05d}", {**inputs, **earlier}, {
            "parts": [shard for shard, _ in mine], "n_grams": sum(n_words[shard] for shard, _ in mine)})


def _together(files: Sequence[InputRef]) -> InputRef:
    """Files of several shards as one input, in their order."""
    digest = xxhash.xxh3_128_hexdigest("".join(f.digest for f in files).encode())
    return InputRef(tuple(path for f in files for path in f.paths), digest)


def _both(p: Progress, stage: str, *roles: str) -> InputRef:
    """Files of several roles of a whole stage as one input."""
    found = [p.whole(stage, role) for role in roles]
    return InputRef(found[0].paths, "".join(ref.digest for ref in found))


def _cuts(p: Progress) -> Iterator[Shard]:
    whole = {}
    if p.shards("dedup/passage_cuts"):
        whole["passages"] = _both(p, "dedup/passage_cuts", "cuts", "boilerplate")
    if p.shards("dedup/bloom"):
        whole["bloom"] = _both(p, "dedup/bloom", "cuts", "seen")
    for shard, inputs in _kept(p) if p.recipe.dedup.passages else ():
        yield Shard(shard, {**inputs, **whole})


def _no_source_loses_too_much(p: Progress) -> None:
    """The guard of dedup/summary, for documents of which too little was left."""
    counters, config = p.counters("dedup/cuts"), p.recipe.dedup
    for source in p.recipe.source_rank():
        seen, kept = (counters.get(f"{name}_{source}", 0) for name in ("documents", "kept"))
        if seen >= config.guard_min_documents and seen - kept > config.max_removed_fraction * seen:
            raise StageError(
                f"lost {seen - kept} of {seen} documents to repeated passages, more than the "
                f"{config.max_removed_fraction:.0%} that max_removed_fraction allows", where=f"source {source}",
                hint="look at dedup/cuts/boilerplate, lower min_left_bytes, or raise max_removed_fraction")


def _searched(p: Progress) -> Iterator[tuple[str, dict[str, InputRef]]]:
    """Every part with what the search for repeated passages reads of it; none where it is off."""
    if p.recipe.dedup.substrings is not None:
        for shard, inputs in documents_and(p, "select", "marks", "select"):
            if p.shards("dedup/cuts"):  # they hold selection's edits in their own
                cut = p.output("dedup/cuts", shard, "marks")
                yield shard, {**inputs, "select": cut, "marks": cut}
            else:
                yield shard, {**inputs, "marks": p.output("dedup/marks", shard, "marks")}


def _anchors(p: Progress) -> Iterator[Shard]:
    for shard, inputs in _searched(p):
        yield Shard(shard, inputs)


def _repeated(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.substrings is not None:
        yield from _partitions({"anchors": p.whole("dedup/anchors", "anchors")},
                               p.recipe.dedup.substrings.partitions)


def _contexts(p: Progress) -> Iterator[Shard]:
    for shard, inputs in _searched(p):
        yield Shard(shard, {**inputs, "signatures": p.output("dedup/signatures", shard, "signatures"),
                            "repeated": p.whole("dedup/repeated", "repeated")})


def _repeats(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.substrings is not None:
        yield from _partitions({"contexts": p.whole("dedup/contexts", "contexts")},
                               p.recipe.dedup.substrings.partitions)


def _substrings(p: Progress) -> Iterator[Shard]:
    for shard, inputs in _searched(p):
        yield Shard(shard, {**inputs, "runs": p.whole("dedup/repeats", "runs")})


def last_marks(p: Progress) -> str:
    """The stage whose marks say which documents deduplication leaves."""
    made = (stage for stage in ("dedup/substrings", "dedup/cuts") if p.records.get(stage))
    return next(made, "dedup/marks")


def _index(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.documents().keep_index:
        for shard, inputs in documents_and(p, last_marks(p), "marks", "marks"):
            yield Shard(shard, {**inputs, "signatures": p.output("dedup/signatures", shard, "signatures")})


DEDUP_STAGES: tuple[Stage, ...] = (
    Stage("dedup/against", 3, against_stage, (), _of_documents, _against),
    Stage("dedup/url_keys", 2, url_keys_stage, ("select",), _of_documents, _url_keys),
    Stage("dedup/urls", 2, urls_stage, ("dedup/url_keys", "dedup/against"), _of_documents, _urls),
    Stage("dedup/signatures", 6, signatures_stage, ("dedup/urls",), _of_documents, _signatures),
    Stage("dedup/exact", 3, exact_stage, ("dedup/signatures",), _of_documents, _exact),
    Stage("dedup/bands", 3, bands_stage, ("dedup/exact",), _of_documents, _bands),
    Stage("dedup/candidates", 3, candidates_stage, ("dedup/bands",), _of_documents, _candidates),
    Stage("dedup/components", 3, components_stage, ("dedup/candidates",), _of_documents, _components),
    Stage("dedup/buckets", 2, buckets_stage, ("dedup/components",), _of_documents, _buckets),
    Stage("dedup/shingles", 5, shingles_stage, ("dedup/components",), _of_documents, _shingles),
    Stage("dedup/resolve", 2, resolve_stage, ("dedup/buckets", "dedup/shingles"), _of_documents, _resolve),
    Stage("dedup/copies", 3, copies_stage, ("dedup/resolve",), _of_documents, _copies),
    Stage("dedup/url_copies", 1, url_copies_stage, ("dedup/copies",), _of_documents, _url_copies),
    Stage("dedup/marks", 3, marks_stage, ("dedup/url_copies",), _of_documents, _marks),
    Stage("dedup/summary", 2, summary_stage, ("dedup/marks",), _of_documents, _summary),
    Stage("dedup/passages", 1, passages_stage, ("dedup/summary",), lambda r: r.dedup.shuffled(), _passages),
    Stage("dedup/passage_cuts", 1, passage_cuts_stage, ("dedup/passages",), lambda r: r.dedup.shuffled(),
          _passage_cuts),
    Stage("dedup/bloom", 1, bloom_stage, ("dedup/passage_cuts",), lambda r: r.dedup.cutting(), _bloom),
    Stage("dedup/cuts", 1, cuts_stage, ("dedup/bloom",), lambda r: r.dedup.cutting(), _cuts,
          _no_source_loses_too_much),
    Stage("dedup/anchors", 1, anchors_stage, ("dedup/cuts",), _of_substrings, _anchors),
    Stage("dedup/repeated", 1, repeated_stage, ("dedup/anchors",), _of_substrings, _repeated),
    Stage("dedup/contexts", 1, contexts_stage, ("dedup/repeated",), _of_substrings, _contexts),
    Stage("dedup/repeats", 1, repeats_stage, ("dedup/contexts",), _of_substrings, _repeats),
    Stage("dedup/substrings", 1, substring_marks_stage, ("dedup/repeats",), _of_substrings, _substrings),
    Stage("dedup/index", 3, index_stage, ("dedup/substrings",), _of_documents, _index),
)
"""From selection's marks to deduplication's."""
