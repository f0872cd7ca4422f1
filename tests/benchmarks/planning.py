"""What planning costs where nothing is to do: the graph over N parts, planned, as a dry run and as a resumed run.

    python -m tests.benchmarks.planning [--parts 4000] [--folder DIR] [--delay MS]

A finished run of N archives is made first (`simulated_run`). What is measured is a process of its own each, from the
scan of the inputs on: CPU seconds (user and system), the most memory it held, files opened and folders listed. The
inputs are scanned twice: as in a run's first call, when every file is read for its digest, and as later, when they are
known by size and time. With --delay the run is behind a URL whose every request, a page of 1,000 names of a listing
among them, takes so long; its inputs are behind one in the first scan.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

from manifests.storage import Storage
from manifests.tasks import peak_memory_bytes
from pipelines import planning
from pipelines.api.runs import Run
from pipelines.inputs import InputScanner
from pipelines.running import Settings, dry_run, run, scan
from tests.benchmarks.delayed_store import DelayedFileSystem
from tests.benchmarks.simulated_run import make, recipe_of


def _first_scan(folder: Path, out: str) -> None:
    start = f"delayed://{folder}" if "://" in out else str(folder)
    InputScanner(Storage(str(folder / "elsewhere"))).scan([f"{start}/web/crawl/*.warc.gz"], "sources.crawl.files")


def _scan(folder: Path, out: str) -> None:
    scan(recipe_of(folder / "web"), InputScanner(Storage(out)))


def _dry_run(folder: Path, out: str) -> None:
    assert all(plan is not None and not plan.stale for _, plan in dry_run(recipe_of(folder / "web"), out))


def _replanned(folder: Path, out: str) -> None:
    with mock.patch.object(planning, "_program", return_value="another"):
        _dry_run(folder, out)


def _resumed(folder: Path, out: str) -> None:
    assert run(recipe_of(folder / "web"), out, Settings("inline", guards=False)).n_done == 0


def _status(folder: Path, out: str) -> None:
    rows = Run(out).status().to_pylist()
    assert all(row["done"] for row in rows)


WAYS: Final[dict[str, Callable[[Path, str], Any]]] = {
    "first scan of the inputs": _first_scan, "scan of the inputs": _scan, "resumed run": _resumed, "dry run": _dry_run,
    "dry run by another version of the program": _replanned, "status": _status}


def measure(folder: Path, way: str, delay: float) -> None:
    """One way in this process, and a line about it. delay: seconds of a request; 0 for a local run."""
    counts: Counter[str] = Counter()
    sys.addaudithook(lambda event, _: counts.update([event]) if event in ("open", "os.scandir", "os.listdir") else None)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    counts.clear()
    DelayedFileSystem.seconds = delay
    WAYS[way](folder, f"delayed://{folder / 'run'}" if delay else str(folder / "run"))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{way}: {cpu:.1f} CPU s, {time.monotonic() - started:.1f} s, {peak_memory_bytes() / 1e6:.0f} MB, "
          f"{counts['open']:,} files opened, {counts['os.scandir'] + counts['os.listdir']:,} folders listed, "
          f"{DelayedFileSystem.requests:,} requests", flush=True)


def measure_all(folder: Path, delay: float) -> None:
    """Every way, each in a process of its own. delay: milliseconds of a request."""
    for way in WAYS:
        subprocess.run([sys.executable, "-m", "tests.benchmarks.planning", "--folder", str(folder), "--way", way,
                        "--delay", str(delay)], check=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", type=int, default=4000)
    parser.add_argument("--folder")
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds a request")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure(Path(arguments.folder), arguments.way, arguments.delay / 1000)
        return
    with tempfile.TemporaryDirectory(prefix="planning-", dir=arguments.folder) as folder:
        make(Path(folder), arguments.parts)
        measure_all(Path(folder), arguments.delay)


if __name__ == "__main__":
    main()
