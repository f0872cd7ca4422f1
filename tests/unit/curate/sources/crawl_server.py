"""A small crawl laid out as Common Crawl lays out its own, behind a local HTTP server that fails on demand."""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

CRAWL = "CC-MAIN-2026-43"
SEGMENT = f"crawl-data/{CRAWL}/segments/1760000000000.1"
WORDS = ("harbour", "quiet", "morning", "boat", "gull", "stone", "letter", "window", "river", "bread", "market", "road")


@dataclass(slots=True)
class Fault:
    """What goes wrong with one answer.

    status: answered instead. cut: the answer's body breaks off after so many bytes. how: reset, close, stall (until
    the server ends) or length (the answer declares just these bytes). pause: seconds between pieces. version: the
    ETag from here on. data: the file's bytes from here on. retry_after, location: headers."""

    status: int | None = None
    cut: int | None = None
    how: str = "close"
    pause: float = 0.0
    version: str | None = None
    data: bytes | None = None
    retry_after: str | None = None
    location: str | None = None


@dataclass(slots=True)
class Site:
    """The files of a server, the faults of its next answers by path, and every request it got."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None, str]] = field(default_factory=list)  # path, Range, User-Agent
    ranges: bool = True
    chunked: bool = False
    date: str | None = None  # of its clock, instead of now
    open_now: int = 0
    most_open: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, path: str) -> list[str | None]:
        """The Range of every request for a path."""
        return [ranged for p, ranged, _ in self.requests if p == path]


def record(url: str, html: bytes, kind: str = "response") -> bytes:
    """One gzip member with one WARC record."""
    block = html if kind == "conversion" else b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html
    head = (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:x:{xxhash.xxh3_64_hexdigest(url.encode())}>\r\n"
            f"WARC-Date: 2026-10-20T00:00:00Z\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n")
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)


def page(seed: str, n_words: int = 900) -> str:
    """Some words, other ones for another seed; hard enough to compress that members have some length."""
    def pick(i: int) -> int:
        return xxhash.xxh3_64_intdigest(f"{seed}-{i}".encode())
    return " ".join(f"{WORDS[pick(i) % len(WORDS)]}{pick(i) >> 40}" for i in range(n_words))


def crawl_files(n_archives: int = 3, n_pages: int = 12) -> dict[str, bytes]:
    """Path -> bytes of a crawl: its lists, WARC and WET archives, and a columnar index in two files."""
    files: dict[str, bytes] = {}
    rows: list[dict[str, Any]] = []
    names: dict[str, list[str]] = {"warc": [], "wet": []}
    for archive in range(n_archives):
        warc, wet = bytearray(), bytearray()
        name = f"CC-MAIN-20261020000000-20261020030000-{archive:05d}.warc"
        names["warc"].append(f"{SEGMENT}/warc/{name}.gz")
        names["wet"].append(f"{SEGMENT}/wet/{name}.wet.gz")
        for number in range(n_pages):
            url, text = f"http://site{number % 4}.example/{archive}/{number}", page(f"{archive}-{number}")
            member = record(url, f"<html><body><article><p>{text}</p></article></body></html>".encode())
            rows.append({"url": url, "fetch_status": 404 if number == 5 else 200,
                         "content_mime_detected": "application/pdf" if number == 6 else "text/html",
                         "content_languages": [None, "deu", "eng,deu", "eng", "deu,eng"][number % 5],
                         "warc_filename": names["warc"][-1], "warc_record_offset": len(warc),
                         "warc_record_length": len(member)})
            warc += member
            wet += record(url, text.encode(), "conversion")
        files[names["warc"][-1]], files[names["wet"][-1]] = bytes(warc), bytes(wet)
    for kind, listed in names.items():
        files[f"crawl-data/{CRAWL}/{kind}.paths.gz"] = gzip.compress("\n".join(listed).encode() + b"\n", mtime=0)
    files |= _index_files(rows)
    return files


def _index_files(rows: list[dict[str, Any]]) -> dict[str, bytes]:
    schema = pa.schema([("url", pa.string()), ("fetch_status", pa.int16()), ("content_mime_detected", pa.string()),
                        ("content_languages", pa.string()), ("warc_filename", pa.string()),
                        ("warc_record_offset", pa.int32()), ("warc_record_length", pa.int32())])
    rows = sorted(rows, key=lambda r: str(r["url"]))  # the index is in the order of addresses, not of archives
    files, listed = {}, [f"cc-index/table/cc-main/warc/crawl={CRAWL}/subset=robotstxt/part-00000.gz.parquet"]
    for part in range(2):
        sink = pa.BufferOutputStream()
        half = rows[part * len(rows) // 2 : (part + 1) * len(rows) // 2]
        pq.write_table(pa.Table.from_pylist(half, schema), sink, row_group_size=7)
        listed.append(f"cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-0000{part}.c000.gz.parquet")
        files[listed[-1]] = sink.getvalue().to_pybytes()
    files[f"crawl-data/{CRAWL}/cc-index-table.paths.gz"] = gzip.compress("\n".join(listed).encode(), mtime=0)
    return files


def write_files(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


@contextmanager
def serve(files: dict[str, bytes], certificate: Path | None = None) -> Iterator[Site]:
    """A site on 127.0.0.1 until the block ends; over TLS where it has a certificate (and its key, in one file)."""
    site = Site(files=dict(files))

    class Handler(_Handler):
        pass

    Handler.site = site
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.ended.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.site.date or super().date_time_string(timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        site, path = self.site, self.path.lstrip("/")
        with site.lock:
            site.requests.append((path, self.headers.get("Range"), self.headers.get("User-Agent", "")))
            waiting = site.faults.get(path, [])
            fault = waiting.pop(0) if waiting else Fault()
            if fault.version is not None:
                site.versions[path] = fault.version
            if fault.data is not None:
                site.files[path] = fault.data
            site.open_now += 1
            site.most_open = max(site.most_open, site.open_now)
        try:
            self._answer(path, fault)
        except OSError:  # the client has hung up
            self.close_connection = True
        finally:
            with site.lock:
                site.open_now -= 1

    def do_HEAD(self) -> None:
        path = self.path.lstrip("/")
        data = self.site.files.get(path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.send_header("ETag", self.site.versions.get(path, '"1"'))
        self.end_headers()

    def _answer(self, path: str, fault: Fault) -> None:
        data = self.site.files.get(path)
        if fault.status is not None or data is None:
            self.send_response(fault.status or 404)
            for name, value in (("Retry-After", fault.retry_after), ("Location", fault.location)):
                if value is not None:
                    self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if self.site.ranges else None
        start = int(match[1]) if match else 0
        end = min(int(match[2]) + 1 if match and match[2] else len(data), len(data))
        if match and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if match else 200)
        self.send_header("ETag", self.site.versions.get(path, '"1"'))
        if match:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self._send_body(data[start:end], fault)

    def _send_body(self, body: bytes, fault: Fault) -> None:
        declared = min(fault.cut or 0, len(body)) if fault.how == "length" else len(body)
        if self.site.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(declared))
        self.end_headers()
        sent = body if fault.cut is None else body[: fault.cut]
        for start in range(0, len(sent), 16384):
            # Never after the last bytes: a client that has them all may be asking elsewhere already, and this answer
            # would still count as an open one.
            if start and fault.pause and self.site.ended.wait(fault.pause):
                break
            block = sent[start : start + 16384]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if self.site.chunked else block)
        if fault.cut is not None and fault.how != "length":
            self._break(fault.how)
        elif self.site.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _break(self, how: str) -> None:
        self.close_connection = True
        if how == "stall":
            self.site.ended.wait(5)
        if how == "reset":
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
