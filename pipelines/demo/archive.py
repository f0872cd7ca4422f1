"""WARC files of the demo's web: one gzip member a record, HTTP headers as servers send them, some records spoilt.

Dates, record ids and compression levels follow from the input alone, so the files' bytes do as well.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

from pipelines.demo.chance import Chance
from pipelines.demo.pages import Page
from pipelines.demo.templates import Link, html

_PNG = (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\n"
        b"IDATx\x9cc\0\x01\0\0\x05\0\x01\r\n-\xb4\0\0\0\0IEND\xaeB`\x82")
_NAVIGATION_LINKS = 6


def write_archive(path: Path, chance: Chance, pages: Sequence[Page], damaged: set[str],
                  siblings: dict[str, list[Link]]) -> None:
    """Write one WARC file: warcinfo, then a response a page with a request or a non-page record here and there.

    damaged: URLs whose records are spoilt; every other record can be read by itself."""
    with path.open("wb") as file:
        file.write(_member(_record("warcinfo", "", path.name, 0, b"software: demo\r\nformat: WARC File Format 1.1\r\n",
                                   "application/warc-fields")))
        for number, page in enumerate(pages):
            if number % 25 == 10:
                request = f"GET {page.url.split('example', 1)[1]} HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode()
                file.write(_member(_record("request", page.url, path.name, number, request,
                                           "application/http; msgtype=request")))
            if number % 50 == 20:
                file.write(_member(_other(path.name, page.host, number)))
            member = _member(_response(chance, path.name, number, page, siblings[page.host]))
            file.write(_spoil(member, number) if page.url in damaged else member)


def _response(chance: Chance, archive: str, number: int, page: Page, links: list[Link]) -> bytes:
    start = chance.below("navigation", page.url, max(1, len(links) - _NAVIGATION_LINKS))
    body = html(chance, page, links[start : start + _NAVIGATION_LINKS]).encode(page.charset, "xmlcharrefreplace")
    charset = f"; charset={page.charset}" if page.declared == "header" else ""
    server = chance.one("server", page.host, ("nginx", "Apache/2.4.57", "cloudflare"))
    http = (f"HTTP/1.1 200 OK\r\nServer: {server}\r\n"
            f"Content-Type: text/html{charset}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
    return _record("response", page.url, archive, number, http + body, "application/http; msgtype=response", body)


def _other(archive: str, host: str, number: int) -> bytes:
    """A response that is no page: an image, or a redirect."""
    if number % 100 == 20:
        http = f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {len(_PNG)}\r\n\r\n".encode() + _PNG
        url = f"https://{host}/images/{number}.png"
    else:
        http = b"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
        url = f"https://{host}/old/{number}"
    return _record("response", url, archive, number, http, "application/http; msgtype=response")


def _record(kind: str, url: str, archive: str, number: int, block: bytes, content: str, payload: bytes = b"") -> bytes:
    """One WARC 1.1 record with its two closing line ends."""
    identity = hashlib.md5(f"{archive}/{number}/{kind}/{url}".encode(), usedforsecurity=False)
    name = uuid.UUID(bytes=identity.digest(), version=4)
    hour, minute = divmod(number % 1440, 60)
    lines = ["WARC/1.1", f"WARC-Type: {kind}", f"WARC-Record-ID: <urn:uuid:{name}>",
             f"WARC-Date: 2024-03-{1 + number // 1440:02}T{hour:02}:{minute:02}:00Z"]
    if url:
        lines.append(f"WARC-Target-URI: {url}")
    if payload:
        lines.append(f"WARC-Payload-Digest: {_digest(payload)}")
    lines += [f"WARC-Block-Digest: {_digest(block)}", f"Content-Type: {content}",
              f"Content-Length: {len(block)}", "", ""]
    return "\r\n".join(lines).encode() + block + b"\r\n\r\n"


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _member(record: bytes) -> bytes:
    """One gzip member without name or time."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(record) + packer.flush()


def _spoil(member: bytes, number: int) -> bytes:
    """A member cut in its second half, or overwritten with noise in its middle."""
    middle = len(member) // 2
    if number % 2:
        return member[: middle + number % 97]
    return member[:middle] + bytes((i * 151 + number) % 256 for i in range(200)) + member[middle + 200 :]
