from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.extraction.ranking import falling_order


@settings(deadline=None)  # the kernel may be compiled in it
@given(st.lists(st.integers(-4, 4), max_size=70))
def test_it_is_the_stable_order_of_numpy(values: list[int]) -> None:
    ranks = np.array(values, np.float32) / np.float32(4)
    assert falling_order(ranks).tolist() == np.argsort(-ranks, kind="stable").tolist()
