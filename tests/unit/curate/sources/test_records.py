"""Single records of an archive, read by offset and length as reading the whole of it gives them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import zstandard

from curate.sources.archives import read_archive
from curate.sources.http_config import HttpConfig
from curate.sources.records import read_records
from curate.sources.warc import Damage, WarcEntry
from tests.unit.curate.sources.test_archives import http, warc
from tests.unit.curate.sources.test_mistaken import dictionary_archive

WANTED = frozenset({"response"})


def records_of(path: Path) -> tuple[list[WarcEntry], list[tuple[int, int]]]:
    """The records of a whole archive, and the range of each."""
    with path.open("rb") as stream:
        entries = [e for e in read_archive(stream, WANTED, 1 << 20) if isinstance(e, WarcEntry)]
    ends = [*(e.offset for e in entries), path.stat().st_size]
    return entries, [(a, b - a) for a, b in pairwise(ends)]


@pytest.mark.parametrize("kind", ["plain dictionary", "compressed dictionary", "no dictionary", "other frame"])
def test_records_of_a_zst_archive_by_their_offsets(kind: str, tmp_path: Path) -> None:
    packed, _ = dictionary_archive(kind == "compressed dictionary")
    if "dictionary" not in kind or kind == "no dictionary":
        packed = b"".join(zstandard.compress(warc(i, http(f"<p>Ferry {i} left.</p>"))) for i in range(40))
    if kind == "other frame":
        packed = b"\x50\x2a\x4d\x18\x05\0\0\0notes" + packed
    path = tmp_path / "a.warc.zst"
    path.write_bytes(packed)
    whole, ranges = records_of(path)
    assert len(whole) == 40
    found = [e for e in read_records(str(path), ranges[3::7], HttpConfig(), WANTED, 1 << 20)
             if isinstance(e, WarcEntry)]
    assert [(e.offset, e.block) for e in found] == [(e.offset, e.block) for e in whole[3::7]]


def test_a_damaged_dictionary_is_named_where_it_lies(tmp_path: Path) -> None:
    packed, _ = dictionary_archive(compressed=False)
    path = tmp_path / "a.warc.zst"
    path.write_bytes(packed)
    _, ranges = records_of(path)
    path.write_bytes(packed[:16] + b"\xff" * 24 + packed[40:])
    found = list(read_records(str(path), ranges[5:6], HttpConfig(), WANTED, 1 << 20))
    assert found
    assert all(isinstance(e, Damage) for e in found)
    assert isinstance(found[0], Damage)
    assert (found[0].offset, "dictionary" in found[0].what) == (0, True)
    assert found[-1].offset == ranges[5][0]


def test_archives_that_were_joined_have_each_their_dictionary(tmp_path: Path) -> None:
    one, _ = dictionary_archive(compressed=False)
    two, _ = dictionary_archive(compressed=True, n=50)
    path = tmp_path / "a.warc.zst"
    path.write_bytes(one + two)
    whole, ranges = records_of(path)
    assert len(whole) == 90
    blocks = {e.offset: e.block for e in whole}
    found = list(read_records(str(path), ranges[35:45], HttpConfig(), WANTED, 1 << 20))
    read = [e for e in found if isinstance(e, WarcEntry)]
    assert [e.offset for e in read][:5] == [offset for offset, _ in ranges[35:40]]
    assert all(e.block == blocks[e.offset] for e in read)  # a record is right, or it is named as damage
    assert len(read) + len({e.offset for e in found if isinstance(e, Damage)}) >= 10
