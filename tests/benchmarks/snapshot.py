"""A whole run over N archives, simulated: what its driver costs, and how many files, opens and requests its stages are.

    python -m tests.benchmarks.snapshot [--parts 90000] [--folder DIR] [--keep]

Tasks only touch files (`simulated_run`); the driver's work is real, but that calls are not sent through Ray. Requests
are those of an object store, as far as the number of files decides: three to open and read a file or a partition of
one, one for every file that is written, two for the record of a task (the old one goes first), and a page of a listing
for every thousand names. Then planning is measured on the finished run (`planning`).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from manifests.tasks import peak_memory_bytes
from tests.benchmarks.planning import measure_all
from tests.benchmarks.simulated_run import Simulation, StageCost, fullest_folder, groups_of, make


def requests(cost: StageCost) -> int:
    """Of an object store, for the tasks of a stage and what becomes of their records."""
    return 3 * cost.opens + cost.written + 2 * cost.tasks + (cost.written + 2 * cost.tasks) // 1000


def print_table(simulation: Simulation, folder: Path) -> None:
    """The simulation as a table of Markdown."""
    print("| stages | tasks | calls | files written | opens | requests | driver, CPU s |")
    print("|---|---|---|---|---|---|---|")
    total = StageCost()
    for name, cost in groups_of(simulation.stages):
        _print_row(name, cost)
        for key in ("tasks", "calls", "opens", "written", "driver"):
            setattr(total, key, getattr(total, key) + getattr(cost, key))
    _print_row("all", total)
    n_files = sum(len(names) for _, _, names in os.walk(folder / "run"))
    most, where = fullest_folder(folder / "run")
    print(f"driver {simulation.driver:.0f} CPU s, {peak_memory_bytes() / 1e6:.0f} MB; {n_files:,} files; the fullest "
          f"folder, {where}, holds {most:,} names", flush=True)


def _print_row(name: str, cost: StageCost) -> None:
    print(f"| {name} | {cost.tasks:,} | {cost.calls:,} | {cost.written:,} | {cost.opens:,} | {requests(cost):,} | "
          f"{cost.driver:.1f} |")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", type=int, default=90_000)
    parser.add_argument("--folder")
    parser.add_argument("--keep", action="store_true", help="leave the run in --folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=arguments.folder) as temporary:
        folder = Path(arguments.folder if arguments.keep else temporary)
        started = time.monotonic()
        print_table(make(folder, arguments.parts), folder)
        print(f"simulated in {time.monotonic() - started:.0f} s", flush=True)
        measure_all(folder, 0.0)


if __name__ == "__main__":
    main()
