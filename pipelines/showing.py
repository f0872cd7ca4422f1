"""Which reporter a person gets: nothing, bars on a terminal, or lines; for runs and for commands over files alike."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from pipelines.progress import LineReporter, Reporter, SilentReporter
from pipelines.terminal import console

if TYPE_CHECKING:
    from rich.console import Console

_LINE_EVERY_SECONDS: Final = 30.0


def shown(quiet: bool = False, verbose: bool = False, progress: bool = True, of_stages: bool = True
          ) -> AbstractContextManager[Reporter]:
    """What a person sees of a run.

    Args:
        quiet: Nothing.
        verbose: A line for each task, too.
        progress: Bars, where stderr is a terminal; else lines.
        of_stages: Whether each stage that is done leaves a line. Without it lines come only now and then, so that a
            command that is done in a moment says nothing.
    Returns:
        The reporter, when entered.
    """
    if quiet:
        return nullcontext(SilentReporter())
    if progress and (stderr := _terminal()) is not None:
        from pipelines.bars import BarReporter

        return BarReporter(stderr, of_tasks=verbose, of_stages=of_stages or verbose)
    return LineReporter(of_stages=of_stages or verbose, of_tasks=verbose)


@contextmanager
def waiting(what: str, quiet: bool = False, verbose: bool = False, progress: bool = True) -> Iterator[None]:
    """Show that a command is at work which knows not how much is left: a spinner on a terminal, else a line now and
    then.

    Args:
        what: What it does, such as `reading the files of runs/gpt3`.
        quiet: Say nothing.
        verbose: Say at the end how long it took.
        progress: Whether a terminal shows a spinner.
    """
    began = time.monotonic()
    over = threading.Event()

    def say(ending: str) -> None:
        print(f"curate: {what}{ending} {time.monotonic() - began:,.0f} s", file=sys.stderr, flush=True)

    def watch() -> None:
        while not over.wait(_LINE_EVERY_SECONDS):
            say(":")

    if quiet:
        yield
    elif progress and (stderr := _terminal()) is not None:
        with _spinner(what, stderr):
            yield
    else:
        thread = threading.Thread(target=watch, name="waiting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
    if verbose and not quiet:
        say(": took")


def _terminal() -> Console | None:
    """The terminal that stderr is; None where it is none, or one that cannot move its cursor."""
    if not sys.stderr.isatty():
        return None
    stderr = console(to_stderr=True)
    return stderr if stderr.is_terminal and not stderr.is_dumb_terminal else None


@contextmanager
def _spinner(what: str, stderr: Console) -> Iterator[None]:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
                  console=stderr, transient=True, refresh_per_second=4, redirect_stdout=False) as bars:
        bars.add_task(what, total=None)
        yield
