"""How often a run lies inside what `curate estimate` says of it, over several seeds of the sample.

    python -m tests.benchmarks.estimate --data DATA [--seeds 10] [--first 0] [--recipe own] [--set KEY=VALUE]

The run and every estimate are processes of their own. Time is CPU time, of the whole process and its children, since a
shared machine's clock says little; disk is all that the run leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.engine import ONE_THREAD_EACH

_ENVIRONMENT = {**os.environ, **ONE_THREAD_EACH}


def main() -> None:
    """Run the recipe once, then estimate it with each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with crawl/")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--recipe", default="own")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--sample", default="1%")
    options = parser.parse_args()
    settings = options.settings or [f"files={options.data}/crawl/part-*.warc.gz"]
    words = [options.recipe, *(word for setting in settings for word in ("--set", setting))]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "run"):  # the first compiles what is not compiled yet
            truth = _run(words, f"{folder}/{name}")
        print(f"the run: {truth['core_seconds']:.1f} CPU s, {truth['disk_bytes'] / 1e6:.1f} MB, tokens "
              + ", ".join(f"{name} {n:,}" for name, n in truth["tokens"].items()))
        rows = [_compared(words, options.sample, seed, truth)
                for seed in range(options.first, options.first + options.seeds)]
    print(f"\n{'':<24}{'inside':>8}{'mean error':>12}{'root mean square':>18}{'widest':>9}")
    for name in rows[0]["errors"]:
        errors = np.array([row["errors"][name] for row in rows])
        print(f"{name:<24}{sum(row['inside'][name] for row in rows):>5} of {len(rows)}{errors.mean():>+9.1%}"
              f"{np.sqrt((errors**2).mean()):>18.1%}{max(row['widths'][name] for row in rows):>9.1%}")
    print(f"{'CPU of an estimate':<24}{np.mean([row['cost'] for row in rows]):.1f} s; share of the input run: "
          f"{np.mean([row['share'] for row in rows]):.1%}")


def _run(words: list[str], out: str) -> dict[str, Any]:
    from manifests.tables import read_table

    seconds, _ = _timed(["run", *words, "--output", out, "--engine", "inline", "--quiet"])
    rows = read_table(f"{out}/packed/sources.parquet").to_pylist()
    size = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file()
               and not {"_records", "_index"} & set(path.relative_to(out).parts))
    return {"core_seconds": seconds, "disk_bytes": size,
            "tokens": {row["name"]: row["available_tokens"] for row in rows}}


def _compared(words: list[str], sample: str, seed: int, truth: dict[str, Any]) -> dict[str, Any]:
    cost, facts = _timed(["estimate", *words, "--sample", sample, "--seed", str(seed), "--format", "json"])
    found = {"core_seconds": {key: value * 3600 for key, value in facts["core_hours"].items()},
             "disk_bytes": facts["disk_bytes"], **{f"tokens of {name}": of for name, of in facts["tokens"].items()}}
    true = {"core_seconds": truth["core_seconds"], "disk_bytes": truth["disk_bytes"],
            **{f"tokens of {name}": n for name, n in truth["tokens"].items()}}
    row = {"inside": {name: of["low"] <= true[name] <= of["high"] for name, of in found.items()},
           "errors": {name: of["value"] / true[name] - 1 for name, of in found.items()},
           "widths": {name: max(of["high"] / of["value"] - 1, 1 - of["low"] / of["value"])
                      for name, of in found.items()},
           "share": facts["sampled_share"], "cost": cost}
    print(f"seed {seed}: " + ", ".join(f"{name} {error:+.1%}{'' if row['inside'][name] else ' (outside)'}"
                                       for name, error in row["errors"].items()), flush=True)
    return row


def _timed(words: list[str]) -> tuple[float, dict[str, Any]]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "curate", *words], capture_output=True, text=True, env=_ENVIRONMENT)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, json.loads(done.stdout) if done.stdout.strip() else {}


if __name__ == "__main__":
    main()
