"""Resolution of many pages of one template: CPU seconds of the kernel of `dedup/resolve`, which takes them in one task.

    python -m tests.benchmarks.templates [--pages 50000]

A page is the template's 700 words and 20 to 400 of its own, so that two pages are alike by 0.45 to 0.95: some are
removed, many are kept, and buckets are full of kept pages, which is the worst case for a greedy search. Words are made
as hashes; signatures, bands and shingles are made of them as in a run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig
from curate.dedup.kernels.candidates import Sets, resolve
from curate.dedup.kernels.minhash import band_keys, shingle_sets, sign
from manifests.hashing import keyed_hash

_TEMPLATE = 700


def words_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(words, uint64; offsets, int64 [n + 1]) of n pages: the template's first half, own words, its second half."""
    pages = np.stack([np.arange(n)] * 2, 1).astype(np.uint64)
    own = 20 + (keyed_hash(0, "own", pages) % np.uint64(381)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(own + _TEMPLATE)]).astype(np.int64)
    page = np.repeat(np.arange(n), own + _TEMPLATE)
    position = np.arange(offsets[-1]) - offsets[page]
    half = _TEMPLATE // 2
    is_own = (position >= half) & (position < half + own[page])
    position = np.where(position >= half + own[page], position - own[page], position)
    words = np.stack([np.where(is_own, page + 1, 0), np.where(is_own, position + 10**6, position)], 1).astype(np.uint64)
    return keyed_hash(0, "word", words), offsets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pages", type=int, default=50_000)
    n = parser.parse_args().pages
    config = DedupConfig()
    words, offsets = words_of(n)
    minima, _ = sign(words, offsets, config.ngram, config.n_permutations, config.seed)
    n_bands, n_rows = bands_of(config)
    keys = band_keys(minima, n_bands, n_rows)
    values, ends = shingle_sets(words, offsets, config.ngram)
    flat, nodes = keys.ravel(), np.repeat(np.arange(n), n_bands)
    _, index, sizes = np.unique(flat, return_inverse=True, return_counts=True)
    shared = sizes[index] > 1
    sets = Sets(values, ends[:-1], ends[1:])
    resolve(flat[:1000], nodes[:1000], Sets(values, ends[:1000], ends[1:1001]), 0.8, 64)  # loads the kernel
    started = time.process_time()
    found = resolve(flat[shared], nodes[shared], sets, config.similarity_threshold, config.bucket_pivots)
    seconds = time.process_time() - started
    removed = int((found.survivor >= 0).sum())
    digest = keyed_hash(0, "check", np.stack([found.survivor.astype(np.uint64), found.similarity.view(np.uint64)], 1))
    print(f"{n:,} pages, {len(values) / n:.0f} shingles a page: {removed:,} removed, {found.pairs_checked:,} pairs "
          f"checked, {found.pairs_accepted:,} accepted, {found.pairs_left_out:,} left out: {seconds:.2f} CPU s; "
          f"outcome {int(np.bitwise_xor.reduce(digest * np.arange(1, n + 1, dtype=np.uint64))):016x}")
    goal = seconds * 50_000 / n <= 5
    print(f"{'pass' if goal else 'FAIL'}  50,000 pages in at most 5 CPU s")
    raise SystemExit(0 if goal else 1)


if __name__ == "__main__":
    main()
