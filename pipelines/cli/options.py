"""What commands share: options, how a result is printed, and settings that are checked as a recipe's are."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from manifests.errors import CurateError, RecipeError
from pipelines.terminal import json_text, printable
from pipelines.verb_options import VerbOptions

if TYPE_CHECKING:
    from pydantic import BaseModel

_SAYS_NOTHING: Final = ContextVar("quiet", default=False)
_END_SHOWN: Final[ContextVar[Callable[[], object]]] = ContextVar("end_shown", default=lambda: None)
"""Takes away what shows that a command is at work, before its result is printed."""
Model = TypeVar("Model", bound="BaseModel")


OUTPUT: Final = ("--output", "-o", "--out")
"""Names of the option that says where a command writes; the last is an old one, which help does not show."""
OLD_NAMES: Final = frozenset({"--out"})


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class EngineName(StrEnum):
    """Where tasks run."""

    RAY = "ray"
    INLINE = "inline"


FormatOption = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]
IdColumn = Annotated[str, typer.Option(help="Column or key of the ids; `doc_id` where it is absent.")]
TextColumn = Annotated[str, typer.Option(help="Column or key of the texts.")]
TextFiles = Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet or JSONL files, folders or patterns.")]
OutFolder = Annotated[str, typer.Option(*OUTPUT, metavar="OUT", help=(
    "Folder of the documents that are kept; decisions about every row lie in OUT.decisions."))]
_Apply = Annotated[bool, typer.Option("--apply/--no-apply", help=(
    "Write the documents that are kept; or to OUT the decisions alone, row for row."))]
_Decisions = Annotated[list[str] | None, typer.Option("--decisions", metavar="DIR", help=(
    "Decisions about these rows that a command wrote before: what they drop is left out, their edits are made. "
    "Repeatable."))]
_IgnoreKeep = Annotated[bool, typer.Option("--ignore-keep", help="Read rows whose column `keep` is false, too.")]
_Engine = Annotated[EngineName | None, typer.Option("--engine", help=(
    "inline, in this process, unless several workers or a cluster are asked for; or ray."))]
_Address = Annotated[str | None, typer.Option("--address", help="Ray cluster to join; without it Ray starts here.")]
_Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Tasks at a time, on Ray.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing unless something failed.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more: each task, how long it took.")]
Shown = Annotated[bool, typer.Option("--progress/--no-progress", help="Bars, where there is a terminal.")]
_KeepWork = Annotated[bool, typer.Option("--keep-work", help="Leave the folder OUT.work when all is done.")]


_VERB_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "apply": (_Apply, True), "decisions": (_Decisions, None), "ignore_keep": (_IgnoreKeep, False),
    "engine": (_Engine, None), "address": (_Address, None), "workers": (_Workers, None),
    "keep_work": (_KeepWork, False), "quiet": (Quiet, False), "verbose": (Verbose, False), "progress": (Shown, True)}
SHOWS: Final = ("quiet", "verbose", "progress")
"""Options of `VerbOptions` that every command has which works long."""
RUNS: Final = ("engine", "address", "workers", "keep_work", *SHOWS)
"""Options of `VerbOptions` that every command over files has."""
READS: Final = ("decisions", "ignore_keep", *RUNS)
"""Of one that reads tables, too."""
KEEPS: Final = ("apply", *READS)
"""Of one that decides which rows stay, too."""


def with_verb_options(names: Sequence[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options of `VerbOptions`, before its last parameter; it takes them as one parameter, `options`."""
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        shared = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
                  for name, (kind, default) in _VERB_OPTIONS.items() if name in names]
        *first, last = (p for p in own.parameters.values() if p.name != "options")
        parameters = [*first, *shared, last]

        @wraps(command)
        def wrapper(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in names}
            if "decisions" in chosen:
                chosen["decisions"] = tuple(chosen["decisions"] or ())
            options = VerbOptions(**chosen)
            with _quiet(options.quiet):
                command(**given, options=options)

        wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def shows(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command --quiet, --verbose and --no-progress, and show that it is at work. what: what it does, in which
    `{run}` and the like stand for its arguments."""
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        added = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
                 for name, (kind, default) in _VERB_OPTIONS.items() if name in SHOWS]
        *first, last = own.parameters.values()

        @wraps(command)
        def wrapper(**given: Any) -> None:
            from pipelines.showing import waiting

            quiet, verbose, progress = (given.pop(name) for name in SHOWS)
            with _quiet(quiet), ExitStack() as shown:
                shown.enter_context(waiting(printable(what.format(**given)), quiet, verbose, progress))
                token = _END_SHOWN.set(shown.close)
                try:
                    command(**given)
                finally:
                    _END_SHOWN.reset(token)

        parameters = [*first, *added, last]
        wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def before_result() -> bool:
    """Take away what shows that a command is at work; whether a person wants to read its result."""
    _END_SHOWN.get()()
    return not _SAYS_NOTHING.get()


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """Have `emit` print for programs alone in the block, where that is wanted."""
    before = _SAYS_NOTHING.set(wanted)
    try:
        yield
    finally:
        _SAYS_NOTHING.reset(before)


def emit(form: Format, facts: Any, text: Callable[[], str | None], failures: Sequence[CurateError] = ()) -> None:
    """Print a result.

    Args:
        form: For people or for programs.
        facts: What programs read.
        text: Prints the result for a person, or gives what is to be printed.
        failures: Inputs that could not be read: named on stderr first.
    Raises:
        typer.Exit: With 1, once all is printed, where an input failed.
    """
    before_result()
    for error in failures:
        print(f"curate: {error}", file=sys.stderr)
    if form is Format.JSON:
        print(json_text(facts))
    elif not _SAYS_NOTHING.get() and (sentences := text()) is not None:
        print(sentences)
    if failures:
        raise typer.Exit(1)


def kept_lines(facts: Mapping[str, Any]) -> list[str]:
    """What a command kept, a line each: the sum, rows that were left out, and drops by reason."""
    share = facts["kept"] / max(1, facts["documents"])
    left_out = f"; {facts['left_out']:,} rows left out by their `keep` or --decisions" if facts["left_out"] else ""
    return [f"{facts['documents']:,} documents, {facts['kept']:,} kept ({share:.1%}); {facts['bytes'] / 1e6:,.1f} MB, "
            f"{facts['kept_bytes'] / 1e6:,.1f} MB kept{left_out}",
            *(f"  {reason:<40} {n:,}" for reason, n in facts["dropped"].items())]


def checked(model: type[Model], fields: Mapping[str, Any], prefix: str = "--", hint: str | None = None) -> Model:
    """The settings that a command's options make. Raises RecipeError naming the option, or with another prefix the
    field, that is wrong."""
    from pydantic import ValidationError

    from pipelines.loading import explain

    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first: dict[str, Any] = dict(error.errors()[0])
        path = ".".join(map(str, first["loc"]))
        where = f"--{path.replace('_', '-').replace('.', '-')}" if prefix == "--" else f"{prefix}.{path}"
        message = explain(model, first).removeprefix(f"{path}: ")
        raise RecipeError(message, where=where.rstrip(".-") or None, hint=hint) from error


def read_yaml(path: str, option: str) -> Any:
    """What a YAML file says. Raises RecipeError naming the option where it cannot be read."""
    from pipelines import yaml_text

    return yaml_text.read_yaml(path, option)
