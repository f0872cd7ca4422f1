"""`curate export`: a packed dataset in the formats of other trainers."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from manifests.errors import RecipeError
from pipelines.cli.options import OUTPUT, Format, emit, shows
from tokenizer.export.formats import FORMATS, export_dataset

_FORMATS = "; ".join(f"{form.name}: {form.description}" for form in FORMATS.values())
_DOCUMENTS = ", ".join(form.name for form in FORMATS.values() if form.of_documents)
_COUNTS = ("documents", "files", "rows", "tokens")
_ZERO_COPY = ", ".join(form.name for form in FORMATS.values() if form.zero_copy)


@shows("exporting {run} into {out}")
def export_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run, or its packed folder; a URL too.")],
    out: Annotated[str, typer.Option(*OUTPUT, metavar="DIR", help="Folder of the export; a URL too.")],
    to: Annotated[str | None, typer.Option("--to", metavar="FORMAT", help=(
        f"{_FORMATS}; or the format of an installed plug-in."))] = None,
    zero_copy: Annotated[bool, typer.Option(
        "--zero-copy", help=f"Link the shards instead of copying them: {_ZERO_COPY}.")] = False,
    by_source: Annotated[bool, typer.Option(
        "--by-source", help=f"A folder for every source: {_DOCUMENTS}.")] = False,
    phase: Annotated[int | None, typer.Option(min=0, help="Only this phase of the training split, from 0.")] = None,
    settings: Annotated[list[str], typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a parameter of a plug-in's format; repeatable.")] = [],  # noqa: B006
    form: Annotated[str, typer.Option("--format", metavar="text|json", help="text for people, json for programs.")
                    ] = "text",
) -> None:
    """Export a packed dataset: curate export runs/gpt3 --to megatron --output exports/megatron"""
    to, printed = _forms(to, form)
    facts = export_dataset(run, to, out, zero_copy, by_source, phase, _parameters(settings))
    for lost in facts["not_held"]:
        print(f"{to} does not hold {lost}", file=sys.stderr)
    counted = {"": facts, **facts.get("sources", {})}  # of all, or of every source in a folder of its own
    listed = "; ".join(f"{source and f'{source} '}{name} {', '.join(f'{split} {n:,}' for split, n in value.items())}"
                       for source, own in counted.items() for name, value in own.items() if name in _COUNTS)
    emit(printed, facts, lambda: f"{out}: {to}{f': {listed}' if listed else ''}")


def _forms(to: str | None, form: str) -> tuple[str, Format]:
    """The dataset's format and the result's. `--format` named the dataset's before there was `--to`, and still may."""
    if form in list(Format):
        if to is None:
            raise RecipeError("is missing", where="--to", hint=f"one of: {', '.join(FORMATS)}")
        return to, Format(form)
    if to is None:
        return form, Format.TEXT
    raise RecipeError(f"must be text or json, and is {form!r}", where="--format")


def _parameters(settings: list[str]) -> dict[str, Any]:
    from pipelines.loading import override_field

    fields: dict[str, Any] = {}
    for setting in settings:
        override_field(fields, setting)
    return fields
