"""How long a core is idle where one archive is many times as large as the others, whole and split.

    python -m tests.benchmarks.skewed --data DATA [--archives 8] [--times 16] [--pages 240] [--until clean]

Idle is what workers could have worked between a stage's first task and its last, and did not; it is told by stage.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from curate.sources.archives import read_archive
from curate.sources.warc import WarcEntry
from manifests.records import TaskRecord
from pipelines.loading import validate
from pipelines.progress import SilentReporter
from pipelines.running import Settings, run

_WORKERS = 2


class Idle(SilentReporter):
    """Hears of tasks that are done: when, and how long each took."""

    def __init__(self) -> None:
        self.heard = defaultdict[str, list[tuple[float, float]]](list)

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self.heard[stage].append((time.monotonic(), record.seconds))

    def table(self) -> Iterator[tuple[str, int, float, float]]:
        """Of every stage: (name, tasks, seconds from its first task to its last, those that a worker was idle)."""
        for stage, tasks in self.heard.items():
            began = min(at - seconds for at, seconds in tasks)
            took = max(at for at, _ in tasks) - began
            yield stage, len(tasks), took, max(0.0, _WORKERS * took - sum(seconds for _, seconds in tasks))


def main() -> None:
    """Make the archives, and run over them twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with crawl/*.warc.gz")
    parser.add_argument("--archives", type=int, default=8, help="of ordinary size")
    parser.add_argument("--times", type=int, default=16, help="how often larger the last one is")
    parser.add_argument("--pages", type=int, default=240, help="of an ordinary one")
    parser.add_argument("--until", default="extract", help="the last stage")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, options)
        ordinary = (folder / "a0000.warc.gz").stat().st_size
        _measure(folder, "warm-up", None, "extract")
        for what, split_bytes in (("whole", None), (f"split by {ordinary / 1e6:.1f} MB", ordinary)):
            idle = _measure(folder, what.partition(" ")[0], split_bytes, options.until)
            print(f"{what}; load of the machine {os.getloadavg()[0]:.1f}")
            for stage, n, took, free in sorted(idle.table(), key=lambda row: -row[3])[:4]:
                print(f"  {stage:<24} {n:>4} tasks, {took:6.2f} s; {free:5.2f} s of a core idle")


def _write(folder: Path, options: argparse.Namespace) -> None:
    """Ordinary archives, and one more whose name comes last, of the pages in DATA, over and over."""
    members = members_of(options.data)
    sizes = [options.pages] * options.archives + [options.pages * options.times]
    for number, size in enumerate(sizes):
        name = "z" if number == options.archives else f"a{number:04d}"
        (folder / f"{name}.warc.gz").write_bytes(b"".join(next(members) for _ in range(size)))


def members_of(data: Path) -> Iterator[bytes]:
    """Stored records of pages, over and over."""
    while True:
        for path in sorted((data / "crawl").glob("*.warc.gz")):
            with path.open("rb") as stream, path.open("rb") as stored:
                for entry in read_archive(stream, frozenset(), 1 << 24):
                    if isinstance(entry, WarcEntry) and entry.kind == "response" and entry.length > 0:
                        stored.seek(entry.offset)
                        yield stored.read(entry.length)


def _measure(folder: Path, name: str, split_bytes: int | None, until: str) -> Idle:
    recipe = validate({"name": "skewed", "classifier": None, "mixture": {"weights": {"crawl": 1}}, "sources": {
        "crawl": {"files": f"{folder}/*.warc.gz", "split_bytes": split_bytes}}})
    idle = Idle()
    run(recipe, str(folder / name), Settings(workers=_WORKERS, until=until, guards=False), idle)
    return idle


if __name__ == "__main__":
    main()
