"""A run that version 0.1.0 made: later versions read it, and neither go on with it nor change it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from curate.why import explain
from manifests import PackedDataset
from manifests.errors import InputError, OwnershipError
from manifests.records import TaskRecord
from manifests.trace import trace
from manifests.verify import verify
from pipelines import Run
from pipelines.loading import load_recipe
from pipelines.locking import LOCK_FILE, RUN_FORMAT
from pipelines.recipe import Recipe
from pipelines.removal import remove
from pipelines.running import Settings, dry_run, run
from pipelines.status import print_status
from tests.integration.conftest import tree
from tests.paths import ROOT
from tokenizer.encoding.encode import load
from tokenizer.export.formats import export_dataset

OLD = ROOT / "tests/fixtures/run-0.1.0"
DATASET_DIGEST = "f51248ab7f224b5113f3f82e379b5f8e"  # as `curate run` printed it


def url(story: int) -> str:
    return f"https://town{story % 5}.example/story-{story}"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the run, beside copies of its inputs."""
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old/run"


@pytest.fixture
def recipe(old: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Its recipe, whose files are relative to the working directory."""
    monkeypatch.chdir(old.parent)
    return load_recipe("recipe.yaml")


def test_a_run_of_another_format_is_not_continued(old: Path, recipe: Recipe) -> None:
    before = tree(old)
    for attempt in (run, dry_run):
        with pytest.raises(OwnershipError, match=r"of version 0\.1\.0.*--fresh") as caught:
            attempt(recipe, str(old))
        assert caught.value.exit_code == 3
    assert tree(old) == before


def test_the_command_line_names_fresh(old: Path) -> None:
    command = [sys.executable, "-m", "curate", "run", "recipe.yaml", "--engine", "inline", "--out", "run"]
    done = subprocess.run(command, cwd=old.parent, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 3
    assert "--fresh" in done.stderr
    assert "Traceback" not in done.stderr


def test_fresh_deletes_it_and_makes_one_of_this_format(old: Path, recipe: Recipe) -> None:
    assert all(not plan.up_to_date for _, plan in dry_run(recipe, str(old), fresh=True) if plan is not None)
    done = run(recipe, str(old), Settings("inline", fresh=True))
    assert done.n_done > 50
    assert not (old / "dedup/marks").exists()
    assert yaml.safe_load((old / LOCK_FILE).read_bytes())["run_format"] == RUN_FORMAT
    assert run(recipe, str(old), Settings("inline")).n_done == 0


def test_documents_are_not_removed_from_it(old: Path) -> None:
    before = tree(old)
    with pytest.raises(OwnershipError, match=r"0\.1\.0"):
        remove(str(old), [url(1)], [])
    assert tree(old) == before


def test_status_says_which_version_made_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Run(str(OLD / "run")).describe()]
    assert rows[0]["other_version"] == "0.1.0"
    stages = {row["stage"]: row for row in rows[0]["stages"]}
    assert (stages["packed"]["tasks"], stages["dedup/marks"]["tasks"]) == (5, 1)
    print_status(rows)
    assert "of version 0.1.0" in capsys.readouterr().out


def test_every_file_is_what_its_record_says() -> None:
    findings = list(verify(str(OLD / "run")))
    assert len(findings) > 80
    assert [f for f in findings if f.problem] == []


def test_a_flipped_bit_in_it_is_found(old: Path) -> None:
    path = old / "dedup/marks/pages/part-documents-fb04e920.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert [f.path for f in verify(str(old)) if f.problem] == [str(path.relative_to(old))]


def test_a_changed_record_of_it_is_found(old: Path) -> None:
    path = next((old / "dedup/marks").rglob("_records/**/*.json"))
    path.write_bytes(path.read_bytes().replace(b'"version": ', b'"version": 1'))
    assert TaskRecord.from_json(path.read_bytes()) is None
    assert [f.path for f in verify(str(old)) if f.problem] == [str(path.relative_to(old))]


def test_its_packed_dataset_is_checked_alone(old: Path, tmp_path: Path) -> None:
    moved = tmp_path / "dataset"
    shutil.copytree(old / "packed", moved)
    findings = list(verify(str(moved)))
    assert {f.path for f in findings} >= {"train/000000.bin", "val/000000.spans.parquet", "manifest.parquet"}
    assert [f for f in findings if f.problem] == []
    data = bytearray((moved / "train/000001.bin").read_bytes())
    data[2000] ^= 1
    (moved / "train/000001.bin").write_bytes(data)
    assert {f.path for f in verify(str(moved)) if f.problem} == {"train/000001.bin"}
    with pytest.raises(InputError, match="no such folder"):
        list(verify(str(tmp_path / "nothing")))


def test_a_trainer_reads_its_dataset() -> None:
    dataset = PackedDataset(OLD / "run", "train")
    assert dataset.digest == DATASET_DIGEST
    assert (len(dataset), dataset.row_length) == (139, 64)
    rows = np.stack([dataset[i] for i in range(len(dataset))])
    targets = np.stack([dataset.targets(i) for i in range(len(dataset))])
    assert (targets[:, :-1] == rows[:, 1:]).all()


def test_a_token_leads_to_its_document() -> None:
    tokenizer = load(str(OLD / "run/tokenizer/tokenizer.json"))
    origins = [origin for row in range(30) for origin in trace(str(OLD / "run"), "train/000000", row)]
    assert {origin.document["source"] for origin in origins} == {"pages", "linked"}
    for origin in origins:
        decoded = tokenizer.decode(origin.tokens[origin.tokens != tokenizer.eot_id])
        assert decoded in origin.document["text"]


def decisions(story: int) -> dict[str, Any]:
    """By stage: (verdict, facts) of what the run decided about a story."""
    (history,) = explain(str(OLD / "run"), url(story))
    return {d.stage: (d.verdict, d.facts) for d in history.decisions}


def test_why_reads_its_decisions() -> None:
    assert decisions(29)["extract"][1]["reason"] == "language"
    assert decisions(28)["select"][1]["reason"] == "too_few_words"
    copy, near = decisions(26)["dedup"], decisions(5)["dedup"]
    assert (copy[0], copy[1]["reason"], near[0], near[1]["reason"]) == (
        "dropped", "exact_duplicate", "dropped", "near_duplicate")
    assert near[1]["similarity"] == pytest.approx(0.957576, abs=1e-6)
    assert decisions(4)["classifier/labels"][1]["label"] == "url"


def test_why_shows_what_was_removed_within_its_documents() -> None:
    paragraph = [facts for story in (1, 8, 12) for _, facts in decisions(story).values() if "repeated_bytes" in facts]
    assert [facts["repeated_bytes"] for facts in paragraph] == [101, 101]
    shared = [facts for story in (2, 9) for _, facts in decisions(story).values() if "repeated_bytes" in facts]
    assert [facts["repeated_bytes"] for facts in shared] == [240]
    assert "harbour_questions" in json.dumps(decisions(14)["decontaminate"][1])
    assert decisions(14)["packed"][1]["shard"].startswith("train/")


def test_it_is_exported(tmp_path: Path) -> None:
    facts = export_dataset(str(OLD / "run"), "llmc", str(tmp_path / "llmc"), zero_copy=False)
    assert facts["files"] == {"train": 3, "val": 1}
    for shard in sorted((OLD / "run/packed").glob("*/*.bin")):
        exported = tmp_path / f"llmc/curate_{shard.parent.name}_{shard.stem}.bin"
        assert exported.read_bytes()[1024:] == shard.read_bytes()[1024:]
