"""`curate init` and `curate recipes`: how a recipe begins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from manifests.errors import RecipeError
from pipelines.cli.options import Format, FormatOption, emit

_QUESTIONS = {"texts": "Which files? A path or a pattern", "archives": "Which archives? A path or a pattern",
              "commoncrawl": "Which crawl, such as CC-MAIN-2026-43?", "paper": "Which paper?"}


def init_command(
    path: Annotated[str, typer.Argument(metavar="RECIPE", help="The file to write.")] = "recipe.yaml",
    texts: Annotated[str | None, typer.Option(metavar="FILES", help="Begin from JSON Lines, Parquet or text files."
                                              )] = None,
    archives: Annotated[str | None, typer.Option(metavar="FILES", help="Begin from web archives of your own.")] = None,
    crawl: Annotated[str | None, typer.Option(metavar="NAME", help="Begin from a crawl of Common Crawl.")] = None,
    paper: Annotated[str | None, typer.Option(metavar="RECIPE", help="Begin from a packaged recipe, such as gpt3."
                                              )] = None,
    name: Annotated[str, typer.Option(help="What the recipe is called.")] = "mine",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented recipe to begin from: curate init --texts 'data/*.jsonl.gz'

    Without an option it asks what there is. Then: curate recipe check RECIPE, and curate run RECIPE --output RUN.
    """
    from pipelines.starting.recipes import start

    given = {kind: value for kind, value in (("texts", texts), ("archives", archives), ("commoncrawl", crawl),
                                             ("paper", paper)) if value is not None}
    if len(given) > 1:
        raise RecipeError("several beginnings are asked for", where=", ".join(f"--{kind}" for kind in given),
                          hint="give one; a recipe takes more sources once it is written")
    kind, value = next(iter(given.items())) if given else _asked()
    target = Path(path)
    if target.exists() and not force:
        raise RecipeError("is there already", where=path, hint="choose another name, or --force")
    text = start(kind, name, None if kind == "paper" else value, value if kind == "paper" else None,
                 path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(f"{path} is written. Next: curate recipe check {path}; curate run {path} --output runs/{name}")


def _asked() -> tuple[str, str]:
    """What a person answers: (kind, files, crawl or paper)."""
    from pipelines.starting.recipes import STARTS

    if not sys.stdin.isatty():
        raise RecipeError("does not say what to begin from",
                          hint="--texts FILES, --archives FILES, --crawl NAME or --paper RECIPE")
    for kind, what in STARTS.items():
        print(f"  {kind:<12} {what}")
    kind = typer.prompt("What is there?", default="texts")
    if kind not in STARTS:
        raise RecipeError(f"no recipe begins from {kind!r}", hint=f"one of: {', '.join(STARTS)}")
    return kind, typer.prompt(_QUESTIONS[kind])


def recipes_command(
    recipe: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="One of them, explained.")] = None,
    text: Annotated[bool, typer.Option("--print", help="Print its YAML, to begin from.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """The packaged recipes: curate recipes; curate recipes gpt3 --print > mine.yaml"""
    from pipelines.loading import packaged_recipes
    from pipelines.starting.recipes import explain_recipe, recipe_text

    if recipe is None:
        found = [explain_recipe(name) for name in packaged_recipes()]
        emit(form, [{"recipe": one.name, "summary": one.summary} for one in found],
             lambda: "\n".join(f"{one.name:<12} {one.summary}" for one in found))
    elif text:
        print(recipe_text(recipe), end="")
    else:
        one = explain_recipe(recipe)
        variables = "".join(f"\n  --set {key}=…  now {value}" for key, value in one.variables.items())
        emit(form, {"recipe": one.name, "about": one.about, "variables": one.variables, "sources": one.sources},
             lambda: f"{one.about}\n\nsources: {', '.join(one.sources)}\nvariables:{variables or ' none'}")
