"""From a YAML file to a validated recipe: variables, overrides, and errors that say what to type instead."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from manifests.confined import read_file
from manifests.credentials import public, refuse_secrets
from manifests.errors import InputError, RecipeError
from manifests.suggestion import meant, meant_or_listed
from pipelines.recipe import Recipe
from pipelines.yaml_text import MAX_BYTES, parse_yaml

_MOST_STEPS = 64
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")


def load_recipe(recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe,
                overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """A recipe, whatever it is given as.

    Args:
        recipe: A file, the name of a packaged recipe (`gpt3`), the fields themselves, or a recipe.
        overrides: `key=value` each, where the key is a variable's name or a dotted field (`select.alpha=3`) and the
            value is YAML; or a mapping of keys to values.
    Raises:
        RecipeError: A field is wrong; every such field is named.
    """
    if isinstance(recipe, Recipe) and not overrides:
        return recipe
    where = "recipe" if isinstance(recipe, Recipe | Mapping) else os.fspath(recipe)
    fields = _fields(recipe, where)
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            _set_field(fields, key, value, key)
    else:
        for override in overrides:
            override_field(fields, override)
    return validate(_substitute(fields, _variables(fields)), where)


def _fields(recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe, where: str) -> dict[str, Any]:
    """The fields of a recipe, which may be changed."""
    if isinstance(recipe, Recipe):
        return recipe.model_dump(mode="json", by_alias=True)
    fields = deepcopy(dict(recipe)) if isinstance(recipe, Mapping) else parse_yaml(_read(where), where)
    if not isinstance(fields, dict):
        raise RecipeError("must be a mapping of fields", where=where, hint="see `curate recipe schema`")
    if "run_format" in fields and isinstance(fields.get("recipe"), dict):
        return dict(fields["recipe"])  # the lock file of a run: its resolved recipe
    return fields


def validate(fields: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """The recipe that these fields describe; raises RecipeError with one line for each wrong field."""
    refuse_secrets(fields)
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        lines = [explain(Recipe, dict(e)) for e in error.errors()]
        raise RecipeError("\n  ".join(lines), where=where) from error


def packaged_recipes() -> list[str]:
    """Names of the recipes that come with the project."""
    names = [p.name for p in files("pipelines.recipes").iterdir()]
    return sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml"))


def _read(name: str) -> bytes:
    if not os.path.isfile(name) and name in packaged_recipes():  # a folder may be called so
        return files("pipelines.recipes").joinpath(f"{name}.yaml").read_bytes()
    try:
        if os.path.lexists(name):
            return read_file(name, MAX_BYTES)
    except InputError as error:
        raise RecipeError(error.what, where=name) from error
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}", where=name) from error
    except ValueError:  # a name that no file can have
        pass
    known = packaged_recipes()
    raise RecipeError("no such recipe", where=name,
                      hint=meant(name, [*known, *_recipes_beside(name)]) or
                      f"a file's path, or one of: {', '.join(known)}")


def _recipes_beside(name: str) -> list[str]:
    """YAML files of the folder in which a recipe was looked for, as one would name them."""
    folder = Path(name).parent
    with suppress(OSError):
        return sorted(str(folder / path.name) for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    return []


def override_field(fields: dict[str, Any], override: str) -> None:
    """Set one field of a recipe, in place: `key=value` as in `load_recipe`."""
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError("has no '='", where=f"--set {public(override)}", hint="write --set select.alpha=3")
    _set_field(fields, key, parse_yaml(value, f"--set {key}"), f"--set {key}")


def _set_field(fields: dict[str, Any], key: str, value: Any, where: str) -> None:
    path = key.split(".")
    if len(path) > _MOST_STEPS:
        raise RecipeError(f"has {len(path):,} steps, and no field lies so deep", where=where[:_MOST_STEPS])
    if path[0] in (fields.get("variables") or {}) and len(path) == 1:
        path = ["variables", *path]
    group: Any = fields
    for step in path[:-1]:
        group = group.setdefault(step, {})
        if not isinstance(group, dict):
            raise RecipeError(f"{step!r} is no group of fields", where=where)
    group[path[-1]] = value


def _variables(fields: Mapping[str, Any]) -> dict[str, str]:
    declared = fields.get("variables") or {}
    if not isinstance(declared, dict):
        raise RecipeError("must map names to values", where="variables")
    return {str(k): str(v) for k, v in declared.items()}


def _substitute(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: v if k == "variables" else _substitute(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [_substitute(v, variables) for v in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            raise RecipeError(f"variable ${{{name}}} is not declared", where=public(value),
                              hint=meant(name, list(variables)) or "declare it under `variables:` with a default")
        return variables[name]

    return _VARIABLE.sub(replace, value)


def explain(model: type[BaseModel], error: dict[str, Any]) -> str:
    """One of pydantic's errors about a model, in words: the field, what is wrong, and what may have been meant."""
    field_path = ".".join(str(p) for p in error["loc"] if not str(p).startswith(("function-", "tagged-")))
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        known = _fields_at(model, error["loc"][:-1])
        hint = meant(name, known)
        if not hint and len(error["loc"]) == 1 and (inner := _inner_fields(model, name)):
            hint = f"did you mean {' or '.join(inner)}?"
        return f"{field_path}: unknown field{f' ({hint})' if hint else ''}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if not field_path:  # a rule on the recipe as a whole, which names its fields itself
        return message
    if error["type"] == "plugin":
        return f"{field_path}: {message}"
    if error["type"] == "missing":
        return f"{field_path}: {message[0].lower()}{message[1:]}"
    given = error.get("input")
    if error["type"] in ("literal_error", "enum") and isinstance(given, str):
        names = re.findall(r"'([^']*)'", str((error.get("ctx") or {}).get("expected", "")))
        if names:
            return f"{field_path.removesuffix('.[key]')}: no such name: {given!r:.80} ({meant_or_listed(given, names)})"
    advice = '; YAML reads no, yes, on and off so: quote it' if error["type"] == "string_type" and isinstance(
        given, bool) else ""
    return f"{field_path}: {message} (got {given!r:.80}{advice})"


def _inner_fields(model: type[BaseModel], name: str) -> list[str]:
    """Fields of this name in the groups of a model, as `--set` names them."""
    groups = {group: [a for a in (field.annotation, *get_args(field.annotation))
                      if isinstance(a, type) and issubclass(a, BaseModel)]
              for group, field in model.model_fields.items()}
    return [f"{group}.{name}" for group, models in groups.items() if any(name in m.model_fields for m in models)]


def _fields_at(root: type[BaseModel], path: Sequence[Any]) -> list[str]:
    """Field names that are allowed at a path of a model, following the models along a pydantic error's location."""
    model: Any = root
    for step in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = next((f for n, f in model.model_fields.items() if step in (n, f.alias)), None)
            model = field.annotation if field else None
        elif model is not None:  # a mapping's key or a list's index: go on with what it holds
            model = get_args(model)[-1] if get_args(model) else None
        if not isinstance(model, type):
            models = [a for a in get_args(model) if isinstance(a, type) and issubclass(a, BaseModel)]
            model = models[0] if models and "dict" not in str(model) and "list" not in str(model) else model
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [f.alias or n for n, f in model.model_fields.items()]
    return []
