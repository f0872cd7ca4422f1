from __future__ import annotations

import os
from pathlib import Path
from threading import Barrier

import fsspec
import pytest

from curate.sources.http import HttpClient
from curate.sources.http_config import HttpConfig
from manifests.errors import RecipeError
from manifests.storage import Storage
from pipelines.inputs import InputScanner, input_table


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a/x.warc.gz", "b/x.warc.gz", "b/y.warc.gz"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "in"


def test_parts_are_named_for_their_files(files: Path, tmp_path: Path) -> None:
    found = InputScanner(Storage(str(tmp_path / "run"))).scan([f"{files}/**/*.warc.gz"], "sources.web.files")
    assert [f.relative for f in found] == ["a/x.warc.gz", "b/x.warc.gz", "b/y.warc.gz"]
    assert len({f.part for f in found}) == 3
    assert all(f.part.startswith(("part-x-", "part-y-")) for f in found)
    assert "path" not in input_table({"f": found}).column_names


def test_relative_names_do_not_depend_on_the_place(files: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = InputScanner(Storage(str(tmp_path / "run")))
    absolute = scanner.scan([f"{files}/b/*"], "f")
    monkeypatch.chdir(files)
    relative = scanner.scan(["b/*"], "f")
    assert input_table({"f": absolute}) == input_table({"f": relative})


def test_objects_behind_urls(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({"/bucket/c/1.warc": b"1", "/bucket/c/d/2.warc": b"22"})
    found = InputScanner(Storage(str(tmp_path))).scan(["memory://bucket/c/**/*.warc"], "f")
    assert [(f.relative, f.n_bytes) for f in found] == [("1.warc", 1), ("d/2.warc", 2)]
    one = InputScanner(Storage(str(tmp_path))).scan(["memory://bucket/c/1.warc"], "f")
    assert one[0].relative == "1.warc"


def test_a_pattern_without_files_names_the_field(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"sources\.web\.files: no file matches"):
        InputScanner(Storage(str(tmp_path))).scan([f"{tmp_path}/none/*"], "sources.web.files")


def test_two_files_of_one_name_are_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"share the name 'x\.warc\.gz'"):
        InputScanner(Storage(str(tmp_path))).scan([f"{files}/a/*.gz", f"{files}/b/*.gz"], "f")


def test_digests_are_remembered_until_the_file_changes(files: Path, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "run"))
    first = InputScanner(storage)
    digest = first.scan([f"{files}/a/x.warc.gz"], "f")[0].digest
    first.save()
    path = files / "a/x.warc.gz"
    state = path.stat()
    path.write_text("a/X.warc.gz")  # the same size
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert InputScanner(storage).scan([str(path)], "f")[0].digest == digest  # known by size and time of change
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert InputScanner(storage).scan([str(path)], "f")[0].digest != digest


def test_a_listing_says_of_objects_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/listed/c/{i}.warc": b"x" * i for i in range(1, 4)})
    scanner = InputScanner(Storage(str(tmp_path)))
    alone = [scanner.fingerprint(f"memory://listed/c/{i}.warc") for i in range(1, 4)]

    def never(self: object, path: str, **options: object) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(type(fs), "open", never)
    monkeypatch.setattr(InputScanner, "fingerprint", never)
    found = scanner.scan(["memory://listed/c/*.warc"], "f")
    assert [(f.n_bytes, f.digest) for f in found] == alone


def test_web_servers_are_asked_for_several_files_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer comes before all four questions are there."""
    together = Barrier(4, timeout=10)

    def ask(self: HttpClient, url: str) -> tuple[int, str]:
        together.wait()
        return len(url), url

    monkeypatch.setattr(HttpClient, "size_and_version", ask)
    urls = [f"https://example.org/{i:03d}.warc" for i in range(8)]
    found = InputScanner(Storage(str(tmp_path)), HttpConfig(max_connections=4)).scan(urls, "f")
    assert [f.path for f in found] == urls
    assert len({f.digest for f in found}) == 8


def change_silently(path: Path) -> None:
    """Another content, with size and times as they were."""
    state, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_change_that_size_and_time_do_not_show_is_found_where_everything_is_read(files: Path, tmp_path: Path) -> None:
    storage, pattern = Storage(str(tmp_path / "run")), [f"{files}/b/*"]

    def digests(reads_all: bool) -> list[str]:
        scanner = InputScanner(storage, reads_all=reads_all)
        found = scanner.scan(pattern, "f")
        scanner.save()
        return [file.digest for file in found]

    first = digests(False)
    change_silently(files / "b/y.warc.gz")
    assert digests(False) == first
    assert digests(True)[0] == first[0]
    assert digests(True)[1] != first[1]
    assert digests(False) == digests(True)


def test_what_was_kept_of_inputs_is_made_again_where_a_bit_of_it_flipped(files: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    scanner = InputScanner(Storage(str(run)))
    before = scanner.scan([f"{files}/b/*"], "f")
    assert scanner.remember("crawl", lambda: ["a", "b"]) == ["a", "b"]
    scanner.save()
    kept = run / "_records/inputs.json"
    data = kept.read_bytes()
    for at in range(0, len(data), 7):
        kept.write_bytes(data[:at] + bytes([data[at] ^ 2]) + data[at + 1:])
        again = InputScanner(Storage(str(run)))
        assert again.scan([f"{files}/b/*"], "f") == before
        assert again.remember("crawl", lambda: ["a", "b"]) == ["a", "b"]
