"""From an archive to documents with language and signals: ours beside datatrove's, one core each, taking turns.

    python -m tests.benchmarks.documents --data DATA --datatrove PYTHON [--pages 400] [--rounds 2]

Ours is the whole stage `extract` on crawl/part-00000.warc.gz: read, decode, extract, identify the language, compute
every signal, write Parquet. datatrove 0.10.1 (PYTHON: an interpreter that has it) reads the same archive, extracts with
Trafilatura and runs its Gopher, C4 and FineWeb filters on its first pages; it writes nothing and knows no language.
Speeds are pages a second of CPU time in one process; the ratio is the median of the rounds'.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from curate.documents.config import ExtractConfig
from curate.documents.stage import extract
from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, execute
from pipelines.engine import ONE_THREAD_EACH


def ours(archive: Path, folder: str) -> float:
    """Pages a second of the stage on one core, kernels compiled before."""
    task = StageTask("extract", 1, "crawl/part-0", ExtractConfig(), {}, {"source": InputRef((str(archive),), "")},
                     {"source": "crawl", "kind": "warc", "origin_path": archive.name})
    started = time.process_time()
    record = execute(Storage(folder), task, extract)
    return record.counters["html_pages"] / (time.process_time() - started)


def datatrove(python: str, archive: Path, pages: int) -> float:
    """Pages a second of the peer."""
    script = str(Path(__file__).with_name("documents_peer.py"))
    done = subprocess.run([python, script, str(archive), str(pages)], check=True, capture_output=True, text=True,
                          env={**os.environ, **ONE_THREAD_EACH})
    n, _, seconds = done.stdout.strip().splitlines()[-1].split()
    return int(n) / float(seconds)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--datatrove", required=True, help="interpreter of an environment that has datatrove 0.10.1")
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    archive = (options.data / "crawl/part-00000.warc.gz").resolve()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ours(archive, folder)
        for _ in range(options.rounds):
            rows.append((ours(archive, folder), datatrove(options.datatrove, archive, options.pages)))
            a, b = rows[-1]
            print(f"ours {a:.1f} pages/s, datatrove {b:.2f} pages/s, ratio {a / b:.1f}")
    print(f"ratio, median of {options.rounds} rounds: {statistics.median(a / b for a, b in rows):.1f}")


if __name__ == "__main__":
    main()
