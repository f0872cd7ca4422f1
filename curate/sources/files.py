"""Which files a person means, and what each is called where its folder does not matter."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from manifests.errors import RecipeError
from manifests.part_paths import files_in
from manifests.storage import is_local, local_path


def find_files(patterns: Sequence[str]) -> list[str]:
    """Files of paths, folders and patterns, each once, sorted within a pattern; RecipeError where one has none.

    A path that exists as it stands is that file, whatever brackets it holds. Of a folder, names that begin with a dot
    or an underscore are left out, as readers of datasets do; the folders that a run spreads its parts over are read
    with it."""
    by_path: dict[str, str] = {}
    for pattern in patterns:
        if not is_local(pattern):
            matches = [pattern]
        elif os.path.isdir(pattern):
            matches = files_in(pattern)
            if not matches:
                raise RecipeError("holds no file", where=pattern,
                                  hint="a pattern such as '**/*.gz' finds those in folders below")
        else:
            matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise RecipeError("there is no such file", where=pattern)
        for path in matches:
            by_path.setdefault(os.path.abspath(local_path(path)) if is_local(path) else path, path)
    return list(by_path.values())


def below_common_folder(paths: Sequence[str]) -> list[str]:
    """Paths below the folder that all of them share."""
    folders = [path.split("/")[:-1] for path in paths]
    n_shared = next((n for n, steps in enumerate(zip(*folders, strict=False)) if len(set(steps)) > 1),
                    min(map(len, folders)))
    return ["/".join(path.split("/")[n_shared:]) for path in paths]
