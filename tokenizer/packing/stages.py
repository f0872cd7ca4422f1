"""Packing in the stage graph: tokens shuffled, rows filled, shards laid out and written, and the dataset described."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.graph import Stage, Task, View
from manifests.tasks import InputRef
from tokenizer.encoding.stages import tokenizer_file
from tokenizer.mixture.stages import token_parts


def _shuffle(view: View) -> Iterator[Task]:
    plan = view.output("mix/plan", "plan", "plan")
    for part, inputs in token_parts(view):
        yield Task(part, {**inputs, "plan": plan, **tokenizer_file(view)}, {"source": part.split("/")[0]})


def _groups(view: View) -> Iterator[Task]:
    yield Task("groups", {"index": view.every("pack/shuffle", "index"),
                          "plan": view.output("mix/plan", "plan", "plan")})


def _rows(view: View) -> Iterator[Task]:
    inputs = {"groups": view.output("pack/groups", "groups", "groups"), "index": view.every("pack/shuffle", "index")}
    for number in range(view.counters("pack/groups").get("groups", 0)):
        yield Task(f"{number:06d}", inputs, {"group": number})


def _layout(view: View) -> Iterator[Task]:
    rows = {"rows": view.every("pack/rows", "rows")} if view.tasks("pack/rows") else {}
    yield Task("layout", {"groups": view.output("pack/groups", "groups", "groups"), **rows,
                           "plan": view.output("mix/plan", "plan", "plan")})


def _packed(view: View) -> Iterator[Task]:
    layout = {role: view.output("pack/layout", "layout", role) for role in ("layout", "shards")}
    shuffled = {role: view.every("pack/shuffle", role) for role in ("tokens", "index")}
    counters = view.counters("pack/layout")
    for split in ("train", "val"):
        for index in range(counters.get(f"{split}_shards", 0)):
            yield Task(f"{split}/{index:06d}", {**shuffled, **layout, **tokenizer_file(view), **view.removals()},
                        {"split": split, "shard_index": index})


def _dataset(view: View) -> Iterator[Task]:
    inputs = {role: InputRef(tuple(o.path for o in view.outputs("packed", role)), view.every("packed", role).digest)
              for role in ("shard", "spans", "rows")}
    yield Task("dataset", {**inputs, **tokenizer_file(view), "shards": view.output("pack/layout", "layout", "shards"),
                            "plan": view.output("mix/plan", "plan", "plan"), **view.removals()},
                {"seed": view.seed, "recipe_sha256": view.recipe_sha256})


STAGES: tuple[Stage, ...] = (
    Stage("pack/shuffle", 4, "tokenizer.packing.shuffle:shuffle_part", "pack", ("mix/plan",), _shuffle),
    Stage("pack/groups", 1, "tokenizer.packing.groups:group_buckets", "pack", ("pack/shuffle",), _groups),
    Stage("pack/rows", 1, "tokenizer.packing.groups:fill_group", "pack", ("pack/groups",), _rows),
    Stage("pack/layout", 4, "tokenizer.packing.layout:lay_out", "pack", ("pack/rows",), _layout),
    Stage("packed", 3, "tokenizer.packing.pack:pack_shard", "pack", ("pack/layout",), _packed, writes_manifest=False,
          tasks_of=("train/", "val/")),
    Stage("packed/dataset", 6, "tokenizer.packing.inventory:describe_dataset", "pack", ("packed",), _dataset,
          writes_manifest=False, folder="packed", tasks_of=("dataset",)),
)
"""From tokens to the dataset."""
