"""What the search for repeated passages promises for any texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup.kernels.anchors import find_anchors
from curate.dedup.kernels.repeats import find_repeats
from curate.edits.kernels.join import join_spans
from curate.text.strings import string_buffers

PIECES = st.sampled_from(["aaaaaaaaaa", "abababab", "the cat sat ", "0 | 0 | 0 | ", "xyzzy", "é日", "q", "a fine day "])
TEXTS = st.lists(st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join), max_size=8)


def windows(texts: list[str], size: int) -> dict[bytes, list[tuple[int, int]]]:
    """Places of every run of `size` bytes, in reading order."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for d, text in enumerate(texts):
        data = text.encode()
        for p in range(len(data) - size + 1):
            found.setdefault(data[p : p + size], []).append((d, p))
    return found


@settings(max_examples=120, deadline=None)
@given(TEXTS, st.integers(2, 24))
def test_equal_windows_have_equal_anchors(texts: list[str], size: int) -> None:
    buffers = string_buffers(pa.array(texts, pa.large_string()))
    anchors = find_anchors(*buffers, size)
    of = {}
    for h, d, first, last in zip(*(a.tolist() for a in anchors[:4]), strict=True):
        for p in range(first, last + 1):
            assert (d, p) not in of
            of[d, p] = h
    found = windows(texts, size)
    assert set(of) == {place for places in found.values() for place in places}
    for places in found.values():
        assert len({of[place] for place in places}) == 1


@settings(max_examples=120, deadline=None)
@given(TEXTS | st.lists(PIECES.map(lambda piece: piece * 3), max_size=3), st.integers(2, 24))
def test_repeats_are_those_of_a_dictionary_of_windows(texts: list[str], size: int) -> None:
    """Of windows whose anchor's hash occurs once, none is looked at: no repeat may be among them."""
    array = pa.array(texts, pa.large_string())
    anchors = find_anchors(*string_buffers(array), size)
    values, counts = np.unique(anchors.hashes, return_counts=True)
    anchors = anchors.of(np.isin(anchors.hashes, [*values[counts > 1], *anchors.hashes[anchors.twice]]))
    every = np.arange(len(anchors.hashes) + 1)
    contexts = join_spans(array, anchors.texts, anchors.firsts, anchors.lasts + size, every)
    order = np.lexsort((anchors.firsts, anchors.texts, anchors.hashes))
    runs = find_repeats(*string_buffers(contexts), order, anchors.hashes, size, anchors.texts)
    later, again = {}, set()
    for context, first, last, owner in zip(*(a.tolist() for a in runs), strict=True):
        for x in range(first, last + 1):
            place = (int(anchors.texts[context]), int(anchors.firsts[context]) + x)
            if owner < 0:
                again.add(place)
            else:
                later[place] = int(anchors.texts[owner])
    places = [p for p in windows(texts, size).values() if len(p) > 1]
    assert again == {p[0] for p in places}
    assert later == {x: p[0][0] for p in places for x in p[1:]}


def test_anchors_are_sparse_whatever_the_text() -> None:
    rng = np.random.default_rng(1)
    size, n = 100, 200_000
    period = rng.integers(32, 127, 70)
    kinds = {"random": rng.integers(32, 127, n), "one letter": np.full(n, 97),
             "period 3": np.tile([97, 98, 99], n // 3), "period 70": np.tile(period, n // 70)}
    for kind, data in kinds.items():
        anchors = find_anchors(data.astype(np.uint8), np.array([0, len(data)]), size)
        assert len(anchors.hashes) < len(data) / 12, kind
