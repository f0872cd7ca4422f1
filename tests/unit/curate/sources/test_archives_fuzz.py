"""Mutated records of real archives between two sound ones: nothing crashes, nothing hangs, no neighbour is lost.

Each case is a function of its number, so a failure can be run again alone.
"""

from __future__ import annotations

import functools
import gzip
import io
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import lz4.frame
import pytest
import zstandard

from curate.documents.config import ExtractConfig
from curate.documents.pages import read_pages
from curate.sources.archives import read_archive
from curate.sources.columns import ColumnNames, SourceFile
from curate.sources.warc import WarcEntry
from manifests.hashing import text_hash64
from manifests.storage import Storage
from manifests.tasks import StageTask, Work
from tests.paths import DATA

HANG_SECONDS = 10
MAX_RECORD_BYTES = 1 << 17
CONFIG = ExtractConfig(identify_language=False, max_html_bytes=1 << 20)
PACK: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": functools.partial(gzip.compress, compresslevel=1),
                                             "zstd": zstandard.compress, "lz4": lz4.frame.compress}


def draw(case: int, purpose: str, n: int) -> int:
    """A number below n that belongs to a case and a purpose."""
    return text_hash64(case, "fuzz", purpose) % n


def warc(url: str, body: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    return (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\n"
            f"Content-Length: {len(block)}\r\n\r\n").encode() + block + b"\r\n\r\n"


def arc(url: str, body: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    return f"{url} 10.0.0.1 20080430204825 text/html {len(block)}\n".encode() + block + b"\n"


def neighbour(number: int) -> bytes:
    text = f"<p>Neighbour {number} stands here, and must be found again.</p>".encode()
    return b"<html><body><article>" + text * 5 + b"</article></body></html>"


@functools.cache
def real_records() -> dict[str, list[bytes]]:
    """Records as text, of the real archives where they are on this machine, and of some made here."""
    own = [f"<html><body><p>Page {i} {'word ' * i}<table><tr><td>x</table></body></html>".encode() for i in range(40)]
    found = {"warc": [warc(f"http://own.example/{i}", body) for i, body in enumerate(own)],
             "arc": [arc(f"http://own.example/{i}", body) for i, body in enumerate(own)]}
    for path in sorted((DATA / "warc").glob("*")) if DATA.exists() else []:
        if path.suffix == ".wacz" or path.stat().st_size > 1 << 21:
            continue
        data = path.read_bytes()
        for entry in read_archive(io.BytesIO(data), frozenset({"response", "resource"}), MAX_RECORD_BYTES):
            if isinstance(entry, WarcEntry) and 0 < entry.length < MAX_RECORD_BYTES and len(found["warc"]) < 1500:
                stored = data[entry.offset : entry.offset + entry.length]
                text = gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored
                if len(text) < MAX_RECORD_BYTES:
                    found["arc" if ".arc" in path.name else "warc"].append(text)
    return found


def mutate(case: int, data: bytes, other: bytes) -> bytes:
    """Bit flips, a cut, bytes taken out, or the start of one record with the end of another."""
    if not data:
        return data
    kind = draw(case, "kind", 4)
    first, second = sorted((draw(case, "first", len(data) + 1), draw(case, "second", len(data) + 1)))
    if kind == 0:
        flipped = bytearray(data)
        # Half of the flips hit the header, where they do most harm.
        reach = len(data) if draw(case, "reach", 2) else min(len(data), 400)
        for i in range(1 + draw(case, "flips", 8)):
            flipped[draw(case, f"flip {i}", reach)] ^= 1 << draw(case, f"bit {i}", 8)
        return bytes(flipped)
    if kind == 1:
        return data[:first]
    if kind == 2:
        return data[:first] + data[second:]
    return data[:first] + other[draw(case, "splice", len(other) + 1) :]


def archive(case: int) -> bytes:
    """A sound record, a mutated one and a sound one, in one of the ways that archives are stored."""
    form = "arc" if draw(case, "format", 5) == 0 else "warc"
    make = arc if form == "arc" else warc
    pack = PACK[("plain", "gzip", "zstd", "lz4")[draw(case, "pack", 4)]]
    pool = real_records()[form]
    data, other = pool[draw(case, "record", len(pool))], pool[draw(case, "other", len(pool))]
    inner = draw(case, "inner", 2) == 0
    hurt = pack(mutate(case, data, other)) if inner else mutate(case, pack(data), pack(other))
    head = pack(b"filedesc://f.arc 0.0.0.0 20080430204825 text/plain 4\n1 0\n\n") if form == "arc" else b""
    return head + pack(make("http://neighbour.example/0", neighbour(0))) + hurt + pack(
        make("http://neighbour.example/1", neighbour(1)))


def check(case: int, work: Work) -> None:
    file = SourceFile("fuzz", "crawl", "fuzz", "warc", ColumnNames())
    rows = [row for table in read_pages(io.BytesIO(archive(case)), CONFIG, work, file) for row in table.to_pylist()]
    # A header that is cut in an ARC without compression may lend the next record the start of its URL, no more.
    found = [row for row in rows if "http://neighbour.example/" in (row["url"] or "")]
    assert [row["url"][-1] for row in found] == ["0", "1"], f"case {case}"
    assert all("must be found again" in (row["text"] or "") for row in found), f"case {case}"
    assert len({row["doc_id"] for row in rows}) == len(rows), f"case {case}"


def run(cases: range, folder: Path) -> None:
    def hang(_: int, __: FrameType | None) -> None:
        raise TimeoutError

    work = Work(Storage(str(folder)), StageTask("extract", 1, "crawl/fuzz", CONFIG, {}, {}, {}), str(folder))
    check(0, work)  # compiles the kernels
    old = signal.signal(signal.SIGALRM, hang)
    try:
        for case in cases:
            signal.alarm(HANG_SECONDS)
            started = time.monotonic()
            try:
                check(case, work)
            except TimeoutError:
                pytest.fail(f"case {case} hangs")
            finally:
                signal.alarm(0)
            assert time.monotonic() - started < HANG_SECONDS, f"case {case}"
    finally:
        signal.signal(signal.SIGALRM, old)


def test_five_hundred_mutated_records(tmp_path: Path) -> None:
    run(range(500), tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutated_records(tmp_path: Path) -> None:
    run(range(500, 20_500), tmp_path)
