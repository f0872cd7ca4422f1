"""Inputs that lie in an earlier run: what that run recorded of them."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

from manifests.errors import InputError
from manifests.tables import open_table
from manifests.tasks import MANIFEST

_LOCK_FILE: Final = "recipe.lock.yaml"
_MAX_DEPTH: Final = 12  # folders between a run and a file of it


def check_recorded(path: str, digest: str) -> None:
    """Compare a file with the record of the run that it lies in, if it lies in one whose stage is done.

    Args:
        path: A local file.
        digest: xxh3-128 of its bytes, 32 hex digits.
    Raises:
        InputError: It is not what its stage wrote, or the stage's manifest is damaged.
    """
    folder = os.path.dirname(os.path.abspath(path))
    folders = [folder]
    while not os.path.exists(os.path.join(folders[-1], _LOCK_FILE)):
        parent = os.path.dirname(folders[-1])
        if parent == folders[-1] or len(folders) > _MAX_DEPTH:
            return
        folders.append(parent)
    name = os.path.relpath(os.path.abspath(path), folders[-1])
    for folder in folders:
        manifest = os.path.join(folder, MANIFEST)
        if not os.path.isfile(manifest):
            continue
        state = os.stat(manifest)
        recorded = _digests(manifest, state.st_size, state.st_mtime_ns).get(name)
        if recorded is not None and recorded != digest:
            raise InputError(f"is damaged: its bytes are not those that its run recorded in {manifest}", where=path,
                             hint="make it again, or copy it out of the run where it was changed on purpose")
        if recorded is not None:
            return


@lru_cache(maxsize=64)
def _digests(manifest: str, n_bytes: int, changed_ns: int) -> dict[str, str]:
    """By path, of the files that a stage's manifest lists; none where it is another kind of manifest."""
    with open_table(manifest) as file:
        if not {"path", "xxh3"} <= set(file.schema_arrow.names):
            return {}
        table = file.read(columns=["path", "xxh3"], use_threads=False)
    return dict(zip(table["path"].to_pylist(), table["xxh3"].to_pylist(), strict=True))
