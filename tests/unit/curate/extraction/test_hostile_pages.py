"""Pages made to cost time or memory: each is counted under a reason, and the pages beside them are kept."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path

import brotli
import pyarrow.parquet as pq

PAGE = f"<html><body><article>{'<p>The harbour was quiet, and nobody spoke of it.</p>' * 4}</article></body></html>"
MAX_PEAK_BYTES = 1_500_000_000

EXTRACT = """
import json, sys
from manifests.tasks import peak_memory_bytes
from pipelines.verbs import files_source, verb_run
with verb_run("extract", sys.argv[2], [sys.argv[1]], {"sources": {"pages": files_source([sys.argv[1]], kind="auto")}},
              ["extract"]) as done:
    done.take("extract", "documents")
    done.take("extract", "exclusions", beside=".exclusions")
print(json.dumps([done.view.counters("extract"), [str(e) for e in done.failures], peak_memory_bytes()]))
"""


def record(name: str, body: bytes, encoding: str = "") -> bytes:
    more = f"Content-Encoding: {encoding}\r\n" if encoding else ""
    block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{more}\r\n".encode() + body
    head = (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.org/{name}\r\n"
            f"Content-Length: {len(block)}\r\n\r\n")
    return gzip.compress(head.encode() + block + b"\r\n\r\n", 1)


def test_hostile_pages_cost_themselves_and_a_bounded_memory(tmp_path: Path) -> None:
    good, spaces = PAGE.encode(), b" " * (40 << 20)
    hostile = {
        "deep": (b"<div>" * 100_000, "", "html_too_deep"),
        "closed": (b"<div>" * 100_000 + b"x" + b"</div>" * 100_000, "", "html_too_deep"),
        "formatting": (b"<b><i>x</b>" * 100_000, "", "html_too_deep"),
        "attributes": (b"<p " + b"".join(b"a%d=1 " % i for i in range(100_000)) + b">", "", "html_too_many_attributes"),
        "tags": (b"a<br>" * 1_000_000, "", "html_too_many_tags"),
        "large": (b"<html>" + spaces * 3, "", "html_too_large"),
        "gzip-bomb": (gzip.compress(b"<html>" + spaces, 1), "gzip", "html_too_large"),
        "large-bomb": (gzip.compress(b"<html>" + spaces, 1) * 50, "gzip", "html_too_large"),  # two gigabytes
        "deflate-bomb": (zlib.compress(b"<html>" + spaces, 1), "deflate", "html_too_large"),
        "nested-bomb": (gzip.compress(gzip.compress(b"<html>" + spaces, 1)), "gzip, gzip", "html_too_large"),
        "brotli-bomb": (brotli.compress(b"<html>" + spaces, quality=1), "br", "html_too_large"),
        "zeros": (b"<html><body>" + bytes(5000), "", "no_text"),
        "empty": (b"", "", "no_text"),
    }
    kept = {"plain": good, "nul": good.replace(b"quiet", b"qu\0iet"), "comment": good + b"<!--" * 50_000,
            "invalid": good.replace(b"quiet", b"qu\xff\xc0iet"), "less": good + b"<" * 1_000_000,
            "script": good + b"<script>" + b"</" * 500_000}
    data = b"".join([*(record(n, b, e) for n, (b, e, _) in hostile.items()), *(record(n, b) for n, b in kept.items())])
    (tmp_path / "in").write_bytes(data)
    done = subprocess.run([sys.executable, "-c", EXTRACT, str(tmp_path / "in"), str(tmp_path / "out")],
                          capture_output=True, text=True, check=True, timeout=100)
    counters, failures, peak_bytes = json.loads(done.stdout.splitlines()[-1])
    assert failures == []
    assert counters["documents"] == len(kept)
    excluded = pq.read_table(tmp_path / "out.exclusions/part-in.parquet").to_pylist()
    assert {e["url"].rpartition("/")[2]: e["reason"] for e in excluded} == {n: r for n, (_, _, r) in hostile.items()}
    documents = pq.read_table(tmp_path / "out/part-in.parquet").to_pylist()
    assert [d["url"].rpartition("/")[2] for d in documents] == list(kept)
    assert all("The harbour was qu" in d["text"] and "\0" not in d["text"] for d in documents)
    assert peak_bytes < MAX_PEAK_BYTES
