"""Reading Reddit dumps: compression, broken lines, broken streams."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import zstandard

from curate.sources import reddit
from curate.sources.reddit import read_submissions
from manifests.errors import InputError

LINES = [{"url": f"http://site.org/{i}?a=1&amp;b=&lt;", "score": i, "is_self": False, "media": {"x": [i]}}
         for i in range(50)]


def _text(lines: Sequence[object]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _read(path: Path) -> tuple[pl.DataFrame, list[tuple[str, str]]]:
    damage: list[tuple[str, str]] = []
    frames = list(read_submissions(str(path), lambda where, what: damage.append((where, what))))
    empty = pl.DataFrame(schema=reddit.SUBMISSION_SCHEMA)
    return pl.concat([empty, *frames]), damage


def _compressed(kind: str, data: bytes) -> bytes:
    if kind == "gz":
        return gzip.compress(data[:100]) + gzip.compress(data[100:])
    if kind == "zst":
        wide = zstandard.ZstdCompressionParameters(window_log=31)
        frames = zstandard.ZstdCompressor(compression_params=wide)
        return frames.compress(data[:100]) + zstandard.ZstdCompressor().compress(data[100:])
    return data


@pytest.mark.parametrize("kind", ["zst", "gz", "jsonl"])
@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_every_compression_gives_the_same_rows(
        tmp_path: Path, kind: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reddit, "_CHUNK_BYTES", chunk)
    monkeypatch.setattr(reddit, "_READ_BYTES", 37)
    path = tmp_path / "dump"
    path.write_bytes(_compressed(kind, _text(LINES)))
    rows, damage = _read(path)
    assert damage == []
    assert rows["score"].to_list() == list(range(50))
    assert rows["url"][7] == "http://site.org/7?a=1&b=<"


def test_a_broken_line_costs_one_line_and_is_named_by_number(tmp_path: Path) -> None:
    path = tmp_path / "dump.jsonl"
    good = _text([{"url": "http://a.b", "score": "12", "is_self": None}, {"url": "http://c.d", "score": 5.0}])
    bad = b'{"url": broken\n[1]\n\n{"url":"\xff","score":1}\n{"url":"a","score":99999999999999999999}\n'
    bad += b'{"url":"\\ud800"}\n'
    path.write_bytes(good + bad + _text([{"score": 3}]) + b'{"url":"http://e.f","score":4}')
    rows, damage = _read(path)
    assert rows.drop("created_utc").rows() == [
        ("http://a.b", 12, None), ("http://c.d", 5, None), (None, 3, None), ("http://e.f", 4, None)]
    assert [where.removeprefix(str(path)) for where, _ in damage] == [":3", ":4", ":6", ":7", ":8"]


@pytest.mark.parametrize("kind", ["zst", "gz"])
def test_a_stream_that_breaks_off_gives_what_was_readable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "dump"
    noise = [{"url": f"http://x.y/{i}", "score": 3} for i in range(20_000)]
    data = zstandard.ZstdCompressor().compress(_text(noise)) if kind == "zst" else gzip.compress(_text(noise))
    path.write_bytes(data[: len(data) * 3 // 4])
    rows, damage = _read(path)
    assert 0 < rows.height < 20_000
    assert rows["url"].to_list() == [line["url"] for line in noise[: rows.height]]
    assert any("ends early" in what for _, what in damage)


def test_corrupt_bytes_in_a_stream_are_damage_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    data = bytearray(gzip.compress(_text(LINES)))
    data[30:60] = bytes(30)
    path.write_bytes(bytes(data))
    _, damage = _read(path)
    assert damage


def test_an_endless_line_is_cut_and_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reddit, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(reddit, "_MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(reddit, "_READ_BYTES", 64)
    path = tmp_path / "dump"
    path.write_bytes(b'{"url":"' + b"x" * 5000 + b'"}\n' + _text(LINES))
    rows, damage = _read(path)
    assert rows["score"].to_list() == list(range(50))
    assert any("was cut" in what for _, what in damage)


def test_an_empty_file_has_no_submissions_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    rows, damage = _read(tmp_path / "empty")
    assert rows.height == 0
    assert damage == []
    with pytest.raises(InputError, match="missing"):
        _read(tmp_path / "missing")
