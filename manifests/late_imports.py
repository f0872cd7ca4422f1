"""What is done once a module is imported, and libraries that others would load for no reason.

pyarrow imports pandas at the first list that becomes an array, to see whether it is a pandas object; numba imports
SciPy and every library that has types for it when it first compiles. None of it is used here, and together it takes
longer than most commands. What is put off is done as soon as somebody imports the library, so that nobody sees a
difference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from threading import get_ident
from types import ModuleType


class _Absent:
    """A finder that stands before all others: a module is not there for one thread, which has made this."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if name == self._name and get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


@contextmanager
def absent(name: str) -> Iterator[None]:
    """What is imported meanwhile, by this thread, finds that a module is not installed, unless it is imported already.

    Args:
        name: A module that others use where they find it, and do without.
    """
    finder = _Absent(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Watch:
    """A finder that stands before all others and waits for one module."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._name = name
        self._action = action

    def find_spec(self, name: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def then_act(module: ModuleType) -> None:
            execute(module)
            self._action()

        spec.loader.exec_module = then_act  # type: ignore[method-assign]
        return spec


def after_import(name: str, action: Callable[[], None]) -> None:
    """Do something once a module is imported: now, where it is already.

    Args:
        name: The module's full name; of a package, the package.
        action: Called once, after the module's own code.
    """
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watch(name, action))


@cache
def put_off_pandas() -> None:
    """Have pyarrow take pandas for absent until somebody imports it; pyarrow is then told. Imports pyarrow."""
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, _Watch("pandas", lambda: pa.lib._pandas_api.pd))  # which makes pyarrow look again
    with absent("pandas"):
        pa.array([])
