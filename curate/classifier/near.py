"""Near-duplicates among the examples of a classifier, held in memory: the pipeline's own search, for one table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig
from curate.dedup.kernels.candidates import Graph, Sets, resolve
from curate.dedup.kernels.minhash import band_keys, hash_texts, shingle_sets, sign
from curate.dedup.layout import repeated
from curate.text.strings import string_buffers
from curate.text.words import hash_words

_BATCH = 4096  # texts signed at a time: 2 MiB of signatures


def near_duplicates(texts: pa.Array[Any] | pa.ChunkedArray[Any], threshold: float) -> npt.NDArray[np.bool_]:
    """Which texts are near-duplicates of an earlier one that stays, bool [n]: MinHash proposes, exact Jaccard decides.

    Memory: 8 bytes a band and 8 a shingle, of those that have a candidate; no more than the texts themselves.

    Args:
        texts: In the order in which they are preferred.
        threshold: Jaccard similarity of 5-word shingles from which two texts are near-duplicates.
    Returns:
        bool [n]; a text without words is never a duplicate.
    """
    config = DedupConfig(threshold=threshold)
    data, offsets = string_buffers(texts)
    n_bands, n_rows = bands_of(config)
    n = len(offsets) - 1
    keys, worded = np.empty((n, n_bands), np.uint64), np.zeros(n, np.bool_)
    exact = np.empty((n, 1), np.uint64)
    for start in range(0, n, _BATCH):
        end = min(n, start + _BATCH)
        words, bounds = hash_words(data, np.ascontiguousarray(offsets[start : end + 1]))
        minima, n_shingles = sign(words, bounds, config.ngram, config.n_permutations, config.seed)
        keys[start:end], worded[start:end] = band_keys(minima, n_bands, n_rows), n_shingles > 0
        exact[start:end, 0] = hash_texts(words, bounds)[:, 0]
    gone = np.zeros(n, np.bool_)
    for hashes in (exact, keys):  # copies first, so that a template of a thousand pages is one candidate and not all
        rows = np.flatnonzero(worded & ~gone)
        gone[_removed(texts, hashes[rows].ravel(), np.repeat(rows, hashes.shape[1]), config)] = True
    return gone


def _removed(texts: pa.Array[Any] | pa.ChunkedArray[Any], keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64],
             config: DedupConfig) -> npt.NDArray[np.int64]:
    """Rows that an earlier one with a key of theirs resembles."""
    shared = repeated(keys)
    some, nodes = np.unique(rows[shared], return_inverse=True)
    words, ends = hash_words(*string_buffers(texts.take(pa.array(some, pa.int64()))))
    shingles, stops = shingle_sets(words, ends, config.ngram)
    sets = Sets(shingles, stops[:-1].copy(), stops[1:].copy())
    graph = Graph.of(keys[shared], nodes.astype(np.int64), len(some), config.bucket_pivots)
    resolved = resolve(graph, sets, config.similarity_threshold, config.bucket_pivots)
    return np.asarray(some[resolved.survivor >= 0])
