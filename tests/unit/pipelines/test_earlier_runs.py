"""Inputs that lie in an earlier run are compared with what that recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import InputError
from manifests.stage_records import StageRecords
from manifests.storage import Storage, digest_file
from manifests.tasks import StageTask, Work, execute, write_manifest
from pipelines.earlier_runs import check_recorded
from pipelines.inputs import InputScanner


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A run whose one stage is done."""
    storage = Storage(str(tmp_path / "earlier"))

    def make(config: object, work: Work) -> None:
        Path(work.output("tokens", ".tokens")).write_bytes(bytes(range(200)))

    record = execute(storage, StageTask("tokens", 1, "crawl/part-a-1a2b3c4d", None, {}, {}, {}), make)
    write_manifest(storage, "tokens", StageRecords.of([record]))
    storage.write_bytes("recipe.lock.yaml", b"recipe: {name: x}\n")
    return Path(storage.path(record.outputs[0].path))


def flip(path: Path, at: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1:])


def test_a_file_of_an_earlier_run_that_changed_is_named(earlier: Path, tmp_path: Path) -> None:
    def scan() -> int:
        return len(InputScanner(Storage(str(tmp_path / "run"))).scan([str(earlier)], "sources.a.files"))

    assert scan() == 1
    flip(earlier, 77)
    with pytest.raises(InputError, match=r"part-a-1a2b3c4d\.tokens: is damaged.*tokens/manifest\.parquet"):
        scan()
    copy = tmp_path / "changed-on-purpose.tokens"
    copy.write_bytes(earlier.read_bytes())
    check_recorded(str(copy), digest_file(str(copy)))
    flip(earlier, 77)
    assert scan() == 1


def test_a_damaged_manifest_of_an_earlier_run_is_named(earlier: Path) -> None:
    manifest = earlier.parents[2] / "manifest.parquet"
    at = manifest.stat().st_size - 20
    flip(manifest, at)
    with pytest.raises(InputError, match=r"manifest\.parquet: is damaged"):
        check_recorded(str(earlier), digest_file(str(earlier)))
    flip(manifest, at)
    check_recorded(str(earlier), digest_file(str(earlier)))


def test_what_no_run_recorded_is_as_it_is(earlier: Path, tmp_path: Path) -> None:
    beside = earlier.with_name("notes.txt")
    beside.write_text("mine")
    check_recorded(str(beside), "0")
    check_recorded(str(tmp_path / "elsewhere"), "0")
