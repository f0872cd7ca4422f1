"""The `curate` command: the composition root, which alone may import all four packages, inside command bodies.

stdout carries the result, stderr the log and progress. Exit codes: 0 done; 1 done, but tasks or checks failed, and
they are named; 2 bad usage or recipe; 3 the output is in use, stale or another run's; 130, 143 and 129 ended by SIGINT,
SIGTERM and SIGHUP, resumable.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from enum import StrEnum
from typing import Annotated

import typer

from curate.caches import keep_kernels
from manifests.errors import CurateError
from manifests.late_imports import put_off_pandas
from manifests.version import VERSION
from pipelines.cli.asking import trace_command, why_command
from pipelines.cli.card import card_command
from pipelines.cli.classifier import app as classifier_app
from pipelines.cli.decontaminate import DecontaminateCommand, decontaminate_command
from pipelines.cli.dedup import dedup_command
from pipelines.cli.estimate import estimate_command
from pipelines.cli.export import export_command
from pipelines.cli.extract import extract_command
from pipelines.cli.filter import filter_command
from pipelines.cli.help import GroupedHelp
from pipelines.cli.kernels import app as kernels_app
from pipelines.cli.looking import diff_command, domains_command, sample_command, stats_command
from pipelines.cli.mix import mix_command
from pipelines.cli.options import OUTPUT, Format, FormatOption, Quiet, Shown, Verbose, emit, shows
from pipelines.cli.pack import pack_command
from pipelines.cli.plugins import plugins_command
from pipelines.cli.recipes import init_command, recipes_command
from pipelines.cli.report import report_command
from pipelines.cli.tokenizer import app as tokenizer_app
from pipelines.cli.tune import tune_command
from pipelines.cli.ui import ui_command
from pipelines.stopping import FinishedWhatRan, request_stop
from pipelines.terminal import protect_streams

keep_kernels()

app = typer.Typer(name="curate", help="From web archives to packed token shards.", no_args_is_help=True,
                  add_completion=True, pretty_exceptions_enable=False, rich_markup_mode=None, cls=GroupedHelp,
                  context_settings={"help_option_names": ["-h", "--help"]})
recipe_app = typer.Typer(help="Check recipes, and describe their fields.", no_args_is_help=True)
models_app = typer.Typer(help="Fetch models that others publish.", no_args_is_help=True)
app.add_typer(recipe_app, name="recipe")
app.add_typer(models_app, name="models")
app.add_typer(kernels_app, name="kernels")
app.command("init")(init_command)
app.command("recipes")(recipes_command)
app.command("estimate")(estimate_command)
app.command("why")(why_command)
app.command("trace")(trace_command)
app.command("report")(report_command)
app.command("ui")(ui_command)
app.command("card")(card_command)
app.command("sample")(sample_command)
app.command("domains")(domains_command)
app.command("stats")(stats_command)
app.command("diff")(diff_command)
app.command("extract")(extract_command)
app.add_typer(classifier_app, name="classifier")
app.add_typer(tokenizer_app, name="tokenizer")
app.command("filter")(filter_command)
app.command("mix")(mix_command)
app.command("pack")(pack_command)
app.command("export")(export_command)
app.command("plugins")(plugins_command)
app.command("tune")(tune_command)
app.command("dedup")(dedup_command)
app.command("decontaminate", cls=DecontaminateCommand)(decontaminate_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"curate {VERSION}")
        raise typer.Exit


@app.callback()
def _options(version: Annotated[bool, typer.Option(
        "--version", is_eager=True, callback=_print_version, help="Print the version and exit.")] = False) -> None:
    """From web archives to packed token shards."""
    if not {"-h", "--help"} & set(sys.argv):
        put_off_pandas()


class EngineName(StrEnum):
    """Where tasks run."""

    RAY = "ray"
    INLINE = "inline"


RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or URL.")]
RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's file, or the name of a packaged one.")]
Sets = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Set a variable or a field; repeatable.")]


@app.command()
def run(
    recipe: RecipeName,
    out: Annotated[str, typer.Option(*OUTPUT, metavar="RUN", help="Folder or URL of the run; continued if it exists.")],
    settings: Sets = [],  # noqa: B006 (typer copies it)
    address: Annotated[str | None, typer.Option(help="Ray cluster to join; without it Ray starts here.")] = None,
    engine: Annotated[EngineName, typer.Option(help="inline runs every task in this process.")] = EngineName.RAY,
    workers: Annotated[int | None, typer.Option(min=1, help="Tasks at a time; all cores by default.")] = None,
    worker_memory: Annotated[int | None, typer.Option(min=1, help="Bytes that a worker reserves on its node.")] = None,
    task_timeout: Annotated[float | None, typer.Option(min=0.001, metavar="SECONDS", help=(
        "Stop the run where a task takes longer; the same command goes on."))] = None,
    check_inputs: Annotated[bool, typer.Option("--check-inputs", help=(
        "Read every local input whole first, though its size and time are as they were."))] = False,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop when this stage is done.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done, and why.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the run in the folder first.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Shown = True,
    form: FormatOption = Format.TEXT,
) -> None:
    """Run a recipe, or go on with it: curate run gpt3 --set data=DATA --output runs/gpt3"""
    import pipelines
    from pipelines.loading import load_recipe
    from pipelines.showing import shown
    from pipelines.status import turned_off
    from pipelines.summary import print_plan, print_summary, summary

    resolved = load_recipe(recipe, settings)
    if dry_run:
        rows = pipelines.plan(resolved, out, until=until, fresh=fresh).to_pylist()
        emit(form, rows, lambda: print_plan(rows, turned_off(resolved.model_dump(mode="json", by_alias=True))))
        return
    with shown(quiet, verbose, progress) as reporter:
        result = pipelines.run(resolved, out, engine=engine.value, address=address, workers=workers,
                               worker_memory=worker_memory, task_timeout=task_timeout, until=until, fresh=fresh,
                               check_inputs=check_inputs, reporter=reporter).result
    assert result is not None  # of a run that was just made
    facts = summary(result, out)
    if not quiet or form is Format.JSON or result.exit_code:
        emit(form, facts, lambda: print_summary(facts))
    raise typer.Exit(result.exit_code)


@app.command()
def status(
    run: RunFolder,
    watching: Annotated[bool, typer.Option("--watch", help="Again and again, until the run is finished.")] = False,
    every: Annotated[bool, typer.Option("--stages", help="A line for each stage, not for each group.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """How far a run is: curate status runs/gpt3; curate status runs/gpt3 --watch"""
    from pipelines import Run
    from pipelines.status import print_status, watch

    opened = Run(run)
    if watching:
        watch(opened.describe, run, opened.n_files)
        return
    rows = [opened.describe()]
    emit(form, rows, lambda: print_status(rows, every))


@app.command()
@shows("reading the files of {run}")
def verify(run: RunFolder, form: FormatOption = Format.TEXT) -> None:
    """Check every file of a run, or of a packed folder alone: curate verify runs/gpt3; curate verify runs/gpt3/packed

    Each file is read, and compared with its record and its manifest."""
    from pipelines.verification import verify_run

    findings = list(verify_run(run))
    bad = [f for f in findings if f.problem]
    rows = [{"path": f.path, "check": f.check, "problem": f.problem} for f in bad]

    def text() -> None:
        for row in rows:
            print(f"{row['path']}: {row['check']}: {row['problem']}")
        print(f"{len(findings)} checks, {len(bad)} failed")

    emit(form, {"checks": len(findings), "failed": rows}, text)
    raise typer.Exit(1 if bad else 0)


@app.command()
@shows("taking documents out of {run}")
def remove(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, on a disk.")],
    urls: Annotated[str | None, typer.Option(metavar="FILE", help="URLs as archived, one a line.")] = None,
    doc_ids: Annotated[str | None, typer.Option(metavar="FILE", help="doc_ids of 32 hex digits, one a line.")] = None,
    with_copies: Annotated[bool, typer.Option(help="Also their duplicates, as deduplication saw them.")] = False,
    skip_unknown: Annotated[bool, typer.Option(help="Remove the others if some are not in the run.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Take documents out of a finished run, in place: curate remove runs/gpt3 --urls requests.txt"""
    from pipelines.removal import print_removal
    from pipelines.removal import remove as take_out
    from pipelines.removal_request import parse_ids, read_list

    done = take_out(run, read_list(urls) if urls else [], parse_ids(read_list(doc_ids)) if doc_ids else [],
                    with_copies, skip_unknown)
    emit(form, done.facts(), lambda: print_removal(done))
    raise typer.Exit(1 if done.unknown else 0)


@recipe_app.command("check")
def recipe_check(recipe: RecipeName, settings: Sets = []) -> None:  # noqa: B006
    """Check that a recipe is well-formed and its files are there: curate recipe check gpt3 --set data=DATA

    Nothing is written."""
    from manifests.storage import Storage
    from pipelines.inputs import InputScanner
    from pipelines.loading import load_recipe
    from pipelines.reachable import check_reachable, hasty
    from pipelines.running import scan

    loaded = hasty(load_recipe(recipe, settings))
    check_reachable(loaded)
    progress = scan(loaded, InputScanner(Storage(".", loaded.s3.access()), loaded.http))
    files = [f for s in progress.sources for f in s.files]
    print(f"{recipe}: well-formed; {_counted(len(progress.sources), 'source')} with {_counted(len(files), 'file')}, "
          f"{sum(f.n_bytes for f in files if f.n_bytes > 0) / 1e6:,.1f} MB")
    drawn = loaded.mixture.sources()
    if left_out := [name for name in loaded.sources if not drawn.get(name)]:
        print(f"note: the mixture gives {', '.join(left_out)} no weight: nothing of it will be packed")


def _counted(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'s' * (n != 1)}"


@recipe_app.command("schema")
def recipe_schema() -> None:
    """Print the JSON schema of recipes, for editors that complete YAML: curate recipe schema > recipe.schema.json"""
    from pipelines.recipe import Recipe

    print(json.dumps(Recipe.model_json_schema(), indent=1, ensure_ascii=False))


@recipe_app.command("reference")
def recipe_reference() -> None:
    """Print the reference page of every recipe field, in Markdown: curate recipe reference > recipe.md"""
    from pipelines.reference import reference_page

    print(reference_page(), end="")


@models_app.command("fetch")
def models_fetch() -> None:
    """Put fastText's language identification model into the user's cache: curate models fetch"""
    from curate.language.download import fetch_lid_model

    print(fetch_lid_model())


class _Interrupt(BaseException):
    """A signal to end. A class of our own, since the argument parser makes its own exit of KeyboardInterrupt."""


_ENDED_BY = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM", signal.SIGHUP: "ended by SIGHUP"}


def _interrupt(signum: int, frame: object) -> None:
    if signum == signal.SIGINT and request_stop():  # a run finishes what is at work; asked again, it stops
        return
    for number in _ENDED_BY:  # once is enough: what is open is being closed
        signal.signal(number, signal.SIG_IGN if number != signal.SIGINT else signal.SIG_DFL)
    raise _Interrupt(signum)


def main() -> None:
    """Entry point: errors that the project foresaw are a message and an exit code, never a traceback."""
    protect_streams()
    if threading.current_thread() is threading.main_thread():
        for number in _ENDED_BY:
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, _interrupt)
    try:
        app()
    except CurateError as error:
        print(f"curate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a path that cannot be written, a full disk
        if error.filename is None and not error.strerror:
            raise
        print(f"curate: {error.filename or 'input or output'}: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except FinishedWhatRan:
        print("curate: stopped, and what ran is finished; the same command goes on from here", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except _Interrupt as interrupt:
        number = signal.Signals(interrupt.args[0])
        print(f"curate: {_ENDED_BY[number]}; the same command goes on from here", file=sys.stderr)
        sys.exit(128 + number)


if __name__ == "__main__":
    main()
