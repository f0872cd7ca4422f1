"""Deduplication in the map of stages: what each of its steps is made of."""

from __future__ import annotations

from collections.abc import Iterator

from curate.dedup.exact import copies_stage, exact_stage
from curate.dedup.marks import marks_stage, summary_stage
from curate.dedup.search import bands_stage, candidates_stage, components_stage
from curate.dedup.signing import signatures_stage
from curate.dedup.urls import url_copies_stage, url_keys_stage, urls_stage
from curate.dedup.verify import resolve_stage, shingles_stage
from manifests.tasks import InputRef
from pipelines.graph import Progress, Shard, Stage, documents_and, file_ref


def _partitions(inputs: dict[str, InputRef], n: int) -> Iterator[Shard]:
    for partition in range(n):
        yield Shard(f"part-{partition:05d}", inputs, {"partition": partition})


def _url_keys(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.urls is not None:
        for shard, inputs in documents_and(p, "select", "marks", "marks"):
            yield Shard(shard, inputs, {"source_rank": p.recipe.source_rank()})


def _urls(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.urls is not None:
        yield from _partitions({"url_keys": p.whole("dedup/url_keys", "url_keys")}, p.recipe.dedup.partitions)


def _signatures(p: Progress) -> Iterator[Shard]:
    losers = {"losers": p.whole("dedup/urls", "losers")} if p.shards("dedup/urls") else {}
    for shard, inputs in documents_and(p, "select", "marks", "marks"):
        yield Shard(shard, {**inputs, **losers}, {"source_rank": p.recipe.source_rank()})


def _exact(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.exact:
        yield from _partitions({"text_hashes": p.whole("dedup/signatures", "text_hashes")}, p.recipe.dedup.partitions)


def _bands(p: Progress) -> Iterator[Shard]:
    losers = p.whole("dedup/exact", "losers")
    for record in p.shards("dedup/signatures") if p.recipe.dedup.near else ():
        yield Shard(record.identity.shard, {"signatures": file_ref(record.output("signatures")), "losers": losers})


def _candidates(p: Progress) -> Iterator[Shard]:
    yield from _partitions({"bands": p.whole("dedup/bands", "bands")}, p.recipe.dedup.partitions)


def _components(p: Progress) -> Iterator[Shard]:
    yield Shard("components", {"pairs": p.whole("dedup/candidates", "pairs")})


def _shingles(p: Progress) -> Iterator[Shard]:
    members = p.whole("dedup/components", "members")
    for shard, inputs in documents_and(p, "dedup/signatures", "signatures", "signatures"):
        yield Shard(shard, {**inputs, "members": members})


def _resolve(p: Progress) -> Iterator[Shard]:
    inputs = {"pairs": p.whole("dedup/components", "pairs"), "shingles": p.whole("dedup/shingles", "shingles")}
    yield from _partitions(inputs, p.recipe.dedup.partitions)


def _url_copies(p: Progress) -> Iterator[Shard]:
    if p.recipe.dedup.urls is not None:
        inputs = {"copies": p.whole("dedup/urls", "copies"), "removals": p.whole("dedup/resolve", "removals_by_id"),
                  "drops": p.whole("dedup/copies", "drops_by_id")}
        yield from _partitions(inputs, p.recipe.dedup.partitions)


def _copies(p: Progress) -> Iterator[Shard]:
    inputs = {"copies": p.whole("dedup/exact", "copies"), "removals": p.whole("dedup/resolve", "removals_by_id")}
    yield from _partitions(inputs, p.recipe.dedup.partitions)


def _marks(p: Progress) -> Iterator[Shard]:
    whole = {"removals": p.whole("dedup/resolve", "removals"), "drops": p.whole("dedup/copies", "drops")}
    if p.shards("dedup/url_copies"):
        whole["url_drops"] = p.whole("dedup/url_copies", "drops")
    for shard, inputs in documents_and(p, "select", "marks", "marks"):
        yield Shard(shard, {**inputs, **whole})


def _summary(p: Progress) -> Iterator[Shard]:
    yield Shard("summary", {"counts": p.whole("dedup/marks", "counts")})


DEDUP_STAGES: tuple[Stage, ...] = (
    Stage("dedup/url_keys", 1, url_keys_stage, ("select",), lambda r: r.dedup, _url_keys),
    Stage("dedup/urls", 1, urls_stage, ("dedup/url_keys",), lambda r: r.dedup, _urls),
    Stage("dedup/signatures", 2, signatures_stage, ("dedup/urls",), lambda r: r.dedup, _signatures),
    Stage("dedup/exact", 2, exact_stage, ("dedup/signatures",), lambda r: r.dedup, _exact),
    Stage("dedup/bands", 1, bands_stage, ("dedup/exact",), lambda r: r.dedup, _bands),
    Stage("dedup/candidates", 1, candidates_stage, ("dedup/bands",), lambda r: r.dedup, _candidates),
    Stage("dedup/components", 1, components_stage, ("dedup/candidates",), lambda r: r.dedup, _components),
    Stage("dedup/shingles", 2, shingles_stage, ("dedup/components",), lambda r: r.dedup, _shingles),
    Stage("dedup/resolve", 1, resolve_stage, ("dedup/shingles",), lambda r: r.dedup, _resolve),
    Stage("dedup/copies", 2, copies_stage, ("dedup/resolve",), lambda r: r.dedup, _copies),
    Stage("dedup/url_copies", 1, url_copies_stage, ("dedup/copies",), lambda r: r.dedup, _url_copies),
    Stage("dedup/marks", 2, marks_stage, ("dedup/url_copies",), lambda r: r.dedup, _marks),
    Stage("dedup/summary", 2, summary_stage, ("dedup/marks",), lambda r: r.dedup, _summary),
)
"""From selection's marks to deduplication's."""
