from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.local_ray import session_folder, sweep

HOLD = "from pipelines.local_ray import session_folder\nwith session_folder() as f: print(f, flush=True); input()"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder in which the names of sockets are short enough."""
    with tempfile.TemporaryDirectory(prefix="c", dir="/tmp") as folder:
        yield Path(folder)


def test_a_session_folder_is_the_users_alone_and_goes(tmp_path: Path, short_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    for cache in (short_path / "cache", tmp_path / ("deep" * 20)):
        monkeypatch.setenv("CURATE_CACHE", str(cache))
        with session_folder() as folder:
            for path in (Path(folder).parent, Path(folder).parent.parent):
                assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
            assert len(os.fsencode(folder)) + 64 <= 107 or not folder.startswith(str(tmp_path))
            Path(folder, "session").mkdir()
        assert not Path(folder).parent.exists()


def test_folders_of_dead_processes_are_removed_and_those_of_others_stay(short_path: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_CACHE", str(short_path))
    held = []
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        assert process.stdout is not None
        held.append((process, Path(process.stdout.readline().strip()).parent))
    (dead, left), (alive, used) = held
    dead.kill()
    dead.wait()
    (short_path / "ray/file").write_text("of a user")
    (short_path / "ray/new").mkdir()
    (short_path / "ray/old").mkdir()
    os.utime(short_path / "ray/old", (time.time() - 7200,) * 2)
    (short_path / "ray/link").symlink_to(short_path)
    assert left.exists()
    sweep(short_path / "ray")
    assert sorted(p.name for p in (short_path / "ray").iterdir()) == sorted(["file", "new", "link", used.name])
    alive.communicate("\n")
    assert not used.exists()
