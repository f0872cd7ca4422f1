"""`curate export`: a packed dataset in the formats of other trainers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pipelines.cli.options import Format, emit


class ExportFormat(StrEnum):
    """What a dataset can be exported to; the same names as tokenizer.export.formats.Format, which loads numba."""

    MEGATRON = "megatron"
    LLMC = "llmc"
    NANOGPT = "nanogpt"
    OLMO = "olmo"
    DATATROVE = "datatrove"
    MDS = "mds"
    LITDATA = "litdata"
    HF = "hf"


def export_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run, or its packed folder.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="What to export to.")],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the export.")],
    zero_copy: Annotated[bool, typer.Option(
        "--zero-copy", help="Link the shards instead of copying them: megatron, litdata and llmc.")] = False,
    output: Annotated[Format, typer.Option("--output", help="text for people, json for programs.")] = Format.TEXT,
) -> None:
    """Export a packed dataset: curate export runs/gpt3 --format megatron --out exports/megatron"""
    from tokenizer.export import formats

    facts = formats.export_dataset(run, formats.Format(form.value), out, zero_copy)
    counts = {name: value for name, value in facts.items() if isinstance(value, dict)}
    listed = "; ".join(f"{name} {', '.join(f'{split} {n:,}' for split, n in value.items())}"
                       for name, value in counts.items())
    emit(output, facts, lambda: f"{out}: {form.value}{f': {listed}' if listed else ''}")
