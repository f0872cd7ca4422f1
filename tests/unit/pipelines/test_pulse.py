"""How far a task is while it is at work: seen from outside, and gone with the task."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, Work
from pipelines.pulse import pulsing, read_pulses

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
