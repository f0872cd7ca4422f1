"""Near-duplicates of known similarity: how many are found, that none is removed wrongly, and that chains stay."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.dedup_truth import SETTINGS, measure, unrelated
from tests.paths import DATA
from tests.unit.curate.dedup.dedup_reference import jaccard
from tests.verbs import dedup


@pytest.mark.slow
def test_recall_and_wrong_removals_on_real_news(tmp_path: Path) -> None:
    root = DATA
    path = root / "text/news.jsonl.gz"
    if not path.exists():
        pytest.skip(f"real texts are not here: {path}")
    with gzip.open(path) as stream:
        texts = unrelated([json.loads(line)["text"] for line in stream], 1500)
    result = measure(texts, SETTINGS, tmp_path / "out")
    assert result.pairs[0.9] > 100 < result.pairs[0.8]
    assert result.recall(0.9) >= 0.95
    assert result.recall(0.8) >= 0.85
    assert (result.wrong, result.lost) == (0, 0)
    assert result.lowest >= 0.8


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_chain_of_a_thousand_does_not_vanish(tmp_path: Path, shuffled: bool) -> None:
    """Windows over one stream of words: neighbours at J = 340/400, next but one at 0.72, ends unrelated."""
    n, shingles, step = 1000, 370, 30
    stream = [f"w{i}" for i in range(n * step + shingles + 4)]
    texts = [" ".join(stream[i * step : i * step + shingles + 4]) for i in range(n)]
    assert jaccard(texts[0], texts[1]) == 0.85
    assert jaccard(texts[0], texts[2]) < 0.8
    order = np.random.default_rng(3).permutation(n) if shuffled else np.arange(n)
    rows = [{"id": str(i), "text": texts[i]} for i in order]
    decisions, facts = dedup(tmp_path / "out", {"chain": rows}, {"max_removed_fraction": 1.0, "partitions": 3})
    kept = {int(r["id"]) for r in decisions if r["keep"]}
    for row in decisions:
        if not row["keep"]:
            assert int(row["duplicate_of"]) in kept
            assert abs(int(row["id"]) - int(row["duplicate_of"])) == 1
            assert row["similarity"] == pytest.approx(0.85)
    assert facts["counters"]["largest_component"] > 20  # so a union-find alone would have removed nearly all
    assert 400 <= len(kept) <= 620
