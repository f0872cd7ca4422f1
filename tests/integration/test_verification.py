"""`curate verify` finds whatever is done to a file of a run, says what to do about it, and never hangs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from pipelines.verification import verify_run
from tests.integration.conftest import tree

pytestmark = pytest.mark.timeout(180)
FILES = ["recipe.lock.yaml", "clean/**/part-*.parquet", "clean/manifest.parquet", "clean/_records/clean.records",
         "extract/**/part-*.parquet", "dedup/bands/**/part-*.*", "classifier/model.bin", "tokenizer/tokenizer.json",
         "tokens/**/part-*.tokens", "packed/manifest.parquet", "packed/sources.parquet", "packed/tokenizer.json",
         "packed/train/000000.bin", "packed/train/000000.spans.parquet", "packed/train/000000.rows"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def replace_by_link(path: Path) -> None:
    """To a file of the same content."""
    target = Path(f"{path}.elsewhere")
    shutil.move(path, target)
    path.symlink_to(target)


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DEEDS: dict[str, Callable[[Path], object]] = {
    "missing": lambda p: p.unlink(), "emptied": lambda p: p.write_bytes(b""), "altered": flip,
    "cut short": lambda p: p.write_bytes(p.read_bytes()[:-1]), "a link": replace_by_link,
    "a pipe": lambda p: replace(p, os.mkfifo), "a device": lambda p: replace(p, lambda q: q.symlink_to("/dev/zero")),
    "a folder": lambda p: replace(p, lambda q: q.mkdir())}


@pytest.fixture(scope="module")
def run_folder(small_demo: tuple[Path, Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("verified") / "run"
    shutil.copytree(small_demo[0], run)
    return run


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Put a file back as it was, whatever became of it."""
    data = path.read_bytes()
    try:
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        Path(f"{path}.elsewhere").unlink(missing_ok=True)
        path.write_bytes(data)


def problems(run: Path) -> dict[str, str]:
    return {finding.path: finding.problem for finding in verify_run(str(run)) if finding.problem is not None}


def test_a_finished_run_is_in_order(run_folder: Path) -> None:
    assert problems(run_folder) == {}


@pytest.mark.parametrize("number", range(len(FILES)))
def test_what_is_done_to_a_file_is_found(run_folder: Path, number: int) -> None:
    """Every file, and every deed to some."""
    every = list(DEEDS)
    try_deeds(run_folder, FILES[number], [every[number % len(every)], every[(number * 3 + 1) % len(every)]])


@pytest.mark.slow
@pytest.mark.parametrize("pattern", FILES)
def test_whatever_is_done_to_a_file_is_found(run_folder: Path, pattern: str) -> None:
    try_deeds(run_folder, pattern, list(DEEDS))
    assert problems(run_folder) == {}


def try_deeds(run_folder: Path, pattern: str, deeds: list[str]) -> None:
    """Do things to a file, one after another; each must be found, with what can be done about it."""
    path = next(p for p in sorted(run_folder.glob(pattern)) if p.stat().st_size)
    name = str(path.relative_to(run_folder))
    for deed in deeds:
        if deed in ("altered", "cut short") and name == "recipe.lock.yaml":
            continue  # a comment may be; `curate run` compares what it says with the recipe
        with kept(path):
            DEEDS[deed](path)
            found = problems(run_folder)
            assert name in found, (deed, found)
            assert "curate run" in found[name] or "put it back" in found[name], (deed, found[name])


def test_a_run_that_does_what_is_said_is_in_order(small_demo: tuple[Path, Result], small_web: Path, tmp_path: Path,
                                                  recipe_of: Callable[..., Recipe]) -> None:
    """A deed to each file; what is to be removed is removed, then the run goes on."""
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    deeds = [deed for deed in DEEDS if deed != "a link"]
    for number, pattern in enumerate(FILES[1:]):  # without a lock file a folder is no run
        DEEDS[deeds[number % len(deeds)]](next(p for p in sorted(out.glob(pattern)) if p.stat().st_size))
    for name, problem in problems(out).items():
        path = out / name
        if "remove it" in problem:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        else:
            assert not os.path.lexists(path), (name, problem)
    run(recipe_of(small_web), str(out), Settings(engine="inline"))
    assert problems(out) == {}
    assert tree(out) == tree(small_demo[0])


def test_what_nobody_made_and_folders_that_are_links_are_found(run_folder: Path, tmp_path: Path) -> None:
    extra = run_folder / "clean/crawl/extra.parquet"
    extra.write_bytes(b"of somebody else")
    moved = tmp_path / "tokens"
    shutil.move(run_folder / "tokens", moved)
    (run_folder / "tokens").symlink_to(moved)
    try:
        found = problems(run_folder)
        assert "named by no record" in found["clean/crawl/extra.parquet"]
        assert "is a link" in found["tokens"]
    finally:
        extra.unlink()
        (run_folder / "tokens").unlink()
        shutil.move(moved, run_folder / "tokens")
    assert problems(run_folder) == {}
