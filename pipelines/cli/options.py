"""What commands share: options, how a result is printed, and settings that are checked as a recipe's are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from manifests.errors import CurateError, RecipeError

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")


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
OutFolder = Annotated[str, typer.Option("--out", metavar="OUT", help=(
    "Folder of the documents that are kept; decisions about every row lie in OUT.decisions."))]
Apply = Annotated[bool, typer.Option("--apply/--no-apply", help=(
    "Write the documents that are kept; or to OUT the decisions alone, row for row."))]
Decisions = Annotated[list[str] | None, typer.Option("--decisions", metavar="DIR", help=(
    "Decisions about these rows that a command wrote before: what they drop is left out, their edits are made. "
    "Repeatable."))]
IgnoreKeep = Annotated[bool, typer.Option("--ignore-keep", help="Read rows whose column `keep` is false, too.")]
Engine = Annotated[EngineName | None, typer.Option("--engine", help=(
    "inline, in this process, unless several workers or a cluster are asked for; or ray."))]
Address = Annotated[str | None, typer.Option("--address", help="Ray cluster to join; without it Ray starts here.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Tasks at a time, on Ray.")]
KeepWork = Annotated[bool, typer.Option("--keep-work", help="Leave the folder OUT.work when all is done.")]


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
    for error in failures:
        print(f"curate: {error}", file=sys.stderr)
    if form is Format.JSON:
        print(json.dumps(facts, ensure_ascii=False, default=str))
    elif (sentences := text()) is not None:
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
