"""What importing the recipe and the engine loads: every command pays for it before it does anything."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("numba", "llvmlite", "polars", "pandas", "scipy", "ftfy", "fastwarc", "resiliparse", "tokenizers", "gigatoken",
         "awkward", "urllib3", "zstandard", "lz4", "fsspec", "idna", "datasketch", "fasttext", "ray")


def loaded(statement: str) -> list[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout)
    return names


@pytest.mark.parametrize("statement", [
    "import pipelines.recipe, pipelines.loading, pipelines.stages",
    "import pipelines.cli.main, pipelines.verbs, pipelines.running, pipelines.engine, pipelines.summary",
])
def test_recipes_and_the_engine_load_no_kernel_and_no_library_of_a_stage(statement: str) -> None:
    names = loaded(statement)
    assert "pipelines.stages" in names
    assert [name for name in names if name in HEAVY] == []
    assert [name for name in names if name.startswith(("curate.", "tokenizer.")) and ".kernels" in name] == []
