"""Packing in the stage graph: tokens shuffled, rows filled, shards laid out and written, and the dataset described."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.graph import Stage, Task, View, file_ref
from manifests.partitioned import SLOTS
from manifests.shuffle import grouped
from manifests.tasks import InputRef
from tokenizer.encoding.stages import tokenizer_file
from tokenizer.mixture.stages import token_parts


def _shuffle(view: View) -> Iterator[Task]:
    plan = view.output("mix/plan", "plan", "plan")
    for part, inputs in token_parts(view):
        yield Task(part, {**inputs, "plan": plan, **tokenizer_file(view)}, {"source": part.split("/")[0]})


def _merged(view: View) -> Iterator[Task]:
    """Groups of parts, where there are many of them and many shards."""
    parts, counters = view.tasks("pack/shuffle"), view.counters("pack/shuffle")
    n_shards = -(-sum(counters.get(f"{split}_tokens", 0) for split in ("train", "val"))
                 // view.section("pack").shard_tokens)
    if len(parts) <= SLOTS or n_shards <= SLOTS:
        return
    for number, records in grouped([(r.task, r) for r in parts], n_shards, len(parts)).items():
        # A file each: what one of them is called is told of no other.
        files = {f"{role}-{index:05d}": file_ref(record.output(role)) for index, record in enumerate(records)
                 for role in ("tokens", "index")}
        yield Task(f"group-{number:05d}", {**files, **tokenizer_file(view)})


def _shuffled(view: View, role: str) -> InputRef:
    """Files of a role of all shuffled parts, merged where they were."""
    return view.every("pack/merged" if view.tasks("pack/merged") else "pack/shuffle", role)


def _groups(view: View) -> Iterator[Task]:
    yield Task("groups", {"index": _shuffled(view, "index"),
                          "plan": view.output("mix/plan", "plan", "plan")})


def _rows(view: View) -> Iterator[Task]:
    inputs = {"groups": view.output("pack/groups", "groups", "groups"), "index": _shuffled(view, "index")}
    for number in range(view.counters("pack/groups").get("groups", 0)):
        yield Task(f"{number:06d}", inputs, {"group": number})


def _layout(view: View) -> Iterator[Task]:
    rows = {"rows": view.every("pack/rows", "rows")} if view.tasks("pack/rows") else {}
    yield Task("layout", {"groups": view.output("pack/groups", "groups", "groups"), **rows,
                           "plan": view.output("mix/plan", "plan", "plan")})


def _packed(view: View) -> Iterator[Task]:
    layout = {role: view.output("pack/layout", "layout", role) for role in ("layout", "shards")}
    shuffled = {role: _shuffled(view, role) for role in ("tokens", "index")}
    counters = view.counters("pack/layout")
    for split in ("train", "val"):
        for index in range(counters.get(f"{split}_shards", 0)):
            yield Task(f"{split}/{index:06d}", {**shuffled, **layout, **tokenizer_file(view), **view.removals()},
                        {"split": split, "shard_index": index})


def _dataset(view: View) -> Iterator[Task]:
    inputs = {}
    for role in ("shard", "spans", "rows"):
        files = view.outputs("packed", role)
        inputs[role] = InputRef(tuple(o.path for o in files), view.every("packed", role).digest,
                                digests=() if role == "shard" else tuple(o.digest for o in files),
                                seals=tuple(o.seal for o in files))
    yield Task("dataset", {**inputs, **tokenizer_file(view), "shards": view.output("pack/layout", "layout", "shards"),
                            "plan": view.output("mix/plan", "plan", "plan"), **view.removals()},
                {"seed": view.seed, "recipe_sha256": view.recipe_sha256})


STAGES: tuple[Stage, ...] = (
    Stage("pack/shuffle", 7, "tokenizer.packing.shuffle:shuffle_part", "pack", ("mix/plan",), _shuffle),
    Stage("pack/merged", 3, "tokenizer.packing.merging:merge_parts", "pack", ("pack/shuffle",), _merged),
    Stage("pack/groups", 2, "tokenizer.packing.groups:group_buckets", "pack", ("pack/merged",), _groups),
    Stage("pack/rows", 2, "tokenizer.packing.groups:fill_group", "pack", ("pack/groups",), _rows),
    Stage("pack/layout", 4, "tokenizer.packing.layout:lay_out", "pack", ("pack/rows",), _layout),
    Stage("packed", 3, "tokenizer.packing.pack:pack_shard", "pack", ("pack/layout",), _packed, writes_manifest=False,
          tasks_of=("train/", "val/")),
    Stage("packed/dataset", 6, "tokenizer.packing.inventory:describe_dataset", "pack", ("packed",), _dataset,
          writes_manifest=False, folder="packed", tasks_of=("dataset",)),
)
"""From tokens to the dataset."""
