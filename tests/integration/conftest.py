"""Runs that several tests look at: the demo web, and the demo run in one process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.demo.web import render
from pipelines.loading import load_recipe
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run

NOT_OUTPUTS = ("_records/", "logs/", "report/", "_index/")


def tree(root: Path) -> dict[str, str]:
    """Digest of every file whose bytes the laws bind, by its path below the run."""
    files = (f for f in sorted(root.rglob("*")) if f.is_file())
    names = {str(f.relative_to(root)): f for f in files}
    return {n: hashlib.sha256(f.read_bytes()).hexdigest() for n, f in names.items()
            if not any(part in f"{n}" for part in NOT_OUTPUTS)}


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole demo web."""
    out = tmp_path_factory.mktemp("demo") / "web"
    render(out)
    return out


@pytest.fixture(scope="session")
def small_web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo web of 400 pages, for tests that run it more than once."""
    out = tmp_path_factory.mktemp("small-demo") / "web"
    render(out, n_pages=400)
    return out


@pytest.fixture(scope="session")
def recipe_of() -> Callable[..., Recipe]:
    """The demo's recipe on a web, with overrides."""

    def make(web: Path, *overrides: str) -> Recipe:
        return load_recipe("demo", [f"web={web}", *overrides])

    return make


@pytest.fixture(scope="session")
def demo(web: Path, recipe_of: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A whole demo run in this process. Read-only: tests that change a run copy it."""
    out = tmp_path_factory.mktemp("demo-run") / "run"
    return out, run(recipe_of(web), str(out), Settings(engine="inline"))


@pytest.fixture(scope="session")
def small_demo(small_web: Path, recipe_of: Callable[..., Recipe],
               tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run on the small web, likewise."""
    out = tmp_path_factory.mktemp("small-run") / "run"
    return out, run(recipe_of(small_web), str(out), Settings(engine="inline"))
