"""Decontamination of real crawl text on one core: GPT-3's rule, the overlap report, and planted leaks that must go.

    python -m tests.benchmarks.decontamination --data DATA --texts RUN

DATA holds benchmarks/*.jsonl.gz; RUN is a finished run, whose extracted texts are read. The kernels are compiled
before the clock starts; each figure is the best of three passes over the same texts, taken in turns.
"""

from __future__ import annotations

import argparse
import glob
import random
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curate.decontamination.config import Benchmark, DecontaminationConfig
from curate.decontamination.overlap import GramIndex, build_index, find, index_of, read_grams
from curate.decontamination.report import read_benchmarks
from curate.decontamination.touches import ItemIndex
from manifests.tables import read_row_groups

_PASSES = 3
_FIELDS = {"lambada_openai": ("context", "continuation"), "winogrande": ("context_options", "continuation"),
           "piqa": ("query", "choices"), "gsm8k": ("context",), "human_eval": ("prompt",)}


class _Quiet:
    def count(self, name: str, n: int = 1) -> None:
        return

    def report_damage(self, where: str, what: str) -> None:
        print(f"{where}: {what}")


def _config(data: Path) -> DecontaminationConfig:
    paths = sorted(glob.glob(str(data / "benchmarks/*.jsonl.gz")))
    names = [Path(p).name.split(".")[0] for p in paths]
    return DecontaminationConfig(benchmarks=tuple(
        Benchmark(name=n, path=p, fields=_FIELDS.get(n, ("query",))) for n, p in zip(names, paths, strict=True)))


def _texts(run: Path) -> list[pa.Array]:
    paths = sorted(glob.glob(str(run / "extract/*/*.parquet")))
    return [pa.concat_arrays(g["text"].chunks) for p in paths for g in read_row_groups(p, ["text"]) if len(g)]


def _planted(texts: list[pa.Array], index: GramIndex) -> tuple[int, int]:
    """(leaks planted, leaks found): a sentence of 13 to 40 random words in the middle of a real text."""
    chance = random.Random(0)
    leaks = [" ".join(f"w{chance.randrange(10**9)}" for _ in range(chance.randrange(13, 41))) for _ in range(500)]
    hosts = [t for batch in texts for t in batch.to_pylist()][:500]
    mixed = [f"{t[: len(t) // 2]} {leak} {t[len(t) // 2 :]}" for t, leak in zip(hosts, leaks, strict=False)]
    own = build_index(leaks, index.ngram)
    return len(mixed), pc.count_distinct(find(pa.array(mixed, pa.large_string()), own)["row"]).as_py()


def _each(texts: list[pa.Array], search: Callable[[pa.Array], object]) -> None:
    for batch in texts:
        search(batch)


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=Path, default=Path("runs/gpt3"))
    arguments = parser.parse_args()
    config = _config(arguments.data)
    paths = [b.path for b in config.benchmarks]
    index = index_of(read_grams(config, paths, _Quiet())["gram"].to_numpy(), config.ngram)
    items = ItemIndex(read_benchmarks(config, paths, _Quiet())[1])
    texts = _texts(arguments.texts)
    n_bytes = sum(pc.sum(pc.binary_length(t)).as_py() for t in texts)
    jobs: dict[str, Callable[[], None]] = {
        "the rule: 13-grams with windows": lambda: _each(texts, lambda t: find(t, index, config.window)),
        "the report: every benchmark's own N": lambda: _each(texts, items.find)}
    find(texts[0], index)
    items.find(texts[0])
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(_PASSES):
        for name, work in jobs.items():
            best[name] = min(best[name], _seconds(work))
    print(f"{n_bytes / 1e6:.1f} MB of text, {sum(map(len, texts)):,} documents, {len(index.grams):,} 13-grams, "
          f"{len(config.benchmarks)} benchmarks, one thread")
    for name, seconds in best.items():
        print(f"  {name:<40}{n_bytes / 1e6 / seconds:>8.0f} MB/s")
    hits = sum(pc.count_distinct(find(t, index)["row"]).as_py() for t in texts)
    planted, caught = _planted(texts, index)
    print(f"  {hits:,} of these texts hold a benchmark's 13-gram; {caught} of {planted} planted leaks found")


if __name__ == "__main__":
    main()
