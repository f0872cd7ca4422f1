"""The next byte of a value, against bytes.find."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.text.search import next_byte


@settings(deadline=None)
@given(st.integers(0, 200), st.lists(st.integers(0, 199), max_size=3), st.integers(0, 220),
       st.sampled_from((0, 60, 255)))
def test_the_next_byte_is_found_wherever_blocks_begin(size: int, places: list[int], start: int, value: int) -> None:
    data = bytearray([value ^ 1]) * size
    for place in places:
        if place < size:
            data[place] = value
    wanted = data.find(bytes([value]), start)
    found = next_byte(np.frombuffer(bytes(data), np.uint8), start, value)
    assert found == (wanted if wanted >= 0 else max(size, start))
