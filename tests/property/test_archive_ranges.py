"""Ranges of an archive, wherever they are cut, hold the records and the damage of the whole file, each once.

Every archive is a function of its number, so a failure can be looked at alone.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import zstandard

from curate.sources.archives import can_be_split, read_archive, read_range, record_range
from curate.sources.warc import Damage, WarcEntry
from manifests.hashing import text_hash64

RESPONSES = frozenset({"response"})
LIMIT = 1 << 17  # longer contents are passed over
DICTIONARY = zstandard.train_dictionary(4096, [f"WARC/1.0\r\nWARC-Type: response {i * 7919}".encode() * 9
                                               for i in range(400)])
Pack = Callable[[bytes], bytes]


def draw(case: int, purpose: str, n: int) -> int:
    """A number below n that belongs to a case and a purpose."""
    return text_hash64(case, "ranges", purpose) % n


def noise(case: int, purpose: str, n: int) -> bytes:
    """Bytes that no compressor makes smaller, so that it stores them as they are."""
    return np.random.default_rng(text_hash64(case, "noise", purpose)).bytes(n)


def warc(number: int, body: bytes) -> bytes:
    head = (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.org/{number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    return head.encode() + body + b"\r\n\r\n"


def arc(number: int, body: bytes) -> bytes:
    return f"http://example.org/{number} 10.0.0.1 20080430204825 text/html {len(body)}\n".encode() + body + b"\n"


def packer(name: str, level: int = 1) -> Pack:
    if name == "plain":
        return bytes
    if name == "gzip":
        return lambda data: gzip.compress(data, level, mtime=0)
    dictionary = DICTIONARY if name == "zstd with a dictionary" else None
    return zstandard.ZstdCompressor(1, dict_data=dictionary, write_checksum=True).compress


def head_of(name: str, form: str, pack: Pack) -> bytes:
    stored = DICTIONARY.as_bytes()
    frame = b"\x5d\x2a\x4d\x18" + len(stored).to_bytes(4, "little") + stored if "dictionary" in name else b""
    own = b"filedesc://f.arc 0.0.0.0 20080430204825 text/plain 4\n1 0\n\n" if form == "arc" else b""
    return frame + (pack(own) if own else b"")


def members(case: int, name: str, form: str, n: int) -> list[bytes]:
    """Members of one record, of several, of a part of one, and of one whose page is an archive of members itself."""
    make, pack = arc if form == "arc" else warc, packer(name)
    made: list[bytes] = []
    for number in range(n):
        kind = draw(case, f"kind {number}", 12)
        body = noise(case, f"body {number}", draw(case, f"size {number}", 30_000))
        if kind == 0:
            made.append(pack(b"".join(make(number * 100 + i, body[:999]) for i in range(3))))
        elif kind == 1:
            whole = make(number, body)
            cut = draw(case, f"cut {number}", len(whole))
            made += [pack(whole[:cut]), pack(whole[cut:])]
        elif kind == 2:
            inner = [pack(make(number * 100 + i, noise(case, f"inner {number} {i}", 9_000))) for i in range(20)]
            made.append(packer(name, 0)(make(number, b"".join(inner))))
        elif kind == 3:
            made.append(pack(make(number, body)[:-20]))  # shorter than it says
        else:
            made.append(pack(make(number, body)))
    return made


def hurt(case: int, data: list[bytes]) -> bytes:
    """Members put together, some of them after flips, cuts, with junk or empty lines or nothing between them."""
    found = []
    for number, member in enumerate(data):
        kind, at = draw(case, f"hurt {number}", 20), draw(case, f"at {number}", max(1, len(member)))
        if kind == 0:
            member = member[:at] + bytes([member[at] ^ 1 << draw(case, f"bit {number}", 8)]) + member[at + 1 :]
        elif kind == 1:
            member = member[:at]
        elif kind == 2:
            member += noise(case, f"junk {number}", 1 + at % 5_000)
        elif kind == 3:
            member = member[:at] + member[at + 1 + at % 500 :]
        found.append(member)
    return b"".join(found)


def archive(case: int, n: int, damaged: bool) -> bytes:
    name = ("gzip", "gzip", "zstd", "zstd with a dictionary", "plain")[draw(case, "pack", 5)]
    form = "arc" if name in ("gzip", "plain") and draw(case, "form", 3) == 0 else "warc"
    pack = packer(name)
    data = members(case, name, form, n)
    head = head_of(name, form, pack) + pack((arc if form == "arc" else warc)(99, b"the first"))
    return head + (hurt(case, data) if damaged else b"".join(data)) + pack((arc if form == "arc" else warc)(0, b"last"))


def by_kind(found: list[WarcEntry | Damage]) -> tuple[list[WarcEntry], list[tuple[int, str]]]:
    """Records in their order, and damage by its offset: how far a reader looks ahead decides when it is named."""
    return ([e for e in found if isinstance(e, WarcEntry)],
            sorted((e.offset, e.what) for e in found if isinstance(e, Damage)))


def whole(data: bytes) -> tuple[list[WarcEntry], list[tuple[int, str]]]:
    return by_kind(list(read_archive(io.BytesIO(data), RESPONSES, LIMIT)))


def in_ranges(data: bytes, cuts: list[int]) -> tuple[list[WarcEntry], list[tuple[int, str]]]:
    found: list[WarcEntry | Damage] = []
    stops: list[int | None] = [0, *sorted(cuts), None]
    for first, last in pairwise(stops):
        stream = io.BytesIO(data)
        if first is not None and (records := record_range(stream, first, last, LIMIT)) is not None:
            found += read_range(stream, records, RESPONSES, LIMIT)
    return by_kind(found)


def check(case: int, n: int, damaged: bool) -> int:
    """How many records the case has."""
    data = archive(case, n, damaged)
    assert can_be_split(io.BytesIO(data))
    expected = whole(data)
    for number in range(3):
        n_cuts = 1 + draw(case, f"cuts {number}", 5)
        cuts = [1 + draw(case, f"cut {number} {i}", len(data) - 1) for i in range(n_cuts)]
        assert in_ranges(data, cuts) == expected, f"case {case} cut at {cuts}"
    return len(expected[0])


@pytest.mark.parametrize("damaged", [False, True])
def test_random_archives_in_random_ranges(damaged: bool) -> None:
    assert sum(check(case, 30, damaged) for case in range(25)) > 400


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("damaged", [False, True])
def test_many_random_archives_in_random_ranges(damaged: bool) -> None:
    for case in range(25, 2_000):
        check(case, 10 + draw(case, "members", 60), damaged)


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd", "zstd with a dictionary"])
def test_every_member_begins_a_range_that_is_cut_before_it(name: str) -> None:
    pack = packer(name)
    made = [pack(warc(i, noise(0, f"{i}", 3_000))) for i in range(60)]
    data = head_of(name, "warc", pack) + b"".join(made)
    expected = whole(data)
    starts = [entry.offset for entry in expected[0]]
    assert len(starts) == 60
    for before, start in pairwise(starts):
        for cut in (before + 1, start - 1, start):
            records = record_range(io.BytesIO(data), cut, None, LIMIT)
            assert records is not None
            assert records.start == start
    assert in_ranges(data, starts[1:]) == expected
    assert record_range(io.BytesIO(data), starts[-1] + 1, None, LIMIT) is None


def test_an_archive_that_is_a_page_begins_no_range() -> None:
    pack = packer("gzip")
    inner = b"".join(pack(warc(i, noise(1, f"{i}", 2_000))) for i in range(200))
    data = pack(warc(0, b"before")) + packer("gzip", 0)(warc(1, inner)) + pack(warc(2, b"after"))
    expected = whole(data)
    last = expected[0][-1].offset
    assert data.count(b"\x1f\x8b\x08") > 200  # its members stand there as they are
    for cut in range(expected[0][1].offset + 1, last, 7_001):
        records = record_range(io.BytesIO(data), cut, None, LIMIT)
        assert records is not None
        assert records.start == last


def test_no_content_of_a_plain_archive_begins_a_range() -> None:
    inner = b"".join(warc(i, noise(5, f"{i}", 2_000)) for i in range(200))  # 400 KB, which are passed over
    small = b"".join(warc(i, noise(6, f"{i}", 200)) for i in range(20))
    data = b"".join(warc(i, body) for i, body in enumerate((b"before", small, b"between", small, b"after")))
    expected = whole(data)
    assert len(expected[0]) == 5
    for cut in range(1, len(data), 97):
        assert in_ranges(data, [cut]) == expected
    # Of what is longer than a reader takes, it comes to the records inside: they are left to one range.
    longer = data + warc(5, inner) + warc(6, b"last")
    for cut in range(1, len(longer), 9_973):
        assert in_ranges(longer, [cut]) == whole(longer)
    assert record_range(io.BytesIO(longer), len(data) + 1, None, LIMIT) is None


def test_records_that_share_one_member_are_one_range() -> None:
    data = gzip.compress(b"".join(warc(i, noise(2, f"{i}", 2_000)) for i in range(99)), 1)
    assert in_ranges(data, [len(data) // 3, len(data) // 2]) == whole(data)
    assert record_range(io.BytesIO(data), len(data) // 3, None, LIMIT) is None


def test_a_range_with_another_dictionary_than_the_files_first_is_left_to_its_neighbour() -> None:
    plain, packed = packer("zstd"), packer("zstd with a dictionary")
    first = b"".join(plain(warc(i, noise(3, f"{i}", 9_000))) for i in range(30))
    second = b"".join(packed(warc(100 + i, noise(4, f"{i}", 9_000))) for i in range(30))
    data = first + head_of("zstd with a dictionary", "warc", packed) + second
    expected = whole(data)
    assert len(expected[0]) == 60
    for cut in range(1, len(data), len(data) // 9):
        assert in_ranges(data, [cut]) == expected


@pytest.mark.parametrize("data", [
    b'{"text": "a"}\n' * 99, gzip.compress(b'{"text": "a"}\n' * 99), b"",
    b"PK\x03\x04" + b"\0" * 99, gzip.compress(b"")],
    ids=["lines", "lines in gzip", "nothing", "zip", "nothing in gzip"])
def test_what_cannot_be_split(data: bytes) -> None:
    assert not can_be_split(io.BytesIO(data))
