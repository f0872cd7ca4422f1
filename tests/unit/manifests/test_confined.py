from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.confined import below, check_regular, confined, read_file
from manifests.errors import InputError
from manifests.storage import Storage, open_read
from manifests.tables import open_table

OUTSIDE = ["../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/.", "a/..", "", "a\0b", "s3://bucket/a", "file:///etc/x",
           "a" * 5000, 3, None, ["a"], b"a"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_outside_their_folder_are_refused(name: object) -> None:
    with pytest.raises(InputError, match=r"plan\.json"):
        confined(name, "plan.json")


@given(st.text(max_size=30))
def test_what_is_accepted_stays_below_its_folder(name: str) -> None:
    try:
        confined(name, "x")
    except InputError:
        return
    assert os.path.normpath(f"/root/{name}").startswith("/root/")
    assert os.path.normpath(name) == name


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "run", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "stage").symlink_to(outside)
    (root / "own").mkdir()
    (root / "inner").symlink_to(root / "own")
    storage = Storage(str(root))
    with pytest.raises(InputError, match="leads out"):
        storage.write_bytes("stage/deep/file", b"x")
    with pytest.raises(InputError, match="leads out"):
        storage.remove("stage/file")
    assert list(outside.iterdir()) == []
    storage.write_bytes("inner/file", b"x")
    assert storage.read_bytes("own/file") == b"x"
    assert below(str(root), f"{root}/new/deeper/file").endswith("/new/deeper/file")
    linked = tmp_path / "linked-run"
    linked.symlink_to(root)  # a run may itself be reached through one
    Storage(str(linked)).write_bytes("own/other", b"y")


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(bytes(100))
    for name in ("pipe", "zero"):
        path = str(tmp_path / name)
        readers: tuple[Callable[[str], object], ...] = (read_file, open_read, open_table, check_regular)
        for read in readers:
            with pytest.raises(InputError, match="no regular file"):
                read(path)
    with pytest.raises(InputError, match="more than the 99"):
        read_file(str(tmp_path / "large"), 99)
    assert read_file(str(tmp_path / "large"), 100) == bytes(100)
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "absent"))
