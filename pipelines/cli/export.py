"""`curate export`: a packed dataset in the formats of other trainers."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.options import Format, emit
from tokenizer.export.formats import FORMATS, export_dataset

_FORMATS = "; ".join(f"{form.name}: {form.description}" for form in FORMATS.values())
_ZERO_COPY = ", ".join(form.name for form in FORMATS.values() if form.zero_copy)


def export_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run, or its packed folder.")],
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{_FORMATS}.")],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the export.")],
    zero_copy: Annotated[bool, typer.Option(
        "--zero-copy", help=f"Link the shards instead of copying them: {_ZERO_COPY}.")] = False,
    output: Annotated[Format, typer.Option("--output", help="text for people, json for programs.")] = Format.TEXT,
) -> None:
    """Export a packed dataset: curate export runs/gpt3 --format megatron --out exports/megatron"""
    facts = export_dataset(run, form, out, zero_copy)
    counts = {name: value for name, value in facts.items() if isinstance(value, dict)}
    listed = "; ".join(f"{name} {', '.join(f'{split} {n:,}' for split, n in value.items())}"
                       for name, value in counts.items())
    emit(output, facts, lambda: f"{out}: {form}{f': {listed}' if listed else ''}")
