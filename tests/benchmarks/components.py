"""Components of many documents from disk: what `dedup/components` does with its links, time and memory.

    python -m tests.benchmarks.components [--documents 100000000] [--folder DIR]

Six in twenty documents are in clusters of six that lie anywhere: a star about the first, in every second one a chain.
One cluster in ten thousand is linked with the next. Half as many documents go first, for the ratio.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from typing import Final

import numpy as np

from curate.dedup.kernels.components import RANGE, Components
from manifests.hashing import Int64
from manifests.tasks import peak_memory_bytes
from tests.benchmarks.dedup_scale import forget_peak

_ODD: Final = 0x9E3779B1
_BLOCKS: Final = 1 << 17


def links_of(first: int, n_blocks: int, n: int) -> tuple[Int64, Int64]:
    """(higher, lower ends) of the links of clusters from `first` on. n: documents, a power of two."""
    block = np.arange(first, first + n_blocks, dtype=np.int64)[:, None]
    members = 20 * block + np.arange(6)
    chained = (block % 2 == 1)
    ends = np.stack([members[:, 1:], np.where(chained, members[:, :-1], members[:, :1])], axis=2).reshape(-1, 2)
    some = block[block % 10_000 == 7]
    ends = np.concatenate([ends, np.stack([20 * some, 20 * (some + 1)], axis=1)])
    ends = (ends % n * _ODD) % n  # a permutation of the documents
    ends = ends[ends[:, 0] != ends[:, 1]]
    return ends.max(axis=1), ends.min(axis=1)


def measure(n: int, parent: str | None) -> float:
    """CPU seconds for n documents; prints them, with memory and disk."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        components, n_links, n_nodes, n_bytes = Components(f"{folder}/c", n), 0, 0, 0
        forget_peak()
        before = resource.getrusage(resource.RUSAGE_SELF)
        for first in range(0, n // 20, _BLOCKS):
            high, low = links_of(first, min(_BLOCKS, n // 20 - first), n)
            components.add(high, low)
            n_links += len(high)
        for nodes, _ in components.rooted():
            if not n_nodes:
                n_bytes = sum(os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder))
            n_nodes += len(nodes)
        after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{n:,} documents in {-(-n // RANGE)} ranges, {n_nodes:,} with a link, {n_links:,} links: "
          f"{components.n_components:,} components, {components.largest:,} in the largest; {seconds:.1f} CPU s, "
          f"{peak_memory_bytes() / 1e6:,.0f} MB at most, {n_bytes / 1e6:,.0f} MB on disk")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--documents", type=int, default=1 << 26, help="taken as the power of two below")
    parser.add_argument("--folder")
    args = parser.parse_args()
    n = 1 << (args.documents.bit_length() - 1)
    measure(1 << 20, args.folder)  # loads the kernels
    half, whole = measure(n // 2, args.folder), measure(n, args.folder)
    print(f"{'pass' if whole <= 2.3 * half else 'FAIL'}  twice the documents in at most 2.3 times the time: "
          f"{whole / half:.2f}")
    raise SystemExit(0 if whole <= 2.3 * half else 1)


if __name__ == "__main__":
    main()
