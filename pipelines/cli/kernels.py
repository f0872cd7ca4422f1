"""`curate kernels`: compiled code, made once and carried to other machines."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.options import OUTPUT, Format, FormatOption, emit, shows

app = typer.Typer(help="Compile kernels beforehand, for machines that shall not.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Compile kernels beforehand, for machines that shall not."""


@app.command("build")
@shows("compiling kernels")
def build_command(
    out: Annotated[str, typer.Option(*OUTPUT, metavar="FOLDER|ZIP", help="Folder, or file that ends in .zip.")],
    form: FormatOption = Format.TEXT,
) -> None:
    """Compile for x86-64-v3, for machines that set CURATE_KERNELS=OUT: curate kernels build --output kernels.zip"""
    from pipelines.kernels import build_kernels

    n = build_kernels(out)
    emit(form, {"out": out, "functions": n}, lambda: print(f"{out}: {n} compiled functions; use it by CURATE_KERNELS"))
