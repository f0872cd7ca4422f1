from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from manifests.graph import InputFile
from manifests.part_paths import files_in, part_name, part_path


@pytest.mark.parametrize(("name", "path"), [
    ("crawl/part-x-1a2b3c4d", "crawl/1a/part-x-1a2b3c4d"),
    ("histograms/crawl/part-x-1a2b3c4d.parquet", "histograms/crawl/1a/part-x-1a2b3c4d.parquet"),
    ("part-CC-MAIN-00017-ff00ff00.urls.parquet", "ff/part-CC-MAIN-00017-ff00ff00.urls.parquet"),
    ("crawl/part-x-1a2b3c4d-00003", "crawl/1a/part-x-1a2b3c4d-00003"),
    ("crawl/part-x-1a2b3c4d-00003.parquet", "crawl/1a/part-x-1a2b3c4d-00003.parquet"),
    ("crawl/part-x-1a2b3c4d-003", "crawl/part-x-1a2b3c4d-003"),
    ("1a/part-x-1a2b3c4d", "1a/1a/part-x-1a2b3c4d"),  # a source of that name
    ("part-00012", "part-00012"), ("train/000000", "train/000000"), ("crawl/part-0", "crawl/part-0"),
    ("train/002999.spans.parquet", "train/002999.spans.parquet"), ("train/003000", "train/003/003000"),
    ("packed/val/123456.rows", "packed/val/123/123456.rows"), ("004000.bin", "004/004000.bin"),
    ("train/0040000", "train/0040000"), ("train/x004000", "train/x004000"),
    ("crawl/part-x-1a2b3c4d5", "crawl/part-x-1a2b3c4d5"), ("part-x-1A2B3C4D", "part-x-1A2B3C4D"),
])
def test_parts_lie_in_folders_by_their_hash(name: str, path: str) -> None:
    assert part_path(name) == path
    assert part_name(path) == name


def test_a_flat_path_is_a_name() -> None:
    assert part_name("crawl/part-x-1a2b3c4d.parquet") == "crawl/part-x-1a2b3c4d.parquet"
    assert part_name("part-x-1a2b3c4d") == "part-x-1a2b3c4d"
    assert part_name("2b/part-x-1a2b3c4d") == "2b/part-x-1a2b3c4d"


def test_no_folder_of_a_million_parts_is_large() -> None:
    names = [InputFile(f"{i}", f"{i}.warc.gz", 1, "").part for i in range(100_000)]
    folders: dict[str, int] = {}
    for name in names:
        folder = part_path(name).rpartition("/")[0]
        folders[folder] = folders.get(folder, 0) + 1
    assert len(folders) == 256
    assert max(folders.values()) < 1000  # 10,000 where there are a million


def test_no_folder_of_a_million_shards_is_large() -> None:
    folders = Counter[str]()
    for number in range(1_000_000):
        folders[part_path(f"train/{number:06d}").rpartition("/")[0]] += 3
    assert folders.pop("train") + len(folders) < 10_000
    assert max(folders.values()) == 3000


def test_a_folder_is_read_with_those_that_its_parts_are_spread_over(tmp_path: Path) -> None:
    for name in ("1a/part-b-1a2b3c4d.parquet", "part-c-00000000.parquet", "ff/part-a-ff2b3c4d.parquet",
                 "other/part-d-00000000.parquet", "_records/1a/x.json", "1a/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(Path(path).relative_to(tmp_path)) for path in files_in(str(tmp_path))]
    assert found == ["ff/part-a-ff2b3c4d.parquet", "1a/part-b-1a2b3c4d.parquet", "part-c-00000000.parquet"]


def test_parts_of_one_file_are_numbered_and_lie_together() -> None:
    file = InputFile("a/x.warc.gz", "x.warc.gz", 10, "", 3)
    assert file.parts == [f"{file.part}-00000", f"{file.part}-00001", f"{file.part}-00002"]
    assert file.ranges == [(0, 3), (3, 6), (6, None)]
    assert len({part_path(name).rpartition("/")[0] for name in (file.part, *file.parts)}) == 1
    assert [part_name(part_path(f"crawl/{name}.parquet")) for name in file.parts] == [
        f"crawl/{name}.parquet" for name in file.parts]
    whole = InputFile("a/x.warc.gz", "x.warc.gz", 10, "")
    assert (whole.parts, whole.ranges) == ([file.part], [(0, None)])
