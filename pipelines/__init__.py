"""Recipes, the stage graph and the engines that run it.

    import pipelines
    run = pipelines.run("gpt3", "runs/gpt3", overrides={"data": "DATA"})     # goes on where it stopped
    run.funnel()                                                            # an Arrow table: kept and dropped by reason
    run.dataset("train")                                                    # packed rows, as a trainer reads them

docs/python.md shows what a run can be asked, docs/api.md describes each argument. The names below are loaded when first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.api.runs import Run
    from pipelines.api.starting import plan, run
    from pipelines.loading import load_recipe
    from pipelines.recipe import Recipe
    from pipelines.stages import STAGES

__all__ = ["STAGES", "Recipe", "Run", "load_recipe", "plan", "run"]

_MODULE_OF = {"STAGES": "stages", "Recipe": "recipe", "Run": "api.runs", "load_recipe": "loading",
              "plan": "api.starting", "run": "api.starting"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
