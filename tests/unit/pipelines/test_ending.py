from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from manifests.errors import StageError
from manifests.storage import Storage
from pipelines.ending import ending_noted, why_stopped


@pytest.mark.parametrize(("error", "reason"), [
    (StageError("the disk is full", where="runs/a", hint="free some"), "runs/a: the disk is full (free some)"),
    (KeyboardInterrupt(), "it was interrupted"), (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero")])
def test_why_a_run_stopped_is_kept_until_it_goes_on(tmp_path: Path, error: BaseException, reason: str) -> None:
    storage = Storage(str(tmp_path))
    with pytest.raises(type(error)), ending_noted(storage):
        raise error
    assert why_stopped(storage) == reason
    with ending_noted(storage):
        assert why_stopped(storage) is None
    assert why_stopped(storage) is None


@pytest.mark.parametrize("data", [b"", b"[", b"[]", b"{}", b'{"stopped": 3}', b"[" * 5000, b"\xff"])
def test_what_is_no_note_is_none(tmp_path: Path, data: bytes) -> None:
    storage = Storage(str(tmp_path))
    storage.write_bytes("_records/ending.json", data)
    assert why_stopped(storage) is None


def test_what_an_earlier_kill_left_says_nothing_of_a_later_one(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    pulse = tmp_path / ".tmp" / "pulse" / "7-abc"
    pulse.parent.mkdir(parents=True)
    pulse.write_text(json.dumps({"stage": "extract", "task": "a", "seconds": 2.0, "read": None, "size": 0,
                                 "counters": {}, "compiling": False, "memory_bytes": 9_000_000}))
    os.utime(pulse, (time.time() - 60,) * 2)
    assert "killed, perhaps for its memory, at extract/a" in str(why_stopped(storage))
    with ending_noted(storage):
        assert why_stopped(storage) is None
    assert why_stopped(storage) is None
