"""What the distribution holds and says: built once from the tracked files, without a package index."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

from manifests.version import VERSION
from pipelines.stages import STAGES
from tests.paths import ROOT

PACKAGES = ("curate", "manifests", "pipelines", "tokenizer")
NOT_OURS = {"__pycache__", "build", "curate_corpus.egg-info", ".hypothesis", ".mypy_cache", ".pytest_cache",
            ".ruff_cache"}
NOT_SHIPPED = (".git", ".pre-commit-config.yaml")


def tracked_files() -> list[str]:
    """Files of the project: what git tracks or would track, or in an unpacked source distribution all of them."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True,
                                text=True, check=True).stdout
        return [name for name in listed.splitlines() if (ROOT / name).is_file()]
    below = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [str(path) for path in below if not NOT_OURS & set(path.parts)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution, the wheel built from the latter."""
    folder = tmp_path_factory.mktemp("distribution")
    for name in tracked_files():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "source" / name)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), "."],
                          cwd=folder / "source", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())


def test_wheel_holds_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    own = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert own == {name for name in tracked_files() if name.startswith(tuple(f"{p}/" for p in PACKAGES))}
    assert {f"{package}/py.typed" for package in PACKAGES} <= own
    assert {"pipelines/recipes/gpt3.yaml", "curate/extraction/model.json"} <= own


def test_wheel_is_of_any_machine_and_has_the_program(wheel: zipfile.ZipFile) -> None:
    assert Path(wheel.filename or "").name == f"curate_corpus-{VERSION}-py3-none-any.whl"
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "curate = pipelines.cli.program:main" in wheel.read(name).decode()


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "curate-corpus"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Keywords"]
    classifiers = metadata.get_all("Classifier") or []
    for minor in (11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert "Typing :: Typed" in classifiers
    assert {label.split(",")[0] for label in metadata.get_all("Project-URL") or []} >= {"Homepage", "Changelog"}
    assert {"pipeline", "torch", "s3", "trafilatura"} <= set(metadata.get_all("Provides-Extra") or [])


def test_base_install_needs_four_libraries(metadata: Message) -> None:
    needed = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in needed) == ["fsspec", "numpy", "pyarrow", "xxhash"]


def test_source_distribution_holds_all_that_tests_need(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    generated = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert names - generated == {name for name in tracked_files() if not name.startswith(NOT_SHIPPED)} - generated


def test_changelog_names_every_stage_whose_outputs_are_others_than_the_last_release_s() -> None:
    """The fixture is a run of the last release; a stage whose version it does not have must be under "Unreleased"."""
    released: dict[str, set[int]] = {}
    for path in (ROOT / "tests/fixtures/run-0.1.0/run").rglob("_records/**/*.json"):
        identity = json.loads(path.read_text())["identity"]
        released.setdefault(identity["stage"], set()).add(identity["version"])
    raised = {stage.name for stage in STAGES if stage.path in released and stage.version not in released[stage.path]}
    notes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("## Unreleased\n")[2].partition("\n## ")[0]
    assert {"extract", "select", "packed/dataset"} <= raised
    assert sorted(name for name in raised if f"`{name}`" not in notes) == []
