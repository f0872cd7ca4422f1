"""What a file is, is asked of its content and answered in one table."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pytest

from curate.sources.columns import ColumnNames, TextRows
from curate.sources.kinds import KINDS, detect_kind
from manifests.errors import InputError

RECORD = b"WARC/1.0\r\nWARC-Type: %s\r\nContent-Length: 1\r\n\r\nx\r\n\r\n"


@pytest.mark.parametrize(("data", "kind"), [
    (RECORD % b"conversion", "wet"), (RECORD % b"response", "warc"),
    (RECORD % b"warcinfo" + RECORD % b"conversion", "wet"),
    (RECORD % b"warcinfo" + RECORD % b"response" + RECORD % b"conversion", "warc"),
    (b"\xef\xbb\xbf \n{\"text\": 1}", "jsonl"), (b"PAR1", "parquet")])
def test_the_content_decides_and_not_the_name(tmp_path: Path, data: bytes, kind: str) -> None:
    for name, packed in (("x.parquet", data), ("x.jsonl", gzip.compress(data))):
        (tmp_path / name).write_bytes(packed)
        assert detect_kind(str(tmp_path / name)) == kind
    assert {"parquet", "wet", "warc", "jsonl", "text"} <= set(KINDS)


def test_what_is_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\0\1\2")
    with pytest.raises(InputError, match="not an archive, table or text"):
        detect_kind(str(tmp_path / "x"))


def test_bzip2_is_read_wherever_gzip_is(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.bz2"
    path.write_bytes(bz2.compress(b'{"text": "one"}\n') + bz2.compress(b'{"text": "two"}\n' * 200_000))
    assert detect_kind(str(path)) == "jsonl"
    read = KINDS["jsonl"].rows
    assert read is not None
    rows = [part for part in read(str(path), ColumnNames(), 1 << 20, None) if isinstance(part, TextRows)]
    assert sum(map(len, rows)) == 200_001


@pytest.mark.parametrize("data", [b"BZh", b"BZhello, said the bee.", b"BZh9 is a name."])
def test_three_letters_are_no_bzip2(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    assert detect_kind(str(tmp_path / "x")) == "text"
