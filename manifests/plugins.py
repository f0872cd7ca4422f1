"""Plug-ins: what installed distributions add by entry points, and what a run's bytes depend on of them.

A distribution declares an entry point in one of the groups `curate.<group>`, which names a class. A recipe names the
entry point, never code, with parameters that the class's own pydantic model (`Parameters`) validates; parameters that
are paths are inputs of the run, known by their digests. What a plug-in's outputs depend on is its distribution's name
and version, the files of its top-level package, and the parameters: its *facts*, which tasks name in their records. A
worker that has another plug-in under the name refuses the task.
"""

from __future__ import annotations

import difflib
import glob
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import xxhash

from manifests.errors import CurateError, RecipeError, StageError

if TYPE_CHECKING:
    from manifests.tasks import Work

GROUPS: Final = ("signals", "extractors", "sources", "scorers", "edits", "exports")
"""What plug-ins can be; entry-point groups are called `curate.<group>`."""

_UNITS: Final = {"signals": "signal", "extractors": "extractor", "sources": "source kind", "scorers": "scorer",
                 "edits": "edit", "exports": "export"}


@dataclass(frozen=True, slots=True)
class Plugin:
    """One installed plug-in. group: of `GROUPS`. name: of its entry point. distribution, version: what installed it."""

    group: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def __str__(self) -> str:
        return f"{_UNITS[self.group]} plug-in {self.name!r} ({self.distribution} {self.version})"

    def load(self) -> Any:
        """The class that the entry point names. Raises RecipeError where it cannot be imported, StageError where the
        package has changed since this process imported it."""
        digest = _loaded_as(self.entry_point.module)
        try:
            found = self.entry_point.load()
        except Exception as error:
            if (top := _top(self.entry_point.module)) not in sys.modules:
                del LOADED[top]  # nothing of it is loaded, so it may be mended and tried again
            raise RecipeError(f"cannot be imported: {type(error).__name__}: {error}", where=str(self),
                              hint=f"{self.entry_point.value}: is all there that it needs?") from error
        if digest != source_digest(self.entry_point.module):
            raise StageError("its files have changed since this process imported them", where=str(self),
                             hint="start the program again")
        return found

    def summary(self) -> tuple[str, str | None]:
        """(first line of its documentation, why it cannot be loaded or None)."""
        try:
            text = getattr(self.load(), "__doc__", None) or ""
        except CurateError as error:
            return "", error.what
        return text.strip().partition("\n")[0], None

    def facts(self) -> dict[str, str]:
        """What outputs depend on beside the parameters: the plug-in, its distribution, and a digest of its files."""
        return {"plugin": self.name, "distribution": self.distribution, "version": self.version,
                "files": source_digest(self.entry_point.module)}


def installed(group: str | None = None) -> list[Plugin]:
    """The plug-ins of a group, or of all, by group and name."""
    found = []
    for wanted in GROUPS if group is None else (group,):
        for point in entry_points(group=f"curate.{wanted}"):
            name, version = (point.dist.name, point.dist.version) if point.dist is not None else ("unknown", "unknown")
            found.append(Plugin(wanted, point.name, name, version, point))
    return sorted(found, key=lambda p: (GROUPS.index(p.group), p.name, p.distribution))


def find(group: str, name: str, own: Iterable[str] = ()) -> Plugin:
    """A plug-in by name.

    Args:
        group: Of `GROUPS`.
        name: Of its entry point.
        own: Names that the project itself has for the same use, for the message.
    Raises:
        RecipeError: None is installed under the name, or two distributions have one.
    """
    plugins = installed(group)
    matches = [plugin for plugin in plugins if plugin.name == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RecipeError(f"{_UNITS[group]} plug-in {name!r} is installed twice, by " + " and ".join(
            f"{plugin.distribution} {plugin.version}" for plugin in matches), hint="uninstall one of them")
    there = ", ".join(f"{plugin.name} ({plugin.distribution} {plugin.version})" for plugin in plugins) or "none"
    close = difflib.get_close_matches(name, [*(plugin.name for plugin in plugins), *own], n=1, cutoff=0.6)
    meant = f"did you mean {close[0]!r}? " if close else ""
    built_in = f"; built in: {', '.join(own)}" if own else ""
    raise RecipeError(f"no {_UNITS[group]} is called {name!r}",
                      hint=f"{meant}installed plug-ins of curate.{group}: {there}{built_in}")


def checked_parameters(plugin: Plugin, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters as a plug-in's own model validates them.

    Args:
        plugin: Whose `Parameters` they are for; a plug-in without such a class takes none.
        given: As a recipe has them.
    Returns:
        (JSON form with every default, path of each parameter that is one: `words`, `models.en`, `lists.0`).
    Raises:
        RecipeError: They are wrong; one line a field.
    """
    model = getattr(plugin.load(), "Parameters", None)
    if model is None:
        if given:
            raise RecipeError(f"takes no parameters, and was given {', '.join(map(str, given))}", where=str(plugin))
        return {}, {}
    try:
        checked = model.model_validate(dict(given))
    except ValueError as error:
        raise RecipeError("; ".join(_lines(error, list(getattr(model, "model_fields", ())))),
                          where=str(plugin)) from error
    paths = {position: os.fspath(path) for position, path in _paths(checked)}
    return dict(checked.model_dump(mode="json")), paths


def _lines(error: ValueError, fields: Sequence[str]) -> list[str]:
    """One line for each of pydantic's errors, of which this package knows only the shape."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return [str(error)]
    lines = []
    for item in errors():
        name = ".".join(map(str, item["loc"]))
        close = difflib.get_close_matches(name, fields, n=1, cutoff=0.6) if item["type"] == "extra_forbidden" else []
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        lines.append(f"parameters.{name}: {item['msg']}{meant}" if name else str(item["msg"]))
    return lines


def _paths(value: Any, position: str = "") -> Iterator[tuple[str, Path]]:
    """Every path in validated parameters, by its position."""
    if isinstance(value, Path):
        yield position, value
        return
    inner: Iterable[tuple[Any, Any]] = ()
    if hasattr(type(value), "model_fields"):
        inner = ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    for name, child in inner:
        yield from _paths(child, f"{position}.{name}".lstrip("."))


def with_paths(parameters: Mapping[str, Any], paths: Mapping[str, str | None]) -> dict[str, Any]:
    """Parameters with other paths at their positions."""
    copy = _copied(parameters)
    for position, path in paths.items():
        *steps, last = position.split(".")
        inside: Any = copy
        for step in steps:
            inside = inside[int(step) if isinstance(inside, list) else step]
        inside[int(last) if isinstance(inside, list) else last] = path
    return dict(copy)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(child) for name, child in value.items()}
    return [_copied(child) for child in value] if isinstance(value, list | tuple) else value


def input_files(paths: Mapping[str, str], field: str) -> dict[str, tuple[str, ...]]:
    """Parameters that are paths as input files of a recipe, by the field that names each."""
    return {f"{field}.{position}": (glob.escape(path),) for position, path in paths.items()}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plug-in at work in a task: `object` is an instance of its class. where: the task, as errors name it."""

    plugin: Plugin
    object: Any
    where: str

    @contextmanager
    def blamed(self, *expected: type[Exception]) -> Iterator[None]:
        """Errors of the plug-in become StageErrors that name it, its line and the task; expected ones stay."""
        try:
            yield
        except Exception as error:
            if isinstance(error, (CurateError, MemoryError, *expected)):
                raise
            frames = traceback.extract_tb(error.__traceback__)
            line = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}" if frames else "unknown place"
            raise StageError(f"{self.plugin} raised {type(error).__name__}: {error}", where=self.where,
                             hint=f"{line}; it is the plug-in's own code") from error

    def wrong(self, what: str) -> StageError:
        """The error of a plug-in that did not do what its kind promises."""
        return StageError(f"{self.plugin} {what}", where=self.where, hint="docs/plugins.md says what it should return")


def load_for(work: Work, group: str, facts: Mapping[str, Any], field: str) -> Loaded:
    """The plug-in that a task names, made with its parameters, kept in this process as long as nothing of it changes.

    Args:
        work: The task; its inputs `<field>.<position>` are the parameters that are paths.
        group: Of `GROUPS`.
        facts: As the task was planned with: `Plugin.facts()` and `parameters`.
        field: Where the recipe names the parameters.
    Raises:
        StageError: It is not installed here, or is another than the run was planned with.
    """
    where = f"{work.task.stage}/{work.task.name}"
    try:
        plugin = find(group, facts["plugin"])
        here = plugin.facts()
    except RecipeError as error:
        raise StageError(error.what, where=where, hint="every worker needs the plug-ins of the run") from error
    if differing := [f"{name} {facts[name]}, here {value}" for name, value in here.items() if facts[name] != value]:
        raise StageError(f"{plugin} is not that of the run: {'; '.join(differing)}", where=where,
                         hint="install the same distribution on every machine")
    inputs = sorted(name for name in work.task.inputs if name.startswith(f"{field}."))
    paths = tuple((name.removeprefix(f"{field}."), work.input(name), work.task.inputs[name].digest) for name in inputs)
    loaded = Loaded(plugin, None, where)
    with loaded.blamed():
        parameters = with_paths(facts["parameters"], {position: path for position, path, _ in paths})
        return Loaded(plugin, created(plugin, repr(sorted(here.items())), _Parameters(parameters, paths)), where)


def load_here(group: str, name: str, given: Mapping[str, Any], where: str, own: Iterable[str] = ()) -> Loaded:
    """A plug-in outside a run's tasks, by name, with parameters as a user gives them.

    Raises RecipeError where there is none, or its parameters are wrong. where: what errors name beside it."""
    plugin = find(group, name, own)
    checked, paths = checked_parameters(plugin, given)
    known = tuple((position, path, "") for position, path in sorted(paths.items()))
    with Loaded(plugin, None, where).blamed():
        return Loaded(plugin, _create(plugin, _Parameters(checked, known)), where)


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Parameters of an instance; two are one where they say the same and their files have the same bytes."""

    values: dict[str, Any]
    paths: tuple[tuple[str, str, str], ...]

    def __hash__(self) -> int:
        return hash(repr(self.values) + repr(self.paths))


@lru_cache(maxsize=64)
def created(plugin: Plugin, facts: str, parameters: _Parameters) -> Any:
    return _create(plugin, parameters)


def _create(plugin: Plugin, parameters: _Parameters) -> Any:
    kind = plugin.load()
    model = getattr(kind, "Parameters", None)
    return kind() if model is None else kind(model.model_validate(parameters.values))


LOADED: Final[dict[str, str]] = {}
"""Digest of every top-level package when this process first loaded a plug-in of it."""


def _loaded_as(module: str) -> str:
    """The digest that a top-level package had when this process first loaded a plug-in of it."""
    return LOADED.setdefault(_top(module), source_digest(module))


def _top(module: str) -> str:
    return module.partition(".")[0]


def source_digest(module: str) -> str:
    """xxh3-128 of the files of a module's top-level package, compiled ones aside. Raises RecipeError where there is no
    such package."""
    top = _top(module)
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise RecipeError(f"there is no package {top!r}", hint="is the plug-in's distribution installed completely?")
    if spec.submodule_search_locations is None:
        files = [(f"{top}.py", spec.origin)] if spec.origin else []
    else:
        files = [(os.path.relpath(path, folder), path) for folder in spec.submodule_search_locations
                 for path in _files_below(folder)]
    return _digest(tuple((name, path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for name, path in files))


def _files_below(folder: str) -> Iterator[str]:
    for inner, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        yield from (os.path.join(inner, name) for name in sorted(names) if not name.endswith((".pyc", ".pyo"))
                    and not name.startswith("."))


@lru_cache(maxsize=256)
def _digest(files: tuple[tuple[str, str, int, int], ...]) -> str:
    found = xxhash.xxh3_128()
    for name, path, n_bytes, _ in files:
        found.update(f"{name}\0{n_bytes}\0".encode())
        found.update(Path(path).read_bytes())
    return found.hexdigest()
