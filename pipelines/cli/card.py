"""`curate card`: the papers of a dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.options import Format, FormatOption, emit, shows


@shows("reading {run}")
def card_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or URL.")],
    name: Annotated[str | None, typer.Option(help="Of the dataset; the recipe's by default.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is, in a sentence.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", "--license", help="Such as cc-by-4.0 or odc-by.")] = None,
    url: Annotated[str | None, typer.Option(help="Where the dataset is published.")] = None,
    version: Annotated[str | None, typer.Option(help="Of the dataset.")] = None,
    creator: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    eu: Annotated[bool, typer.Option("--eu", help="Also the EU's summary of training content.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Write a dataset's papers into RUN/card: curate card runs/gpt3 --licence odc-by --eu

    A Hugging Face dataset card, a datasheet and a Croissant description. What the run cannot know is marked.
    """
    from manifests.stage_files import StageFiles
    from pipelines.asking.lock import open_run
    from pipelines.card.writing import write_card

    about = {"name": name, "description": description, "licence": licence, "url": url, "version": version,
             "creator": creator}
    written = write_card(StageFiles(open_run(run)), {k: v for k, v in about.items() if v is not None}, eu)
    emit(form, {"run": run, "written": written}, lambda: "\n".join(f"{run}/{path}" for path in written))
