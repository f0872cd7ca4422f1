"""What reading an archive over HTTP costs beside reading it from disk: `make bench-http`.

Both ways read the same archive to its last record, in turn, over loopback; a second server breaks its answers every
few megabytes. Read the ratios: the times are this machine's, and a real network is slower than both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from curate.sources.archives import read_archive
from curate.sources.http_config import HttpConfig
from curate.sources.http_file import open_source
from curate.sources.warc import WarcEntry
from tests.unit.curate.sources.crawl_server import Fault, serve

_WANTED = frozenset({"response"})
_CONFIG = HttpConfig(backoff_seconds=0.001, requests_per_second=1000)


def seconds_and_records(path: str) -> tuple[float, int]:
    started = time.perf_counter()
    with open_source(path, _CONFIG) as stream:
        n_records = sum(isinstance(e, WarcEntry) for e in read_archive(stream, _WANTED, 1 << 27))
    return time.perf_counter() - started, n_records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Folder with crawl/part-00000.warc.gz.")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    path = arguments.data / "crawl/part-00000.warc.gz"
    data = path.read_bytes()
    ways: dict[str, list[float]] = {"disk": [], "HTTP": [], "HTTP, broken every 3 MB": []}
    counts = set()
    with serve({"file": data}) as site:
        for _ in range(arguments.rounds):
            for way, times in ways.items():
                site.faults["file"] = [Fault(cut=3_000_000, how="reset")] * (len(data) // 3_000_000 - 1) \
                    if "broken" in way else []
                seconds, n_records = seconds_and_records(str(path) if way == "disk" else f"{site.url}/file")
                times.append(seconds)
                counts.add(n_records)
    (n_records,) = counts  # every way gives every record
    print(f"{path.name}: {len(data) / 1e6:.1f} MB, {n_records} records; {arguments.rounds} interleaved rounds, medians")
    base = statistics.median(ways["disk"])
    for way, times in ways.items():
        print(f"{way:28}{statistics.median(times):8.3f} s {statistics.median(times) / base:7.2f} x disk")


if __name__ == "__main__":
    main()
