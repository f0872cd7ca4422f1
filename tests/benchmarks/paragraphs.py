"""Repeated passages of real crawl text: the kernels, and every step from texts to decisions, beside a loop in Python.

    python -m tests.benchmarks.paragraphs RUN [--megabytes 20] [--plain-megabytes 2] [--rounds 3]

Texts of RUN's crawl. Kernels: keys and places of all paragraphs or runs of three sentences, or a pass through an n-gram
filter of a false-positive rate of 0.01. Steps: each rule's stages of deduplication, files read and written, from texts
on disk to decisions. Plain Python: CCNet's normal form by str and re, hashlib's SHA-1 and a dict, on the first texts
only. They take turns; speeds are text per second of CPU time, the median of the rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.kernels.bloom import filter_size, pass_texts
from curate.dedup.kernels.paragraphs import CC_NET_PUNCTUATION, find_paragraphs
from curate.dedup.kernels.sentences import find_sentence_runs
from curate.text.strings import string_buffers
from curate.text.words import hash_words
from manifests.tables import write_table
from manifests.tasks import peak_memory_bytes
from pipelines.verbs import SOURCE, files_source, verb_run
from tests.benchmarks.minhash import megabytes, texts_of

_BATCH = 500
_OF_PASSAGES = ("dedup/passages", "dedup/removed_spans", "dedup/bloom", "dedup/passage_decisions")
_GONE = re.compile(f"[{CC_NET_PUNCTUATION}\x00-\x1f\x7f-\x9f]")
_DIGIT = re.compile(r"\d")


def plain(texts: pa.Array) -> None:
    """The first 64 bits of the SHA-1 of every normalised line, and whether it was seen."""
    seen: set[bytes] = set()
    for text in texts.to_pylist():
        for line in text.split("\n"):
            seen.add(hashlib.sha1(_GONE.sub("", _DIGIT.sub("0", line.strip().lower())).encode()).digest()[:8])


def in_batches(texts: pa.Array, work: Callable[..., object]) -> None:
    for first in range(0, len(texts), _BATCH):  # as a stage reads them
        work(*string_buffers(texts.slice(first, _BATCH)))


def through_a_filter(texts: pa.Array) -> None:
    size = filter_size(len(hash_words(*string_buffers(texts))[0]), 0.01)
    bits = np.zeros(size.n_words, np.uint64)
    in_batches(texts, lambda data, offsets: pass_texts(data, offsets, bits, size.n_probes, 13, 13, 0.8))


KERNELS: dict[str, Callable[[pa.Array], None]] = {
    "paragraphs, paper": lambda texts: in_batches(texts, lambda d, o: find_paragraphs(d, o, True)),
    "paragraphs, cc_net": lambda texts: in_batches(texts, lambda d, o: find_paragraphs(d, o, False)),
    "three sentences": lambda texts: in_batches(texts, lambda d, o: find_sentence_runs(d, o, 3)),
    "n-gram filter": through_a_filter,
}
STEPS = ("paragraphs", "sentences", "bloom")


def steps(texts: pa.Array, rule: str) -> tuple[float, dict[str, int]]:
    """Seconds of a rule's own stages, one after another in this process, and what they counted."""
    settings = {rule: {}, "exact": False, "near": False, "max_removed_fraction": 1.0, "survivor_order": ["position"]}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/texts.parquet"
        write_table(path, pa.schema([("text", pa.large_string())]), [pa.table({"text": texts})])
        recipe = {"dedup": settings, "sources": {SOURCE: files_source([path])}}
        with verb_run("dedup", f"{folder}/out", [path], recipe, ["extract", "select", "dedup"]) as done:
            records = [r for stage in _OF_PASSAGES for r in done.view.tasks(stage)]
            counters = sum((Counter(r.counters) for r in records), Counter[str]())
            return sum(r.seconds for r in records), dict(counters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run")
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--plain-megabytes", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    texts = texts_of(args.run, int(args.megabytes * 1e6))
    sizes = pc.cumulative_sum(pc.binary_length(texts)).to_numpy()
    few = texts.slice(0, int((sizes <= args.plain_megabytes * 1e6).sum()))
    speeds: dict[str, list[float]] = {}
    counters: dict[str, dict[str, int]] = {}
    for work in KERNELS.values():
        work(few)  # compiled before it is timed
    for _ in range(args.rounds):
        for name, work in [*KERNELS.items(), ("plain Python", plain)]:
            some = few if name == "plain Python" else texts
            start = time.process_time()
            work(some)
            speeds.setdefault(name, []).append(megabytes(some) / (time.process_time() - start))
        for rule in STEPS:
            seconds, counters[rule] = steps(texts, rule)
            speeds.setdefault(f"steps of {rule}", []).append(megabytes(texts) / seconds)
    print(f"{len(texts):,} texts, {megabytes(texts):.1f} MB ({megabytes(few):.1f} MB of them for plain Python); one "
          f"core, CPU time, median of {args.rounds}; peak memory {peak_memory_bytes() / 1e6:,.0f} MB")
    for name, found in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(found, speeds["plain Python"], strict=True))
        print(f"{name:<22} {statistics.median(found):8.1f} MB/s   {ratio:6.1f} times plain Python")
    for rule, counted in counters.items():
        print(f"{rule}: " + ", ".join(f"{name} {n:,}" for name, n in sorted(counted.items()) if n))
    slowest = min(statistics.median(a / b for a, b in zip(speeds[name], speeds["plain Python"], strict=True))
                  for name in KERNELS)
    print(f"{'PASS' if slowest > 1 else 'FAIL'}: every kernel is faster than plain Python, the slowest {slowest:.1f} "
          "times")


if __name__ == "__main__":
    main()
