"""Every stage of the pipeline, in order: the lists of the packages, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from curate.stages import STAGES as CURATE
from manifests.errors import RecipeError
from manifests.graph import Stage
from tokenizer.stages import STAGES as TOKENIZER

STAGES: tuple[Stage, ...] = (*CURATE, *TOKENIZER)
"""In an order in which every stage comes after what it needs; a stage starts as soon as that is done."""


def added(stages: Sequence[Stage]) -> list[Stage]:
    """Those that are not the pipeline's own."""
    own = {stage.name for stage in STAGES}
    return [stage for stage in stages if stage.name not in own]


def check_stages(stages: Sequence[Stage]) -> None:
    """Raise RecipeError where a list of stages cannot be run: a name or a folder that occurs twice, or a stage before
    one that it needs. The pipeline's own stages may be left out; they then count as done, with no task."""
    known = {stage.name for stage in STAGES} - {stage.name for stage in stages}
    folders = Counter(stage.path for stage in stages if not stage.tasks_of)
    for stage in stages:
        if stage.name in known:
            raise RecipeError("occurs twice", where=f"stage {stage.name!r}", hint="give each stage a name of its own")
        if folders[stage.path] > 1:
            raise RecipeError(f"shares the folder {stage.path!r} with another", where=f"stage {stage.name!r}",
                              hint="give it a `folder` of its own")
        if missing := [name for name in stage.needs if name not in known]:
            raise RecipeError(f"needs {missing[0]!r}, which is no stage before it", where=f"stage {stage.name!r}",
                              hint="list every stage after those that it needs")
        known.add(stage.name)
