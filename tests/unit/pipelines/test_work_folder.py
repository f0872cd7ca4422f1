"""The folder beside a command's output is the command's own, or nothing of it is touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from manifests.errors import OwnershipError, RecipeError
from manifests.storage import Storage
from pipelines.cli.main import app
from pipelines.loading import validate
from pipelines.locking import exclusive
from pipelines.running import Settings, run
from pipelines.verbs import verb_run
from pipelines.work_folder import COMMAND_FILE, claim, remove, remove_unused


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def text_file(folder: Path) -> str:
    path = folder / "in.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "A quiet harbour, and a ship."}) + "\n")
    return str(path)


@pytest.mark.parametrize("names", [(), ("notes.txt",), ("logs/mine.log",), ("_records/mine.json", ".tmp/draft"),
                                   ("removals/documents.parquet",)])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, names: tuple[str, ...]) -> None:
    work = tmp_path / "out.work"
    work.mkdir()
    for name in names:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("mine")
    before = files_below(work)
    done = CliRunner().invoke(app, ["dedup", text_file(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, OwnershipError)
    assert done.exception.exit_code == 3
    assert str(work) in str(done.exception)
    assert "no command made it" in str(done.exception)
    assert files_below(work) == before
    assert not (tmp_path / "out").exists()


def test_a_run_whose_recipe_is_called_like_the_command_is_left_alone(tmp_path: Path) -> None:
    path = text_file(tmp_path)
    recipe = validate({"name": "dedup", "sources": {"pages": {"files": [path]}}, "classifier": None,
                       "mixture": {"weights": {"pages": 1}}})
    run(recipe, str(tmp_path / "out.work"), Settings("inline", only=("extract",)))
    before = files_below(tmp_path / "out.work")
    assert len(before) > 2
    with pytest.raises(OwnershipError, match=r"out\.work"), verb_run("dedup", str(tmp_path / "out"), [path], {}, [
            "extract"]):
        pytest.fail("went on with somebody's run")
    assert files_below(tmp_path / "out.work") == before


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_what_is_no_folder_is_left_alone(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine").mkdir()
    work = tmp_path / "out.work"
    if kind == "file":
        work.write_text("mine")
    else:
        work.symlink_to(tmp_path / ("mine" if kind == "link" else "nowhere"))
    with pytest.raises(OwnershipError, match=r"out\.work"):
        claim(str(tmp_path / "out"), "dedup")
    assert os.path.lexists(work)
    assert os.listdir(tmp_path / "mine") == []
    assert not (tmp_path / "nowhere").exists()


def test_a_command_knows_its_own_folder_and_that_of_another(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    work = claim(out, "filter")
    assert work == f"{out}.work" == claim(f"{out}/", "filter")
    with pytest.raises(OwnershipError, match="is the work folder of `curate filter`"):
        claim(out, "dedup")
    assert os.listdir(tmp_path) == ["out.work"]


def test_a_folder_in_use_is_waited_for(tmp_path: Path) -> None:
    work = claim(str(tmp_path / "out"), "filter")
    with exclusive(Storage(work)), pytest.raises(OwnershipError, match=r"at work here.*wait for it") as error, verb_run(
            "filter", str(tmp_path / "out"), [text_file(tmp_path)], {}, ["extract"]):
        pytest.fail("two at a time")
    assert "delete" not in str(error.value)


def test_a_folder_half_removed_is_still_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill while the folder goes: what is left of it is the command's, and is no run of another kind."""
    path, out = text_file(tmp_path), str(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), verb_run("filter", out, [path], {}, ["extract"]):
        raise KeyboardInterrupt
    real, calls = os.unlink, list[str]()

    def killed(name: str, **options: object) -> None:
        calls.append(str(name))
        if str(name).endswith("recipe.lock.yaml"):
            raise KeyboardInterrupt
        real(name, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(f"{out}.work")
    assert calls
    assert sorted(os.listdir(f"{out}.work")) == ["_records", "recipe.lock.yaml"]
    with verb_run("filter", out, [path], {}, ["extract"]) as done:
        assert len(done.view.tasks("extract")) == 1
    assert not Path(f"{out}.work").exists()


def test_nothing_is_left_where_nothing_was_begun(tmp_path: Path) -> None:
    with pytest.raises(RecipeError), verb_run("filter", str(tmp_path / "out"), [str(tmp_path / "absent.jsonl")], {}, [
            "extract"]):
        pytest.fail("ran without its file")
    assert os.listdir(tmp_path) == []
    work = Path(claim(str(tmp_path / "out"), "filter"))
    (work / "recipe.lock.yaml").write_text("recipe: {name: filter}\n")
    remove_unused(str(work))
    assert (work / COMMAND_FILE).exists()
    remove_unused(str(tmp_path / "absent.work"))
