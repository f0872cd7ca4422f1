"""The gpt3 recipe from archives to packed shards: pages a second with Ray, and CPU milliseconds a page by stage.

    python -m tests.benchmarks.gpt3 --data DATA [--workers N] [--stages-only] [--rounds N] [--beside CHECKOUT]

What a stage costs is measured in one process without Ray, on two and on all archives of the crawl. *Marginal* is the
difference of the two over the difference of their pages: what one page more costs. *Fixed* is what of the smaller run
that does not explain: imports, models, and sources that stay the same. *In all* is all of the larger run over its
pages. The least of several interleaved rounds counts,
since whatever else the machine does only adds to it. `--beside` measures another checkout in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.engine import ONE_THREAD_EACH

Row = npt.NDArray[np.float64]
"""CPU milliseconds of one page more, seconds whatever the pages, milliseconds a page in all."""

_FEW: Final = 2  # archives of the smaller run
_SHOWN_MS, _SHOWN_SECONDS = 0.01, 0.05  # a stage below both has no line of its own


def main() -> None:
    """Print pages a second of two runs in fresh folders, then CPU by stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with crawl/, text/, webtext/ and benchmarks/")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--stages-only", action="store_true", help="leave the runs with Ray out")
    parser.add_argument("--rounds", type=int, default=3, help="of the measurement by stage")
    parser.add_argument("--beside", type=Path, help="another checkout, to be measured in turn with this one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not options.stages_only:
            print(f"gpt3 recipe on {options.data}, {options.workers} workers, whole command with Ray's start")
            for name in ("cold", "warm"):
                seconds, facts = _measure(options, Path(folder), name)
                _report(name, seconds, facts)
        checkouts = {"this": Path.cwd(), **({"beside": options.beside} if options.beside else {})}
        tables: dict[str, list[StageTimes]] = {name: [] for name in checkouts}
        for n in range(options.rounds + 1):
            for name, checkout in checkouts.items():
                measured = _by_stage(options.data, checkout, Path(folder) / name)
                if n:  # the first compiles
                    tables[name].append(measured)
        for name, rounds in tables.items():
            _print_stages(checkouts[name] if options.beside else None, rounds)


class StageTimes(NamedTuple):
    """CPU seconds by stage, and pages, of the smaller and of the larger run."""

    few: dict[str, float]
    many: dict[str, float]
    pages: tuple[int, int]


def _by_stage(data: str, checkout: Path, folder: Path) -> StageTimes:
    folder.mkdir(exist_ok=True)
    runs = [_stage_run(data, checkout, folder, archives) for archives in (_FEW, 0)]
    return StageTimes(runs[0]["cpu"], runs[1]["cpu"], (runs[0]["pages"], runs[1]["pages"]))


def _stage_run(data: str, checkout: Path, folder: Path, archives: int) -> dict[str, Any]:
    """One run of a checkout; the program that times it is this one's."""
    program = Path(__file__).with_name("stage_times.py")
    words = [sys.executable, str(program), "--data", data, "--archives", str(archives), "--out", str(folder / "run")]
    shutil.rmtree(folder / "run", ignore_errors=True)
    env = {**os.environ, **ONE_THREAD_EACH, "PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": str(folder / "kernels")}
    done = subprocess.run(words, env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def _print_stages(checkout: Path | None, rounds: list[StageTimes]) -> None:
    few, many = _least([r.few for r in rounds]), _least([r.many for r in rounds])
    small, large = rounds[0].pages
    rows = {}
    for name in many:
        each = (many[name] - few.get(name, 0.0)) / (large - small)
        rows[name] = np.array([each * 1e3, few.get(name, 0.0) - each * small, many[name] * 1e3 / large])
    print(f"{f'{checkout}: ' if checkout else ''}CPU by stage in one process, {small:,} and {large:,} pages, least of "
          f"{len(rounds)} rounds")
    print(f"  {'stage':<28} {'marginal ms a page':>19} {'fixed s':>9} {'in all ms a page':>17}")
    for name, (each, fixed, whole) in rows.items():
        if abs(each) >= _SHOWN_MS or fixed >= _SHOWN_SECONDS:
            print(f"  {name:<28} {each:>19.3f} {fixed:>9.2f} {whole:>17.3f}")
    sums = {f"all of {folder}": _sum_of(rows, (folder,)) for folder in ("classifier", "dedup", "decontaminate",
                                                                         "tokenizer")}
    sums["everything"] = _sum_of(rows, {name.partition("/")[0] for name in rows})
    sums["all but the classifier"] = sums["everything"] - sums["all of classifier"]
    for name, (each, fixed, whole) in sums.items():
        print(f"  {name:<28} {each:>19.3f} {fixed:>9.2f} {whole:>17.3f}")


def _least(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(r[name] for r in rounds if name in r) for r in rounds for name in r}


def _sum_of(rows: dict[str, Row], folders: Collection[str]) -> Row:
    return sum((row for name, row in rows.items() if name.partition("/")[0] in folders), start=np.zeros(3))


def _measure(options: argparse.Namespace, folder: Path, name: str) -> tuple[float, dict[str, Any]]:
    words = [sys.executable, "-m", "curate", "run", "gpt3", "--set", f"data={options.data}", "--out",
             str(folder / name), "--workers", str(options.workers), "--format", "json"]
    started = time.monotonic()
    done = subprocess.run(words, env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")}, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return time.monotonic() - started, json.loads(done.stdout)


def _report(name: str, seconds: float, facts: dict[str, Any]) -> None:
    pages = facts["pages"]
    print(f"{name} compile caches: {pages:,} pages in {seconds:.1f} s, {pages / seconds:.0f} pages/s; "
          f"largest worker {facts['peak_memory_bytes'] / 1e6:,.0f} MB; "
          f"{facts['dataset']['splits']['train']['n_tokens']:,} packed training tokens")
    if name == "warm":
        for source in facts["dataset"]["sources"]:
            gap = source["realised_share"] - source["requested_weight"]
            print(f"  {source['name']:<10} target {source['requested_weight']:.4f} actual "
                  f"{source['realised_share']:.4f} ({gap:+.4f}), {source['epochs']:.3f} epochs")


if __name__ == "__main__":
    main()
