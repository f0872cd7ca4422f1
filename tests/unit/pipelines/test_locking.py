from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.errors import OwnershipError
from manifests.graph import InputFile, Source
from manifests.storage import Storage
from pipelines.inputs import describe, input_table
from pipelines.locking import (
    LOCK_FILE,
    RUN_FORMAT,
    check_format,
    check_owner,
    empty,
    exclusive,
    inputs_of,
    lock_text,
    other_version,
    read_lock,
)
from pipelines.planning import Progress
from tests.paths import ROOT
from tests.unit.pipelines.toy_stages import recipe


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "run"))


def write_lock(storage: Storage, **fields: Any) -> None:
    lock = {"run_format": RUN_FORMAT, "recipe": {"name": "toy"}, "versions": {"curate": "9.9"}, **fields}
    storage.write_bytes(LOCK_FILE, yaml.safe_dump({k: v for k, v in lock.items() if v is not None}).encode())


def test_one_process_at_a_time(storage: Storage) -> None:
    with exclusive(storage):
        with pytest.raises(OwnershipError, match="another run is at work") as caught, exclusive(storage):
            pass
        assert caught.value.exit_code == 3
    with exclusive(storage):
        pass


def test_an_error_frees_the_folder(storage: Storage) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(storage):
        raise ZeroDivisionError
    with exclusive(storage):
        pass


def test_a_killed_process_frees_the_folder(storage: Storage) -> None:
    script = ("import sys, time; from manifests.storage import Storage; from pipelines.locking import exclusive\n"
              "with exclusive(Storage(sys.argv[1])): print('held', flush=True); time.sleep(600)\n")
    with subprocess.Popen([sys.executable, "-c", script, storage.root], stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OwnershipError), exclusive(storage):
            pass
        holder.kill()
        holder.wait()
        with exclusive(storage):
            pass


@pytest.mark.parametrize("left", [(), ("_records/run.lock",), (".tmp/x/file", "logs/a", "removals/documents.parquet")])
def test_a_folder_of_nobody_is_free(storage: Storage, left: tuple[str, ...]) -> None:
    for name in left:
        storage.write_bytes(name, b"")
    check_owner(storage, recipe(), fresh=False)
    assert read_lock(storage) is None


def test_files_that_are_no_run_are_left_alone_even_by_fresh(storage: Storage) -> None:
    storage.write_bytes("thesis.tex", b"mine")
    for fresh in (False, True):
        with pytest.raises(OwnershipError, match="it is not a run"):
            check_owner(storage, recipe(), fresh)


def test_a_folder_belongs_to_one_recipe(storage: Storage) -> None:
    write_lock(storage)
    check_owner(storage, recipe("toy"), fresh=False)
    with pytest.raises(OwnershipError, match=r"belongs to a run of recipe 'toy'.*--fresh"):
        check_owner(storage, recipe("other"), fresh=False)
    check_owner(storage, recipe("other"), fresh=True)


@pytest.mark.parametrize("run_format", [None, 1, RUN_FORMAT + 1, "2"])
def test_a_run_of_another_format_is_not_written_to(storage: Storage, run_format: object) -> None:
    write_lock(storage, run_format=run_format)
    refused = pytest.raises(OwnershipError, match=r"of version 9\.9.*--fresh")
    with refused:
        check_owner(storage, recipe(), fresh=False)
    with refused:
        check_format(storage, read_lock(storage))
    check_owner(storage, recipe(), fresh=True)


def test_a_lock_file_that_says_nothing_is_damaged(storage: Storage) -> None:
    storage.write_bytes(LOCK_FILE, b"")
    with pytest.raises(OwnershipError, match="is damaged: it holds no recipe"):
        check_owner(storage, recipe(), fresh=False)
    storage.write_bytes(LOCK_FILE, b"recipe: {name: tiny}")
    assert other_version(read_lock(storage) or {}) == "unknown"


def test_fresh_empties_the_folder_but_keeps_what_must_stay(storage: Storage) -> None:
    stays = {"_records/run.lock", "removals/documents.parquet"}
    for name in (*stays, LOCK_FILE, "extract/pages/part-0.parquet", "removals/changes.parquet", "notes.txt"):
        storage.write_bytes(name, b"x")
    empty(storage)
    assert set(storage.list("")) == stays
    assert not Path(storage.path("extract")).exists()


def test_the_lock_file_goes_last(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (LOCK_FILE, "a", "z"):
        storage.write_bytes(name, b"x")
    order: list[str] = []
    monkeypatch.setattr(Storage, "remove", lambda self, name: order.append(name))
    empty(storage)
    assert order == ["a", "z", LOCK_FILE]


def test_the_lock_file_holds_recipe_versions_and_inputs() -> None:
    files = (InputFile("/data/a.jsonl", "a.jsonl", 3, "da"),)
    progress = Progress(recipe(), (Source("pages", files),), {"links.files": files})
    lock = yaml.safe_load(lock_text(progress))
    assert lock["run_format"] == RUN_FORMAT
    assert other_version(lock) is None
    assert lock["recipe"]["name"] == "toy"
    assert {"python", "machine", "numpy", "pyarrow"} <= set(lock["versions"])
    assert set(lock["inputs"]) == {"pages", "links.files"}
    assert lock["inputs"]["pages"] == describe(files)
    assert (lock["inputs"]["pages"]["files"], lock["inputs"]["pages"]["n_bytes"]) == (1, 3)
    table = input_table(inputs_of(progress)).to_pylist()
    assert table[0] == {"field": "pages", "relative": "a.jsonl", "n_bytes": 3, "digest": "da"}
    assert [row["field"] for row in table] == ["pages", "links.files"]
    assert lock_text(progress) == lock_text(Progress(recipe(), (Source("pages", files),), {"links.files": files}))
