"""The mixture in the stage graph: tokens counted by part, then one plan."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.graph import Stage, Task, View, file_ref


def _counts(view: View) -> Iterator[Task]:
    for record in view.tasks("tokens"):
        source = record.identity.task.split("/")[0]
        yield Task(record.identity.task, {"index": file_ref(record.output("index"))},
                    {"source": source, "seed": view.seed})


def _plan(view: View) -> Iterator[Task]:
    inputs = {"counts": view.every("mix/counts", "counts"), "index": view.every("tokens", "index")}
    yield Task("plan", inputs, {"seed": view.seed})


STAGES: tuple[Stage, ...] = (
    Stage("mix/counts", 2, "tokenizer.mixture.mix:count_tokens", "mixture", ("tokens",), _counts),
    Stage("mix/plan", 3, "tokenizer.mixture.mix:plan_mixture", "mixture", ("mix/counts",), _plan),
)
"""From tokens to the plan of the mixture."""
