"""Budgets: exact, never beyond max_epochs, and as close to the shares as whole tokens allow."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.mixture.mixture import Counts, largest_remainder, plan_budgets
from tokenizer.mixture.mixture_config import MixtureConfig

names = st.sampled_from(["crawl", "books", "news", "webtext", "wikipedia"])


@settings(max_examples=200, deadline=None)
@given(weights=st.dictionaries(names, st.floats(0.001, 100), min_size=1),
       tokens=st.lists(st.integers(1, 10**12), min_size=5, max_size=5),
       total=st.one_of(st.none(), st.integers(1, 10**13)), epochs=st.floats(0.1, 10))
def test_budgets(weights: dict[str, float], tokens: list[int], total: int | None, epochs: float) -> None:
    counts = {n: Counts(1, t, 0, 0) for n, t in zip(sorted(weights), tokens, strict=False)}
    config = MixtureConfig(weights=weights, total_tokens=total, max_epochs=epochs)
    plan = plan_budgets(config, counts, 0)
    assert sum(s.selected_tokens for s in plan.sources) == plan.total_tokens
    whole = sum(Fraction(w) for w in weights.values())
    for source in plan.sources:
        have = counts[source.name].train_tokens
        assert source.selected_tokens <= have * Fraction(epochs)
        assert abs(source.selected_tokens - plan.total_tokens * Fraction(weights[source.name]) / whole) < 1
        assert source.cuts[-1].epoch * have + source.cuts[-1].tokens == source.selected_tokens
        assert 0 <= source.cuts[-1].tokens < have
    if plan.limited_by is None:
        assert plan.total_tokens == total
    else:
        assert total is None or plan.total_tokens < total
        # One more token of the total would break the limit of the scarce source, or only rounding keeps it.
        scarce = next(s for s in plan.sources if s.name == plan.limited_by)
        limit = int(counts[scarce.name].train_tokens * Fraction(epochs))
        assert (plan.total_tokens + 1) * Fraction(weights[scarce.name]) / whole > limit


@settings(max_examples=100, deadline=None)
@given(total=st.integers(0, 10**6), parts=st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any))
def test_largest_remainder(total: int, parts: list[int]) -> None:
    shares = {f"s{i}": Fraction(p, sum(parts)) for i, p in enumerate(parts)}
    found = largest_remainder(total, shares)
    assert sum(found.values()) == total
    assert all(abs(found[n] - total * share) < 1 for n, share in shares.items())
    assert all(found[n] == 0 for n, share in shares.items() if not share)
