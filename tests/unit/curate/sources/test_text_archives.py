"""Archives of texts as OpenWebText is distributed, tar in xz in tar, made here, some of them broken."""

from __future__ import annotations

import io
import lzma
import tarfile
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from curate.sources.columns import ColumnNames, TextRows
from curate.sources.kinds import KINDS
from curate.sources.warc import Damage
from manifests.errors import InputError
from tests.unit.curate.sources.test_layouts import run


def tar(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def subset(first: int, n: int = 3) -> bytes:
    texts = {f"{k:07d}-0{k}af.txt": f"Tide {k}.\n\nIt rose.".encode() for k in range(first, first + n)}
    return lzma.compress(tar(texts))


def read(path: Path, limit: int = 1 << 20) -> tuple[list[str], list[str], list[int], list[str]]:
    """(texts, ids, first rows of batches, damage)"""
    rows = KINDS["openwebtext"].rows
    assert rows is not None
    parts = list(rows(str(path), ColumnNames(), limit, None))
    tables = [part for part in parts if isinstance(part, TextRows)]
    return ([text for table in tables for text in table.text.to_pylist()],
            [name for table in tables for name in table.ids.to_pylist()], [table.first_row for table in tables],
            [part.what for part in parts if isinstance(part, Damage)])


@pytest.mark.parametrize("packed", [True, False])
def test_openwebtext_as_it_is_distributed(tmp_path: Path, packed: bool) -> None:
    outer = tar({"openwebtext/urlsf_subset00-1_data.xz": subset(0), "openwebtext/urlsf_subset00-2_data.xz": subset(3)})
    path = tmp_path / "openwebtext.tar.xz"
    path.write_bytes(lzma.compress(outer) if packed else outer)
    texts, ids, first, damage = read(path)
    assert texts == [f"Tide {k}.\n\nIt rose." for k in range(6)]
    assert ids == [f"{k:07d}-0{k}af" for k in range(6)]
    assert (first, damage) == ([0], [])


def test_one_subset_and_its_documents(tmp_path: Path) -> None:
    record, documents, _ = run(tmp_path, subset(0), kind="openwebtext")
    assert [(d["text"], d["record_id"], d["origin_offset"]) for d in documents] == [
        (f"Tide {k}.\n\nIt rose.", f"{k:07d}-0{k}af", k) for k in range(3)]
    assert record.counters["documents"] == 3


def test_what_is_broken_is_named_and_costs_itself(tmp_path: Path) -> None:
    broken = bytearray(subset(3, 40))
    broken[len(broken) // 2] ^= 0xFF
    cut = subset(50)[:-40]
    path = tmp_path / "x.tar"
    path.write_bytes(tar({
        "a_data.xz": subset(0), "b_data.xz": bytes(broken), "c_data.xz": cut, "d.txt": b"a\0b" * 9,
        "e.txt": b"long " * 9_000, "._f.txt": b"of a file system", "g_data.xz": subset(90),
        "notes.txt": "caf\u00e9".encode("latin-1")}))
    texts, ids, _, damage = read(path, 30_000)
    assert ids[:3] == ["0000000-00af", "0000001-01af", "0000002-02af"]
    assert ids[-4:] == ["0000090-090af", "0000091-091af", "0000092-092af", "notes"]
    assert texts[-1] == "caf\u00e9"
    assert [what.split(":")[0] for what in damage] == ["b_data.xz", "c_data.xz", "d.txt", "e.txt"]
    assert "30,000" in damage[-1]


def test_an_outer_archive_that_is_cut_gives_what_comes_before(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    data = tar({"a_data.xz": subset(0), "b_data.xz": subset(3)})
    path.write_bytes(data[: data.index(b"b_data.xz") + 600])
    texts, _, _, damage = read(path)
    assert len(texts) == 3
    assert damage == ["tar archive cannot be read further: unexpected end of data"]


def test_archives_in_archives_without_end_are_given_up(tmp_path: Path) -> None:
    data = subset(0)
    for depth in range(6):
        data = lzma.compress(tar({f"{depth}.xz": data}))
    path = tmp_path / "x.tar.xz"
    path.write_bytes(data)
    texts, _, _, damage = read(path)
    assert texts == []
    assert len(damage) == 1


def test_memory_is_a_batch_and_the_member_that_is_open(tmp_path: Path) -> None:
    text = b"It rose and it fell, and nobody knew. " * 2_000
    path = tmp_path / "x.tar"
    path.write_bytes(tar({f"{k}.xz": lzma.compress(tar({f"{k}-{i}.txt": text for i in range(100)}), preset=0)
                          for k in range(12)}))
    rows = KINDS["openwebtext"].rows
    assert rows is not None
    tracemalloc.start()
    parts = rows(str(path), ColumnNames(), 1 << 20, None)
    assert sum(len(part) for part in parts if isinstance(part, TextRows)) == 1200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20  # the texts are 91 MB


def test_another_archive_is_no_corpus(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"Just a text.")
    with pytest.raises(InputError, match="not a table in Parquet or JSON Lines"):
        read(path)
