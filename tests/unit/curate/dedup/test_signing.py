"""Signatures of as many hashes as a published recipe takes: the same whatever is signed at once, and datasketch's."""

from __future__ import annotations

import tracemalloc

import datasketch
import numpy as np
import pyarrow as pa
import pytest

from curate.dedup import signing
from curate.dedup.config import DedupConfig
from curate.dedup.kernels.minhash import shingle_sets
from curate.dedup.signing import minhash, signatures, units

REFINEDWEB = DedupConfig(n_permutations=9000, n_bands=20, n_band_rows=450)
TEXTS = pa.array([" ".join(str((k * i) % 37) for i in range(40)) for k in range(30)] + [None, "", "one"],
                 pa.large_string())


def test_refinedwebs_nine_thousand_hashes_are_datasketchs() -> None:
    own = minhash(TEXTS, REFINEDWEB)
    sets, ends = shingle_sets(*units(TEXTS, REFINEDWEB), REFINEDWEB.ngram)
    for row in (0, 7, 29):
        reference = datasketch.MinHash(9000, seed=REFINEDWEB.seed, scheme="affine32", hashfunc=lambda value: value)
        reference.update_batch([int(value >> np.uint64(32)) for value in sets[ends[row] : ends[row + 1]]])
        assert own[row].tolist() == reference.hashvalues.tolist()


@pytest.mark.parametrize("limit", [1, 9000, 20_000])
def test_texts_signed_few_at_a_time_are_signed_alike(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    together = signatures(TEXTS, REFINEDWEB)
    monkeypatch.setattr(signing, "_MOST_MINIMA", limit)
    assert signatures(TEXTS, REFINEDWEB).combine_chunks().equals(together.combine_chunks())


def test_the_minima_of_a_large_part_are_never_held_together() -> None:
    texts = pa.array([f"{i} word" for i in range(6_000)], pa.large_string())
    signatures(texts.slice(0, 10), REFINEDWEB)  # compiled
    tracemalloc.start()
    signatures(texts, REFINEDWEB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20  # all of them are 216 MB
