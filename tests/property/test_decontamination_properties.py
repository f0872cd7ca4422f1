"""What decontamination promises for any text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.decontamination.kernels.overlaps import cut, match_words, split_words
from curate.decontamination.overlap import build_index, find
from curate.text.strings import string_buffers

LEAK = "alpha beta gamma delta"
TEXTS = st.lists(st.lists(st.one_of(st.text(max_size=12), st.just(f" {LEAK} ")), max_size=8).map("".join), max_size=6)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(0, 9))
def test_no_indexed_gram_is_left_in_a_piece(texts: list[str], window: int) -> None:
    index = build_index([LEAK], 4)
    hits = find(pa.array(texts, pa.large_string()), index, window)
    rows, first = np.unique(hits["row"].to_numpy(), return_index=True)
    ends = np.append(first[1:], len(hits)).astype(np.int64)[: len(rows)]
    places = np.stack([hits[name].to_numpy() for name in hits.column_names[2:8]], axis=1)
    n_bytes = np.array([len(texts[r].encode()) for r in rows], np.int64)
    spans, bounds, made = cut(places, ends, hits["n_chars"].to_numpy()[first], n_bytes, window, 0)
    for i, row in enumerate(rows):
        raw = texts[row].encode()
        pieces = [raw[a:b].decode() for a, b in spans[bounds[i] : bounds[i + 1]]]  # cuts fall between characters
        assert len(pieces) == made[i]
        assert not len(find(pa.array(pieces, pa.large_string()), index))
    clean = sorted(set(range(len(texts))) - set(rows.tolist()))
    assert all(f" {LEAK} " not in texts[i] for i in clean)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_hits_do_not_depend_on_case_spacing_or_neighbours(text: str) -> None:
    index = build_index([LEAK], 4)
    alone = find(pa.array([LEAK.upper().replace(" ", " \n")]), index)
    beside = find(pa.array([text, LEAK.upper().replace(" ", " \n"), text]), index)
    mine = beside.filter(pa.compute.equal(beside["row"], 1))
    assert len(alone) == 1
    assert mine.drop_columns("row") == alone.drop_columns("row")


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(1, 5), st.integers(0, 2))
def test_words_once_or_grams_at_once(texts: list[str], ngram: int, first: int) -> None:
    """N-grams found among words already split are those that one pass over the text finds."""
    index = build_index([f"{LEAK} {LEAK}", *texts[:1]], ngram)
    array = pa.array(texts, pa.large_string()).slice(first)
    hits = find(array, index, 0)
    grams, rows, starts, ends = match_words(split_words(*string_buffers(array)), ngram, index.table)
    wanted = [hits[name].to_pylist() for name in ("gram", "row", "byte_start", "byte_end")]
    assert [grams.tolist(), rows.tolist(), starts.tolist(), ends.tolist()] == wanted
