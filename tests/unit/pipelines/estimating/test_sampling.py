"""Samples of archives, lines and rows: the same for a seed, of the share that was asked for, made of whole records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.sources.archives import read_archive
from curate.sources.config import SourceConfig
from curate.sources.http_config import HttpConfig
from curate.sources.warc import Damage
from manifests.errors import RecipeError
from manifests.graph import InputFile, Source
from pipelines.estimating.sampling import sample_source

N = 2000


def _lines(path: Path) -> list[str]:
    texts = [json.dumps({"id": str(n), "text": f"text {n} of {path.name}"}) for n in range(N)]
    with gzip.open(path, "wt") as stream:
        stream.write("\n".join(texts))
    return texts


def _archive(path: Path) -> list[str]:
    urls = [f"http://example.org/{path.name}/{n}" for n in range(N)]
    with path.open("wb") as stream:
        for url in urls:
            head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: 4\r\n\r\n"
            stream.write(gzip.compress(f"{head}text\r\n\r\n".encode()))
    return urls


def _table(path: Path) -> list[str]:
    rows = [f"text {n} of {path.name}" for n in range(N)]
    pq.write_table(pa.table({"text": rows}), path, row_group_size=300)
    return rows


def _taken(path: str) -> list[str]:
    if path.endswith(".parquet"):
        return list(pq.read_table(path)["text"].to_pylist())
    if path.endswith(".jsonl.gz"):
        with gzip.open(path, "rt") as stream:
            return [line.rstrip("\n") for line in stream]
    with open(path, "rb") as stream:
        records = list(read_archive(stream, frozenset(), 0))
    assert not any(isinstance(record, Damage) for record in records)
    return [record.url or "" for record in records if not isinstance(record, Damage)]


def _source(paths: list[Path], kind: str = "auto") -> Source:
    return Source("pages", tuple(InputFile(str(p), p.name, p.stat().st_size, "0") for p in paths),
                  SourceConfig(files=("x",), kind=kind))


@pytest.mark.parametrize(("suffix", "write"), [("jsonl.gz", _lines), ("warc.gz", _archive), ("parquet", _table)])
def test_records_of_few_files_are_dealt_to_groups(suffix: str, write: Callable[[Path], list[str]], tmp_path: Path
                                                  ) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    every = {record for path in paths for record in write(path)}
    found = sample_source(_source(paths), 0.25, 0, 7, tmp_path / "one", HttpConfig())
    taken = [_taken(group.path) for group in found.groups]
    assert {record for records in taken for record in records} <= every
    assert sum(map(len, taken)) == len({record for records in taken for record in records})
    assert 0.2 < sum(map(len, taken)) / len(every) < 0.3
    assert found.sampled_bytes / found.n_bytes == pytest.approx(sum(map(len, taken)) / len(every), rel=0.1)
    assert (found.n_files, found.large, found.of_files) == (2, True, False)
    assert found.tiny >= 1
    tiny, small = taken[:found.tiny], taken[found.tiny:-1]
    assert len(taken[-1]) > 5 * max(map(len, small)) > 10 * max(map(len, tiny))
    assert sum(g.n_bytes for g in found.half) < 0.65 * found.sampled_bytes
    again = sample_source(_source(paths), 0.25, 0, 7, tmp_path / "two", HttpConfig())
    assert [_taken(group.path) for group in again.groups] == taken
    other = sample_source(_source(paths), 0.25, 0, 8, tmp_path / "three", HttpConfig())
    assert [_taken(group.path) for group in other.groups] != taken


def test_of_many_files_whole_ones_are_taken(tmp_path: Path) -> None:
    paths = []
    for n in range(100):
        paths.append(tmp_path / f"{n}.jsonl")
        paths[-1].write_text('{"text": "a"}\n' * (n + 1))
    found = sample_source(_source(paths), 0.3, 0, 1, tmp_path / "sample", HttpConfig())
    assert len(found.groups) == 30
    assert {group.path for group in found.groups} <= {str(path) for path in paths}
    assert found.n_bytes == sum(path.stat().st_size for path in paths)
    assert (found.tiny, found.large, found.of_files) == (0, False, True)
    everything = sample_source(_source(paths), 0.0, 1 << 20, 1, tmp_path / "all", HttpConfig())
    assert len(everything.groups) == 100
    assert everything.sampled_bytes == everything.n_bytes


def test_of_some_files_records_are_taken_of_two_dozen(tmp_path: Path) -> None:
    paths = []
    for n in range(40):
        paths.append(tmp_path / f"{n:02d}.jsonl")
        paths[-1].write_text("".join(f'{{"text": "{n} {i}"}}\n' for i in range(200)))
    found = sample_source(_source(paths), 0.1, 0, 1, tmp_path / "sample", HttpConfig())
    assert len(found.groups) == 24
    assert found.of_files
    assert found.sampled_bytes / found.n_bytes == pytest.approx(0.1, rel=0.2)


def test_files_that_cannot_be_taken_apart_are_taken_whole(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(4)]
    for path in paths:
        path.write_text("a text\n" * 50)
    found = sample_source(_source(paths), 0.01, 0, 1, tmp_path / "sample", HttpConfig())
    assert len(found.groups) == 2
    assert found.of_files


def test_a_file_of_unknown_size_is_refused(tmp_path: Path) -> None:
    source = Source("pages", (InputFile("https://example.org/a.warc.gz", "a.warc.gz", -1, "0"),), None)
    with pytest.raises(RecipeError, match="size"):
        sample_source(source, 0.1, 0, 1, tmp_path, HttpConfig())
