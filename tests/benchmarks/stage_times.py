"""CPU seconds of each stage of one run of the gpt3 recipe, in this process, as JSON on stdout.

    python tests/benchmarks/stage_times.py --data DATA --out RUN [--archives N]
"""

from __future__ import annotations

import argparse
import json
import resource
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from manifests.records import TaskRecord
from pipelines.loading import load_recipe
from pipelines.progress import SilentReporter
from pipelines.running import Settings, run

_BETWEEN: Final = "between tasks"  # planning, and what is written when a stage is done


class Clock(SilentReporter):
    """Hears of a run, and gives the CPU time since it last heard anything to what it hears of now."""

    def __init__(self) -> None:
        self.seconds = defaultdict[str, float](float)
        self._last = 0.0
        self.tick("imports")

    def tick(self, name: str) -> None:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        now = sum(u.ru_utime + u.ru_stime for u in used)
        self.seconds[name] += now - self._last
        self._last = now

    def stage_started(self, stage: str, up_to_date: int, to_do: int) -> None:
        self.tick(_BETWEEN)

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self.tick(stage)

    def task_failed(self, stage: str, task: str, error: Exception) -> None:
        raise error

    def stage_done(self, stage: str, counters: Mapping[str, int]) -> None:
        self.tick(_BETWEEN)


def main() -> None:
    """Run the recipe on all archives of the crawl, or on the first few."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True)
    parser.add_argument("--archives", type=int, default=0, help="the first so many archives, 0 for all")
    options = parser.parse_args()
    clock = Clock()
    archives = sorted(str(path) for path in (options.data / "crawl").glob("part-*.warc.gz"))
    chosen = archives[: options.archives or len(archives)]
    recipe = load_recipe("gpt3", {"data": str(options.data), "sources.crawl.files": chosen})
    result = run(recipe, options.out, Settings(engine="inline"), clock)
    clock.tick(_BETWEEN)
    pages = sum(record.counters.get("html_pages", 0) for record in result.view.tasks("extract"))
    print(json.dumps({"pages": pages, "cpu": clock.seconds}))


if __name__ == "__main__":
    main()
