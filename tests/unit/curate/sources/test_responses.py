"""HTTP bodies with their transfer and content encodings undone."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from curate.sources.responses import decode_http

PAGE = b"<html><body>" + b"<p>The ferry left at noon with two carts of barley.</p>" * 40 + b"</body></html>"


def body_of(headers: bytes, body: bytes, n: int = 1 << 20) -> bytes | None:
    page = decode_http(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + headers + b"\r\n" + body, n)
    return None if page is None else page.body


def chunked(body: bytes, line: str = "{:x}", end: bytes = b"\r\n", last: bytes = b"0\r\n\r\n") -> bytes:
    chunks = [body[i : i + 97] for i in range(0, len(body), 97)]
    return b"".join(line.format(len(c)).encode() + end + c + end for c in chunks) + last


@pytest.mark.parametrize("line", [
    "{:x}", "{:X}", "{:08x}", "{:x} ", "{:x}\t ", " {:x}", "{:x};name", "{:x};name=value", '{:x};sig="ab; c"',
    "{:x} ; a = b", "{:x};a;b;c=d;" + "e" * 3000])
@pytest.mark.parametrize("last", [
    b"0\r\n\r\n", b"0\r\nExpires: never\r\nX: y\r\n\r\n", b"0;ext\r\n\r\n", b"000\r\n", b"0\n\n", b"0"])
def test_chunks_with_extensions_and_trailers(line: str, last: bytes) -> None:
    assert body_of(b"Transfer-Encoding: chunked\r\n", chunked(PAGE, line, last=last)) == PAGE
    assert body_of(b"Transfer-Encoding: chunked\r\n", chunked(PAGE, line, b"\n", last)) == PAGE


def test_chunks_that_break_off_give_what_came() -> None:
    sent = chunked(PAGE, "{:x};x")
    for cut in range(6, len(sent), 53):
        got = body_of(b"Transfer-Encoding: chunked\r\n", sent[:cut])
        assert got is not None
        assert PAGE.startswith(got)
        assert len(got) >= cut - 8 * (cut // 105 + 1)


def test_what_is_not_chunked_is_taken_as_it_is_stored() -> None:
    assert body_of(b"Transfer-Encoding: chunked\r\n", PAGE) == PAGE
    stew = b"beef stew for all\r\n" + PAGE
    assert body_of(b"Transfer-Encoding: chunked\r\n", stew) == stew
    assert body_of(b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\n" + PAGE) is not None


def test_codings_inside_chunks_and_in_the_transfer() -> None:
    packed = gzip.compress(PAGE)
    assert body_of(b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n", chunked(packed, "{:x};x")) == PAGE
    assert body_of(b"Transfer-Encoding: gzip, chunked\r\n", chunked(packed)) == PAGE
    twice = gzip.compress(zlib.compress(PAGE))
    assert body_of(b"Content-Encoding: deflate\r\nTransfer-Encoding: gzip, chunked\r\n", chunked(twice)) == PAGE


def test_an_encoded_body_that_breaks_off_is_never_raw_bytes() -> None:
    noise = random.Random(7).randbytes(300_000).hex().encode()
    packed = gzip.compress(noise)
    got = body_of(b"Content-Encoding: gzip\r\n", packed[: len(packed) // 2])
    assert got
    assert noise.startswith(got)
    assert body_of(b"Content-Encoding: gzip\r\n", b"\x00\x01\x02\x03" * 200) is None
    assert body_of(b"Content-Encoding: br\r\n", PAGE) == PAGE  # undone already, as some writers store it


def test_a_bomb_in_chunks_costs_no_more_than_a_long_page() -> None:
    bomb = gzip.compress(gzip.compress(b"<p>" + b"a" * (1 << 26)))
    got = body_of(b"Content-Encoding: gzip, gzip\r\nTransfer-Encoding: chunked\r\n", chunked(bomb), 1 << 16)
    assert got is not None
    assert len(got) == (1 << 16) + 1


def test_content_types_that_were_joined() -> None:
    fields = b"Content-Type: text/html; charset=big5\r\nContent-Type: text/html\r\n"
    page = decode_http(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + PAGE, 1 << 20)
    assert page is not None
    assert (page.content_type, page.charset) == ("text/html", "big5")
