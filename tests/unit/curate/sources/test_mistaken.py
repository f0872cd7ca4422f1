"""What files are, and what only seems to be a text."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
import zstandard

from curate.sources.archives import read_archive
from curate.sources.kinds import detect_kind
from curate.sources.warc import Damage
from manifests.errors import InputError
from tests.unit.curate.sources.test_archives import http, warc

LINES = b'{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n'
ERROR = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


@pytest.mark.parametrize(("name", "content", "what"), [
    ("a.parquet", b"<html><body>403 Forbidden</body></html>", "not Parquet"),
    ("a.parquet", b"Not found", "not Parquet"),
    ("a.pq", LINES[5:], "not Parquet"),
    ("a.warc.gz", ERROR, "NoSuchKey"),
    ("a.warc.gz", gzip.compress(b"moved", mtime=0), "not an archive"),
    ("a.wet.gz", b"moved", "not an archive"),
    ("a.warc.gz", gzip.compress(b'{"message": "Forbidden"}', mtime=0), "holds JSON, and is not an archive"),
    ("a.warc", LINES, "holds JSON, and is not an archive"),
    ("a.jsonl", LINES[4:], "whole line"),
    ("a.jsonl.zst", zstandard.compress(b"# exported\n" + LINES), "not JSON Lines"),
    ("a.jsonl", b'[\n {"text": "one"},\n {"text": "two"}]', "JSON array"),
    ("a", b'\xef\xbb\xbf[{"text": "one"}]', "JSON array"),
    ("a.ndjson", b"[]", "JSON array"),
    ("a.csv", b"id,text\n1,one\n", r"is a table in CSV, which is not read \(write it as Parquet"),
    ("a.csv", b"Not found", "table that can be read"),
    ("a.txt", POINTER, "LFS pointer"),
    ("a.bin", ERROR.partition(b"\n")[2], "NoSuchKey"),
    ("a.txt", b"%PDF-1.7\n1 0 obj", "PDF"),
    ("a.txt", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "HTML page"),
    ("a.txt", bytes(range(1, 256)), "archive, table or text"),
    ("a.txt", b"PNG\0\0\0", "archive, table or text"),
    ("a.txt.gz", gzip.compress(b"", mtime=0), "empty file"),
])
def test_files_that_are_no_texts_are_named(name: str, content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=what):
        detect_kind(str(tmp_path / name))


@pytest.mark.parametrize(("name", "content", "kind"), [
    ("a.jsonl", b"", "text"),  # whose reader names it
    ("a.txt", b"[Chapter one]\nIt rained.", "text"),
    ("notes", b"# exported 2024\nIt rained.", "text"),
    ("a.md", b"A <html> tag opens a page.", "text"),
    ("b.txt", "naïve café".encode("latin-1"), "text"),
    ("c.txt", "\ufeffIt rained.".encode("utf-16-le"), "text"),
    ("d.txt", b"\x1b$B4A;z\x1b(B", "text"),
    ("a.parquet", LINES, "jsonl"),
    ("a.txt.gz", gzip.compress(LINES, mtime=0), "jsonl"),
    ("a.warc", warc(0, http("page"))[9:] + warc(1, http("page")), "warc"),
])
def test_content_says_what_a_file_is(name: str, content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert detect_kind(str(tmp_path / name)) == kind


def dictionary_archive(compressed: bool, n: int = 40) -> tuple[bytes, bytes]:
    """(an archive whose frames need the dictionary before them, its records in plain)."""
    text = "<p>The ferry number {} left at noon with {} carts of barley for the islands.</p>"
    records: list[bytes | bytearray | memoryview[int]] = [warc(i, http(text.format(i, i * 7))) for i in range(n)]
    dictionary = zstandard.train_dictionary(2048, [*records, *records, *records])
    stored = dictionary.as_bytes()
    if compressed:
        stored = zstandard.compress(stored)
    leading = b"\x5d\x2a\x4d\x18" + len(stored).to_bytes(4, "little") + stored
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    return leading + b"".join(compressor.compress(r) for r in records), b"".join(records)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_with_a_dictionary(compressed: bool, tmp_path: Path) -> None:
    packed, plain = dictionary_archive(compressed)
    (tmp_path / "a.warc.zst").write_bytes(packed)
    assert detect_kind(str(tmp_path / "a.warc.zst")) == "warc"
    wanted = frozenset({"response"})
    entries = list(read_archive(io.BytesIO(packed), wanted, 1 << 20))
    assert not [e for e in entries if isinstance(e, Damage)]
    assert [getattr(e, "block", None) for e in entries] == [
        getattr(e, "block", None) for e in read_archive(io.BytesIO(plain), wanted, 1 << 20)]
    assert len(entries) == 40


@pytest.mark.parametrize("compressed", [False, True])
def test_a_dictionary_that_cannot_be_read_is_named(compressed: bool, tmp_path: Path) -> None:
    packed, _ = dictionary_archive(compressed)
    broken = packed[:16] + b"\xff" * 24 + packed[40:]  # within its tables, or within the frame that holds it
    (tmp_path / "a.warc.zst").write_bytes(broken)
    with pytest.raises(InputError, match="the file cannot be read"):
        detect_kind(str(tmp_path / "a.warc.zst"))
    (tmp_path / "a.warc.zst").write_bytes(packed[:300])
    with pytest.raises(InputError, match="the file cannot be read"):
        detect_kind(str(tmp_path / "a.warc.zst"))
    damage = [e for e in read_archive(io.BytesIO(broken), frozenset({"response"}), 1 << 20) if isinstance(e, Damage)]
    assert "dictionary" in damage[0].what
