"""Packaged recipes, explained; and recipes to begin from, made of them."""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from manifests.errors import RecipeError
from pipelines.loading import packaged_recipes
from pipelines.yaml_text import parse_yaml

STARTS: Final = {"texts": "JSON Lines, Parquet or text files of your own",
                 "archives": "archives of your own (WARC, ARC, WACZ, WET)",
                 "commoncrawl": "Common Crawl, from its servers",
                 "paper": "a paper's recipe"}
"""What one may begin from, with what a person reads."""
_VARIABLE_OF: Final = {"texts": "files", "archives": "files", "commoncrawl": "crawl"}


@dataclass(frozen=True, slots=True)
class Explained:
    """A packaged recipe. summary: its first line. about: the comment it begins with. variables: with their defaults.
    sources: their names."""

    name: str
    summary: str
    about: str
    variables: dict[str, str]
    sources: list[str]


def recipe_text(name: str) -> str:
    """A packaged recipe as it is written. Raises RecipeError where there is none of this name."""
    known = packaged_recipes()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise RecipeError("no packaged recipe has this name", where=name,
                          hint=f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}")
    return files("pipelines.recipes").joinpath(f"{name}.yaml").read_text("utf-8")


def explain_recipe(name: str) -> Explained:
    """What a packaged recipe says of itself."""
    text = recipe_text(name)
    about = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        about.append(line.removeprefix("#").removeprefix(" "))
    fields: Any = parse_yaml(text, name)
    variables = {str(k): str(v) for k, v in (fields.get("variables") or {}).items()}
    summary = about[0].rstrip(".:") if about else ""
    return Explained(name, summary, "\n".join(about).strip(), variables, list(fields["sources"]))


def start(kind: str, name: str, value: str | None = None, paper: str | None = None, path: str | None = None) -> str:
    """A commented recipe to begin from.

    Args:
        kind: One of `STARTS`.
        name: What the recipe is called; runs belong to a name.
        value: Pattern of the files, or the crawl's name; the recipe's own default if None.
        paper: Which packaged recipe, for the kind `paper`.
        path: Where the recipe will lie, for the command in its first comment.
    Returns:
        YAML.
    Raises:
        RecipeError: There is no such kind or packaged recipe.
    """
    if kind not in STARTS:
        raise RecipeError(f"no recipe begins from {kind!r}", hint=f"one of: {', '.join(STARTS)}")
    if kind == "texts":
        text = files("pipelines.starting").joinpath("texts.yaml").read_text("utf-8")
    else:
        text = recipe_text({"archives": "own", "commoncrawl": "commoncrawl"}.get(kind, paper or "gpt3"))
    if value is not None:
        text = _with_variable(text, _VARIABLE_OF.get(kind, "data"), value)
    if path is not None:
        text = re.sub(r"(?m)^#   curate run \S+(.*) --output \S+$", lambda match: (
            f"#   curate run {shlex.quote(path)}{_other_settings(match[1], kind)} --output runs/{name}"), text, count=1)
    return re.sub(r"(?m)^name: .*$", lambda _: f"name: {name}", text, count=1)


def _other_settings(settings: str, kind: str) -> str:
    """Those `--set` of a command that the recipe written from it does not hold yet."""
    return re.sub(rf" --set '?{_VARIABLE_OF[kind]}=[^ ']*'?", "", settings) if kind in _VARIABLE_OF else settings


def _with_variable(text: str, variable: str, value: str) -> str:
    """The text with another default of a variable; its comment stays."""
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    changed, n = re.subn(rf"(?m)^  {variable}: [^#\n]*?(\s+#.*)?$",
                         lambda match: f"  {variable}: {quoted}{match[1] or ''}", text, count=1)
    if not n:
        raise RecipeError(f"has no variable {variable!r} to set", hint="edit the recipe once it is written")
    return changed
