"""How much faster two workers extract archives of one size than one does.

    python -m tests.benchmarks.cores --data DATA [--archives 64] [--pages 240] [--rounds 3]

Seconds from the beginning of the first task of `extract` to the end of the last, by rounds of one worker and two in
turn; the least of each counts, since whatever else the machine does only adds to it. A worker's own start is not in it,
the loading of its libraries and kernels is.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from itertools import islice
from pathlib import Path

from pipelines.loading import validate
from pipelines.running import Settings, run
from tests.benchmarks.skewed import Idle, members_of

_WORKERS = (1, 2)


def main() -> None:
    """Make the archives, and extract them by one worker and by two, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with crawl/*.warc.gz")
    parser.add_argument("--archives", type=int, default=64)
    parser.add_argument("--pages", type=int, default=240, help="of an archive")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds: dict[int, list[float]] = {n: [] for n in _WORKERS}
    with tempfile.TemporaryDirectory() as name:
        members = members_of(options.data)
        for number in range(options.archives):
            Path(name, f"a{number:04d}.warc.gz").write_bytes(b"".join(islice(members, options.pages)))
        for round_number in range(options.rounds + 1):
            for n in _WORKERS:
                took = _extract(f"{name}/*.warc.gz", f"{name}/{round_number}-{n}", n)
                if round_number:  # the first compiles
                    seconds[n].append(took)
    for n in _WORKERS:
        print(f"{n} workers: {', '.join(f'{s:.2f}' for s in seconds[n])} s")
    one, two = (min(seconds[n]) for n in _WORKERS)
    print(f"{options.archives} archives of {options.pages} pages, load of the machine {os.getloadavg()[0]:.1f}: "
          f"two workers {one / two:.2f} times as fast as one")


def _extract(files: str, out: str, workers: int) -> float:
    recipe = validate({"name": "cores", "classifier": None, "mixture": {"weights": {"crawl": 1}},
                       "sources": {"crawl": {"files": files}}})
    heard = Idle()
    run(recipe, out, Settings(workers=workers, until="extract", guards=False), heard)
    (took,) = (took for stage, _, took, _ in heard.table() if stage == "extract")
    return took


if __name__ == "__main__":
    main()
