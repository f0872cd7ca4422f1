"""CPU seconds that Ray takes beside its tasks: its start and end, and a task, beside the engine of one process.

    python -m tests.benchmarks.engine [--tasks N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile

from manifests.object_stores import S3Access
from pipelines.engine import Engine, InlineEngine
from pipelines.ray_engine import RayEngine
from tests.benchmarks.cpu_seconds import cpu_seconds
from tests.unit.pipelines.toy_stages import job


def main() -> None:
    """Measure both engines with one task and with many, and print what a further one costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000, help="how many tasks, each of which writes one row")
    parser.add_argument("--only", choices=["inline", "ray"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None:
        _work(options.only, options.tasks)
        return
    for engine in ("inline", "ray"):
        few, many = _measure(engine, 200), _measure(engine, 200 + options.tasks)
        print(f"{engine}: start, one task and end {_measure(engine, 1):.1f} CPU s; "
              f"a further task {(many - few) / options.tasks * 1000:.2f} CPU ms")


def _measure(engine: str, n_tasks: int) -> float:
    return cpu_seconds([sys.executable, "-m", __spec__.name, "--only", engine, "--tasks", str(n_tasks)])[0]


def _work(name: str, n_tasks: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        access = S3Access()
        made: Engine = InlineEngine(folder, access) if name == "inline" else RayEngine(folder, access, workers=2)
        with made as engine:
            for number in range(n_tasks):
                engine.submit(job("add", f"part-{number:05d}"))
            if any(outcome.error for outcome in engine.outcomes()):
                raise SystemExit("a task failed")


if __name__ == "__main__":
    main()
