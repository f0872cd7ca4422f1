"""The keep rule: exact, monotone, and GPT-3's distribution."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.classifier.pareto import keep_rate, needed_score, pareto_keeps, quarter_power
from manifests.hashing import document_id, ids_array, uniform

ALPHAS = st.integers(1, 256).map(lambda quarters: quarters / 4)
SCORES = st.floats(0, 1, width=32)
UNIFORMS = st.integers(0, 2**53 - 1).map(lambda n: n * 2.0**-53)


@settings(max_examples=100, deadline=None)
@given(st.floats(1, 2), ALPHAS)
def test_powers_are_powers(base: float, alpha: float) -> None:
    assert quarter_power(np.array([base]), alpha)[0] == pytest.approx(base**alpha, rel=1e-13)


@settings(max_examples=100, deadline=None)
@given(SCORES, UNIFORMS, st.integers(1, 12))
def test_the_rule_is_the_exact_one_away_from_its_edge(score: float, u: float, alpha: int) -> None:
    exact = Fraction(u) * (2 - Fraction(score)) ** alpha
    if abs(exact - 1) > Fraction(1, 10**12):
        assert bool(pareto_keeps(np.array([score], np.float32), np.array([u]), alpha)[0]) == (exact < 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(UNIFORMS, min_size=1, max_size=20), ALPHAS)
def test_the_needed_score_is_the_smallest_that_stays(uniforms: list[float], alpha: float) -> None:
    u = np.array(uniforms)
    needed = needed_score(u, alpha)
    assert pareto_keeps(needed, u, alpha).all()
    below = np.nextafter(needed, np.float32(-1))
    assert not pareto_keeps(below, u, alpha)[needed > 0].any()


@settings(max_examples=50, deadline=None)
@given(st.lists(SCORES, min_size=2, max_size=20), UNIFORMS, ALPHAS)
def test_a_better_page_is_never_dropped_where_a_worse_one_stays(scores: list[float], u: float, alpha: float) -> None:
    ordered = np.sort(np.array(scores, np.float32))
    kept = pareto_keeps(ordered, np.full(len(scores), u), alpha)
    assert (np.diff(kept.astype(int)) >= 0).all()


@pytest.mark.parametrize("alpha", [1.0, 2.5, 9.0])
@pytest.mark.parametrize("score", [0.0, 0.5, 0.9, 1.0])
def test_the_share_kept_is_numpys_pareto(alpha: float, score: float) -> None:
    n = 100_000
    words = np.frombuffer(b"".join(document_id("crawl", "p", i) for i in range(n)), np.uint64).reshape(-1, 2)
    assert len(ids_array(words)) == n
    kept = pareto_keeps(np.full(n, score, np.float32), uniform(3, "select", words), alpha).mean()
    drawn = (np.random.default_rng(0).pareto(alpha, n) > 1 - np.float64(np.float32(score))).mean()
    assert kept == pytest.approx(drawn, abs=4 * np.sqrt(0.5 / n))
    assert keep_rate(np.full(3, score, np.float32), alpha) == pytest.approx(kept, abs=4 * np.sqrt(0.25 / n))
