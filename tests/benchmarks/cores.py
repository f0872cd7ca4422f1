"""How much faster two cores extract archives of one size than one does.

    python -m tests.benchmarks.cores --data DATA [--archives 64] [--pages 240] [--rounds 3]

A run on one core has one worker, a run on two has two; its driver and Ray's own processes are held to the same cores.
Seconds from the beginning of the first task of `extract` to the end of the last, by rounds of one and two in turn; the
least of each counts, since whatever else the machine does only adds to it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

from pipelines.loading import validate
from pipelines.running import Settings, run
from tests.benchmarks.skewed import Idle, members_of

_CORES = (1, 2)


def main() -> None:
    """Make the archives, and extract them on one core and on two, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with crawl/*.warc.gz")
    parser.add_argument("--archives", type=int, default=64)
    parser.add_argument("--pages", type=int, default=240, help="of an archive")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None:  # one run, by whoever started this; data: the archives
        print(_extract(options.data, options.only))
        return
    seconds: dict[int, list[float]] = {n: [] for n in _CORES}
    with tempfile.TemporaryDirectory() as name:
        members = members_of(options.data)
        for number in range(options.archives):
            Path(name, f"a{number:04d}.warc.gz").write_bytes(b"".join(islice(members, options.pages)))
        for round_number in range(options.rounds + 1):
            for n in _CORES:
                words = [sys.executable, "-m", __spec__.name, "--data", name, "--only", str(n)]
                done = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                if round_number:  # the first compiles
                    seconds[n].append(float(done.stdout))
    for n in _CORES:
        print(f"{n} cores: {', '.join(f'{s:.2f}' for s in seconds[n])} s")
    one, two = (min(seconds[n]) for n in _CORES)
    print(f"{options.archives} archives of {options.pages} pages, load of the machine {os.getloadavg()[0]:.1f}: "
          f"two cores {one / two:.2f} times as fast as one")


def _extract(archives: Path, cores: int) -> float:
    """Seconds of `extract`, with as many workers, by this process and all that it starts, on so many cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    recipe = validate({"name": "cores", "classifier": None, "mixture": {"weights": {"crawl": 1}},
                       "sources": {"crawl": {"files": f"{archives}/*.warc.gz"}}})
    heard = Idle()
    with tempfile.TemporaryDirectory() as out:
        run(recipe, f"{out}/run", Settings(workers=cores, until="extract", guards=False), heard)
    (took,) = (took for stage, _, took, _ in heard.table() if stage == "extract")
    return took


if __name__ == "__main__":
    main()
