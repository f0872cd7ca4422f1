"""ARC and WACZ archives, odd responses, and pages that would cost a parser too much."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard

from curate.sources.archives import read_archive
from curate.sources.kernels.markup import measure_markup
from curate.sources.kinds import detect_kind
from curate.sources.responses import decode_http, decode_resource
from curate.sources.robots import RobotsRules, robots_reason
from curate.sources.warc import Damage, WarcEntry
from tests.paths import DATA

WANTED = frozenset({"response", "resource"})
DESCRIPTION = b"1 0 Tests\nURL IP-address Archive-date Content-type Archive-length\n"
ARC_HEAD = b"filedesc://t.arc 0.0.0.0 20080430204825 text/plain %d\n" % len(DESCRIPTION) + DESCRIPTION + b"\n"


def http(text: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body><p>" + text.encode() + b"</p></body></html>"


def arc(number: int, block: bytes, version: int = 1) -> bytes:
    head = f"http://ex.org/{number} 10.0.0.1 2008043020482{number} text/html "
    if version == 2:
        head += "200 - - 120 t.arc "
    return head.encode() + b"%d\n" % len(block) + block + b"\n"


def warc(number: int, block: bytes, kind: str = "response") -> bytes:
    head = (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://ex.org/{number}\r\n"
            f"Content-Type: text/html\r\nContent-Length: {len(block)}\r\n\r\n")
    return head.encode() + block + b"\r\n\r\n"


def read(data: bytes) -> tuple[list[WarcEntry], list[Damage]]:
    found = list(read_archive(io.BytesIO(data), WANTED, 1 << 20))
    return [e for e in found if isinstance(e, WarcEntry)], [e for e in found if isinstance(e, Damage)]


def numbers(entries: list[WarcEntry]) -> list[int]:
    return [int((e.url or "").rpartition("/")[2]) for e in entries if e.kind in WANTED]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_arc_records_can_be_read_again_from_their_place(version: int, packed: bool) -> None:
    records = [ARC_HEAD, *(arc(i, http(f"page {i} " * 9), version) for i in range(4))]
    data = b"".join(gzip.compress(r) for r in records) if packed else b"".join(records)
    entries, damages = read(data)
    assert (numbers(entries), damages) == ([0, 1, 2, 3], [])
    assert entries[0].kind == "warcinfo"
    assert str(entries[2].date) == "2008-04-30 20:48:21+00:00"
    for entry in entries[1:]:
        stored = data[entry.offset : entry.offset + entry.length]
        assert (gzip.decompress(stored) if packed else stored).startswith(f"{entry.url} ".encode())
        assert entry.block is not None
        page = decode_http(entry.block, 1 << 20)
        assert page is not None
        assert b"page" in page.body


def test_damage_in_an_arc_costs_one_record() -> None:
    packed = [gzip.compress(r) for r in (ARC_HEAD, *(arc(i, http(f"page {i} " * 99)) for i in range(4)))]
    packed[2] = packed[2][:40] + bytes([packed[2][40] ^ 0xFF]) + packed[2][41:]
    entries, damages = read(b"".join(packed))
    assert numbers(entries) == [0, 2, 3]
    assert [damage.offset for damage in damages] == [len(packed[0]) + len(packed[1])]
    lying = arc(1, http("too long a length")).replace(b" text/html ", b" text/html 9", 1)
    entries, damages = read(ARC_HEAD + arc(0, http("zero")) + lying + arc(2, http("two")))
    assert numbers(entries) == [0, 2]
    assert damages


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_wacz(method: int, tmp_path: Path) -> None:
    inner = b"".join(gzip.compress(warc(i, http(f"page {i} " * 20))) for i in range(3))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as package:
        package.writestr("datapackage.json", "{}")
        package.writestr("archive/data.warc.gz", inner)
        package.writestr("archive/old.arc", ARC_HEAD + arc(3, http("arc")))
    data = buffer.getvalue()
    (tmp_path / "w").write_bytes(data)
    assert detect_kind(str(tmp_path / "w")) == "warc"
    entries, damages = read(data)
    assert (numbers(entries), damages) == ([0, 1, 2, 3], [])
    assert len({e.position for e in entries}) == len(entries)
    if method == zipfile.ZIP_STORED:
        stored = data[entries[1].offset : entries[1].offset + entries[1].length]
        assert gzip.decompress(stored).startswith(b"WARC/1.0")
    entries, damages = read(data[: len(data) // 2])
    assert (entries, len(damages)) == ([], 1)


def test_a_length_that_is_too_long_costs_no_record_that_ends_as_it_should() -> None:
    lying = warc(1, http("one")).replace(b"Content-Length: ", b"Content-Length: 1", 1)
    entries, (damage,) = read(warc(0, http("zero")) + lying + warc(2, http("two")))
    assert numbers(entries) == [0, 1, 2]
    assert entries[1].block == http("one")
    assert damage.what == "record runs into the next one"


@pytest.mark.parametrize(("block", "status"), [
    (b"<!DOCTYPE html>\n<html><p>bare</html>", None),
    (b"HTTPX/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>bare", 200),
    (b"ICY 404 no\r\n\r\n<p>bare", 404), (b"Content-Type: text/html\r\nServer: x\r\n\r\n<p>bare", None),
    (b"HTTP/1.0 200 OK\r\nContent-type: text/html Last-modified: never\r\nX: y\r\n<HTML>\r\n<p>bare", 200)])
def test_odd_responses(block: bytes, status: int | None) -> None:
    page = decode_http(block, 1 << 20)
    assert page is not None
    assert page.status == status
    assert b"<p>bare" in page.body


def test_blocks_that_are_no_response() -> None:
    for block in (b"", b"20080430204825\nwww.archive.org.\t589\tIN\tA", b"SSH-2.0-OpenSSH", b"\n",
                  b"HTTP/1.1 abc\r\n\r\n"):
        assert decode_http(block, 100) is None
    page = decode_resource(b"<p>x", 'Text/HTML; charset="utf-8"', 100)
    assert (page.content_type, page.charset, page.status) == ("text/html", "utf-8", None)


def test_decompression_bombs_stop_at_the_limit() -> None:
    zeros = bytes(16 << 20)
    bombs = {"gzip": gzip.compress(zeros, 1), "deflate": zlib.compress(zeros, 1),
             "br": brotli.compress(zeros, quality=1), "zstd": zstandard.compress(zeros),
             "gzip, gzip": gzip.compress(gzip.compress(zeros, 1))}
    for name, body in bombs.items():
        page = decode_http(f"HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\n\r\n".encode() + body, 1 << 20)
        assert page is not None
        assert len(page.body) == (1 << 20) + 1, name


@pytest.mark.parametrize(("html", "tags", "depth", "attributes"), [
    (b"", 0, 0, 0), (b"a < b <", 0, 0, 0), (b"<div><p>a<p>b<br></div>", 4, 1, 0), (b"<div>" * 500, 500, 500, 0),
    (b"<b></x></x><i>", 2, 2, 0), (b"<div a=1 b='x > y' c d=\"<e f>\">x", 1, 1, 4), (b"<DIV></div><Div />", 2, 1, 0),
    (b"<script>if (a<b) '<div><div>'</script><em>", 2, 1, 0), (b"<!-- <div><div> --><u>", 1, 1, 0),
    (b"<!doctype html><a href=x/y >", 1, 1, 1), (b"<script><div>", 1, 0, 0), (b"<a " + b"x " * 300 + b">", 1, 1, 300)])
def test_markup_is_measured(html: bytes, tags: int, depth: int, attributes: int) -> None:
    assert measure_markup(html) == (tags, depth, attributes)


def test_robots() -> None:
    def ask(head: str, body: bytes, rules: RobotsRules) -> str | None:
        page = decode_http(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body, 1 << 20)
        assert page is not None
        return robots_reason(page, rules)

    rules = RobotsRules(directives=("noai", "noindex"), agents=("gptbot",))
    html = b"<html><head><META content='x, NOAI' name=Robots></head></html>"
    assert ask("X-Robots-Tag: noai\r\n", b"", rules) == "robots_header"
    assert ask("x-robots-tag: googlebot: noindex, noai\r\n", b"", rules) is None
    assert ask("X-Robots-Tag: nofollow\r\nX-Robots-Tag: GPTBot: none\r\n", b"", rules) == "robots_header"
    assert ask("X-Robots-Tag: unavailable_after: 1 Jan 2020, noindex\r\n", b"", rules) == "robots_header"
    assert ask("", html, rules) == "robots_meta"
    assert ask("", b"<body>" + html, rules) is None
    assert ask("", html.replace(b"Robots", b"bingbot"), rules) is None
    assert ask("X-Robots-Tag: noai\r\n", html, RobotsRules()) is None


@pytest.mark.skipif(not DATA.exists(), reason="real archives are not on this machine")
def test_real_arc_and_wacz_files_give_their_pages() -> None:
    found = {}
    for path in sorted((DATA / "warc").iterdir()):
        if ".arc" in path.name or path.suffix == ".wacz":
            entries, damages = read(path.read_bytes())
            assert entries or damages, path.name
            found[path.name] = sum(e.kind == "response" for e in entries)
            assert len({e.position for e in entries}) == len(entries)
    heritrix = [n for name, n in found.items() if "small-arcs-and-warcs" in name]
    assert heritrix == [8, 8]
    assert found["q-m+scrapy-webarchive__tests__data__warc_1_1__quotes.wacz"] == 25
    assert len(found) == 17


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("kind", ["response", "metadata"])
def test_a_length_beyond_every_limit_swallows_no_other_record(pack: Callable[[bytes], bytes], kind: str) -> None:
    lying = warc(1, http("one " * 9000), kind).replace(b"Content-Length: ", b"Content-Length: 98765", 1)[:-2000]
    entries, damages = read(b"".join(map(pack, (warc(0, http("zero")), lying, warc(2, http("two")), warc(3, b"x")))))
    assert numbers(entries) == [0, 2, 3]
    assert damages


def test_a_long_record_is_passed_over_without_being_held() -> None:
    long = warc(1, http("long " * 400_000))
    entries, damages = read(warc(0, http("zero")) + long + warc(2, http("two")))
    assert (numbers(entries), damages) == ([0, 1, 2], [])
    assert [e.block is None for e in entries] == [False, True, False]
    assert entries[1].length == len(long)
