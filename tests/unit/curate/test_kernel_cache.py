"""Compiled kernels are found by what they are made of, wherever the project lies, and compiled once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curate.kernel_cache import source_digest

ROOT = Path(__file__).parents[3]
CALL = """
from curate.caches import keep_kernels
keep_kernels()
import sys
import numpy as np
from curate.text.hash_table import n_slots
print(n_slots(1000), sum(n_slots.stats.cache_hits.values()))
print(*(name for name in ("scipy.linalg", "awkward", "pandas") if name in sys.modules))
"""


def call(cache: Path, root: Path = ROOT, code: str = CALL, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "CURATE_KERNELS")}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env={
        **kept, "PYTHONPATH": str(root), "CURATE_CACHE": str(cache), **more})


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    done = call(cache)
    assert (done.stdout.split()[:2], done.stderr) == (
        ["2048", "0"], "curate: compiling kernels that were not used before; they are kept\n")
    return cache


def test_a_second_process_compiles_nothing_and_loads_no_library_of_others(compiled: Path) -> None:
    done = call(compiled)
    assert (done.stdout, done.stderr) == ("2048 1\n\n", "")


def test_a_copy_of_the_project_finds_them_until_a_source_changes(compiled: Path, tmp_path: Path) -> None:
    for package in ("curate", "manifests"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    assert call(compiled, tmp_path).stdout.split() == ["2048", "1"]
    called = tmp_path / "curate/text/words.py"  # which the kernel's module imports
    called.write_text(called.read_text() + "\n")
    assert call(compiled, tmp_path).stdout.split() == ["2048", "0"]


def test_somebody_who_imported_numba_first_has_them_too(compiled: Path) -> None:
    assert call(compiled, code="import numba\n" + CALL).stdout.split()[:2] == ["2048", "1"]


def test_functions_of_others_lie_where_numba_puts_them(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("import numba\n\n@numba.njit(cache=True)\ndef twice(x):\n    return 2 * x\n")
    call(compiled, code=CALL + f"sys.path.insert(0, {str(tmp_path)!r})\nimport theirs\ntheirs.twice(2)")
    assert list(tmp_path.glob("__pycache__/theirs.twice*.nbi"))
    assert not list(compiled.glob("**/theirs*"))


def test_without_a_writable_home_a_temporary_folder_serves_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call(tmp_path / "file", TMPDIR=str(tmp_path))  # no folder can be made in a file
    assert done.stdout.split()[0] == "2048"
    assert "cache cannot be written" in done.stderr
    assert "CURATE_CACHE" in done.stderr
    assert list(tmp_path.glob("curate-cache-*/**/*.nbi"))


def test_the_digest_is_of_what_is_imported_and_read() -> None:
    there = source_digest(ROOT / "curate/text/hash_table.py")
    assert there != source_digest(ROOT / "curate/text/words.py")
    assert len(there) == 16
