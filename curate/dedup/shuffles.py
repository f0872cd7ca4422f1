"""The shuffles of deduplication: which stage writes which partitioned files, and how many partitions read them.

They go over all documents by a key (of a text, band, URL, component, id or passage), or back to the parts that the
documents are of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from manifests.graph import Stage, View
from manifests.shuffle import Shuffle, automatic_partitions, merging, routes, shuffled, slots_of_routes
from manifests.tasks import InputRef

if TYPE_CHECKING:
    from curate.dedup.config import DedupRecipe


def recipe_of(view: View) -> DedupRecipe:
    """What the recipe says of deduplication."""
    recipe: DedupRecipe = view.section("dedup")
    return recipe


def n_parts(view: View) -> int:
    """Parts whose documents take part, those of earlier runs included."""
    return len(view.tasks("select")) + len(view.tasks("dedup/against"))


def n_partitions(view: View) -> int:
    """Partitions of the steps over all documents."""
    return _partitions(view, recipe_of(view).partitions)


def n_search_partitions(view: View) -> int:
    """Partitions of the search for repeated substrings."""
    rule = recipe_of(view).substrings
    return _partitions(view, rule.partitions) if rule is not None else 1


def _partitions(view: View, wanted: int | str) -> int:
    if not isinstance(wanted, str):
        return wanted
    roles = (("select", "decisions"), ("dedup/against", "signatures"))
    n_rows = sum(view.records(stage).n_rows(role) for stage, role in roles)
    return automatic_partitions(n_parts(view), n_rows)


def n_routes(view: View) -> int:
    """Partitions of what travels back to the parts."""
    return routes(n_parts(view))


def slots(view: View, n_tasks: int) -> int:
    """Partitions of what each of n tasks writes for the parts."""
    return slots_of_routes(n_tasks, n_parts(view))


def _keyed(role: str, *stages: str) -> Shuffle:
    return Shuffle(role, stages, n_partitions)


def _searched(role: str, stage: str) -> Shuffle:
    return Shuffle(role, (stage,), n_search_partitions)


def _routed(role: str, stage: str) -> Shuffle:
    return Shuffle(role, (stage,), n_routes, routed=True)


SHUFFLES: Final[dict[str, tuple[Shuffle, ...]]] = {
    "dedup/url_keys": (_keyed("url_keys", "dedup/url_keys", "dedup/against"),),
    "dedup/urls": (_routed("dropped", "dedup/urls"), _keyed("copies", "dedup/urls")),
    "dedup/signatures": (_keyed("text_hashes", "dedup/signatures", "dedup/against"),),
    "dedup/exact": (_routed("dropped", "dedup/exact"), _keyed("copies", "dedup/exact")),
    "dedup/bands": (_keyed("bands", "dedup/bands"),),
    "dedup/candidates": (_routed("buckets", "dedup/candidates"),),
    "dedup/shingles": (_keyed("shingles", "dedup/shingles"), _keyed("sliced", "dedup/shingles")),
    "dedup/heads": (_keyed("heads", "dedup/heads"),),
    "dedup/pivots": (_keyed("pivots", "dedup/pivots"),),
    "dedup/compared": (_keyed("reduced", "dedup/pivots", "dedup/compared"),),
    "dedup/resolve": (_routed("removals", "dedup/resolve"), _keyed("removals_by_id", "dedup/resolve")),
    "dedup/copies": (_routed("duplicates", "dedup/copies"), _keyed("duplicates_by_id", "dedup/copies")),
    "dedup/url_copies": (_routed("duplicates", "dedup/url_copies"),),
    "dedup/passages": (_keyed("paragraphs", "dedup/passages"), _keyed("sentences", "dedup/passages")),
    "dedup/removed_spans": (_routed("removed_spans", "dedup/removed_spans"),
                            _routed("boilerplate", "dedup/removed_spans")),
    "dedup/bloom": (_routed("removed_spans", "dedup/bloom"), _routed("seen", "dedup/bloom")),
    "dedup/anchors": (_searched("anchors", "dedup/anchors"),),
    "dedup/repeated": (_routed("repeated", "dedup/repeated"),),
    "dedup/contexts": (_searched("contexts", "dedup/contexts"),),
    "dedup/repeats": (_routed("runs", "dedup/repeats"),),
}
"""By the stage that is the last to write them."""


def merged(stage: str) -> str:
    """Name of the stage that merges what a stage wrote."""
    return f"{stage}_merged"


def with_merges(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages, each that writes for a shuffle followed by the one that merges, for which later ones wait."""
    result = []
    for stage in stages:
        needs = tuple(merged(need) if need in SHUFFLES else need for need in stage.needs)
        result.append(replace(stage, needs=needs))
        if stage.name in SHUFFLES:
            own = SHUFFLES[stage.name]
            writers = dict.fromkeys(writer for shuffle in own for writer in shuffle.stages)
            result.append(merging(merged(stage.name), tuple(writers), *own))
    return tuple(result)


def from_shuffle(view: View, stage: str, role: str, name: str | None = None) -> dict[str, InputRef]:
    """What a stage wrote for a shuffle, as an input under a name, by default the role; nothing where it has no task."""
    (shuffle,) = (s for s in SHUFFLES[stage] if s.role == role)
    found = shuffled(view, merged(stage), shuffle)
    return {} if found is None else {name or role: found}
