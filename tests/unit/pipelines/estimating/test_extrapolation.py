"""Ratios and their intervals on groups whose truth is known; costs that are fixed, and costs that grow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.estimating.extrapolation import (
    around,
    by_file,
    dropped_share,
    grown,
    later_bytes_per_token,
    power,
    ratio,
)


def test_a_ratio_is_exact_where_groups_are_alike_or_all_is_sampled() -> None:
    assert ratio([2, 4, 6], [1, 2, 3], 60) == (120.0, 0.0)
    value, error = ratio([2, 9, 1], [1, 2, 3], 6)
    assert (value, error) == (12.0, 0.0)
    assert ratio([3], [1], 10) == (30.0, math.inf)  # one group tells nothing of its spread
    assert ratio([0, 0], [1, 1], 10) == (0.0, 0.0)


def test_intervals_hold_four_of_five_cases() -> None:
    inside, widths, n = 0, [], 300
    generator = np.random.default_rng(5)
    for _ in range(n):
        texts = generator.lognormal(0, 1.2, 8000)
        pages = texts * generator.uniform(2, 6, 8000)
        chosen = generator.uniform(size=8000) < 0.1
        groups = generator.integers(0, 12, 8000)
        y = [float(texts[chosen & (groups == g)].sum()) for g in range(12)]
        x = [float(pages[chosen & (groups == g)].sum()) for g in range(12)]
        value, error = ratio(y, x, float(pages.sum()))
        found = around(value, error, 11)
        inside += found.low <= texts.sum() <= found.high
        widths.append(found.width)
    assert 0.74 < inside / n < 0.86
    assert max(widths) < 0.1


def test_costs_by_file() -> None:
    sizes = np.array([1.0, 1.0, 50.0, 70.0, 60.0, 600.0])
    costs = 3.0 + 0.5 * sizes
    assert by_file(costs, sizes, 2, True, 10, 1000.0) == pytest.approx(10 * 3.5 + 0.5 * 1000, rel=0.01)
    of_whole_files = by_file(np.array([10.0, 20.0]), np.array([1.0, 2.0]), 0, False, 30, 45.0)
    assert of_whole_files == 450.0


def test_costs_that_are_known_to_grow_by_a_root_of_the_file_or_not_at_all() -> None:
    sizes = np.array([0.001, *([10.0] * 12), 160.0])
    assert by_file(sizes ** 0.5, sizes, 1, True, 4, 4 * 640.0, 0.5) == pytest.approx(4 * 640 ** 0.5, rel=0.05)
    assert by_file(2 * sizes, sizes, 1, True, 4, 4 * 640.0) == pytest.approx(2 * 4 * 640, rel=0.01)
    fixed = np.full(14, 3.0)
    fixed[-1] += 100  # the first of its stage loads what all need
    assert by_file(fixed, sizes, 1, True, 4, 4 * 640.0, 0.0) == 12


def test_costs_of_all_together_grow_as_two_samples_show() -> None:
    assert grown(10, 20, 2, 8) == 160
    assert grown(10, 10, 2, 8) == 10
    assert grown(10, 20 ** 0.5 * 5 ** 0.5, 2, 8) == pytest.approx(10)
    assert grown(10, 20, 2, 8, most=0.5) == pytest.approx(20 * 8 ** 0.5)
    assert power(0, 5, 2) == 1  # nothing in the smaller one tells nothing
    assert power(10, 90, 2) == 1


def test_duplicates_that_need_both_of_a_pair_grow_in_proportion() -> None:
    assert dropped_share((100, 20_000), (400, 40_000), 2, 10) == pytest.approx(0.1, rel=0.03)
    assert dropped_share((100, 1000), (200, 2000), 2, 10) == pytest.approx(0.1, rel=0.02)  # copies of one template
    assert dropped_share((0, 0), (0, 0), 2, 10) == 0
    assert dropped_share((1, 10), (10, 10), 2, 100) == 0.95


def test_a_tokenizer_of_more_texts_knows_each_less() -> None:
    assert later_bytes_per_token(4.2, 4.1, 2, 2) == pytest.approx(4.05)
    assert later_bytes_per_token(4.2, 4.1, 2, 1e9) == pytest.approx(4.0)
    assert later_bytes_per_token(4.1, 4.1, 2, 8) == 4.1
    assert later_bytes_per_token(4.2, 4.1, 1, 8) == 4.1
