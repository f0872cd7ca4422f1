"""SIGKILL at the worst moments: the same command finishes, and its bytes are those of an uninterrupted run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from pipelines.stages import STAGES
from tests.integration.conftest import tree
from tests.integration.killed_run import POINTS

MakeRecipe = Callable[..., Recipe]


def _killed(web: Path, out: Path, place: str, point: str, *changes: str) -> int:
    words = [sys.executable, "-m", "tests.integration.killed_run", str(web), str(out), place, point, *changes]
    return subprocess.run(words, capture_output=True, check=False, timeout=300).returncode


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("place", "point"), [
    ("extract", "staged"), pytest.param("dedup/decisions", "named", marks=pytest.mark.slow),
    pytest.param("packed", "recorded", marks=pytest.mark.slow), ("clean", "tabled")])
def test_a_killed_run_is_finished_by_the_same_command(place: str, point: str, small_demo: tuple[Path, Result],
                                                      small_web: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert _killed(small_web, out, place, point) == -signal.SIGKILL
    result = run(recipe_of(small_web), str(out), Settings(engine="inline"))
    assert result.n_done > 0
    assert tree(out) == tree(small_demo[0])
    assert not (out / ".tmp").exists()


@pytest.mark.timeout(300)
def test_an_interrupted_run_says_so(small_demo: tuple[Path, Result], small_web: Path, recipe_of: MakeRecipe,
                                    tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-m", "curate", "run", "demo", "--set", f"web={small_web}", "--out", str(out),
             "--engine", "inline"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "extract:" in line)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "the same command goes on from here" in said
    run(recipe_of(small_web), str(out), Settings(engine="inline"))
    assert tree(out) == tree(small_demo[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_in_every_stage(demo: tuple[Path, Result], web: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # In the order in which they are made: by the longest way to them. Some the demo has no use for.
    depth: dict[str, int] = {}
    for stage in STAGES:
        depth[stage.name] = 1 + max((depth[name] for name in stage.needs), default=0)
    used = [s for s in STAGES if demo[1].view.tasks(s.name)]
    folders = list(dict.fromkeys(s.path for s in sorted(used, key=lambda s: depth[s.name])))
    for number, folder in enumerate(folders):
        assert _killed(web, out, folder, POINTS[number % len(POINTS)]) == -signal.SIGKILL, folder
    assert len(folders) >= 20
    run(recipe_of(web), str(out), Settings(engine="inline"))
    assert tree(out) == tree(demo[0])


MANY = ("dedup.partitions=20", "tokenizer.word_partitions=17")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_in_every_merge_of_a_shuffle(small_web: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    """More partitions than are read as they are: the demo's own number merges nothing."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    view = run(recipe_of(small_web, *MANY), str(whole), Settings(engine="inline")).view
    merges = [s.name for s in STAGES if s.name.endswith("_merged") and view.tasks(s.name)]
    for number, stage in enumerate(merges):
        assert _killed(small_web, out, stage, POINTS[number % len(POINTS)], *MANY) == -signal.SIGKILL, stage
    assert len(merges) >= 8
    run(recipe_of(small_web, *MANY), str(out), Settings(engine="inline"))
    assert tree(out) == tree(whole)
