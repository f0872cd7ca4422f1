"""docs/api.md: the public names of the packages, from their own signatures and docstrings.

    python -m scripts.api_reference > docs/api.md
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

PACKAGES: Final = ("curate", "tokenizer", "pipelines", "manifests")
_HEAD: Final = """\
# The Python API

Made of the docstrings by `make docs`; [python.md](python.md) shows each function at work.

"""
_SECTION: Final = re.compile(r"(Args|Returns|Yields|Raises):")
_ENTRY: Final = re.compile(r"([*\w, ]+): (.*)")
_WIDTH: Final = 100


def page() -> str:
    """The page, in Markdown."""
    return _HEAD + "\n".join(line for package in PACKAGES for line in _package(package)).rstrip() + "\n"


def public_names(package: str) -> dict[str, Any]:
    """What a package offers, by name: functions and constants first, then classes, each by name."""
    module = import_module(package)
    names = {name: getattr(module, name) for name in module.__all__}
    return dict(sorted(names.items(), key=lambda item: (inspect.isclass(item[1]), item[0].lower(), item[0])))


def _package(name: str) -> Iterator[str]:
    yield f"## {name}\n"
    yield _first_paragraph(inspect.getdoc(import_module(name)) or "") + "\n"
    for public, value in public_names(name).items():
        if inspect.isclass(value):
            yield from _class(name, public, value)
        elif callable(value):
            yield from _function("###", f"{name}.{public}", value)
        else:
            yield f"### {name}.{public}\n"
            yield _constant_doc(import_module(name), public) + "\n"


def _class(package: str, name: str, cls: type) -> Iterator[str]:
    yield f"### {package}.{name}\n"
    doc = inspect.getdoc(cls) or ""
    if "Args:" in doc:
        yield from _code(f"{package}.{name}", vars(cls)["__init__"])
    yield from _described(doc)
    if _is_model(cls):
        yield "Its fields are those of [recipe.md](recipe.md).\n"
        return
    for attribute, value in vars(cls).items():
        function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if attribute.startswith("_") or not function.__doc__:
            continue
        if isinstance(value, property):
            yield f"#### {name}.{attribute}\n"
            yield from _described(inspect.getdoc(value) or "")
        elif inspect.isfunction(function):
            yield from _function("####", f"{name}.{attribute}", function)


def _is_model(cls: type) -> bool:
    return hasattr(cls, "model_fields")


def _function(level: str, name: str, function: Any) -> Iterator[str]:
    yield f"{level} {name}\n"
    yield from _code(name, function)
    yield from _described(inspect.getdoc(function) or "")


def _code(name: str, function: Any) -> Iterator[str]:
    """The signature, a parameter a line where it is long."""
    signature = inspect.signature(function)
    returned = "" if signature.return_annotation in (inspect.Signature.empty, "None") else (
        f" -> {_annotation(signature.return_annotation)}")
    shown, starred = [], False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
            starred = True
        shown.append(_parameter(parameter))
        starred |= parameter.kind is parameter.VAR_POSITIONAL
    line = f"{name}({', '.join(shown)}){returned}"
    if len(line) > _WIDTH:
        line = f"{name}(\n" + "".join(f"    {text},\n" for text in shown) + f"){returned}"
    yield f"```python\n{line}\n```\n"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "*" * ((parameter.kind is parameter.VAR_POSITIONAL) + 2 * (parameter.kind is parameter.VAR_KEYWORD))
    text = f"{stars}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        default = repr(parameter.default).replace("'", '"')
        text += f" = {default}" if ":" in text else f"={default}"
    return text


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _described(doc: str) -> Iterator[str]:
    """A docstring's prose, then its sections as lists."""
    for title, lines in _sections(doc):
        text = "\n".join(lines).strip("\n")
        if title is None:
            if text:
                yield text + "\n"
        elif title in ("Args", "Raises"):
            yield f"**{title}**\n"
            yield "\n".join(_entries(lines)) + "\n"
        else:
            yield f"**{title}**: {' '.join(inspect.cleandoc(text).split())}\n"


def _sections(doc: str) -> list[tuple[str | None, list[str]]]:
    sections: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in doc.splitlines():
        if match := _SECTION.fullmatch(line):
            sections.append((match[1], []))
        else:
            sections[-1][1].append(line)
    return sections


def _entries(lines: list[str]) -> Iterator[str]:
    """Entries `name: text` as a list, their lines joined."""
    joined: list[str] = []
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    for line in filter(str.strip, lines):
        if len(line) - len(line.lstrip()) == indent:
            joined.append(line.strip())
        else:
            joined[-1] += f" {line.strip()}"
    for entry in joined:
        match = _ENTRY.fullmatch(entry)
        yield f"- `{match[1]}`: {match[2]}" if match else f"- {entry}"


def _first_paragraph(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split())


def _constant_doc(package: Any, name: str) -> str:
    """The string below a constant's assignment, in the module that defines it."""
    module = import_module(f"{package.__name__}.{package._MODULE_OF[name]}")
    body = ast.parse(inspect.getsource(module)).body
    for statement, after in pairwise(body):
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return " ".join(str(after.value.value).split())
    raise ValueError(f"{module.__name__}.{name} has no docstring")


if __name__ == "__main__":
    print(page(), end="")
