"""What Ray adds to the CPU time of a run: the difference between few parts and many, beside that in one process.

    python -m tests.benchmarks.engine_parts --data DATA [--few 8] [--many 64] [--pages 90] [--rounds 2]

Each run is a command of its own, from archives to packed shards without a classifier; the least of some interleaved
rounds counts, since whatever else the machine does only adds to it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from itertools import islice
from pathlib import Path

from pipelines.engine import ONE_THREAD_EACH
from pipelines.loading import validate
from pipelines.running import Settings, run
from tests.benchmarks.cpu_seconds import cpu_seconds
from tests.benchmarks.skewed import members_of

_ENGINES = ("inline", "ray")


def main() -> None:
    """Print CPU seconds of all runs, and what a further part costs on each engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with crawl/ and benchmarks/")
    parser.add_argument("--few", type=int, default=8, help="archives of the smaller run")
    parser.add_argument("--many", type=int, default=64, help="archives of the larger run")
    parser.add_argument("--pages", type=int, default=90, help="of an archive")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="of Ray")
    parser.add_argument("--only", choices=_ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--archives", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None:
        _run(options)
        return
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name), options)
        seconds: dict[tuple[str, int], list[float]] = {}
        for number in range(options.rounds):
            for engine in _ENGINES:
                for n in (options.few, options.many):
                    seconds.setdefault((engine, n), []).append(_measure(Path(name), engine, n, options))
            print(f"round {number + 1}: load of the machine {os.getloadavg()[0]:.1f}", file=sys.stderr)
    marginal = {}
    for engine in _ENGINES:
        few, many = min(seconds[engine, options.few]), min(seconds[engine, options.many])
        marginal[engine] = (many - few) / (options.many - options.few)
        print(f"{engine}: {options.few} parts {few:.1f} CPU s, {options.many} parts {many:.1f}; "
              f"a further part {marginal[engine] * 1000:.0f} CPU ms")
    print(f"ray beside one process: {marginal['ray'] / marginal['inline']:.2f}")


def _write(folder: Path, options: argparse.Namespace) -> None:
    members = members_of(options.data)
    for n in (options.few, options.many):
        (folder / str(n)).mkdir()
    for number in range(options.many):
        path = folder / str(options.many) / f"a{number:04d}.warc.gz"
        path.write_bytes(b"".join(islice(members, options.pages)))
        if number < options.few:
            os.link(path, folder / str(options.few) / path.name)


def _measure(folder: Path, engine: str, n: int, options: argparse.Namespace) -> float:
    words = [sys.executable, "-m", __spec__.name, "--data", str(options.data), "--only", engine,
             "--archives", str(folder / str(n)), "--workers", str(options.workers)]
    return cpu_seconds(words, ONE_THREAD_EACH)[0]


def _run(options: argparse.Namespace) -> None:
    benchmark = {"name": "gsm8k", "path": str(options.data / "benchmarks" / "gsm8k.jsonl.gz"), "fields": ["context"]}
    recipe = validate({
        "name": "parts", "sources": {"crawl": {"files": f"{options.archives}/*.warc.gz"}}, "classifier": None,
        "decontaminate": {"benchmarks": [benchmark]}, "tokenizer": {"vocab_size": 4096},
        "mixture": {"weights": {"crawl": 1}}})
    with tempfile.TemporaryDirectory() as folder:
        run(recipe, f"{folder}/run", Settings(options.only, workers=options.workers, guards=False))


if __name__ == "__main__":
    main()
