"""Text sources that were cut or damaged: what can be read is, and what cannot is named."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.documents.config import ExtractConfig
from curate.documents.stage import extract
from curate.sources.columns import ColumnNames, TextRows
from curate.sources.jsonl import read_jsonl
from manifests.errors import InputError
from manifests.records import TaskRecord
from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, execute

CONFIG = ExtractConfig(identify_language=False, signals=False)


def noise(number: int) -> str:
    return hashlib.sha512(str(number).encode()).hexdigest()  # so that compressed files are long enough to be cut


LINES = [json.dumps({"id": str(i), "text": f"Text {i} {noise(i)}"}) for i in range(3000)]


def run(folder: Path, data: bytes, kind: str = "auto") -> TaskRecord:
    (folder / "in").write_bytes(data)
    facts = {"source": "s", "origin_path": "in", "kind": kind}
    task = StageTask("extract", 1, "s/part-0", CONFIG, {}, {"source": InputRef((str(folder / "in"),), "")}, facts)
    return execute(Storage(str(folder / "run")), task, extract)


def ids(folder: Path) -> list[int]:
    return [int(i) for i in pq.read_table(folder / "run/extract/s/part-0.parquet")["record_id"].to_pylist()]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lz4.frame.compress], ids=["gzip", "zstd", "lz4"])
def test_a_cut_jsonl_gives_the_lines_before_the_cut(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack("\n".join(LINES).encode())
    record = run(tmp_path, data[: len(data) * 2 // 3])
    found = ids(tmp_path)
    assert found == list(range(len(found)))
    assert 1000 < len(found) < 3000
    assert record.counters["damaged"] >= 1
    assert "file ends within a member" in record.damage[-1].what


def test_a_damaged_member_of_a_jsonl_costs_its_own_lines(tmp_path: Path) -> None:
    packed = [gzip.compress("".join(f"{line}\n" for line in LINES[i : i + 1000]).encode()) for i in (0, 1000, 2000)]
    packed[1] = packed[1][:20_000] + bytes(8) + packed[1][20_008:]
    record = run(tmp_path, b"".join(packed))
    found = ids(tmp_path)
    assert set(range(1000)) <= set(found)
    assert set(range(2000, 3000)) <= set(found)
    assert len(found) < 2600
    assert record.counters["damaged"]


def test_a_damaged_row_group_of_a_parquet_costs_its_own_rows(tmp_path: Path) -> None:
    table = pa.table({"id": list(range(3000)), "text": [f"Text {i} {noise(i)}" for i in range(3000)]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=1000, compression="zstd", write_page_checksum=True)
    group = pq.ParquetFile(buffer).metadata.row_group(1).column(1)
    place = group.dictionary_page_offset or group.data_page_offset
    data = bytearray(buffer.getvalue())
    data[place : place + 4000] = bytes(4000)
    record = run(tmp_path, bytes(data))
    assert ids(tmp_path) == [*range(1000), *range(2000, 3000)]
    assert record.counters["damaged"] == 1
    with pytest.raises(InputError, match="in"):
        run(tmp_path, buffer.getvalue()[:-100])


def test_a_cut_wet_gives_the_records_before_the_cut(tmp_path: Path) -> None:
    records = []
    for i in range(4):
        text = f"Text {i} {noise(i)}".encode()
        head = (f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://x.org/{i}\r\n"
                f"Content-Length: {len(text)}\r\n\r\n")
        records.append(gzip.compress(head.encode() + text + b"\r\n\r\n"))
    record = run(tmp_path, b"".join(records)[:-30])
    urls = pq.read_table(tmp_path / "run/extract/s/part-0.parquet")["url"].to_pylist()
    assert [url[-1] for url in urls] == ["0", "1", "2"]
    assert record.counters["damaged"] == 1


def test_a_cut_text_gives_what_comes_before(tmp_path: Path) -> None:
    words = " ".join(noise(i) for i in range(3000))
    data = gzip.compress(words.encode())
    record = run(tmp_path, data[: len(data) // 2])
    (text,) = pq.read_table(tmp_path / "run/extract/s/part-0.parquet")["text"].to_pylist()
    assert words.startswith(text)
    assert 0.3 < len(text) / len(words) < 0.6
    assert record.counters["damaged"] == 1


def texts(folder: Path) -> list[str]:
    found: list[str] = pq.read_table(folder / "run/extract/s/part-0.parquet")["text"].to_pylist()
    return found


def test_a_line_of_other_bytes_than_utf8_costs_itself(tmp_path: Path) -> None:
    record = run(tmp_path, b'\xef\xbb\xbf{"text": "one"}\n{"text": "caf\xe9"}\n{"text": "three", "other": "\xe9"}\n')
    assert texts(tmp_path) == ["one"]
    assert [d.where for d in record.damage] == ["in@1", "in@2"]
    assert all("utf-8" in d.what for d in record.damage)


def test_a_cell_of_other_bytes_than_utf8_keeps_the_rest_of_its_text(tmp_path: Path) -> None:
    cells = pa.array([b"one", b"caf\xe9 au lait", None, "gr\u00fcn".encode()], pa.binary())
    for kind in (pa.string(), pa.large_string()):
        sink = io.BytesIO()
        pq.write_table(pa.table({"text": cells.cast(pa.large_binary() if kind == pa.large_string() else pa.binary())
                                 .view(kind)}), sink)
        run(tmp_path, sink.getvalue())
        assert texts(tmp_path) == ["one", "caf\ufffd au lait", "gr\u00fcn"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_table_without_any_text_names_the_column_that_was_asked_for(tmp_path: Path, kind: str) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": pa.nulls(2, pa.string()), "body": ["one", "two"]}), sink)
    data = sink.getvalue() if kind == "parquet" else b'{"body": "one"}\n{"body": "two"}\n'
    with pytest.raises(InputError, match="no text under 'text'"):
        run(tmp_path, data)


def test_a_nul_and_half_a_pair_cost_nothing_around_them(tmp_path: Path) -> None:
    """On the fast way and on the slow one, which half a surrogate pair leads to."""
    for more, text in (("", "a\0b"), ("\\ud83d", "a\0b\ufffd")):
        (tmp_path / "x.jsonl").write_text('{"id": "i", "text": "a\\u0000b' + more + '"}\n', encoding="ascii")
        with open(tmp_path / "x.jsonl", "rb") as stream:
            (rows,) = read_jsonl(stream, ColumnNames(), 1 << 20)
        assert isinstance(rows, TextRows)
        assert rows.text.to_pylist() == [text]
