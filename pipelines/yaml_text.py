"""YAML that people write and runs keep, parsed in one place: what is wrong with it is said with where it stands.

Aliases let a few lines stand for more nodes than any memory holds, or for a list that holds itself: what is read is
bounded, in nodes as a program would walk them and in depth.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from manifests.confined import read_file
from manifests.errors import InputError, RecipeError

MAX_BYTES: Final = 1 << 24
"""Of a text: the lock file of an old run names every input."""
_MAX_NODES: Final = 1 << 22
_MAX_DEPTH: Final = 64
_MAX_MERGED: Final = 1 << 14  # keys of one mapping, with what `<<` brings


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, whose merge keys cannot multiply, and whose mappings have each key once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it is written. Of a key that stands there twice, YAML would silently keep the last."""
        node = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                first = seen.setdefault((key.tag, key.value), key.start_mark)
                if first is not key.start_mark:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} stands twice in one mapping, first at line {first.line + 1}",
                        problem_mark=key.start_mark)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what `<<` names into a mapping; its like in every mapping that it names has come first."""
        super().flatten_mapping(node)
        if len(node.value) > _MAX_MERGED:
            raise yaml.YAMLError(f"a mapping has {len(node.value):,} keys by `<<`")


def parse_yaml(text: str | bytes, where: str) -> Any:
    """What some YAML says.

    Args:
        text: The YAML; bytes are UTF-8.
        where: A file, an option or a field, as an error names it.
    Raises:
        RecipeError: It is no YAML, or it stands for too much.
    """
    if len(text) > MAX_BYTES:
        raise RecipeError(f"has {len(text):,} bytes, and YAML is read up to {MAX_BYTES:,}", where=where)
    try:
        value = yaml.load(text, _Loader)  # nosec B506 # a safe loader, with bounds
        _check_extent(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a day that no month has
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else _words(error)
        raise RecipeError(f"is not YAML: {reason}", where=where, hint=_advice(error, text)) from error
    return value


def _words(error: Exception) -> str:
    """What PyYAML says, in one line: the place first, and what stands there."""
    mark = getattr(error, "problem_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return " ".join(str(error).split())
    begun = error.context_mark
    within = f", {error.context}" if error.context else ""
    if within and begun is not None and begun.line != mark.line:
        within += f" that begins at line {begun.line + 1}"
    return " ".join(f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}{within}".split())


def _advice(error: Exception, text: str | bytes) -> str | None:
    """What is most likely meant, where a person's usual slips are seen in the line that is wrong."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return None
    lines = (text if isinstance(text, str) else text.decode("utf-8", "replace")).splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1]:
        return "indent by spaces; YAML takes no tabs"
    if "${" in line and "{" in line[: line.index("${")]:
        return 'inside braces a variable is quoted: {files: "${name}"}'
    before = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
    if "mapping values are not allowed" in str(error) and before.strip() and ":" not in before:
        return f"line {mark.line} has no colon: {before.strip()[:40]!r}"
    return None


def _check_extent(value: Any) -> None:
    """Raise ValueError where a value is deeper, or has more nodes, than anything that a person writes."""
    nodes, level = 0, [value]
    for _ in range(_MAX_DEPTH):
        groups = [group for group in level if isinstance(group, dict | list)]
        nodes += sum(map(len, groups))
        if nodes > _MAX_NODES:
            raise ValueError(f"its aliases stand for more than {_MAX_NODES:,} values")
        level = [child for group in groups for child in (group.values() if isinstance(group, dict) else group)]
        if not level:
            return
    raise ValueError(f"it is nested more than {_MAX_DEPTH} deep, or holds itself")


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
        return parse_yaml(read_file(path, MAX_BYTES), named)
    except FileNotFoundError as error:
        raise RecipeError("there is no such file", where=named) from error
    except InputError as error:
        raise RecipeError(error.what, where=named) from error
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}", where=named) from error
