"""How far a task is while it is at work: seen from outside, and gone with the task."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, Work
from pipelines.ending import why_stopped
from pipelines.pulse import last_pulses, pulsing, read_pulses
from tests.paths import ROOT

pytestmark = pytest.mark.timeout(30)


def _work(storage: Storage, source: Path, staging: Path) -> Work:
    task = StageTask("extract", 1, "crawl/part-a", None, {}, {"source": InputRef(
        (str(source),), "0", n_bytes=source.stat().st_size)}, {})
    return Work(storage, task, str(staging))


def test_a_task_leaves_how_far_it_read_and_what_it_counted(tmp_path: Path) -> None:
    source = tmp_path / "a.warc"
    source.write_bytes(bytes(1 << 20))
    run = tmp_path / "run"
    storage = Storage(str(run))
    work = _work(storage, source, tmp_path)
    with pulsing(storage, work), source.open("rb", buffering=0) as stream:
        stream.read(1 << 18)
        work.count("candidates", 200)
        work.count("documents", 50)
        end = time.monotonic() + 20
        while not (found := read_pulses(str(run))) and time.monotonic() < end:
            time.sleep(0.1)
    (pulse,) = found
    assert (pulse.stage, pulse.task, pulse.read, pulse.size) == ("extract", "crawl/part-a", 1 << 18, 1 << 20)
    assert pulse.counters == {"candidates": 200, "documents": 50}
    assert pulse.here
    assert pulse.seconds >= 1
    assert not pulse.compiling
    assert read_pulses(str(run)) == []
    assert not list((run / ".tmp" / "pulse").iterdir())


def test_a_short_task_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.warc"
    source.write_bytes(b"x")
    storage = Storage(str(tmp_path / "run"))
    with pulsing(storage, _work(storage, source, tmp_path)):
        pass
    assert not (tmp_path / "run" / ".tmp").exists()


def test_pulses_of_the_dead_and_half_written_ones_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / ".tmp" / "pulse"
    folder.mkdir(parents=True)
    facts = {"stage": "extract", "task": "t", "seconds": 5, "read": None, "size": 0, "counters": {}, "compiling": True}
    (folder / "1-alive").write_text(json.dumps(facts))
    (folder / "2-dead").write_text(json.dumps(facts))
    os.utime(folder / "2-dead", (1, 1))
    (folder / "3-half").write_text('{"stage": "ex')
    (folder / "4-other").write_text("[1]")
    (pulse,) = read_pulses(str(tmp_path))
    assert pulse.compiling
    assert not pulse.here
    assert read_pulses(str(tmp_path / "absent")) == []


def test_what_a_killed_process_held_is_known_after_it(tmp_path: Path) -> None:
    """A run in one process is its own worker: nobody is left to note why it ended."""
    run = tmp_path / "run"
    program = f"""
from manifests.object_stores import S3Access
from pipelines.engine import attempt
from tests.unit.pipelines.toy_stages import job
attempt({str(run)!r}, S3Access(), job("grow", "grows", n_bytes=300 << 20, seconds=2.6))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    storage = Storage(str(run))
    (pulse,) = last_pulses(str(run)).values()
    assert 300e6 < pulse.memory_bytes < 1e9
    assert why_stopped(storage) is None  # it may be at work still
    for path in (run / ".tmp" / "pulse").iterdir():
        os.utime(path, (time.time() - 60, time.time() - 60))
    assert read_pulses(str(run)) == []
    stopped = why_stopped(storage)
    assert stopped is not None
    assert re.match(r"it was killed, perhaps for its memory, at toy/grows: its process held \d+ MB", stopped)


@pytest.mark.parametrize("content", [b"", b"[" * 9000, b"{}", b'{"stage": 1}', b"\xff"])
def test_a_pulse_that_is_none_says_nothing(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / ".tmp" / "pulse"
    folder.mkdir(parents=True)
    (folder / "1-a").write_bytes(content)
    os.mkfifo(folder / "2-b")
    assert last_pulses(str(tmp_path)) == {}
    assert why_stopped(Storage(str(tmp_path))) is None
