from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from manifests.errors import InputError
from manifests.removals import PENDING, PENDING_FOLDER
from manifests.storage import Storage
from pipelines.journal import Journal, finish_pending


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    (tmp_path / "packed").mkdir()
    for name in ("packed/a", "packed/b", "report"):
        (tmp_path / name).write_text(f"old {name}")
    return Storage(str(tmp_path))


def contents(storage: Storage) -> dict[str, str]:
    return {name: (storage.read_bytes(name) or b"").decode() for name in storage.list("")}


OLD = {"packed/a": "old packed/a", "packed/b": "old packed/b", "report": "old report"}
NEW = {"packed/a": "new a", "packed/b": "old packed/b", "packed/c/d": "new d"}


def staged(storage: Storage) -> Journal:
    journal = Journal(storage)
    Path(journal.stage("packed/a")).write_text("new a")
    Path(journal.stage("packed/c/d")).write_text("new d")
    return journal


def test_nothing_changes_before_the_commit_and_all_of_it_after(storage: Storage) -> None:
    journal = staged(storage)
    assert {n: c for n, c in contents(storage).items() if not n.startswith(PENDING_FOLDER)} == OLD
    journal.commit(remove=["report"])
    assert contents(storage) == NEW
    assert not os.path.exists(storage.path(PENDING_FOLDER))


def test_staged_files_are_read_where_they_are(storage: Storage) -> None:
    journal = staged(storage)
    assert Path(journal.path("packed/a")).read_text() == "new a"
    assert Path(journal.path("packed/b")).read_text() == "old packed/b"


def test_what_is_dropped_has_changed_nothing(storage: Storage) -> None:
    staged(storage).drop()
    assert contents(storage) == OLD
    assert not finish_pending(storage)


def test_without_a_plan_what_was_staged_is_thrown_away(storage: Storage) -> None:
    staged(storage)
    assert not finish_pending(storage)
    assert contents(storage) == OLD


def test_a_new_journal_starts_empty(storage: Storage) -> None:
    staged(storage)
    again = Journal(storage)
    Path(again.stage("packed/b")).write_text("new b")
    again.commit()
    assert contents(storage) == {**OLD, "packed/b": "new b"}


@pytest.mark.parametrize("moved", range(5))
def test_a_commit_that_was_killed_is_finished(storage: Storage, monkeypatch: pytest.MonkeyPatch, moved: int) -> None:
    """moved: how many of its steps the killed process had done: the plan, two moves, a removal, the plan's removal."""
    steps = 0

    class Killed(BaseException):
        pass

    def counted(self: Storage, *arguments: str) -> None:
        nonlocal steps
        steps += 1
        if steps > moved + 1:
            raise Killed
        (publish if len(arguments) == 2 else remove)(self, *arguments)

    publish, remove = Storage.publish, Storage.remove
    with monkeypatch.context() as patched:
        patched.setattr(Storage, "publish", counted)
        patched.setattr(Storage, "remove", counted)
        journal = staged(storage)
        if moved < 4:
            with pytest.raises(Killed):
                journal.commit(remove=["report"])
        else:
            journal.commit(remove=["report"])
    assert finish_pending(storage) == (moved < 4)
    assert contents(storage) == NEW
    assert not finish_pending(storage)


def test_the_plan_says_what_will_be_done(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = staged(storage)
    monkeypatch.setattr("pipelines.journal.finish_pending", lambda storage: True)
    journal.commit(remove=["report"])
    assert json.loads(storage.read_bytes(PENDING) or b"") == {
        "replace": ["packed/a", "packed/c/d"], "remove": ["report"]}


def test_an_object_store_has_no_journal() -> None:
    storage = Storage("memory://bucket/run")
    with pytest.raises(InputError, match="object store"):
        Journal(storage)
    assert not finish_pending(storage)
