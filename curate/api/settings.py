"""Settings that a caller gives as arguments, checked by the models that check recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from manifests.errors import RecipeError

Model = TypeVar("Model", bound=BaseModel)


def settings(model: type[Model], fields: Mapping[str, Any], function: str) -> Model:
    """The settings that arguments make.

    Args:
        model: What describes them; those that are not given have its defaults.
        fields: Arguments by name.
        function: Whose they are, for errors.
    Raises:
        RecipeError: An argument has no such value; each that is wrong is named.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        lines = [_explained(dict(entry)) for entry in error.errors()]
        raise RecipeError("\n  ".join(lines), where=f"{function}()") from error


def _explained(entry: dict[str, Any]) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    path = ".".join(map(str, entry["loc"]))
    return f"{path}: {message} (got {entry['input']!r:.80})" if path else message
