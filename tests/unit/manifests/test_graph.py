from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from manifests.errors import StageError
from manifests.graph import (
    InputFile,
    Source,
    Stage,
    Task,
    View,
    documents_and,
    file_ref,
    part_of,
    partitions,
    resolve,
    source_ref,
)
from manifests.records import Identity, OutputFile, TaskRecord
from manifests.stage_records import StageRecords
from manifests.tasks import InputRef, Work
from tests.paths import ROOT

A, B = InputFile("/data/a.gz", "a.gz", 3, "da"), InputFile("/data/b.gz", "b.gz", 4, "db")


class Known(View):
    """A view of records that a test has made up."""

    def __init__(self, records: Mapping[str, Sequence[TaskRecord]], **files: Sequence[InputFile]) -> None:
        super().__init__(5, "ab" * 32, {"dedup": SimpleNamespace(ngram=5)}, [Source("crawl", (A, B))], files)
        for stage, tasks in records.items():
            self._records[stage] = StageRecords.of(tasks)


def do_nothing(config: object, work: Work) -> None:
    """A function of a stage."""


def record(stage: str, task: str, counters: Mapping[str, int] | None = None, **roles: str) -> TaskRecord:
    """A record with one output a role. roles: their digests."""
    outputs = tuple(OutputFile(role, f"{stage}/{role}/{task}.parquet", 10, digest, 2) for role, digest in roles.items())
    return TaskRecord(Identity(stage, 1, task, {}, {}), outputs, counters or {})


def stage(name: str, folder: str = "", tasks_of: tuple[str, ...] = ()) -> Stage:
    return Stage(name, 1, "x:y", None, (), lambda view: [], folder=folder, tasks_of=tasks_of)


@pytest.mark.parametrize(("relative", "stem"), [
    ("crawl/CC-MAIN-2024-00017.warc.gz", "CC-MAIN-2024-00017"), ("a b (1).jsonl", "a-b-1-"), (".hidden", "file"),
    ("日本語.txt", "-"),
])
def test_a_part_is_named_for_its_file(relative: str, stem: str) -> None:
    part = InputFile(f"/anywhere/{relative}", relative, 1, "d").part
    assert part.startswith(f"part-{stem}-")
    assert len(part) == len(f"part-{stem}-") + 8


def test_files_of_one_name_in_two_folders_have_two_parts() -> None:
    one, other = (InputFile("", f"{folder}/x.warc.gz", 1, "d").part for folder in "ab")
    assert one != other
    assert one == InputFile("/elsewhere/a/x.warc.gz", "a/x.warc.gz", 9, "other").part


def test_stages_that_share_a_folder_know_their_records() -> None:
    whole, parts = stage("tokenizer"), stage("tokenizer/model", folder="tokenizer", tasks_of=("model",))
    assert (whole.path, parts.path) == ("tokenizer", "tokenizer")
    assert parts.owns(Identity("tokenizer", 1, "model", {}, {}))
    assert not parts.owns(Identity("tokenizer", 1, "part-0", {}, {}))
    assert not parts.owns(Identity("tokenizer/model", 1, "model", {}, {}))
    assert whole.owns(Identity("tokenizer", 1, "part-0", {}, {}))


def test_a_function_is_found_by_its_import_path() -> None:
    assert resolve(f"{__name__}:do_nothing") is do_nothing
    for missing in ("manifests.nowhere:f", "manifests.tasks:nothing", "manifests.tasks"):
        with pytest.raises(StageError, match="workers need the package") as caught:
            resolve(missing)
        assert caught.value.where == missing


def test_a_view_knows_what_is_done() -> None:
    parts = [record("extract", f"crawl/{name}", documents="d") for name in "ba"]
    view = Known({"extract": parts, "signals": []})
    assert view.is_done("signals")
    assert not view.is_done("select")
    assert view.done_stages() == ["extract", "signals"]
    assert [r.identity.task for r in view.tasks("extract")] == ["crawl/a", "crawl/b"]
    assert not view.tasks("signals")
    assert not view.tasks("select")
    assert view.section("dedup").ngram == 5
    assert view.section(None) is None


def test_outputs_of_tasks_are_inputs_of_others() -> None:
    view = Known({"exact": [record("exact", "p1", copies="c1", dropped="x1"), record("exact", "p0", copies="c0")]})
    assert view.output("exact", "p1", "copies") == InputRef(("exact/copies/p1.parquet",), "c1", "copies")
    assert [o.digest for o in view.outputs("exact", "copies")] == ["c0", "c1"]
    assert view.outputs("exact", "nothing") == []
    with pytest.raises(ValueError, match="not exactly one"):
        view.output("exact", "p0", "dropped")


def test_all_files_of_a_role_are_one_input_that_changes_with_each_of_them() -> None:
    def digest(*tasks: TaskRecord) -> str:
        ref = Known({"exact": tasks}).every("exact", "copies")
        assert (ref.paths, ref.role) == (("exact/manifest.parquet",), "copies")
        return ref.digest

    one, two = record("exact", "p0", copies="c0"), record("exact", "p1", copies="c1", dropped="x")
    assert digest(one, two) == digest(two, one)
    assert digest(one, two) == digest(one, record("exact", "p1", copies="c1", dropped="another"))
    assert len({digest(), digest(one), digest(one, two), digest(one, record("exact", "p1", copies="c2"))}) == 4


def test_counters_are_summed_over_tasks() -> None:
    parts = [record("extract", "a", {"documents": 2}), record("extract", "b", {"documents": 3, "x": 1})]
    view = Known({"extract": parts})
    assert view.counters("extract") == {"documents": 5, "x": 1}
    assert view.counters("nothing") == {}


def test_files_of_the_user_are_inputs_in_their_order() -> None:
    assert source_ref([A]) == InputRef(("/data/a.gz",), "da")
    both, turned = source_ref([A, B]), source_ref([B, A])
    assert both.paths == ("/data/a.gz", "/data/b.gz")
    assert len({both.digest, turned.digest, source_ref([A]).digest}) == 3
    assert both.digest == source_ref([replace(A, path="/moved/a.gz"), B]).digest
    assert both.digest != source_ref([replace(A, relative="c.gz"), B]).digest


def test_only_a_run_that_documents_were_taken_out_of_has_a_list_of_them() -> None:
    assert Known({}).removals() == {}
    assert Known({}, removals=(A,)).removals() == {"removals": source_ref([A])}


def test_a_task_is_read_from_the_path_of_its_output() -> None:
    assert part_of("dedup/components/x/crawl/part-a.parquet", "dedup/components/x") == "crawl/part-a"
    with pytest.raises(ValueError, match="does not lie in"):
        part_of("clean/crawl/part-a.parquet", "extract")


def test_plans_over_parts_and_over_partitions() -> None:
    parts = [record("extract", f"crawl/{name}", documents=f"d{name}") for name in "ab"]
    view = Known({"extract": parts, "select": [record("select", "crawl/b", decisions="s2")]})
    ((part, inputs),) = documents_and(view, "select", "decisions", "kept")
    assert part == "crawl/b"
    assert {name: ref.digest for name, ref in inputs.items()} == {"documents": "db", "kept": "s2"}
    ref = file_ref(record("select", "crawl/b", decisions="s2").outputs[0])
    assert list(partitions({"kept": ref}, 2, seed=1)) == [
        Task("part-00000", {"kept": ref}, {"partition": 0, "seed": 1}),
        Task("part-00001", {"kept": ref}, {"partition": 1, "seed": 1})]


@pytest.mark.parametrize(("module", "absent"), [
    ("manifests.graph", ("pydantic", "polars", "numba", "ray", "yaml")),
    ("pipelines.stages", ("numba", "polars", "fasttext", "ray", "tokenizers", "gigatoken", "resiliparse", "fastwarc")),
])
def test_the_graph_loads_no_kernel(module: str, absent: tuple[str, ...]) -> None:
    script = f"import sys, {module}; print(*(name for name in {absent!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_every_stage_names_a_function_that_is_there_and_stages_before_it() -> None:
    from pipelines.stages import STAGES

    before: set[str] = set()
    for listed in STAGES:
        assert set(listed.needs) <= before, listed.name
        assert listed.name not in before
        before.add(listed.name)
        assert callable(resolve(listed.function)), listed.name
