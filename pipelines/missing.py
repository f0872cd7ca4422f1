"""Files that a recipe names and that are not there: all of them at once, beside those that are."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import Any

from curate.sources.http_file import is_http
from manifests.errors import RecipeError
from manifests.storage import is_local, local_path


def require_files(recipe: Any) -> None:
    """Check that every pattern of local files that a recipe names matches some.

    Args:
        recipe: A `Recipe`.
    Raises:
        RecipeError: Some match none; where there are several, it lists every pattern with what it matches.
    """
    found = [(field, pattern, _matches(pattern)) for field, pattern in _patterns(recipe)]
    missing = [(field, pattern) for field, pattern, n in found if not n]
    if len(missing) < 2:
        return  # the scan names one by itself, with what else it knows
    width = max(len(pattern) for _, pattern, _ in found)
    rows = [f"  {pattern:<{width}}  {'missing' if not n else 'there' if n == 1 else f'{n:,} files':<12}  {field}"
            for field, pattern, n in found]
    raise RecipeError("\n".join([f"{len(missing)} of {len(found)} patterns match no file. The recipe wants:", *rows,
                                 "Paths start at the working directory; --set NAME=VALUE sets a variable."]),
                      where=recipe.name)


def _patterns(recipe: Any) -> Iterator[tuple[str, str]]:
    """(field, pattern) of the local files of sources and of everything else."""
    for name, source in recipe.sources.items():
        if source.derived_from is None and not source.commoncrawl:
            yield from ((f"sources.{name}.files", pattern) for pattern in source.files if _is_here(pattern))
    for name, patterns in recipe.other_files().items():
        yield from ((name, pattern) for pattern in patterns if _is_here(pattern))


def _matches(pattern: str) -> int:
    """Files that a pattern of local files finds."""
    path = local_path(pattern)
    return 1 if os.path.isfile(path) else sum(os.path.isfile(name) for name in glob.glob(path, recursive=True))


def _is_here(pattern: str) -> bool:
    return is_local(pattern) and not is_http(pattern)
