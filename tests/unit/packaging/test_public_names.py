"""Public names stay what they are, whatever is imported, and importing a package loads nothing behind them."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

PACKAGES = ("curate", "manifests", "pipelines", "tokenizer")
HEAVY = ("numpy", "pyarrow", "numba", "polars", "pydantic", "ray", "tokenizers", "fasttext", "yaml")
_EVERY_MODULE = """
import importlib, json, pkgutil, sys
absent = []
for package in {packages!r}:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not found.name.endswith("__main__"):
            try:
                importlib.import_module(found.name)
            except ImportError as error:
                absent.append([found.name, error.name])
public = {{}}
for name in sorted(n for n in sys.modules if n.split(".")[0] in {packages!r}):
    module = sys.modules[name]
    for attribute in getattr(module, "__all__", ()):
        value = getattr(module, attribute)
        public[f"{{name}}.{{attribute}}"] = [type(value).__name__, getattr(value, "__name__", None),
                                           getattr(value, "__module__", None)]
print(json.dumps({{"absent": absent, "public": public}}))
"""


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_every_module_overwrites_no_public_name() -> None:
    found = json.loads(_python(_EVERY_MODULE.format(packages=PACKAGES)))
    assert all(missing.split(".")[0] == "torch" for _, missing in found["absent"]), found["absent"]
    public: dict[str, list[str | None]] = found["public"]
    assert len(public) > 30
    for name, (kind, own_name, module) in public.items():
        assert kind != "module", f"{name} is also the name of a module"
        if kind in ("function", "type"):
            assert own_name == name.rpartition(".")[2]
            assert str(module).split(".")[0] in PACKAGES
    kinds = {name: kind for name, (kind, _, _) in public.items()}
    assert {kinds[f"curate.{name}"] for name in ("filter", "signals", "score", "deduplicate")} == {"function"}
    assert (kinds["pipelines.run"], kinds["tokenizer.pack"], kinds["tokenizer.load"]) == ("function",) * 3
    assert kinds["manifests.PackedDataset"] == "type"


@pytest.mark.parametrize("name", PACKAGES)
def test_no_module_is_called_like_a_public_name(name: str) -> None:
    package = import_module(name)
    modules = {found.name.lower() for found in pkgutil.iter_modules(package.__path__)}
    assert not modules & {public.lower() for public in package.__all__ if public.islower()}
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def test_importing_a_package_loads_nothing_heavy() -> None:
    loaded = _python(f"import sys, {', '.join(PACKAGES)}\nprint(*[n for n in {HEAVY!r} if n in sys.modules])")
    assert loaded.split() == []


def test_names_are_loaded_once_and_kept() -> None:
    import curate

    first = curate.minhash
    assert "minhash" in vars(curate)
    assert curate.minhash is first
    assert not isinstance(first, ModuleType)
