"""Framing of WARC records: the same as FastWARC on sound files, and more than FastWARC on broken ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import lz4.frame
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator

from curate.sources.responses import decode_http
from curate.sources.warc import Damage, WarcEntry, read_warc
from tests.paths import DATA

ALL = frozenset({"response", "warcinfo", "request", "conversion"})


def record(number: int, n_bytes: int = 600, kind: str = "response") -> bytes:
    filler = bytes(33 + (number * i) % 90 for i in range(n_bytes))
    body = f"<html><body><p>Page {number} ".encode() + filler + b"</p></html>"
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
            f"WARC-Date: 2020-01-02T03:04:05Z\r\nWARC-Target-URI: http://example.org/{number}\r\n"
            f"Content-Length: {len(block)}\r\n\r\n")
    return head.encode() + block + b"\r\n\r\n"


def read(data: bytes, limit: int = 1 << 20) -> tuple[list[WarcEntry], list[Damage]]:
    found = list(read_warc(io.BytesIO(data), ALL, limit))
    return [e for e in found if isinstance(e, WarcEntry)], [e for e in found if isinstance(e, Damage)]


def numbers(entries: list[WarcEntry]) -> list[int]:
    return [int((e.url or "").rpartition("/")[2]) for e in entries]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lz4.frame.compress, bytes],
                         ids=["gzip", "zstd", "lz4", "plain"])
def test_offset_and_length_lead_back_to_the_record(pack: type[bytes]) -> None:
    data = b"".join(pack(record(i, 50 + 3000 * i)) for i in range(8))
    entries, damages = read(data)
    assert not damages
    assert numbers(entries) == list(range(8))
    assert sum(e.length for e in entries) == len(data)
    for entry in entries:
        (again,), _ = read(data[entry.offset : entry.offset + entry.length])
        assert again.block == entry.block


def test_members_larger_than_a_piece_end_where_they_end() -> None:
    members = [gzip.compress(record(i, 3_000_000 + i)) for i in range(3)]
    entries, damages = read(b"".join(members), 1 << 23)
    assert not damages
    assert [e.length for e in entries] == [len(m) for m in members]


def test_records_that_share_a_member_are_told_apart() -> None:
    entries, damages = read(gzip.compress(b"".join(record(i) for i in range(5))))
    assert not damages
    assert [e.position for e in entries] == [0, "0+1", "0+2", "0+3", "0+4"]
    assert {e.length for e in entries} == {-1}


@pytest.mark.parametrize("pack", [gzip.compress, lz4.frame.compress], ids=["gzip", "lz4"])
@pytest.mark.parametrize("cut", [1, 9, 100])
def test_a_cut_file_loses_its_last_record_alone(cut: int, pack: type[bytes]) -> None:
    members = [pack(record(i)) for i in range(4)]
    entries, (damage,) = read(b"".join(members)[:-cut])
    assert numbers(entries) == [0, 1, 2]
    assert damage.offset == sum(map(len, members[:3]))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lz4.frame.compress, bz2.compress, lzma.compress],
                         ids=["gzip", "zstd", "lz4", "bzip2", "xz"])
@pytest.mark.parametrize("n_words", [100, 5_000, 60_000])
def test_a_broken_member_of_any_size_costs_itself_alone(pack: Callable[[bytes], bytes], n_words: int) -> None:
    texts = [b" ".join(b"%d" % (i * 7_919 * (n + 3) % 99_991) for i in range(n_words)) for n in range(5)]
    members = [pack(b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.org/%d\r\n"
                    b"Content-Length: %d\r\n\r\n%b\r\n\r\n" % (n, len(text), text)) for n, text in enumerate(texts)]
    members[2] = members[2][:40] + members[2][60:]
    entries, damages = read(b"".join(members), 1 << 24)
    assert numbers(entries) == [0, 1, 3, 4]
    assert damages


def test_every_flipped_byte_costs_one_record_at_most() -> None:
    members = [gzip.compress(record(i)) for i in range(5)]
    data, start = b"".join(members), sum(map(len, members[:2]))
    for place in range(start, start + len(members[2]), 7):
        broken = bytearray(data)
        broken[place] ^= 0x55
        entries, damages = read(bytes(broken))
        kept = numbers(entries)
        assert set(kept) >= {0, 1, 3, 4}, place
        if 2 in kept:  # the flip hit a header field of gzip's that nothing depends on
            assert next(e for e in entries if e.url == "http://example.org/2").block == read(members[2])[0][0].block
        else:
            assert damages, place
            assert damages[0].offset >= start - 1


@pytest.mark.parametrize("garbage", [b"garbage " * 40, b"\x1f\x8b\x08" * 30, b"\0" * 200 + b"x"])
def test_garbage_between_members_is_passed_over(garbage: bytes) -> None:
    first, second = gzip.compress(record(1)), gzip.compress(record(2))
    entries, damages = read(first + garbage + second)
    assert numbers(entries) == [1, 2]
    assert damages
    assert damages[0].offset == len(first)


def test_zero_padding_at_the_end_is_no_damage() -> None:
    entries, damages = read(gzip.compress(record(1)) + b"\0" * 4096)
    assert (numbers(entries), damages) == ([1], [])


def test_records_before_damage_in_a_shared_member_are_kept() -> None:
    data = gzip.compress(b"".join(record(i, 20_000 + i) for i in range(12)))
    entries, damages = read(data[: len(data) * 2 // 3])
    assert numbers(entries) == list(range(len(entries)))
    assert 5 <= len(entries) < 12
    assert [damage.what for damage in damages] == ["file ends within a member"]


def test_bytes_missing_from_a_plain_file_cost_the_record_they_are_missing_from() -> None:
    whole = [record(i) for i in range(4)]
    entries, (damage,) = read(whole[0] + whole[1][:400] + whole[2] + whole[3])
    assert numbers(entries) == [0, 2, 3]
    assert damage == Damage(len(whole[0]), "record runs into the next one")


def test_line_feeds_alone_and_a_missing_length() -> None:
    lenient = record(1).replace(b"\r\n", b"\n", 6).replace(b"\n\r\n", b"\n\n", 1)
    nameless = record(2).replace(b"Content-Length", b"Content-Size")
    entries, (damage,) = read(lenient + nameless + record(3))
    assert numbers(entries) == [1, 3]
    assert damage.offset == len(lenient)
    assert "Content-Length" in damage.what


def test_a_long_record_is_skipped_but_told() -> None:
    entries, damages = read(gzip.compress(record(1, 50_000)) + gzip.compress(record(2)), 10_000)
    assert [(e.block is None, e.n_block_bytes > 10_000) for e in entries] == [(True, True), (False, False)]
    assert not damages
    assert entries[0].length > 0


def http(header: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=latin-1\r\n{header}\r\n".encode() + body


def test_transfer_and_content_encodings_are_undone() -> None:
    html = b"<html><p>hello</p></html>" * 10
    packed = gzip.compress(html)
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    for block in (http("", html), http("Content-Encoding: gzip\r\n", packed),
                  http("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunked),
                  http("Content-Encoding: gzip\r\n", html)):
        page = decode_http(block, 1 << 20)
        assert page is not None
        assert (page.status, page.content_type, page.body) == (200, "text/html", html)
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    for coding, body in (("deflate", zlib.compress(html)), ("deflate", bare.compress(html) + bare.flush()),
                         ("X-GZip", packed), ("br", brotli.compress(html)), ("zstd", zstandard.compress(html)),
                         ("gzip, br", brotli.compress(packed)), ("identity, utf-8", html), ("deflate", html)):
        page = decode_http(http(f"Content-Encoding: {coding}\r\n", body), 1 << 20)
        assert page is not None
        assert page.body == html, coding
    assert len(decode_http(http("", html), 100).body) == 101  # type: ignore[union-attr]
    assert decode_http(b"", 100) is None


@pytest.mark.skipif(not DATA.exists(), reason="real archives are not on this machine")
def test_real_archives_read_as_fastwarc_reads_them() -> None:
    for path in (DATA / "crawl/part-00000.warc.gz", DATA / "warc/real_html_responses.warc.gz"):
        expected = [(r.stream_pos, r.headers.get("WARC-Record-ID"), r.reader.read())
                    for r in ArchiveIterator(str(path), parse_http=False, fsspec_args=False)]
        entries, damages = read(path.read_bytes(), 1 << 28)
        assert not damages
        assert [(e.offset, e.fields.get("warc-record-id"), e.block) for e in entries] == expected
        assert sum(e.length for e in entries) == path.stat().st_size


@pytest.mark.skipif(not DATA.exists(), reason="real archives are not on this machine")
def test_no_real_archive_raises_and_none_gives_less_than_fastwarc() -> None:
    for path in sorted((DATA / "warc").iterdir()):
        if path.stat().st_size > 1 << 20:
            continue
        entries, damages = read(path.read_bytes(), 1 << 28)
        n_fastwarc = 0
        try:
            for r in ArchiveIterator(str(path), parse_http=False, fsspec_args=False):
                body = r.reader.read()
                if str(r.record_type) == "response":
                    n_fastwarc += len(body) == int(r.headers.get("Content-Length") or -1)
        except OSError:
            pass
        n_responses = sum(e.kind == "response" for e in entries)
        assert n_responses >= n_fastwarc or damages, path.name
        assert len({e.position for e in entries}) == len(entries), path.name


def test_what_fastwarc_writes_as_lz4_is_read_record_by_record(tmp_path: Path) -> None:
    from fastwarc.stream_io import Lz4Writer

    with Lz4Writer(str(tmp_path / "a.warc.lz4")) as writer:
        for i in range(3):
            writer.write(record(i, 5000))
            writer.finish()
    data = (tmp_path / "a.warc.lz4").read_bytes()
    entries, damages = read(data)
    assert not damages
    assert numbers(entries) == [0, 1, 2]
    hurt = bytearray(data)
    hurt[entries[1].offset + 40 : entries[1].offset + 60] = bytes(20)
    entries, damages = read(bytes(hurt))
    assert {0, 2} <= set(numbers(entries))
    assert damages
