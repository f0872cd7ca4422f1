from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.errors import CurateError, InputError, OwnershipError, RecipeError, StageError
from manifests.graph import Stage, Task, View, file_ref
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines import Run
from pipelines.loading import load_recipe
from pipelines.planning import Progress
from pipelines.progress import SilentReporter
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, _Run, dry_run, run, run_stages
from pipelines.stages import STAGES
from pipelines.stopping import FinishedWhatRan, request_stop
from tests.integration.conftest import tree
from tests.paths import ROOT
from tests.unit.pipelines.toy_stages import FIRST, SECOND, THIRD, Adding, recipe

INLINE = Settings("inline")


class Progressing(Progress):
    """What a run of toy stages knows: nothing, but the section that they depend on."""

    def __init__(self, amount: int = 1) -> None:
        super().__init__(recipe(), (), {})
        self._sections = {**self._sections, "adding": Adding(amount=amount)}


class Heard(SilentReporter):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        self.lines.append(f"{stage} {up_to_date}+{to_do}")

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self.lines.append(f"{stage}/{record.identity.task}")

    def task_failed(self, stage: str, task: str, error: CurateError) -> None:
        self.lines.append(f"{stage}/{task}: {error.what}")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "run"))


def do(storage: Storage, stages: Sequence[Stage] = (FIRST, SECOND, THIRD), amount: int = 1,
       settings: Settings = INLINE) -> tuple[Result, list[str]]:
    heard = Heard()
    return run_stages(storage, Progressing(amount), stages, settings, heard), heard.lines


def total(storage: Storage) -> int:
    (value,) = read_table(storage.path("third/total.parquet"))["n"].to_pylist()
    return int(value)


def refusing(stage: Stage) -> Stage:
    return replace(stage, function="tests.unit.pipelines.toy_stages:refuse")


def test_stages_are_done_as_soon_as_what_they_need_is(storage: Storage) -> None:
    result, lines = do(storage)
    assert (result.n_done, result.exit_code, total(storage)) == (5, 0, 3)
    assert lines == ["first 0+2", "first/pages/part-0", "first/pages/part-1", "second 0+2", "second/pages/part-0",
                     "second/pages/part-1", "third 0+1", "third/total"]
    assert result.view.counters("second") == {"rows": 2}
    assert not storage.exists(".tmp")


def test_what_is_up_to_date_is_not_done_again(storage: Storage) -> None:
    do(storage)
    result, lines = do(storage)
    assert (result.n_done, lines) == (0, ["first 2+0", "second 2+0", "third 1+0"])


def test_a_change_costs_what_depends_on_it(storage: Storage) -> None:
    do(storage)
    _, lines = do(storage, amount=5)
    assert lines[0] == "first 2+0"
    assert lines[1] == "second 0+2"
    assert total(storage) == 11


def test_a_change_without_effect_on_the_bytes_ends_there(storage: Storage) -> None:
    do(storage)
    result, lines = do(storage, [replace(FIRST, version=2), SECOND, THIRD])
    assert lines == ["first 0+2", "first/pages/part-0", "first/pages/part-1", "second 2+0", "third 1+0"]
    assert result.n_done == 2


def test_a_sound_file_of_another_task_is_no_input(storage: Storage) -> None:
    do(storage)
    first, second = (Path(storage.path(f"first/pages/part-{n}.parquet")) for n in range(2))
    assert first.stat().st_size == second.stat().st_size
    second.write_bytes(first.read_bytes())
    result, lines = do(storage, amount=5)
    assert result.remade == ["first/pages/part-1.parquet"]
    assert "first/pages/part-1" in lines
    assert total(storage) == 11


def test_an_older_list_of_a_stage_is_no_input(storage: Storage) -> None:
    do(storage, amount=3)
    listed = Path(storage.path("second/manifest.parquet"))
    older = listed.read_bytes()
    do(storage)
    listed.write_bytes(older)
    result, _ = do(storage, [FIRST, SECOND, replace(THIRD, version=2)])
    assert result.remade == ["second/manifest.parquet"]
    assert listed.read_bytes() != older


def test_a_stages_list_that_is_gone_is_written_again(storage: Storage) -> None:
    do(storage)
    listed = Path(storage.path("second/manifest.parquet"))
    data = listed.read_bytes()
    listed.unlink()
    assert do(storage)[0].n_done == 0
    assert listed.read_bytes() == data


def test_a_stage_lists_its_files(storage: Storage) -> None:
    do(storage, [FIRST, SECOND, replace(THIRD, writes_manifest=False)])
    rows = read_table(storage.path("second/manifest.parquet")).to_pylist()
    assert [(row["task"], row["role"], row["path"]) for row in rows] == [
        (f"pages/part-{n}", "numbers", f"second/pages/part-{n}.parquet") for n in range(2)]
    assert not storage.exists("third/manifest.parquet")


class Stopping(Heard):
    """Asks the run to stop when a task is done."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []

    def task_done(self, stage: str, record: TaskRecord) -> None:
        super().task_done(stage, record)
        self.asked += [request_stop(), request_stop()]

    def stopping(self) -> None:
        self.lines.append("stopping")


def test_asked_once_a_run_finishes_what_is_at_work_and_goes_on_later(storage: Storage) -> None:
    heard = Stopping()
    with pytest.raises(FinishedWhatRan):
        run_stages(storage, Progressing(), (FIRST, SECOND, THIRD), INLINE, heard)
    assert heard.lines == ["first 0+2", "first/pages/part-0", "stopping"]
    assert heard.asked == [True, False]  # asked again, it is the caller's to stop at once
    assert not request_stop()
    result, lines = do(storage)
    assert (result.n_done, total(storage)) == (4, 3)
    assert lines[0] == "first 1+1"


def test_a_run_that_is_asked_to_stop_at_its_last_task_is_done(storage: Storage) -> None:
    do(storage)
    heard = Stopping()
    result = run_stages(storage, Progressing(), (FIRST, SECOND, replace(THIRD, version=2)), INLINE, heard)
    assert (result.n_done, heard.lines[-1]) == (1, "stopping")


def test_a_source_file_that_fails_is_set_aside(storage: Storage) -> None:
    result, lines = do(storage, [refusing(FIRST), SECOND, THIRD])
    assert [name for name, _ in result.failed] == ["first/pages/part-0", "first/pages/part-1"]
    assert result.exit_code == 1
    assert "first/pages/part-0: cannot be read" in lines
    assert total(storage) == 0  # the sum of nothing


def test_any_other_failure_ends_the_run_and_the_next_goes_on(storage: Storage) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        do(storage, [FIRST, refusing(SECOND), THIRD])
    _, lines = do(storage)
    assert lines[0] == "first 2+0"
    assert total(storage) == 3


def test_a_check_may_stop_what_follows(storage: Storage) -> None:
    def too_little(view: View) -> None:
        raise StageError(f"only {view.counters('second')['rows']} rows")

    guarded = [FIRST, replace(SECOND, check=too_little), THIRD]
    with pytest.raises(StageError, match="only 2 rows"):
        do(storage, guarded)
    assert not storage.exists("third/total.parquet")
    do(storage, guarded, settings=replace(INLINE, guards=False))
    assert total(storage) == 3


def test_a_stage_left_out_hands_on_what_it_needs(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.running.STAGES", (FIRST, SECOND, THIRD))

    def over_first(view: View) -> list[Task]:
        assert view.is_done("second")
        assert not view.tasks("second")
        return [Task("total", {"numbers": view.every("first", "numbers")})]

    result, lines = do(storage, [replace(THIRD, plan=over_first), FIRST])
    assert [line for line in lines if "+" in line] == ["first 0+2", "third 0+1"]
    assert (result.n_done, total(storage)) == (3, 1)


# The real graph, on the few documents that a fixture holds.

_FIXTURE = ROOT / "tests/fixtures/run-0.1.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("recipe.yaml", "documents.jsonl", "links.jsonl", "questions.jsonl"):
        shutil.copy(_FIXTURE / name, tmp_path / name)
    return tmp_path


def loaded(folder: Path, *settings: str) -> Recipe:
    files = {"sources.pages.files": ["documents*.jsonl"], "links.files": ["links.jsonl"]}
    absolute = [f"{field}={json.dumps([str(folder / name) for name in names])}" for field, names in files.items()]
    benchmark = {"name": "harbour_questions", "path": str(folder / "questions.jsonl"), "fields": ["question"]}
    return load_recipe(str(folder / "recipe.yaml"), [
        *absolute, "dedup.paragraphs=null", "dedup.substrings=null",
        f"decontaminate.benchmarks={json.dumps([benchmark])}", *settings])


def made(folder: Path, name: str, *settings: str, **options: Any) -> Result:
    return run(loaded(folder, *settings), str(folder / name), replace(INLINE, **options))


def done(result: Result) -> set[str]:
    return {stage for stage in result.view.done_stages() if result.view.tasks(stage)}


def test_until_does_a_stage_and_what_it_needs(folder: Path) -> None:
    result = made(folder, "run", until="select")
    assert {"extract", "classifier/labels", "select"} <= done(result)
    assert not done(result) & {"dedup/signatures", "clean", "tokenizer", "packed"}
    assert not (folder / "run/dedup").exists()
    with pytest.raises(RecipeError, match=r"no stage is called 'nonsense'.*extract"):
        made(folder, "run", until="nonsense")
    with pytest.raises(RecipeError, match="did you mean 'extract'"):
        made(folder, "run", until="extrct")
    with pytest.raises(RecipeError, match=r"recipe\.yaml: is a file, and a folder is meant"):
        made(folder, "recipe.yaml")


def test_a_folder_stands_for_its_last_stage(folder: Path) -> None:
    assert "dedup/index" in made(folder, "run", "dedup.keep_index=true", until="dedup").view.done_stages()


def test_only_some_stages_are_done_and_the_others_count_as_done(folder: Path) -> None:
    result = made(folder, "run", only=("extract", "classifier/"))
    assert done(result) == {"extract", "classifier/links", "classifier/link_index", "classifier/labels"}
    assert set(result.view.done_stages()) == {stage.name for stage in STAGES}


def test_files_that_nobody_asks_for_any_more_go(folder: Path) -> None:
    lines = (folder / "documents.jsonl").read_text().splitlines(keepends=True)
    (folder / "documents-more.jsonl").write_text("".join(lines[20:]))
    (folder / "documents.jsonl").write_text("".join(lines[:20]))
    made(folder, "run", "dedup.partitions=3")
    (folder / "run/report").mkdir()
    (folder / "run/report/index.html").write_text("kept")
    stray = folder / "run/clean/pages/part-of-nobody.parquet"
    stray.write_text("stray")
    (folder / "documents-more.jsonl").unlink()

    made(folder, "run", "dedup.partitions=2", until="select")
    assert stray.exists()  # a run that is cut short leaves what it did not come to
    made(folder, "run", "dedup.partitions=2")
    made(folder, "fresh", "dedup.partitions=2")
    assert tree(folder / "run") == tree(folder / "fresh")
    assert (folder / "run/report/index.html").exists()


def test_a_run_that_set_a_file_aside_removes_nothing(folder: Path) -> None:
    made(folder, "run")
    stray = folder / "run/clean/pages/part-of-nobody.parquet"
    stray.write_text("stray")
    (folder / "documents-broken.jsonl").write_text('{"id": "x", "body": "no column that could be the text"}\n')
    result = made(folder, "run")
    assert result.exit_code == 1
    assert stray.exists()


def test_a_full_disk_is_foretold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storage, "free_bytes", lambda self: 1000)
    with pytest.raises(StageError, match="are free where about"):
        made(folder, "run")


def test_a_folder_that_another_run_holds_is_left_alone(folder: Path) -> None:
    from pipelines.locking import exclusive

    made(folder, "run", until="extract")
    with exclusive(Storage(str(folder / "run"))), pytest.raises(OwnershipError, match="another run is at work"):
        made(folder, "run")


# Stages that a caller adds.

def _count_parts(view: View) -> list[Task]:
    return [Task(r.identity.task, {"documents": file_ref(r.output("documents"))}) for r in view.tasks("extract")]


COUNTING = Stage("count_documents", 1, "tests.unit.pipelines.toy_stages:count_rows", None, ("extract",), _count_parts)


def test_a_stage_is_added(folder: Path) -> None:
    out, only = str(folder / "run"), replace(INLINE, until="extract")
    recipe = loaded(folder)
    run(recipe, out, only)
    assert "added_stages" not in (folder / "run/recipe.lock.yaml").read_text()
    result = run(recipe, out, replace(INLINE, until=COUNTING.name), stages=[*STAGES, COUNTING])
    (record,) = result.view.tasks(COUNTING.name)
    (row,) = read_table(str(folder / "run" / record.output("numbers").path)).to_pylist()
    assert row["n"] == result.view.tasks("extract")[0].output("documents").n_rows > 0
    lock = yaml.safe_load((folder / "run/recipe.lock.yaml").read_text())
    assert lock["stages"] == [*(stage.name for stage in STAGES), COUNTING.name]
    assert lock["added_stages"] == {COUNTING.name: {"version": 1, "function": COUNTING.function,
                                                    "folder": COUNTING.name}}
    status = Run(out).describe()
    assert [(row["tasks"], row["done"]) for row in status["stages"] if row["stage"] == COUNTING.name] == [(1, True)]


def test_a_run_without_an_added_stage_is_refused_and_deletes_nothing(folder: Path) -> None:
    out, until = str(folder / "run"), replace(INLINE, until=COUNTING.name)
    recipe, stages = loaded(folder), [*STAGES, COUNTING]
    run(recipe, out, until, stages=stages)
    before = tree(folder / "run")
    for call in (lambda: run(recipe, out, INLINE), lambda: dry_run(recipe, out)):
        with pytest.raises(OwnershipError, match=r"count_documents.*--fresh") as caught:
            call()
        assert caught.value.exit_code == 3
    assert tree(folder / "run") == before
    plans = {stage.name: plan for stage, plan in dry_run(recipe, out, COUNTING.name, stages=stages)}
    plan = plans[COUNTING.name]
    assert plan is not None
    assert (len(plan.up_to_date), plan.stale) == (1, [])


def test_a_whole_run_keeps_the_outputs_of_an_added_stage(folder: Path) -> None:
    result = run(loaded(folder), str(folder / "run"), INLINE, stages=[*STAGES, COUNTING])
    assert result.view.tasks("packed")
    (record,) = result.view.tasks(COUNTING.name)
    assert (folder / "run" / record.output("numbers").path).exists()


@pytest.mark.parametrize(("stage", "message"), [
    (replace(COUNTING, name="clean", folder="own"), "stage 'clean': occurs twice"),
    (replace(COUNTING, needs=("nothing",)), "needs 'nothing', which is no stage before it"),
    (replace(COUNTING, folder="clean"), "shares the folder 'clean'"),
    (replace(COUNTING, section="counting"), "section 'counting', which recipes do not have"),
])
def test_stages_that_cannot_be_run(folder: Path, stage: Stage, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        run(loaded(folder), str(folder / "run"), INLINE, stages=[*STAGES, stage])
    assert not (folder / "run").exists()


def test_a_file_among_those_of_an_unchanged_run_goes(storage: Storage) -> None:
    """It costs no look of its own: whether a stage's files are there is seen by listing their folders."""
    every = [FIRST, SECOND, THIRD]

    def call() -> Result:
        progress = Progressing(1)
        return _Run(storage, progress, every, every, INLINE, SilentReporter()).execute()

    call()
    before = storage.list("")
    storage.write_bytes("third/stray.parquet", b"x")
    assert call().n_done == 0
    assert storage.list("") == before
    storage.write_bytes("elsewhere/stray.parquet", b"x")  # in no folder that is listed: `curate verify` names it
    call()
    assert storage.list("") == sorted([*before, "elsewhere/stray.parquet"])
