"""Large archives become several parts, which together are what the whole archive gives."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.sources.http_config import HttpConfig
from manifests.graph import InputFile
from manifests.part_paths import files_in
from manifests.storage import Storage
from pipelines.inputs import InputScanner
from pipelines.loading import validate
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, dry_run, run
from pipelines.splitting import split_archives
from tests.unit.curate.sources.crawl_server import page, record, serve

SPLIT = 1 << 16


def records(name: str, n: int) -> list[bytes]:
    """Members of a record, each of some 3 KB."""
    return [record(f"http://{name}.example/{i}", f"<html><p>{page(f'{name}-{i}')}</p></html>".encode())
            for i in range(n)]


def recipe(folder: Path | str, split_bytes: int | None = SPLIT, **fields: Any) -> Recipe:
    files = f"{folder}/*.warc.*" if isinstance(folder, Path) else folder
    return validate({"name": "split", "sources": {"crawl": {"files": files, "split_bytes": split_bytes, **fields}},
                     "classifier": None, "mixture": {"weights": {"crawl": 1}},
                     "extract": {"identify_language": False, "signals": False}})


def extracted(recipe: Recipe, out: Path) -> Result:
    return run(recipe, str(out), Settings("inline", only=("extract",)))


def documents(out: Path, role: str = "") -> pa.Table:
    """All documents, in the order of the parts' names."""
    return pa.concat_tables(pq.read_table(path) for path in files_in(str(out / "extract" / "crawl" / role))
                            if path.endswith(".parquet"))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small archive, and two large ones: of gzip members with damage, and of zstd frames."""
    folder = tmp_path_factory.mktemp("crawl")
    (folder / "small.warc.gz").write_bytes(b"".join(records("small", 4)))
    large = records("large", 120)
    large[60] = large[60][:1000]
    (folder / "large.warc.gz").write_bytes(b"".join(large))
    (folder / "other.warc.zst").write_bytes(b"".join(zstandard.compress(gzip.decompress(r)) for r in records("o", 90)))
    return folder


@pytest.fixture(scope="module")
def split(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("split") / "run"
    return out, extracted(recipe(crawl), out)


def test_parts_of_an_archive_are_together_what_the_whole_gives(crawl: Path, split: tuple[Path, Result],
                                                                tmp_path: Path) -> None:
    out, result = split
    whole = extracted(recipe(crawl, None), tmp_path / "run")
    parts = [record.identity.task.removeprefix("crawl/") for record in result.view.tasks("extract")]
    assert len(whole.view.tasks("extract")) == 3
    assert len(parts) > 8
    assert sum(part.startswith("part-small-") for part in parts) == 1
    assert documents(out) == documents(tmp_path / "run")
    assert len(documents(out)["doc_id"].combine_chunks().unique()) == 4 + 119 + 90
    assert documents(out, "exclusions") == documents(tmp_path / "run", "exclusions")
    assert result.view.counters("extract") == whole.view.counters("extract")
    assert [d.where for d in result.damage] == [d.where for d in whole.damage]
    assert len(result.damage) == 1


def test_parts_are_about_as_large_as_asked_for(crawl: Path, split: tuple[Path, Result]) -> None:
    sizes = {path.name: path.stat().st_size for path in crawl.iterdir()}
    rows = {record.identity.task: record.output("documents").n_rows for record in split[1].view.tasks("extract")}
    sound = [n for name, n in rows.items() if "part-other-" in name]
    assert len(sound) == round(sizes["other.warc.zst"] / SPLIT)
    assert max(sound) - min(sound) <= 3
    assert list(rows) == sorted(rows)


def test_a_file_that_is_added_costs_that_file(crawl: Path, split: tuple[Path, Result], tmp_path: Path) -> None:
    for path in crawl.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first = extracted(recipe(tmp_path), tmp_path / "run")
    assert first.n_done == len(split[1].view.tasks("extract"))
    (tmp_path / "added.warc.gz").write_bytes(b"".join(records("added", 60)))
    added = extracted(recipe(tmp_path), tmp_path / "run")
    assert added.n_done == round((tmp_path / "added.warc.gz").stat().st_size / SPLIT) > 1
    assert extracted(recipe(tmp_path), tmp_path / "run").n_done == 0
    (_, plan), *_ = dry_run(recipe(tmp_path, None), str(tmp_path / "run"), "extract")
    assert plan is not None
    assert {task.name.split("-")[1] for task, _ in plan.stale} == {"large", "other", "added"}


def test_ranges_of_an_archive_behind_a_url_are_read_alone(crawl: Path, split: tuple[Path, Result],
                                                           tmp_path: Path) -> None:
    data = (crawl / "large.warc.gz").read_bytes() * 12  # so that its parts are larger than what a look at them reads
    (tmp_path / "large.warc.gz").write_bytes(data)
    with serve({"large.warc.gz": data}) as site:
        result = extracted(recipe(f"{site.url}/large.warc.gz", len(data) // 3), tmp_path / "run")
        ranges = [ranged for ranged in site.asked("large.warc.gz") if ranged]
        asked = [int(ranged.removeprefix("bytes=").partition("-")[0]) for ranged in ranges]
    assert len(result.view.tasks("extract")) == 3
    assert max(asked) >= 2 * len(data) // 3
    extracted(recipe(tmp_path, None), tmp_path / "whole")
    assert documents(tmp_path / "run") == documents(tmp_path / "whole")


def test_an_archive_on_an_object_store_is_split(crawl: Path, split: tuple[Path, Result], tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    for path in crawl.iterdir():
        store.pipe_file(f"/split/{path.name}", path.read_bytes())
    result = extracted(recipe("memory://split/*.warc.*"), tmp_path / "run")
    assert [r.identity.task for r in result.view.tasks("extract")] == [
        r.identity.task for r in split[1].view.tasks("extract")]
    assert documents(tmp_path / "run") == documents(split[0])


def test_a_plain_archive_is_split_on_a_local_disk_alone(tmp_path: Path) -> None:
    data = gzip.decompress(b"".join(records("plain", 60)))
    (tmp_path / "x.warc.wide").write_bytes(data)
    split = extracted(recipe(tmp_path), tmp_path / "run")
    assert len(split.view.tasks("extract")) == round(len(data) / SPLIT) > 2
    extracted(recipe(tmp_path, None), tmp_path / "whole")
    assert documents(tmp_path / "run") == documents(tmp_path / "whole")
    with serve({"x.warc": data}) as site:
        far = extracted(recipe(f"{site.url}/x.warc"), tmp_path / "far")
    assert len(far.view.tasks("extract")) == 1


def test_what_is_no_archive_of_members_stays_whole(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"text": page(str(i), 200)}).encode() + b"\n" for i in range(400))
    packed = b"".join(records("x", 100))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines, 1))
    (tmp_path / "b.warc.bz2").write_bytes(bz2.compress(gzip.decompress(packed), 1))
    (tmp_path / "c.warc.gz").write_bytes(packed)
    (tmp_path / "d.warc.gz").write_bytes(gzip.decompress(packed)[7:])
    scanner = InputScanner(Storage(str(tmp_path / "run")))
    files = scanner.scan([f"{tmp_path}/*.*"], "files")
    config = recipe(tmp_path).sources["crawl"]
    split = split_archives(files, config, HttpConfig(), scanner)
    assert [(file.relative, file.n_parts > 1) for file in split] == [
        ("a.jsonl.gz", False), ("b.warc.bz2", False), ("c.warc.gz", True), ("d.warc.gz", False)]
    unknown = [InputFile(file.path, file.relative, -1, file.digest) for file in files]  # as of a crawl's archives
    assert {file.n_parts for file in split_archives(unknown, config, HttpConfig(), scanner)} == {1}


@pytest.mark.parametrize(("n_bytes", "n_parts"), [(1 << 30, 1), ((3 << 29) - 1, 1), (3 << 29, 2), (16 << 30, 16)])
def test_an_archive_of_a_crawl_is_one_part_by_default(n_bytes: int, n_parts: int, tmp_path: Path) -> None:
    path = tmp_path / "x.warc.gz"
    path.write_bytes(records("x", 1)[0])
    config = recipe(tmp_path).sources["crawl"].model_copy(update={"split_bytes": 1 << 30})
    scanner = InputScanner(Storage(str(tmp_path / "run")))
    (file,) = split_archives([InputFile(str(path), "x.warc.gz", n_bytes, "d")], config, HttpConfig(), scanner)
    assert file.n_parts == n_parts
