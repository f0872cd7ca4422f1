"""Kernels that are carried run where they fit, and elsewhere are compiled anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from curate.carried_kernels import FEATURES, MANIFEST, Carried

ROOT = Path(__file__).parents[3]
CALL = """
from curate.caches import keep_kernels
keep_kernels()
from curate.text.hash_table import n_slots
print(n_slots(1000), sum(n_slots.stats.cache_hits.values()))
from numba.core.registry import cpu_target
print(cpu_target.target_context.codegen().magic_tuple()[1])
"""

pytestmark = pytest.mark.skipif(Carried.here().misfit() is not None, reason="needs a processor of x86-64-v3")


def call(cache: Path, kernels: Path, code: str = CALL) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, env={
        **kept, "PYTHONPATH": str(ROOT), "CURATE_CACHE": str(cache), "CURATE_KERNELS": str(kernels)})


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    Carried.here().write(folder)
    done = call(folder.parent / "cache", folder)
    assert done.stdout.split() == ["2048", "0", "x86-64-v3"], done.stderr
    return folder


def test_another_machine_runs_them_from_a_folder_and_from_a_zip_file(carried: Path, tmp_path: Path) -> None:
    done = call(tmp_path / "cache", carried)
    assert (done.stdout.split(), done.stderr) == (["2048", "1", "x86-64-v3"], "")
    with zipfile.ZipFile(tmp_path / "kernels.zip", "w") as archive:
        for path in carried.glob("**/*"):
            archive.write(path, path.relative_to(carried))
    for _ in range(2):  # unpacked, and then there
        assert call(tmp_path / "cache", tmp_path / "kernels.zip").stdout.split() == ["2048", "1", "x86-64-v3"]


def test_what_does_not_fit_is_said_and_compiled_here(carried: Path, tmp_path: Path) -> None:
    replace(Carried.here(), numba="0.1").write(tmp_path)
    done = call(tmp_path / "cache", tmp_path)
    assert done.stdout.split()[:2] == ["2048", "0"]
    assert "made with numba 0.1" in done.stderr
    replace(Carried.here(), features="+avx,+no-such-feature").write(tmp_path)
    assert "lacks no-such-feature" in call(tmp_path / "cache", tmp_path).stderr


def test_numba_that_has_compiled_for_this_machine_goes_on_so(carried: Path, tmp_path: Path) -> None:
    done = call(tmp_path / "cache", carried, "import numba\nnumba.njit(lambda x: x)(1)\n" + CALL)
    assert done.stdout.split()[0] == "2048"
    assert "numba was in use before" in done.stderr


def test_what_is_no_folder_of_kernels_is_named(tmp_path: Path) -> None:
    assert "curate kernels build" in call(tmp_path / "cache", tmp_path / "nothing").stderr
    (tmp_path / MANIFEST).write_text(json.dumps({"python": "3"}))
    assert "holds no compiled kernels" in call(tmp_path / "cache", tmp_path).stderr


def test_features_are_those_of_the_standard() -> None:
    assert {"avx2", "bmi2", "fma", "movbe", "lzcnt", "f16c"} <= set(FEATURES)
    assert not [name for name in FEATURES if name.startswith("avx512")]
