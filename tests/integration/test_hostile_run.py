"""A run's folder that somebody else made or changed: nothing outside it is touched, no command hangs, and none ends in
a traceback. What is in the folder is data."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from manifests.dataset import PackedDataset
from manifests.errors import CurateError
from manifests.records import TaskRecord
from manifests.run_records import every_record
from manifests.storage import Storage
from pipelines.cli.main import app
from pipelines.running import Result

pytestmark = pytest.mark.timeout(240)
MUTATIONS, NIGHTLY_MUTATIONS = 30, 2000


@pytest.fixture
def hostile(small_demo: tuple[Path, Result], tmp_path: Path) -> Path:
    """A finished run that may be changed, beside files that belong to somebody else."""
    run = tmp_path / "folder" / "run"
    shutil.copytree(small_demo[0], run)
    victim = tmp_path / "folder" / "victim"
    victim.mkdir()
    (victim / "file.txt").write_text("mine")
    (tmp_path / "folder" / "victim.txt").write_text("mine too")
    return run


def outside(run: Path) -> dict[str, str]:
    """What lies beside the run."""
    files = [p for p in run.parent.rglob("*") if run not in p.parents and p.is_file()]
    return {str(p.relative_to(run.parent)): p.read_text() for p in files}


def invoke(*words: str) -> tuple[int, str]:
    """Exit code and output of a command; whatever error the project did not foresee is raised."""
    result = CliRunner().invoke(app, list(words))
    error = result.exception
    if isinstance(error, CurateError):
        return error.exit_code, f"{result.output}{error}"
    if isinstance(error, OSError) and error.strerror:  # `main` says it in one line
        return 1, f"{result.output}{error}"
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return result.exit_code, result.output


def commands(run: Path, web: Path, url: str = "http://none.example/") -> Iterator[tuple[str, ...]]:
    (run.parent.parent / "urls.txt").write_text(url + "\n")
    yield "status", str(run)
    yield "verify", str(run)
    yield "why", str(run), url
    yield "trace", str(run), "train/000000", "0"
    yield "remove", str(run), "--urls", str(run.parent.parent / "urls.txt")
    yield "run", "demo", "--set", f"web={web}", "--out", str(run), "--engine", "inline"


def _plan(run: Path, plan: Any) -> None:
    (run / ".removal" / "new").mkdir(parents=True)
    (run / ".removal" / "plan.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
    (run / ".removal" / "stolen.txt").write_text("theirs")
    (run / ".removal" / "new" / "link").symlink_to(run.parent / "victim.txt")


PLANS: list[Any] = [
    {"replace": [], "remove": ["../victim.txt"]}, {"replace": ["../stolen.txt"], "remove": []},
    {"replace": ["packed/../../../stolen.txt"], "remove": []}, {"replace": [], "remove": ["/VICTIM"]},
    {"replace": ["link"], "remove": []}, {"replace": [], "remove": ["recipe.lock.yaml", "../victim.txt"]},
    {"replace": [], "remove": [{"a": 1}]}, {"replace": "packed", "remove": []}, {"remove": []}, [], "[" * 100000, "{",
    {"replace": [], "remove": [], "more": 1}, {"replace": [], "remove": ["_records/inputs.json"]}]


@pytest.mark.parametrize("plan", PLANS, ids=range(len(PLANS)))
def test_a_plan_of_somebody_else_is_refused(hostile: Path, small_web: Path, plan: Any) -> None:
    if isinstance(plan, dict) and plan.get("remove") == ["/VICTIM"]:
        plan = {"replace": [], "remove": [str(hostile.parent / "victim.txt")]}
    _plan(hostile, plan)
    before, lock = outside(hostile), (hostile / "recipe.lock.yaml").read_bytes()
    for words in commands(hostile, small_web):
        if words[0] in ("remove", "run"):
            code, said = invoke(*words)
            assert code == 1, said
            assert "plan.json" in said or "link" in said
    assert outside(hostile) == before
    assert (hostile / "recipe.lock.yaml").read_bytes() == lock


def _first_record(run: Path) -> Path:
    return next(path for path in sorted(run.glob("*/**/_records/*.records")))


def _swap(path: Path, make: Callable[[Path], None]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    make(path)


def _plan_folder(run: Path) -> Path:
    (run / ".removal").mkdir()
    return run / ".removal"


PLANTED: dict[str, Callable[[Path], None]] = {
    "a record that is a pipe": lambda run: _swap(_first_record(run), os.mkfifo),
    "a record that is a device": lambda run: _swap(_first_record(run), lambda p: p.symlink_to("/dev/zero")),
    "an output that is a pipe": lambda run: _swap(next(run.glob("clean/**/part-*.parquet")), os.mkfifo),
    "a manifest that is a pipe": lambda run: _swap(run / "packed/manifest.parquet", os.mkfifo),
    "a shard that is a device": lambda run: _swap(run / "packed/train/000000.bin", lambda p: p.symlink_to("/dev/zero")),
    "spans that are a pipe": lambda run: _swap(run / "packed/train/000000.spans.parquet", os.mkfifo),
    "a lock file that is a pipe": lambda run: _swap(run / "recipe.lock.yaml", os.mkfifo),
    "a process lock that is a link": lambda run: _swap(
        run / "_records/run.lock", lambda p: p.symlink_to(run.parent / "victim.txt")),
    "a process lock that is a pipe": lambda run: _swap(run / "_records/run.lock", os.mkfifo),
    "a staging folder that is a link": lambda run: _swap(run / ".tmp", lambda p: p.symlink_to(run.parent / "victim")),
    "a stage folder that is a link": lambda run: _swap(run / "clean", lambda p: p.symlink_to(run.parent / "victim")),
    "a folder of records that is a link": lambda run: _swap(
        run / "_records", lambda p: p.symlink_to(run.parent / "victim")),
    "a plan that is a device": lambda run: _swap(_plan_folder(run) / "plan.json", lambda p: p.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_in_a_run_hangs_nothing_and_reaches_nothing(hostile: Path, small_web: Path, planted: str
                                                                    ) -> None:
    PLANTED[planted](hostile)
    before = outside(hostile)
    for words in commands(hostile, small_web):
        code, said = invoke(*words)
        assert code in (0, 1, 2, 3), said
    assert outside(hostile) == before


def test_a_damaged_lock_file_does_not_keep_a_run_from_beginning_afresh(hostile: Path, small_web: Path) -> None:
    (hostile / "recipe.lock.yaml").write_bytes(b"\xff[")
    words = next(words for words in commands(hostile, small_web) if words[0] == "run")
    assert invoke(*words)[0] == 3
    code, said = invoke(*words, "--fresh", "--until", "extract")
    assert code == 0, said


def mutated(data: bytes, random_of: random.Random) -> bytes:
    """Some bytes changed, cut out, or put in."""
    kind, at = random_of.randrange(5), random_of.randrange(max(1, len(data)))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([data[at] ^ 1 << random_of.randrange(8)]) + data[at + 1 :] if data else b"\0"
    if kind == 2:
        return data[:at] + random_of.randbytes(random_of.randrange(1, 40)) + data[at:]
    if kind == 3:
        return data[:at] + random_of.choice([b"null", b"-1", b"1e400", b"[]", b'"../../x"', b"[" * 3000, b"{}"]) + data[
            at + random_of.randrange(1, 20) :]
    return b""


KINDS = (".json", ".yaml", ".parquet", ".records")


def mutate(run: Path, web: Path, seed: int) -> None:
    """Change one file of a run at random; every command must end by itself, without an error that was not foreseen."""
    random_of = random.Random(seed)
    files = sorted(p for p in run.rglob("*") if p.suffix in KINDS and p.is_file())
    by_kind = {suffix: [p for p in files if p.suffix == suffix] for suffix in KINDS}
    path = random_of.choice(by_kind[random_of.choice([".json", *KINDS, ".parquet"])])
    kept = path.read_bytes()
    path.write_bytes(mutated(kept, random_of))
    try:
        for words in list(commands(run, web))[:4]:
            invoke(*words)
        invoke("run", "demo", "--set", f"web={web}", "--out", str(run), "--dry-run")
        try:
            dataset = PackedDataset(run, "train")
            for row in (0, len(dataset) - 1):
                dataset[row], dataset.targets(row), dataset.documents(row)
        except CurateError:
            pass
    except Exception as error:
        error.add_note(f"seed {seed}: {path.relative_to(run)}")
        raise
    finally:
        path.write_bytes(kept)


def test_no_mutation_of_a_file_ends_in_a_traceback(hostile: Path, small_web: Path) -> None:
    for seed in range(MUTATIONS):
        mutate(hostile, small_web, seed)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_no_mutation_of_many_ends_in_a_traceback(hostile: Path, small_web: Path) -> None:
    for seed in range(MUTATIONS, MUTATIONS + NIGHTLY_MUTATIONS):
        mutate(hostile, small_web, seed)


def test_a_record_whose_paths_leave_the_run_is_none(hostile: Path) -> None:
    fields = json.loads(next(every_record(Storage(str(hostile)))).to_json())
    assert TaskRecord.from_json(json.dumps(fields).encode()) is not None
    for path in ("../victim.txt", "/dev/zero", 3):
        changed = {**fields, "outputs": [{**fields["outputs"][0], "path": path}]}
        assert TaskRecord.from_json(json.dumps(changed).encode()) is None
