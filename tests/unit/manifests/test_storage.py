from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from manifests.errors import CurateError, InputError, RecipeError, StageError
from manifests.storage import Storage, digest_file, open_read


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    root = str(tmp_path / "run") if request.param == "local" else f"memory://{tmp_path.name}/run"
    return Storage(root)


def test_what_is_written_is_read_and_listed(storage: Storage) -> None:
    storage.write_bytes("b/two", b"22")
    storage.write_bytes("a/one", b"1")
    assert storage.list("") == ["a/one", "b/two"]
    assert storage.list("b") == ["b/two"]
    assert storage.list("absent") == []
    assert storage.read_bytes("a/one") == b"1"
    assert storage.size("b/two") == 2
    assert list(storage.read_all(["b/two", "a/one"])) == [b"22", b"1"]
    assert list(storage.read_all(["a/one", "a/gone", "b/two"])) == [b"1", b"", b"22"]
    storage.remove("a/one")
    storage.remove("a/one")
    assert storage.read_bytes("a/one") is None
    assert not storage.exists("a/one")
    assert storage.size("a/one") is None


def test_publishing_replaces_whole_files(storage: Storage) -> None:
    storage.write_bytes("x", b"old")
    storage.write_bytes("x", b"newer")
    assert storage.read_bytes("x") == b"newer"


def test_staging_is_removed_when_the_work_fails(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    seen: list[str] = []

    def fail() -> None:
        with storage.staging() as folder:
            seen.append(folder)
            Path(folder, "half").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not os.path.exists(seen[0])
    assert storage.list("") == []


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    for name, content in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        (tmp_path / name).write_bytes(content)
    assert digest_file(str(tmp_path / "a")) == digest_file(str(tmp_path / "b")) != digest_file(str(tmp_path / "c"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    with pytest.raises(InputError, match="absent") as caught:
        open_read(str(tmp_path / "absent"))
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match="a folder") as caught:
        open_read(str(tmp_path / "a folder"))
    assert caught.value.exit_code == 1


def test_errors_survive_pickling() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(RecipeError("is wrong", where="seed", hint="use 1")))
    assert isinstance(error, CurateError)
    assert str(error) == "seed: is wrong (use 1)"
    assert error.exit_code == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this process may not mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_called_that_whatever_a_library_says(small_disk: Path) -> None:
    storage = Storage(str(small_disk / "run"))

    def write_model(n_blocks: int) -> None:
        with storage.staging() as folder:
            with suppress(OSError), open(f"{folder}/model", "wb") as stream:
                for _ in range(n_blocks):
                    stream.write(bytes(1 << 16))
            raise InputError("is no model: a matrix of it is cut off", where=f"{folder}/model")

    with pytest.raises(StageError, match="the disk is full: ") as caught:
        write_model(100)
    assert caught.value.where == storage.root
    with pytest.raises(InputError, match="cut off"):  # there is room again
        write_model(1)


def test_sizes_of_the_files_in_some_folders(storage: Storage) -> None:
    files = {"a/x": 1, "a/1a/part": 2, "a/ff/part": 3, "a/_records/1a/part": 4, "a/003/003000.bin": 5, "b/deep/x": 6,
             "c/00/part": 7}
    for name, size in files.items():
        storage.write_bytes(name, b"x" * size)

    def found(*folders: str) -> dict[str, int]:
        return dict(zip(*storage.sizes(folders), strict=True))

    assert found("a") == {"a/x": 1}
    assert found("a/1a", "a/ff", "a/2b") == {"a/1a/part": 2, "a/ff/part": 3}
    assert found("a", "a/003", "a/1a", "b/deep", "absent", "c/00") == {
        "a/x": 1, "a/003/003000.bin": 5, "a/1a/part": 2, "b/deep/x": 6, "c/00/part": 7}
    nested = storage.sizes(["a/1a", "a/ff", "a/_records/1a", "a/_records/ff", "a"])[0]
    assert sorted(nested) == ["a/1a/part", "a/_records/1a/part", "a/ff/part", "a/x"]  # each once
    assert found("a/_records/1a", "a/_records/ff") == {"a/_records/1a/part": 4}
    assert found("b") == found() == {}


def test_all_files_folder_by_folder(storage: Storage) -> None:
    for name in ("top", "b/x", "b/1a/y", "a/z"):
        storage.write_bytes(name, b"")
    storage.clear_staging()
    assert list(storage.by_folder()) == [("", ["top"]), ("a", ["a/z"]), ("b", ["b/1a/y", "b/x"])]


def test_an_object_store_lists_what_is_spread_in_one_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(f"memory://{tmp_path.name}/run")
    for i in range(256):
        storage.write_bytes(f"a/crawl/{i:02x}/part", b"")
    listed = Counter[str]()
    for name in ("find", "ls"):
        real = getattr(MemoryFileSystem, name)

        def counted(self: MemoryFileSystem, path: str, *args: Any, name: str = name, real: Any = real,
                    **options: Any) -> Any:
            listed[f"{name} {path.rpartition('/run/')[2]}"] += 1
            return real(self, path, *args, **options)

        monkeypatch.setattr(MemoryFileSystem, name, counted)
    names, _ = storage.sizes([f"a/crawl/{i:02x}" for i in range(256)])
    assert len(names) == 256
    assert listed["find a/crawl"] == 1
    listed.clear()
    storage.sizes(["a/crawl/00", "a/books"])
    assert set(listed) == {"ls a/crawl/00", "ls a/books"}
