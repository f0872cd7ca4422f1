"""The reference page of recipes, written from the models so that it is always true."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.recipe import Recipe

_HEAD = """# Recipe reference

Every field a recipe may have, with its type, default and meaning. This page is generated: `curate recipe reference`.
`curate recipe schema` prints the same as a JSON schema, and `curate recipe check FILE` says whether a recipe is
well-formed. A field without a default must be given.
"""


def reference_page() -> str:
    """The page in Markdown."""
    return _HEAD + "".join(_section(name, model) for name, model in _groups("", Recipe))


def _groups(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted path, model) of a model and of every model below it, in the order of its fields."""
    yield path, model
    for name, field in model.model_fields.items():
        for inner, suffix in _models(field.annotation):
            yield from _groups(f"{path}.{field.alias or name}{suffix}".lstrip("."), inner)


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _models(part)
    elif get_origin(annotation) is dict:
        for inner, suffix in _models(get_args(annotation)[1]):
            yield inner, f".NAME{suffix}"
    elif get_origin(annotation) in (list, tuple):
        for inner, suffix in _models(get_args(annotation)[0]):
            yield inner, f"[]{suffix}"


def _section(path: str, model: type[BaseModel]) -> str:
    lines = [f"\n## {f'`{path}`' if path else 'The recipe'}\n", f"\n{_first_paragraph(model)}\n",
             "\n| field | type | default | meaning |\n", "|---|---|---|---|\n"]
    for name, field in model.model_fields.items():
        lines.append(f"| `{field.alias or name}` | {_type_of(field)} | {_default(field)} | {_text(field)} |\n")
    return "".join(lines)


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def _text(field: FieldInfo) -> str:
    bounds = [f"{sign} {getattr(m, name):g}" for m in field.metadata for name, sign in
              (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")) if isinstance(getattr(m, name, None), int | float)]
    return f"{(field.description or '').replace('|', '/')}{f' ({chr(44).join(bounds)})' if bounds else ''}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "below"
    if isinstance(value, tuple | list | dict) and len(json.dumps(value, default=str)) > 60:
        return f"{len(value)} entries"
    return f"`{json.dumps(value, default=str)}`" if value is not None else "none"


def _type_of(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and isinstance(names := extra.get("enum"), list):
        return " or ".join(f"`{name}`" for name in names)  # of a table, to which entries may be added
    return _type(field.annotation)


def _type(annotation: Any) -> str:
    if annotation is type(None):
        return "none"
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type(a) for a in get_args(annotation))
    if get_origin(annotation) in (list, tuple):
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return f"mapping of {_type(get_args(annotation)[0])} to {_type(get_args(annotation)[1])}"
    if get_args(annotation):
        return " or ".join(f"`{a}`" for a in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "group"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(
        getattr(annotation, "__name__", ""), str(getattr(annotation, "__name__", annotation)))
