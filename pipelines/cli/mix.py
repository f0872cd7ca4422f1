"""`curate mix`: the target and actual share of each source of a mixture, and the tokens it has and gives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.errors import InputError, RecipeError
from pipelines.cli.options import OUTPUT, Format, FormatOption, shows
from pipelines.cli.pack import find_tokens, mixture_of, print_mixture, run_recipe

if TYPE_CHECKING:
    from tokenizer.mixture.mixture_config import MixtureConfig
    from tokenizer.mixture.token_parts import TokenPart

    Planned = tuple[MixtureConfig, int, list[TokenPart]]


@shows("planning a mixture")
def mix_command(
    inputs: Annotated[list[str], typer.Argument(metavar="RECIPE|RUN|IN…", help=(
        "A recipe, a run whose recipe is meant, or folders of token files; NAME=DIR names a folder's source."))],
    run: Annotated[str | None, typer.Option(
        metavar="RUN", help="The run whose tokens a recipe's mixture is planned on; with a RUN, that one.")] = None,
    settings: Annotated[list[str], typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a field, such as mixture.total_tokens; repeatable.")] = [],  # noqa: B006
    mixture: Annotated[str | None, typer.Option(
        metavar="YAML", help="Of folders: the mixture's fields, as YAML or its file; else every source once.")] = None,
    seed: Annotated[int, typer.Option(help="Of folders: decides what is held out.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan on tokens that are there; write nothing.")] = False,
    out: Annotated[str | None, typer.Option(
        *OUTPUT, metavar="RUN", help="Without --dry-run: run the recipe until its mixture is planned.")] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Plan a mixture: curate mix runs/gpt3 --set mixture.preset=gpt3 --dry-run

    Of token files of one's own: curate mix books web=crawl --mixture '{weights: {books: 1, web: 3}}' --dry-run"""
    from tokenizer.mixture.mixture import plan_budgets
    from tokenizer.mixture.token_parts import count_parts

    first = inputs[0]
    is_run = os.path.exists(os.path.join(first, "recipe.lock.yaml"))
    folders = len(inputs) > 1 or (not is_run and (mixture is not None or _holds_tokens(first)))
    if not dry_run and (is_run or folders or out is None):
        raise RecipeError("needs --dry-run, or a recipe and --output", where="curate mix",
                          hint=f"`curate mix {' '.join(inputs)} --dry-run` prints the plan")
    if folders:
        parts = find_tokens(inputs)
        amounts = mixture_of(mixture, {}, parts)
    elif is_run:
        amounts, seed, parts = _of_run(first, run or first, mixture, settings)
    else:
        amounts, seed, parts = _of_recipe(first, run, settings, None if dry_run else out)
    print_mixture(plan_budgets(amounts, count_parts(parts, seed, amounts.validation_fraction), seed), form)


def _holds_tokens(text: str) -> bool:
    """Whether this is a folder of token files, or NAME=DIR."""
    try:
        return bool(find_tokens([text]))
    except InputError:
        return False


def _of_run(path: str, tokens: str, mixture: str | None, settings: list[str]) -> Planned:
    from pipelines.loading import override_field

    # Only what the plan depends on: a run of an older version has other fields elsewhere.
    fields = {name: value for name, value in run_recipe(path).items() if name in ("seed", "mixture")}
    for setting in settings:
        override_field(fields, setting)
    return mixture_of(mixture, fields, []), int(fields.get("seed", 0)), find_tokens([tokens])


def _of_recipe(name: str, run: str | None, settings: list[str], out: str | None) -> Planned:
    """The mixture of a recipe and the tokens of a run; with `out`, of the recipe's own, which is run until there."""
    from pipelines.loading import load_recipe

    recipe = load_recipe(name, settings)
    if out is not None:
        from pipelines.running import Settings
        from pipelines.running import run as execute

        execute(recipe, out, Settings(until="mix/plan"))
    if (folder := run or out) is None:
        raise RecipeError("has no tokens to plan on", where=name, hint="add --run RUN, a run that has encoded them")
    return recipe.mixture, recipe.seed, find_tokens([folder])
