"""`curate mix`: what a mixture asks of its sources, what they have, and what it would take."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from curate.commands.pack import Output, OutputOption, mixture_of, print_mixture, run_recipe
from manifests.errors import RecipeError


def mix_command(
    what: Annotated[str, typer.Argument(metavar="RECIPE|RUN", help="A recipe, or a run whose recipe is meant.")],
    run: Annotated[str | None, typer.Option(
        metavar="RUN", help="The run whose tokens a recipe's mixture is planned on; with a RUN, that one.")] = None,
    settings: Annotated[list[str], typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a field, such as mixture.total_tokens; repeatable.")] = [],  # noqa: B006
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan on tokens that are there; write nothing.")] = False,
    out: Annotated[str | None, typer.Option(
        metavar="RUN", help="Without --dry-run: run the recipe until its mixture is planned.")] = None,
    form: OutputOption = Output.TEXT,
) -> None:
    """What a mixture asks, has and takes: curate mix runs/gpt3 --set mixture.preset=gpt3 --dry-run"""
    from pipelines.loading import load_recipe, override_field
    from tokenizer.assembly import count_parts, find_parts
    from tokenizer.mixture import plan_budgets

    is_run = os.path.exists(os.path.join(what, "recipe.lock.yaml"))
    place = run or (what if is_run else out)
    if is_run:
        # Only what the plan depends on: a run of an older version has other fields elsewhere.
        fields = {name: value for name, value in run_recipe(what).items() if name in ("seed", "mixture")}
        for setting in settings:
            override_field(fields, setting)
        mixture, seed = mixture_of(None, fields, []), int(fields.get("seed", 0))
    else:
        recipe = load_recipe(what, settings)
        mixture, seed = recipe.mixture, recipe.seed
    if not dry_run:
        if is_run or out is None:
            raise RecipeError("needs --dry-run, or a recipe and --out", where="curate mix",
                              hint=f"`curate mix {what} --dry-run` prints the plan")
        from pipelines.run import Settings
        from pipelines.run import run as execute

        execute(recipe, out, Settings(until="mix/plan"))
    if place is None:
        raise RecipeError("has no tokens to plan on", where=what, hint="add --run RUN, a run that has encoded them")
    counts = count_parts(find_parts(place), seed, mixture.validation_fraction)
    print_mixture(plan_budgets(mixture, counts, seed), form)
