"""YAML that people write and runs keep, parsed in one place: what is wrong with it is said with where it stands."""

from __future__ import annotations

from typing import Any

import yaml

from manifests.errors import RecipeError


def parse_yaml(text: str | bytes, where: str) -> Any:
    """What some YAML says.

    Args:
        text: The YAML; bytes are UTF-8.
        where: A file, an option or a field, as an error names it.
    Raises:
        RecipeError: It is no YAML.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a day that no month has
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise RecipeError(f"is not YAML: {reason}", where=where) from error


def read_yaml(path: str, where: str) -> Any:
    """What a YAML file says.

    Args:
        path: A local file.
        where: What an error says before the path, such as an option; may be empty.
    Raises:
        RecipeError: It cannot be read, or is no YAML.
    """
    named = f"{where} {path}".strip()
    try:
        with open(path, "rb") as stream:
            return parse_yaml(stream.read(), named)
    except FileNotFoundError as error:
        raise RecipeError("there is no such file", where=named) from error
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}", where=named) from error
