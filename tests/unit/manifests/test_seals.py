"""A sound file in another's stead: of the same name, size and shape, and not what the record names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import InputError
from manifests.expected import expect, forget
from manifests.graph import file_ref
from manifests.partitioned import PartitionedFile, write_partitions
from manifests.records import OutputFile
from manifests.seals import listing_digest, seal_of
from manifests.stage_records import StageRecords
from manifests.storage import Storage
from manifests.tables import read_table, write_table
from manifests.tasks import InputRef, StageTask, Work, execute, write_manifest
from tokenizer.packing.token_blocks import TokenBlocks, TokenWriter

SCHEMA = pa.schema([pa.field("n", pa.uint64())])


def _table(path: Path, number: int) -> None:
    """The same rows, statistics and bytes, but for the values in the middle."""
    write_table(str(path), SCHEMA, [pa.table({"n": [0, 5 + number, 6 - number, 99]}, SCHEMA)])


def _partitions(path: Path, number: int) -> None:
    write_partitions(str(path), SCHEMA, pa.table({"n": [5 + number]}, SCHEMA), "n")


def _tokens(path: Path, number: int) -> None:
    with TokenWriter(str(path)) as file:
        file.write(np.array([7, number], np.uint16))


def _open_partitions(path: str) -> None:
    with PartitionedFile(path):
        pass


def _open_tokens(path: str) -> None:
    with TokenBlocks(path):
        pass


KINDS: dict[str, tuple[Callable[[Path, int], None], Callable[[str], object]]] = {
    ".parquet": (_table, read_table), ".shuffle": (_partitions, _open_partitions), ".tokens": (_tokens, _open_tokens)}


@pytest.mark.parametrize("kind", KINDS)
def test_another_sound_file_is_found_when_it_is_opened(tmp_path: Path, kind: str) -> None:
    write, read = KINDS[kind]
    path, other = tmp_path / f"x{kind}", tmp_path / f"y{kind}"
    write(path, 0)
    write(other, 1)
    assert path.stat().st_size == other.stat().st_size
    seal = seal_of(str(path), path.name)
    assert len(seal) == 32
    expect(str(path), seal)
    try:
        read(str(path))
        path.write_bytes(other.read_bytes())
        with pytest.raises(InputError, match="another file than its record names"):
            read(str(path))
    finally:
        forget([str(path)])
    read(str(path))


def test_a_table_whose_digest_is_gone_is_not_the_one_expected(tmp_path: Path) -> None:
    """Without the magic before it, a table is one of anybody's."""
    path = tmp_path / "x.parquet"
    _table(path, 0)
    data = path.read_bytes()
    expect(str(path), seal_of(str(path), path.name))
    try:
        path.write_bytes(data.replace(b"\x00cur\xc3xx2", b"\x00cur\xc3xx3"))
        with pytest.raises(InputError, match="another file"):
            read_table(str(path))
    finally:
        forget([str(path)])
    assert len(read_table(str(path))) == 4


def test_files_without_a_seal(tmp_path: Path) -> None:
    (tmp_path / "plain.tokens").write_bytes(b"\x01\x00" * 40)
    (tmp_path / "model.bin").write_bytes(b"of weights")
    (tmp_path / "short.tokens").write_bytes(b"")
    for name in ("plain.tokens", "model.bin", "short.tokens"):
        assert seal_of(str(tmp_path / name), name) == ""


def _make(number: int, work: Work) -> None:
    staged = work.output("numbers")
    _table(Path(staged), number)


def _use(config: None, work: Work) -> None:
    for path in work.inputs("numbers"):
        read_table(path)


def _task(name: str, number: int, **inputs: InputRef) -> StageTask:
    return StageTask("make" if inputs == {} else "use", 1, name, number, {"number": number}, inputs, {})


def _listed(files: list[OutputFile]) -> str:
    return listing_digest((f.path, f.digest, f.seal) for f in files)


def test_a_task_reads_what_records_name(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    first, second = (execute(storage, _task(f"part-{n}", n), _make) for n in (0, 1))
    ref = file_ref(first.outputs[0])
    assert ref.seals == (first.outputs[0].seal,)
    execute(storage, _task("one", 0, numbers=ref), _use)
    (tmp_path / "make/part-0.parquet").write_bytes((tmp_path / "make/part-1.parquet").read_bytes())
    with pytest.raises(InputError, match=r"part-0\.parquet: is damaged: it is another file"):
        execute(storage, _task("one", 0, numbers=ref), _use)
    read_table(storage.path("make/part-0.parquet"))  # which nobody expects anything of any more
    assert second.outputs[0].seal != first.outputs[0].seal


def test_a_list_of_a_stage_is_the_one_of_its_records(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    records = [execute(storage, _task(f"part-{n}", n), _make) for n in (0, 1)]
    write_manifest(storage, "make", StageRecords.of(records))
    files = [record.outputs[0] for record in records]
    ref = InputRef(("make/manifest.parquet",), "d", "numbers", seals=(_listed(files),))
    execute(storage, _task("all", 0, numbers=ref), _use)
    older = [execute(storage, _task("part-0", 2), _make), records[1]]
    write_manifest(storage, "make", StageRecords.of(older))
    with pytest.raises(InputError, match=r"make/manifest\.parquet: is damaged: it is not what"):
        execute(storage, _task("all", 0, numbers=ref), _use)
