"""`curate pack`: from token files to packed shards."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from manifests.errors import InputError, RecipeError

if TYPE_CHECKING:
    from tokenizer.assembly import TokenPart
    from tokenizer.mixture import Plan
    from tokenizer.mixture_config import MixtureConfig


class Packing(StrEnum):
    """How documents fill rows."""

    CONCAT = "concat"
    BEST_FIT = "best_fit"
    PAD = "pad"


class Output(StrEnum):
    """How the result is printed."""

    TEXT = "text"
    JSON = "json"


_DEFAULTS: Final = {"row_length": 2048, "shard_tokens": 1 << 26, "buckets": 64, "packing": "concat"}
OutputOption = Annotated[Output, typer.Option("--format", help="text for people, json for programs.")]


def pack_command(
    inputs: Annotated[list[str], typer.Argument(
        metavar="IN…", help="A run, or folders of token files; NAME=DIR says what a folder's source is called.")],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the dataset.")],
    tokenizer: Annotated[str | None, typer.Option(metavar="T", help="A tokenizer; a run has its own.")] = None,
    mixture: Annotated[str | None, typer.Option(
        metavar="YAML", help="The mixture's fields, as YAML or its file; the run's, or every source once.")] = None,
    row_length: Annotated[int | None, typer.Option(help="Tokens of a row.")] = None,
    shard_tokens: Annotated[int | None, typer.Option(help="Tokens of a shard, a multiple of row_length.")] = None,
    buckets: Annotated[int | None, typer.Option(help="Ranges of the shuffle hash.")] = None,
    packing: Annotated[Packing | None, typer.Option(help="How documents fill rows.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of shuffling; the run's, or 0.")] = None,
    form: OutputOption = Output.TEXT,
) -> None:
    """Mix, shuffle and pack token files: curate pack runs/gpt3 --packing best_fit --out best-fit"""
    from pydantic import ValidationError

    from tokenizer.assembly import Assembly
    from tokenizer.shuffle import PackConfig

    parts = [part for text in inputs for part in _find(text)]
    lock = run_recipe(inputs[0]) if len(inputs) == 1 else {}
    chosen = {"row_length": row_length, "shard_tokens": shard_tokens, "buckets": buckets,
              "packing": packing.value if packing else None}
    fields = {**_DEFAULTS, **lock.get("pack", {}), **{k: v for k, v in chosen.items() if v is not None}}
    if shard_tokens is None and fields["shard_tokens"] % fields["row_length"]:
        fields["shard_tokens"] = max(1, fields["shard_tokens"] // fields["row_length"]) * fields["row_length"]
    try:
        config = PackConfig(**fields)
    except ValidationError as error:
        raise _usage(error, "--") from error
    path = tokenizer or os.path.join(inputs[0], "tokenizer", "tokenizer.json")
    if not os.path.exists(path):
        raise InputError("there is no such tokenizer", where=path, hint="give --tokenizer")
    number = seed if seed is not None else int(lock.get("seed", 0))
    amounts = mixture_of(mixture, lock, parts)
    plan = Assembly(out, number).assemble(parts, path, amounts, config)
    print_mixture(plan, form)


def _find(text: str) -> list[TokenPart]:
    from tokenizer.assembly import find_parts

    name, sign, path = text.partition("=")
    if sign and not os.path.exists(text):
        return find_parts(path, name)
    return find_parts(text)


def run_recipe(path: str) -> dict[str, Any]:
    """The resolved recipe of a run; empty for a folder that is none."""
    import yaml

    place = os.path.join(path, "recipe.lock.yaml")
    if not os.path.exists(place):
        return {}
    with open(place, encoding="utf-8") as file:
        return dict((yaml.safe_load(file) or {}).get("recipe", {}))


def mixture_of(text: str | None, lock: dict[str, Any], parts: list[TokenPart]) -> MixtureConfig:
    """The mixture asked for: given, the run's, or every source once with nothing held out."""
    import yaml
    from pydantic import ValidationError

    from tokenizer.mixture_config import MixtureConfig

    fields: Any = lock.get("mixture") or {
        "epochs": {part.source: 1.0 for part in parts}, "validation_fraction": 0.0}
    if text is not None:
        source = text
        if os.path.exists(text):
            with open(text, encoding="utf-8") as file:
                source = file.read()
        try:
            fields = yaml.safe_load(source)
        except yaml.YAMLError as error:
            raise RecipeError(f"is no YAML: {error}", where="--mixture") from error
        if not isinstance(fields, dict):
            raise RecipeError("must be a mapping of fields, or a file of them", where="--mixture",
                              hint="such as '{weights: {crawl: 3, books: 1}}'")
    try:
        return MixtureConfig(**fields)
    except ValidationError as error:
        raise _usage(error, "mixture.") from error


def _usage(error: Any, prefix: str) -> RecipeError:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    name = place.replace("_", "-") if prefix == "--" else place
    return RecipeError(str(first["msg"]).removeprefix("Value error, "), where=f"{prefix}{name}".rstrip(".-") or "pack")


def print_mixture(plan: Plan, form: Output) -> None:
    """The plan of a mixture on stdout."""
    if form is Output.JSON:
        print(json.dumps(json.loads(plan.to_json())))
    else:
        print(plan.table())
