"""The user's cache: language models, compiled kernels and Ray's session files; nothing in it is ever an output."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from manifests.late_imports import after_import


def cache_folder() -> Path:
    """`$CURATE_CACHE`, else `$XDG_CACHE_HOME/curate`, else `~/.cache/curate`; not created here."""
    if own := os.environ.get("CURATE_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "curate"


def writable_cache_folder() -> Path:
    """`cache_folder`, made where it is not there; where it cannot be written, a temporary folder, and that is said."""
    try:
        return _writable(cache_folder())
    except RuntimeError:  # no home at all
        return _writable(Path("~/.cache/curate"))


@cache
def _writable(folder: Path) -> Path:
    try:
        if not folder.is_absolute() and "CURATE_CACHE" not in os.environ:
            raise OSError("this user has no home")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        folder = Path(tempfile.gettempdir()) / f"curate-cache-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            folder = Path(tempfile.mkdtemp(prefix="curate-cache-"))  # somebody else's: code is loaded from there
        print(f"curate: the cache cannot be written ({error}); compiled kernels and models are kept in {folder} for a "
              "while. CURATE_CACHE names another folder", file=sys.stderr, flush=True)
        return folder


def cached_arrays(name: str, arrays: Sequence[str],
                  build: Callable[[], tuple[dict[str, Any], dict[str, Any]]]) -> tuple[list[Any], dict[str, Any]]:
    """NumPy arrays, mapped into memory, and facts that are built once a machine and kept in the cache.

    name: their folder in the cache, which names what they are built from. arrays: names of the arrays in the order in
    which they are returned. build: gives the arrays by name, and the facts as JSON takes them."""
    import numpy as np

    from manifests.storage import replacing

    folder = writable_cache_folder() / name
    if not (folder / "facts.json").exists():
        built, facts = build()
        with replacing(str(folder)) as staged:
            os.mkdir(staged)
            for array in arrays:
                np.save(f"{staged}/{array}.npy", built[array])
            Path(staged, "facts.json").write_text(json.dumps(facts))
    return [np.load(folder / f"{array}.npy", mmap_mode="r") for array in arrays], json.loads(
        (folder / "facts.json").read_text())


@cache
def kernel_cache_folder() -> Path:
    """Where numba keeps compiled kernels: one folder for each version of Python and numba; `kernel_cache` says what is
    in it. `$NUMBA_CACHE_DIR` wins."""
    if own := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(own)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}-numba{version('numba')}"
    folder = writable_cache_folder() / "kernels" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def keep_kernels() -> None:
    """Have this project's kernels, when they are compiled in this process, kept in that folder, whoever imports numba,
    and whenever."""
    global _kept
    if not _kept:
        _kept = True
        after_import("numba", _set_up)


def _set_up() -> None:
    from curate.kernel_cache import set_up

    set_up()


_kept = False
