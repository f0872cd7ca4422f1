"""`curate report`: a run on one page."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.options import Format, FormatOption, emit, shows


@shows("reading {run}")
def report_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or URL.")],
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Write a page about a run, and its numbers: curate report runs/gpt3 --open

    RUN/report/index.html is one file that needs no network; report.json beside it holds every number.
    """
    from manifests.stage_files import StageFiles
    from pipelines.asking.lock import open_run
    from pipelines.report.writing import write_report

    path, n_bytes = write_report(StageFiles(open_run(run)))
    emit(form, {"page": path, "n_bytes": n_bytes}, lambda: f"{path}  ({n_bytes / 1e6:,.2f} MB)")
    if open_page:
        import webbrowser
        from pathlib import Path

        webbrowser.open(Path(path).resolve().as_uri())
