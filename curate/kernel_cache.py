"""Where numba keeps this project's compiled kernels, and what it need not load: set up right after numba is imported.

A kernel is filed under the names of its package and module and a digest of the sources that it is made of: its module
and every module of this project that that one imports, directly or not. So a copy of the project elsewhere, such as a
job's working directory, finds what was compiled before, and a change of a kernel that others call is noticed, which
numba by itself does not.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numba
import numba.np.linalg
import xxhash
from numba.core import caching, config, entrypoints, event
from numba.core.registry import cpu_target

from curate.caches import kernel_cache_folder
from curate.carried_kernels import Carried, carried_kernels
from curate.kernel_linking import link_late
from curate.kernel_locks import compile_once
from curate.kernel_typing import remember_types
from manifests.late_imports import after_import
from manifests.version import VERSION

_ROOT: Final = Path(__file__).parent.parent
_IMPORT: Final = re.compile(rb"^(?:from|import) ((?:curate|tokenizer|manifests)[\w.]*)", re.MULTILINE)
_EVENTS: Final[Any] = event
_PACKAGES: Final = ("curate", "tokenizer")
_TABLES: Final = ("*.tsv", "*.yaml", "*.json", "*.xz")  # that modules read into constants


class KernelLocator(caching._CacheLocator):
    """Files of this project's kernels, for numba; of any other function numba's own locators find the place."""

    def __init__(self, function: Any, path: Path) -> None:
        self._line = function.__code__.co_firstlineno
        self._digest = source_digest(path)
        module = path.relative_to(_ROOT).with_suffix("")
        self._folder = _folder() / ".".join(module.parts) / self._digest

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._digest

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, function: Any, path: str) -> Any:
        if _is_own(Path(path)):
            return cls(function, Path(path))
        others: list[Any] = caching.CacheImpl._locator_classes
        return next((found for one in others
                     if (found := one.from_function(function, path)) is not None), None)


def _is_own(path: Path) -> bool:
    """Whether a file is a module of this project that numba leaves to us: `$NUMBA_CACHE_DIR` asks for numba's way."""
    ours = _carried() is not None or "NUMBA_CACHE_DIR" not in os.environ
    return ours and any(path.is_relative_to(_ROOT / name) for name in _PACKAGES)


def _folder() -> Path:
    carried = _carried()
    return kernel_cache_folder() if carried is None else carried[0]


@cache
def _carried() -> tuple[Path, Carried] | None:
    """The carried kernels that this process uses. numba must not have compiled anything yet, since it does so for one
    processor only."""
    found = carried_kernels()
    if found is not None and "_toplevel_target_context" in vars(cpu_target):
        print("curate: numba was in use before; kernels are compiled here, and those that were carried are not used",
              file=sys.stderr)
        return None
    return found


@cache
def source_digest(path: Path) -> str:
    """xxh3-64 of a module, of the modules of this project that it imports, directly or not, and of the tables beside
    each: 16 hex digits, the same wherever the project lies."""
    seen: dict[str, bytes] = {}
    waiting = [path]
    while waiting:
        source = waiting.pop()
        name = str(source.relative_to(_ROOT))
        if name in seen:
            continue
        module = _module(source)
        seen |= {name: module.content, **module.tables}
        waiting += module.imports
    digest = xxhash.xxh3_64()
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + seen[name] + b"\0")
    return digest.hexdigest()


class _Module(NamedTuple):
    """A module's source, the digests of the tables beside it by name, and the files of this project that it imports."""

    content: bytes
    tables: dict[str, bytes]
    imports: list[Path]


@cache
def _module(source: Path) -> _Module:
    content = source.read_bytes()
    stems = [_ROOT.joinpath(*found.decode().split(".")) for found in _IMPORT.findall(content)]
    return _Module(content, _tables(source.parent),
                   [p for stem in stems for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.exists()])


@cache
def _tables(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(_ROOT)): xxhash.xxh3_64_digest(path.read_bytes())
            for pattern in _TABLES for path in folder.glob(pattern)}


class Compiling(event.Listener):
    """Says once that kernels are being compiled. depth: compilations under way, one inside the other; 0 where none
    is."""

    def __init__(self) -> None:
        self.depth = 0
        self._said = False

    def on_start(self, _: Any) -> None:
        self.depth += 1
        if not self._said:
            self._said = True  # and still listens: one that left in the middle would have numba pass over the next
            print("curate: compiling kernels that were not used before; they are kept", file=sys.stderr, flush=True)

    def on_end(self, _: Any) -> None:
        self.depth = max(0, self.depth - 1)


COMPILING: Final = Compiling()
"""What this process compiles at the moment."""


def set_up() -> None:
    """Make numba use `KernelLocator`, say when it compiles, and put off what it would load for others."""
    options: Any = config
    if (carried := _carried()) is not None:
        options.CPU_NAME, options.CPU_FEATURES = carried[1].cpu, carried[1].features
    if hasattr(options, "CACHE_LOCATOR_CLASSES"):
        options.CACHE_LOCATOR_CLASSES = f"{__name__}.{KernelLocator.__name__}"
    elif not options.CACHE_DIR:  # of a numba that finds places by itself alone
        options.CACHE_DIR = str(kernel_cache_folder() / VERSION)
    _EVENTS.register("numba:compile", COMPILING)
    _put_off_scipy()
    _put_off_extensions()
    link_late()
    remember_types()
    compile_once()


def _put_off_scipy() -> None:
    """numba asks whether SciPy is there by importing its linear algebra, which takes a fifth of a second; whoever uses
    it imports it then."""
    linalg: Any = numba.np.linalg
    load = linalg.ensure_blas

    def look() -> None:
        linalg.ensure_blas = load
        if find_spec("scipy") is None:
            raise ImportError("SciPy is not installed")

    if "numba.np.arraymath" not in sys.modules:
        linalg.ensure_blas = look


def _put_off_extensions() -> None:
    """Types that other libraries have for numba are registered when those libraries are imported: before that there is
    no value of them."""
    if entrypoints._already_initialized:
        return
    entrypoints._already_initialized = True
    for entry in entry_points(group="numba_extensions", name="init"):
        after_import(entry.module.partition(".")[0], _loader(entry))


def _loader(entry: Any) -> Callable[[], None]:
    return lambda: entry.load()()
