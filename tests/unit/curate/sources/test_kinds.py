"""What a file is, is asked of its content and answered in one table."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import py7zr
import pytest

from curate.sources.columns import ColumnNames, TextRows
from curate.sources.kinds import KINDS, detect_kind
from curate.sources.warc import Damage
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


@pytest.mark.parametrize("codec", [bz2, lzma])
def test_bzip2_and_xz_are_read_wherever_gzip_is(tmp_path: Path, codec: Any) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(codec.compress(b'{"text": "one"}\n') + codec.compress(b'{"text": "two"}\n' * 200_000))
    assert detect_kind(str(path)) == "jsonl"
    read = KINDS["jsonl"].rows
    assert read is not None
    rows = [part for part in read(str(path), ColumnNames(), 1 << 20, None) if isinstance(part, TextRows)]
    assert sum(map(len, rows)) == 200_001


@pytest.mark.parametrize("fault", ["cut", "flipped", "dictionary"])
def test_damage_in_xz_is_named_and_the_next_stream_read(tmp_path: Path, fault: str) -> None:
    random = np.random.default_rng(0).integers(97, 122, 300_000).astype(np.uint8).tobytes()
    data = bytearray(lzma.compress(b'{"text": "%s"}\n' % random))
    if fault == "dictionary":  # asks for 4 GiB: stated in the head of the block, under a checksum of its own
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": (3 << 29)}]
        data = bytearray(lzma.compress(b'{"text": "x"}\n', filters=filters))
    elif fault == "flipped":
        data[len(data) // 2] ^= 0xFF
    tail = b"" if fault == "cut" else lzma.compress(b'{"text": "two"}\n')
    path = tmp_path / "x.jsonl.xz"
    path.write_bytes((data[: len(data) // 2] if fault == "cut" else data) + tail)
    read = KINDS["jsonl"].rows
    assert read is not None
    parts = list(read(str(path), ColumnNames(), 1 << 20, None))
    assert any(isinstance(part, Damage) for part in parts)
    assert sum(len(part) for part in parts if isinstance(part, TextRows)) == (fault != "cut")


@pytest.mark.parametrize(("names", "kind"), [
    (["Posts.xml", "Users.xml"], "stackexchange"), (["aawiki-history.xml"], "mediawiki"), (["readme.txt"],
                                                                                           "stackexchange")])
def test_a_7z_archive_is_what_its_members_are_called(tmp_path: Path, names: list[str], kind: str) -> None:
    path = tmp_path / "x.7z"
    with py7zr.SevenZipFile(path, "w", filters=[{"id": py7zr.FILTER_LZMA2, "preset": 0}]) as archive:
        for name in names:
            archive.writestr("<x/>", name)
    assert detect_kind(str(path)) == kind
    path.write_bytes(path.read_bytes()[:40])
    assert detect_kind(str(path)) == "stackexchange"  # whose reader says what is broken


@pytest.mark.parametrize("data", [b"BZh", b"BZhello, said the bee.", b"BZh9 is a name."])
def test_three_letters_are_no_bzip2(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    assert detect_kind(str(tmp_path / "x")) == "text"
