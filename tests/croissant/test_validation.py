"""mlcroissant, MLCommons' own reader, accepts the description of a dataset."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from manifests.stage_files import StageFiles
from manifests.storage import Storage
from pipelines.card.writing import write_card
from pipelines.demo.web import render
from pipelines.loading import load_recipe
from pipelines.running import Settings, run

pytestmark = pytest.mark.croissant


def test_the_description_is_valid(tmp_path: Path) -> None:
    program = shutil.which(os.environ.get("CURATE_MLCROISSANT", "mlcroissant"))
    if program is None:
        pytest.skip("needs mlcroissant")
    render(tmp_path / "web", n_pages=400)
    run(load_recipe("demo", [f"web={tmp_path / 'web'}"]), str(tmp_path / "run"), Settings(engine="inline"))
    write_card(StageFiles(Storage(str(tmp_path / "run"))), {"licence": "https://opendatacommons.org/licenses/by/1-0/"})
    done = subprocess.run([program, "validate", "--jsonld", str(tmp_path / "run/card/croissant.json")],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Found the following" not in done.stderr
