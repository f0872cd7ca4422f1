"""Mixing and packing in the map of stages: what each of their steps is made of."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.tasks import InputRef
from pipelines.graph import Progress, Shard, Stage, file_ref
from pipelines.locking import recipe_digest
from pipelines.tokenizer_stages import tokenizer_file
from tokenizer.mixture.mix import count_tokens, plan_mixture
from tokenizer.packing.groups import fill_group, group_buckets
from tokenizer.packing.inventory import describe_dataset
from tokenizer.packing.layout import lay_out
from tokenizer.packing.pack import pack_shard
from tokenizer.packing.shuffle import shuffle_part


def _counts(p: Progress) -> Iterator[Shard]:
    for record in p.shards("tokens"):
        source = record.identity.shard.split("/")[0]
        yield Shard(record.identity.shard, {"index": file_ref(record.output("index"))},
                    {"source": source, "seed": p.recipe.seed})


def _plan(p: Progress) -> Iterator[Shard]:
    inputs = {"counts": p.whole("mix/counts", "counts"), "index": p.whole("tokens", "index")}
    yield Shard("plan", inputs, {"seed": p.recipe.seed})


def _shuffle(p: Progress) -> Iterator[Shard]:
    plan = p.output("mix/plan", "plan", "plan")
    for record in p.shards("tokens"):
        inputs = {role: file_ref(record.output(role)) for role in ("tokens", "index")}
        yield Shard(record.identity.shard, {**inputs, "plan": plan, **tokenizer_file(p)},
                    {"source": record.identity.shard.split("/")[0]})


def _groups(p: Progress) -> Iterator[Shard]:
    yield Shard("groups", {"index": p.whole("pack/shuffle", "index"), "plan": p.output("mix/plan", "plan", "plan")})


def _rows(p: Progress) -> Iterator[Shard]:
    inputs = {"groups": p.output("pack/groups", "groups", "groups"), "index": p.whole("pack/shuffle", "index")}
    for number in range(p.counters("pack/groups").get("groups", 0)):
        yield Shard(f"{number:06d}", inputs, {"group": number})


def _layout(p: Progress) -> Iterator[Shard]:
    rows = {"rows": p.whole("pack/rows", "rows")} if p.shards("pack/rows") else {}
    yield Shard("layout", {"groups": p.output("pack/groups", "groups", "groups"), **rows,
                           "plan": p.output("mix/plan", "plan", "plan")})


def _packed(p: Progress) -> Iterator[Shard]:
    layout = {role: p.output("pack/layout", "layout", role) for role in ("layout", "shards")}
    shuffled = {role: p.whole("pack/shuffle", role) for role in ("tokens", "index")}
    counters = p.counters("pack/layout")
    for split in ("train", "val"):
        for index in range(counters.get(f"{split}_shards", 0)):
            yield Shard(f"{split}/{index:06d}", {**shuffled, **layout, **tokenizer_file(p), **p.removals()},
                        {"split": split, "shard_index": index})


def _dataset(p: Progress) -> Iterator[Shard]:
    inputs = {role: InputRef(tuple(o.path for o in p.outputs("packed", role)), p.whole("packed", role).digest)
              for role in ("shard", "spans")}
    yield Shard("dataset", {**inputs, "shards": p.output("pack/layout", "layout", "shards"),
                            "plan": p.output("mix/plan", "plan", "plan"), **p.removals()},
                {"seed": p.recipe.seed, "recipe_sha256": recipe_digest(p.recipe)})


PACK_STAGES: tuple[Stage, ...] = (
    Stage("mix/counts", 2, count_tokens, ("tokens",), lambda r: r.mixture, _counts),
    Stage("mix/plan", 3, plan_mixture, ("mix/counts",), lambda r: r.mixture, _plan),
    Stage("pack/shuffle", 3, shuffle_part, ("mix/plan",), lambda r: r.pack, _shuffle),
    Stage("pack/groups", 1, group_buckets, ("pack/shuffle",), lambda r: r.pack, _groups),
    Stage("pack/rows", 1, fill_group, ("pack/groups",), lambda r: r.pack, _rows),
    Stage("pack/layout", 3, lay_out, ("pack/rows",), lambda r: r.pack, _layout),
    Stage("packed", 2, pack_shard, ("pack/layout",), lambda r: r.pack, _packed, writes_manifest=False,
          shards_of=("train/", "val/")),
    Stage("packed/dataset", 3, describe_dataset, ("packed",), lambda r: r.pack, _dataset, writes_manifest=False,
          folder="packed", shards_of=("dataset",)),
)
"""From tokens to the dataset."""
