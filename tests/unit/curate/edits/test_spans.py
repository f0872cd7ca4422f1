"""Edits of edited texts are edits of the texts before both."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.edits.spans import FlatEdits
from manifests.schema import EDITS


def some_edits(sizes: list[int], draw: random.Random) -> FlatEdits:
    """Spans in order and apart of texts of these sizes, some of them replaced."""
    lists: list[list[dict[str, object]] | None] = []
    for size in sizes:
        cuts = sorted(draw.sample(range(size + 1), min(size + 1, 2 * draw.randrange(0, 4))))
        spans: list[dict[str, object]] = [
            {"start": a, "end": b, "replacement": draw.choice([None, None, "<email>", "x"])}
            for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
        lists.append(spans if draw.random() < 0.9 else None)
    return FlatEdits.of(pa.array(lists, EDITS), np.array(sizes, np.int64))


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 1_000_000))
def test_edits_after_edits(seed: int) -> None:
    draw = random.Random(seed)
    texts = ["".join(draw.choices("abcdefgh ", k=draw.randrange(0, 40))) for _ in range(draw.randrange(1, 6))]
    before = some_edits([len(t) for t in texts], draw)
    edited = before.texts(pa.array(texts, pa.large_string()))
    later = some_edits([len(t) for t in edited.to_pylist()], draw)
    twice = later.texts(edited).to_pylist()
    assert later.after(before).texts(pa.array(texts, pa.large_string())).to_pylist() == twice
    again = FlatEdits.of(later.after(before).array(), np.array([len(t) for t in texts], np.int64))
    assert again.texts(pa.array(texts, pa.large_string())).to_pylist() == twice
