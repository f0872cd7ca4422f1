"""The user's cache: language models, compiled kernels and Ray's session files; nothing in it is ever an output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

from manifests.version import VERSION


def cache_folder() -> Path:
    """`$CURATE_CACHE`, else `$XDG_CACHE_HOME/curate`, else `~/.cache/curate`; not created here."""
    if own := os.environ.get("CURATE_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "curate"


def cached_arrays(name: str, arrays: Sequence[str],
                  build: Callable[[], tuple[dict[str, Any], dict[str, Any]]]) -> tuple[list[Any], dict[str, Any]]:
    """NumPy arrays, mapped into memory, and facts that are built once a machine and kept in the cache.

    name: their folder in the cache, which names what they are built from. arrays: names of the arrays in the order in
    which they are returned. build: gives the arrays by name, and the facts as JSON takes them."""
    import numpy as np

    from manifests.storage import replacing

    folder = cache_folder() / name
    if not (folder / "facts.json").exists():
        built, facts = build()
        with replacing(str(folder)) as staged:
            os.mkdir(staged)
            for array in arrays:
                np.save(f"{staged}/{array}.npy", built[array])
            Path(staged, "facts.json").write_text(json.dumps(facts))
    return [np.load(folder / f"{array}.npy", mmap_mode="r") for array in arrays], json.loads(
        (folder / "facts.json").read_text())


def kernel_cache_folder() -> Path:
    """Where numba keeps compiled kernels: one folder for each version of Python, numba and the kernels' own sources,
    since a job's working directory changes its name with every package, and numba does not look whether a kernel that
    another one calls has changed. `$NUMBA_CACHE_DIR` wins."""
    if own := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(own)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache_folder() / "kernels" / f"{VERSION}-{_digest()}-python{python}-numba{version('numba')}"


def keep_kernels() -> None:
    """Have kernels that are compiled in this process, and in those it starts, kept in that folder. To be called before
    anything imports numba, which reads the variable once."""
    if "numba" not in sys.modules:
        os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache_folder()))


def _digest() -> str:
    """Of the sources of all kernels."""
    found = xxhash.xxh3_64()
    here = Path(__file__).parent
    for path in sorted([*here.glob("**/kernels/**/*.py"), *here.glob("text/*.py"), *here.glob("extraction/*.py")]):
        found.update(path.read_bytes())
    return found.hexdigest()
