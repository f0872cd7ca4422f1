from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests.graph import InputFile, OpenView, Source, Stage, Task, View, bind, source_ref
from manifests.record_tables import read_stage_records, table_name
from manifests.records import Identity, OutputFile, TaskRecord, record_name
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from manifests.tasks import Work, execute
from pipelines import planning
from pipelines.planning import Progress, StagePlan, can_plan, keep_up_to_date, plan_stage, put_together
from pipelines.stages import STAGES
from tests.unit.pipelines.toy_stages import FIRST, NUMBERS, SECOND, Adding, recipe

FILE = InputFile("/data/a.jsonl", "a.jsonl", 3, "da")


def view(adding: Adding | None = None, files: tuple[InputFile, ...] = (FILE,)) -> OpenView:
    return OpenView(1, "ab" * 32, {"adding": adding or Adding()}, [Source("pages", files)], {})


def plan(view: View) -> Iterator[Task]:
    for source in view.sources:
        for number, file in enumerate(source.files):
            yield Task(f"{source.name}/{file.part}", {"source": source_ref([file])}, {"number": number}, {"tries": 3})


STAGE = Stage("extract", 2, "tests.unit.pipelines.toy_stages:add", "adding", (), plan)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def write_nothing(config: Adding, work: Work) -> None:
    """A table without rows; what the plan names as inputs is not there to be read."""
    work.write("numbers", NUMBERS, [])


def do(stage: Stage, seen: OpenView, storage: Storage) -> None:
    for task, _ in plan_stage(stage, seen, storage).stale:
        execute(storage, task, write_nothing)


def reasons(stage: Stage, seen: OpenView, storage: Storage) -> list[str]:
    return [reason for _, reason in plan_stage(stage, seen, storage).stale]


def test_what_was_never_done_is_to_be_done(storage: Storage) -> None:
    found = plan_stage(STAGE, view(), storage)
    ((task, reason),) = found.stale
    assert (dict(found.up_to_date), reason) == ({}, "never done")
    assert task.name == f"pages/{FILE.part}"


def test_a_task_carries_the_section_that_its_stage_names() -> None:
    (planned,) = plan(view())
    bound = bind(STAGE, view(Adding(amount=7)), planned)
    assert (bound.stage, bound.version, bound.config) == ("extract", 2, Adding(amount=7))
    assert bound.identity.config == {"amount": 7, "task": {"number": 0}}
    assert bound.identity.inputs == {"source": "da"}
    assert bound.settings == {"tries": 3}
    assert bind(replace(STAGE, section=None, folder="elsewhere"), view(), planned).config is None
    assert bind(replace(STAGE, folder="elsewhere"), view(), planned).identity.stage == "elsewhere"


def test_what_is_done_is_up_to_date(storage: Storage) -> None:
    do(STAGE, view(), storage)
    found = plan_stage(STAGE, view(), storage)
    assert found.stale == []
    assert list(found.up_to_date) == [f"pages/{FILE.part}"]
    assert reasons(STAGE, view(files=(replace(FILE, path="/moved/a.jsonl"),)), storage) == []
    assert [reason for _, reason in plan_stage(STAGE, view(), storage, fresh=True).stale] == ["never done"]


@pytest.mark.parametrize(("stage", "seen", "reason"), [
    (replace(STAGE, version=3), view(), "stage version 2 -> 3"),
    (STAGE, view(Adding(amount=2)), "amount: 1 -> 2"),
    (STAGE, view(files=(replace(FILE, digest="db"),)), "input source changed"),
    (STAGE, view(files=(replace(FILE, relative="b.jsonl"),)), "never done"),
])
def test_what_changed_makes_a_task_stale(storage: Storage, stage: Stage, seen: OpenView, reason: str) -> None:
    do(STAGE, view(), storage)
    assert reasons(stage, seen, storage) == [reason]


def test_settings_make_nothing_stale(storage: Storage) -> None:
    do(STAGE, view(), storage)
    other = replace(STAGE, plan=lambda seen: [replace(task, settings={"tries": 9}) for task in plan(seen)])
    assert reasons(other, view(), storage) == []


def test_a_new_file_costs_itself_alone(storage: Storage) -> None:
    do(STAGE, view(), storage)
    found = plan_stage(STAGE, view(files=(FILE, replace(FILE, relative="b.jsonl"))), storage)
    assert (len(found.up_to_date), len(found.stale)) == (1, 1)


@pytest.mark.parametrize("harm", ["gone", "cut", "record"])
def test_a_task_whose_files_are_not_as_recorded_is_done_again(storage: Storage, harm: str) -> None:
    do(STAGE, view(), storage)
    ending = "*.json" if harm == "record" else "*.parquet"
    path = next(Path(storage.root).rglob(ending))
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2])
    assert reasons(STAGE, view(), storage) == ["never done"]


def test_a_stage_is_planned_when_all_it_needs_is_done() -> None:
    progress = Progress(recipe(), (), {})
    assert can_plan(FIRST, progress)
    assert not can_plan(SECOND, progress)
    progress.finish("first", {})
    assert can_plan(SECOND, progress)


def test_progress_shows_the_sections_of_its_recipe() -> None:
    loaded = recipe()
    progress: Any = Progress(loaded, (), {})
    assert progress.section("pack") == loaded.pack
    assert (progress.seed, progress.recipe_sha256) == (loaded.seed, loaded.digest)


def _parts(n_rows: int = 3) -> StageRecords:
    """Records of two extracted parts."""
    identities = [Identity("extract", 1, f"pages/part-{name}-1a2b3c4d", {}, {}) for name in ("x", "y")]
    outputs = [OutputFile("documents", f"extract/{i.task}", 1, f"{n_rows}{i.task}", n_rows) for i in identities]
    return StageRecords.of(TaskRecord(i, (o,), {"documents": n_rows}) for i, o in zip(identities, outputs, strict=True))


SIGNATURES = next(stage for stage in STAGES if stage.name == "dedup/signatures")


def _progress(storage: Storage, **dedup: Any) -> Progress:
    loaded = recipe()
    progress = Progress(loaded.model_copy(update={"dedup": loaded.dedup.model_copy(update=dedup)}), (), {})
    selected = [replace(r, outputs=(replace(r.outputs[0], role="decisions"),)) for r in _parts().values()]
    progress.finish("extract", _parts())
    progress.finish("select", StageRecords.of(selected))
    return progress


def _put_together(storage: Storage) -> StagePlan:
    plan = plan_stage(SIGNATURES, _progress(storage), storage)
    for task, _ in plan.stale:
        plan.done[task.name] = execute(storage, task, write_nothing)
    put_together(plan, plan.records(), storage)
    return plan


def test_a_remembered_plan_is_not_made_again(storage: Storage) -> None:
    plan = _put_together(storage)
    assert len(plan.stale) == 2
    assert [n for n in storage.list("dedup") if n.endswith(".json")] == []

    def never(view: View) -> Iterator[Task]:
        raise AssertionError
        yield

    never.__code__ = never.__code__.replace(co_filename=SIGNATURES.plan.__code__.co_filename)
    found = plan_stage(replace(SIGNATURES, plan=never), _progress(storage), storage)
    assert found.remembered
    assert dict(found.up_to_date) == plan.done
    other = _progress(storage)
    other.finish("extract", _parts(n_rows=4))
    with pytest.raises(AssertionError):
        plan_stage(replace(SIGNATURES, plan=never), other, storage)


@pytest.mark.parametrize(("change", "n_stale"), [("section", 2), ("input", 2), ("gone", 1), ("table", 2), ("none", 0)])
def test_what_changed_is_found_beside_a_table(storage: Storage, change: str, n_stale: int) -> None:
    done = _put_together(storage).done
    progress = _progress(storage, **({"ngram": 6} if change == "section" else {}))
    if change == "input":
        progress.finish("select", StageRecords.of(replace(r, outputs=(replace(
            r.outputs[0], digest="other"),)) for r in progress.records("select").values()))
    elif change == "gone":
        storage.remove(next(iter(done.values())).outputs[0].path)
    elif change == "table":
        Path(storage.path(table_name(SIGNATURES.path, SIGNATURES.name))).write_bytes(b"PAR1")
    assert len(plan_stage(SIGNATURES, progress, storage).stale) == n_stale


def test_a_table_says_nothing_of_what_is_done_again(storage: Storage) -> None:
    done = _put_together(storage).done
    first, second = sorted(done)
    storage.remove(done[first].outputs[0].path)
    plan = plan_stage(SIGNATURES, _progress(storage), storage)
    keep_up_to_date(plan, storage)
    found = read_stage_records(storage, table_name(SIGNATURES.path, SIGNATURES.name))
    assert found is not None
    assert (list(found[0]), found[1]) == ([second], None)
    plan.done[first] = execute(storage, plan.stale[0][0], write_nothing)
    put_together(plan, plan.records(), storage)
    assert plan_stage(SIGNATURES, _progress(storage), storage).remembered


def test_a_small_record_beside_a_table_is_read(storage: Storage) -> None:
    done = _put_together(storage).done
    record = next(iter(done.values()))
    storage.write_bytes(record_name(SIGNATURES.path, record.identity.task), record.to_json())
    found = plan_stage(SIGNATURES, _progress(storage), storage)
    assert (found.stale, found.remembered) == ([], False)
    put_together(found, found.records(), storage)
    assert plan_stage(SIGNATURES, _progress(storage), storage).remembered


def test_records_of_many_tasks_are_held_as_columns(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_GATHERED", 1)
    plan = plan_stage(SIGNATURES, _progress(storage), storage)
    made = [execute(storage, task, write_nothing) for task, _ in plan.stale]
    for record in made:
        plan.take(record)
    assert (plan.done, plan.n_done) == ({}, 2)
    assert list(put_together(plan, plan.records(), storage).values()) == made
    assert plan_stage(SIGNATURES, _progress(storage), storage).remembered


def test_what_lies_among_the_files_of_a_stage_is_seen(storage: Storage) -> None:
    done = _put_together(storage).done
    folder = next(iter(done.values())).outputs[0].path.rpartition("/")[0]
    assert plan_stage(SIGNATURES, _progress(storage), storage).others == []
    storage.write_bytes(f"{folder}/stray", b"")
    assert plan_stage(SIGNATURES, _progress(storage), storage).others == [f"{folder}/stray"]
