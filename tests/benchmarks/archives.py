"""Records and pages found in a folder of archives, beside warcio and FastWARC: `make bench-archives`.

Each file is read by each reader in a process of its own with a time limit, so that a hang or a crash is a result too.
warcio is installed into an environment of its own under the user's cache.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.caches import cache_folder

TIMEOUT_SECONDS = 60
MAX_BLOCK_BYTES = 32 << 20

WARCIO = r"""
import json, sys
from warcio.archiveiterator import ArchiveIterator
found = {"records": 0, "responses": 0, "html": 0, "error": ""}
try:
    with open(sys.argv[1], "rb") as stream:
        for record in ArchiveIterator(stream, arc2warc=True):
            found["records"] += 1
            if record.rec_type == "response":
                found["responses"] += 1
                kind = record.http_headers.get_header("content-type", "") if record.http_headers else ""
                record.content_stream().read()
                found["html"] += kind.lower().startswith(("text/html", "application/xhtml"))
except Exception as error:
    found["error"] = type(error).__name__
print(json.dumps(found))
"""


def read_ours(path: str) -> dict[str, Any]:
    """What `curate` finds in one archive."""
    from curate.extraction.html import is_html
    from curate.sources.archives import read_archive
    from curate.sources.responses import decode_http
    from curate.sources.warc import Damage

    found: dict[str, Any] = {"records": 0, "responses": 0, "html": 0, "damages": 0, "first_damage": ""}
    with open(path, "rb") as stream:
        for entry in read_archive(stream, frozenset({"response"}), MAX_BLOCK_BYTES):
            if isinstance(entry, Damage):
                found["damages"] += 1
                found["first_damage"] = found["first_damage"] or entry.what
                continue
            found["records"] += 1
            if entry.kind == "response":
                found["responses"] += 1
                page = decode_http(entry.block or b"", MAX_BLOCK_BYTES)
                found["html"] += page is not None and is_html(page.content_type, page.body)
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def read_fastwarc(path: str) -> dict[str, Any]:
    """What FastWARC's own iterator finds."""
    from fastwarc.warc import ArchiveIterator

    found: dict[str, Any] = {"records": 0, "responses": 0, "html": 0, "error": ""}
    try:
        for record in ArchiveIterator(path, parse_http=True, fsspec_args=False):
            found["records"] += 1
            if str(record.record_type).endswith("response"):
                found["responses"] += 1
                record.reader.read()
                kind = (record.http_content_type or "").lower()
                found["html"] += kind.startswith(("text/html", "application/xhtml"))
    except Exception as error:
        found["error"] = type(error).__name__
    return found


def warcio_python() -> Path:
    """The interpreter of an environment that holds warcio."""
    folder = cache_folder() / "benchmarks/warcio"
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "warcio==1.8.1"], check=True)
    return python


def ask(command: list[str]) -> dict[str, Any]:
    """The last line of a reader's output as JSON, or how it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"error": "hang"}
    if done.returncode:
        return {"error": f"exit {done.returncode}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def rows(folder: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """(file name, ours, warcio's, FastWARC's) of every file."""
    python = str(warcio_python())
    for path in sorted(folder.iterdir()):
        mine = [sys.executable, "-m", "tests.benchmarks.archives", "--one"]
        yield (path.name, ask([*mine, "ours", str(path)]), ask([python, "-c", WARCIO, str(path)]),
               ask([*mine, "fastwarc", str(path)]))


def cell(found: dict[str, Any]) -> str:
    """One reader's counts for the table."""
    if "records" not in found:
        return str(found["error"])
    broken = f" ({found['error']})" if found.get("error") else ""
    return f"{found['records']} / {found['responses']} / {found['html']}{broken}"


def page(folder: Path) -> str:
    """The comparison in Markdown."""
    lines, totals, peak, fewer, failed = [], [[0] * 3 for _ in range(3)], 0, [], 0
    for name, *answers in rows(folder):
        ours, *others = answers
        for total, found in zip(totals, answers, strict=True):
            for i, field in enumerate(("records", "responses", "html")):
                total[i] += found.get(field, 0)
        failed += "records" not in ours
        peak = max(peak, ours.get("peak_mb", 0))
        damages = f"{ours['damages']}: {ours['first_damage']}" if ours.get("damages") else ""
        lines.append(f"| {name} | {cell(ours)} | {cell(others[0])} | {cell(others[1])} | {damages} |")
        if any(o.get(f, 0) > ours.get(f, 0) for o in others for f in ("responses", "html")):
            fewer.append(name)
    sums = " | ".join(" / ".join(map(str, total)) for total in totals)
    head = [f"{len(lines)} files; {failed} of them ended or hung our reader; its largest process took {peak} MB.",
            "", "Records / responses / HTML responses of each reader; damage is what ours reports as unreadable.", "",
            "| file | curate | warcio | FastWARC | damage: the first |", "|---|---|---|---|---|",
            f"| **all** | {sums} | |"]
    tail = ["", "Another reader counts more responses or HTML responses in:", "", *(f"* {name}" for name in fewer)]
    return "\n".join([*head, *lines, *(tail if fewer else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--one", choices=["ours", "fastwarc"])
    parser.add_argument("path", nargs="?")
    arguments = parser.parse_args()
    if arguments.one:
        reader = read_ours if arguments.one == "ours" else read_fastwarc
        print(json.dumps(reader(arguments.path)))
        return
    print(page(arguments.data / "warc"))


if __name__ == "__main__":
    main()
