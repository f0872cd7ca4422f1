"""`curate estimate`: what a run would take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from manifests.errors import RecipeError
from pipelines.cli.options import Format, FormatOption, emit, shows

if TYPE_CHECKING:
    from pipelines.estimating.estimate import Estimate
    from pipelines.estimating.extrapolation import Range


@shows("running a sample of {recipe}")
def estimate_command(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's file, or the name of a packaged one.")],
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help=(
        "Set a variable or a field; repeatable."))] = [],  # noqa: B006 (typer copies it)
    sample: Annotated[str, typer.Option(metavar="SHARE", help=(
        "Share of the input that is run, such as 1% or 0.01. More is where that is too little to tell."))] = "1%",
    workers: Annotated[int | None, typer.Option(min=1, help="Tasks at a time of the run; all cores here.")] = None,
    price: Annotated[float | None, typer.Option(min=0, metavar="MONEY", help="Of a core-hour, for the costs.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another sample for every seed.")] = 0,
    form: FormatOption = Format.TEXT,
) -> None:
    """Time, disk, memory and tokens of a run, by a sample: curate estimate gpt3 --set data=DATA --price 0.04

    The sample goes through the real stages, in a temporary folder. Intervals hold four of five cases. Nothing of it
    lies in a run."""
    from pipelines.estimating.estimate import estimate
    from pipelines.loading import load_recipe

    found = estimate(load_recipe(recipe, settings), _share(sample), seed)
    n = workers or os.cpu_count() or 1
    emit(form, _facts(found, n, price), lambda: "\n".join(estimate_lines(found, n, price)))


def _share(text: str) -> float:
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise RecipeError("must be a share of the input, such as 1% or 0.01", where=f"--sample {text}")
    return share


def _facts(found: Estimate, workers: int, price: float | None) -> dict[str, Any]:
    hours = found.core_seconds.times(1 / 3600)
    return {
        "input_bytes": found.n_bytes, "sampled_share": found.share, "workers": workers,
        "seconds": _range(found.seconds(workers)), "core_hours": _range(hours), "disk_bytes": _range(found.disk_bytes),
        "memory_bytes_per_worker": found.memory_bytes,
        "tokens": {name: _range(tokens) for name, tokens in found.tokens.items()},
        "tokens_at_most": found.most_tokens,
        "documents": {name: _range(documents) for name, documents in found.documents.items()},
        "dropped_as_duplicates": {"sample": found.dropped_as_duplicates[0], "whole": found.dropped_as_duplicates[1]},
        "bytes_per_token": {"sample": found.bytes_per_token[0], "whole": found.bytes_per_token[1]},
        "money": None if price is None else _range(hours.times(price)), "core_seconds_by_stage": found.stages}


def _range(value: Range) -> dict[str, float]:
    return {"value": value.value, "low": value.low, "high": value.high}


def estimate_lines(found: Estimate, workers: int, price: float | None) -> Iterator[str]:
    """What a person reads of an estimate."""
    hours = found.core_seconds.times(1 / 3600)
    yield (f"{found.n_bytes / 1e6:,.1f} MB of input, of which {found.share:.1%} were run; in brackets, where it lies "
           "in four of five cases")
    yield _line("time", f"with {workers} workers", found.seconds(workers), 1, "s")
    yield _line("core-hours", "", hours, 1, "")
    if price is not None:
        yield _line("money", f"at {price:g} a core-hour", hours.times(price), 1, "")
    yield _line("disk", "", found.disk_bytes, 1e6, "MB")
    yield f"  {'memory of a worker':<28} {found.memory_bytes / 1e6:>14,.0f} MB, as the sample took"
    for name, tokens in found.tokens.items():
        yield _line("tokens", name, tokens, 1e6, "million")
    here, there = found.dropped_as_duplicates
    if there > here:
        yield (f"Of a sample's documents {here:.1%} are duplicates; of all, {there:.1%} are expected to be. With no "
               f"more than in the sample, tokens are {sum(found.most_tokens.values()) / 1e6:,.1f} million: the upper "
               "bound.")
    whole = max(1e-9, found.core_seconds.value)
    yield "Most of the time: " + ", ".join(f"{stage} {seconds / whole:.0%}"
                                           for stage, seconds in list(found.stages.items())[:4])


def _line(what: str, of: str, value: Range, unit: float, name: str) -> str:
    title = f"{what} ({of})" if of else what
    return (f"  {title:<28} {value.value / unit:>14,.4g} {name}  [{value.low / unit:,.4g} to {value.high / unit:,.4g}]"
            ).rstrip()
