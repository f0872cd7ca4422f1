"""The mixture in the stage graph: tokens counted by part, then one plan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from manifests.graph import Stage, Task, View, file_ref, source_ref
from manifests.tasks import InputRef

_KIND: Final = "tokens"
"""The source kind of token files: they enter the graph here. Indexes and ids are files of the source, in pairs."""


def token_parts(view: View) -> Iterator[tuple[str, dict[str, InputRef]]]:
    """(SOURCE/PART, its tokens and index) of every part that was encoded, and of every source of token files."""
    for record in view.tasks("tokens"):
        yield record.task, {role: file_ref(record.output(role)) for role in ("tokens", "index")}
    for source in view.sources:
        if source.config.kind == _KIND:
            files = {file.relative: file for file in source.files}
            for name, file in files.items():
                stem, suffix = os.path.splitext(name)
                if suffix == ".parquet":
                    pair = {"tokens": source_ref([files[f"{stem}.tokens"]]), "index": source_ref([file])}
                    yield f"{source.name}/{stem}", pair


def _counts(view: View) -> Iterator[Task]:
    for part, inputs in token_parts(view):
        yield Task(part, {"index": inputs["index"]}, {"source": part.split("/")[0], "seed": view.seed})


def _plan(view: View) -> Iterator[Task]:
    indexes = {f"index_{source.name}": source_ref([f for f in source.files if f.relative.endswith(".parquet")])
               for source in view.sources if source.config.kind == _KIND}
    if view.tasks("tokens"):
        indexes["index"] = view.every("tokens", "index")
    yield Task("plan", {"counts": view.every("mix/counts", "counts"), **indexes}, {"seed": view.seed})


STAGES: tuple[Stage, ...] = (
    Stage("mix/counts", 2, "tokenizer.mixture.mix:count_tokens", "mixture", ("tokens",), _counts),
    Stage("mix/plan", 3, "tokenizer.mixture.mix:plan_mixture", "mixture", ("mix/counts",), _plan),
)
"""From tokens to the plan of the mixture."""
