"""Settings that a caller gives as arguments, checked by the models that check recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeVar

from manifests.errors import RecipeError


class Checked(Protocol):
    """A pydantic model. What a trainer installs has no pydantic, so it is known here by what it does."""

    @classmethod
    def model_validate(cls, obj: Any, /) -> Self: ...


Model = TypeVar("Model", bound=Checked)


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
    except ValueError as error:
        entries = getattr(error, "errors", None)
        if entries is None:
            raise
        raise RecipeError("\n  ".join(map(_explained, entries())), where=f"{function}()") from error


def _explained(entry: Mapping[str, Any]) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    path = ".".join(str(step) for step in entry["loc"] if step != "[key]")
    return f"{path}: {message} (got {entry['input']!r:.80})" if path else message
