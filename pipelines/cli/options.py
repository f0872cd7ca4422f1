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


FormatOption = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]
IdColumn = Annotated[str, typer.Option(help="Column or key of the ids; `doc_id` where it is absent.")]
TextColumn = Annotated[str, typer.Option(help="Column or key of the texts.")]
TextFiles = Annotated[list[str], typer.Argument(metavar="IN…", help="Parquet or JSONL files, folders or patterns.")]


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
