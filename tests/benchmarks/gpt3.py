"""Pages a second of the gpt3 recipe, from archives to packed shards, with cold and with warm compile caches.

    python -m tests.benchmarks.gpt3 --data DATA [--workers N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the recipe twice in fresh folders and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with crawl/, text/, webtext/ and benchmarks/")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    print(f"gpt3 recipe on {options.data}, {options.workers} workers, whole command with Ray's start")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            seconds, facts = _measure(options, Path(folder), name)
            _report(name, seconds, facts)


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
