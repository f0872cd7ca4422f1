"""The distinct values of n-gram hashes, sorted before or not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.decontamination.overlap import distinct


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5)), st.booleans())
def test_distinct_values_ascend(values: list[int], in_order: bool) -> None:
    grams = np.array(sorted(values) if in_order else values, np.uint64)
    assert distinct(grams).tolist() == sorted(set(values))
    assert distinct(grams).dtype == np.uint64
