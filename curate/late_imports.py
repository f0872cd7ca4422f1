"""What is done once a module is imported, and libraries that others would load for no reason.

pyarrow imports pandas at the first list that becomes an array, to see whether it is a pandas object; numba imports
SciPy and every library that has types for it when it first compiles. None of it is used here, and together it takes
longer than most commands. What is put off is done as soon as somebody imports the library, so that nobody sees a
difference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _Watch:
    """A finder that stands before all others and waits for one module. absent: it is not there while this is true."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._name = name
        self._action = action
        self.absent = False

    def find_spec(self, name: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        if self.absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
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


def put_off_pandas() -> None:
    """Have pyarrow take pandas for absent until somebody imports it; pyarrow is then told. Imports pyarrow."""
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    watch = _Watch("pandas", lambda: pa.lib._pandas_api.pd)  # asking for it makes pyarrow look again
    sys.meta_path.insert(0, watch)
    watch.absent = True
    try:
        pa.array([])
    finally:
        watch.absent = False
