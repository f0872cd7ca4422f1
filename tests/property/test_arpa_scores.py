"""Our reading of ARPA models beside the definition of back-off, and beside KenLM where it is installed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.perplexity.arpa import ArpaModel, read_arpa
from tests.arpa_models import Gram, arpa_text, estimate, log10_of

WORDS = st.sampled_from(["a", "b", "c", "dé", "東京", "x" * 40])
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=8), min_size=1, max_size=12)
ASKED = st.lists(st.lists(st.sampled_from(["a", "b", "c", "dé", "東京", "never", "<unk>", "y\u00a0z"]), max_size=9),
                 max_size=6)


def _read(text: str) -> ArpaModel:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.arpa")
        path.write_text(text, "utf-8")
        return read_arpa(str(path))


def _pruned(logs: dict[Gram, float], weights: dict[Gram, float], every: int) -> tuple[
        dict[Gram, float], dict[Gram, float]]:
    """The model without some of its middle n-grams, as SRILM's pruning leaves: longer ones stay without their ends."""
    order = max(map(len, logs))
    contexts = {gram[:-1] for gram in logs}
    gone = {gram for i, gram in enumerate(logs) if 1 < len(gram) < order and i % every == 0 and gram not in contexts}
    return {g: p for g, p in logs.items() if g not in gone}, {g: w for g, w in weights.items() if g not in gone}


@settings(max_examples=60, deadline=None)
@given(SENTENCES, st.integers(1, 5), ASKED, st.sampled_from([0, 2, 3]))
def test_a_text_scores_what_back_off_says(sentences: list[list[str]], order: int, asked: list[list[str]],
                                          prune: int) -> None:
    logs, weights = estimate(sentences, order)
    if prune:
        logs, weights = _pruned(logs, weights, prune)
    model = _read(arpa_text(logs, weights))
    text = "\n".join("  ".join(words) for words in asked)
    sums, counts = model.score(pa.array(["a", text], pa.large_string()), True)
    said = [words for words in asked if words]
    assert counts.tolist() == [2, sum(len(words) + 1 for words in said)]
    assert sums[1] == pytest.approx(sum(log10_of(logs, weights, words) for words in said), rel=1e-5, abs=1e-5)
    whole = [word for words in asked for word in words]
    sums, counts = model.score(pa.array([text], pa.large_string()), False)
    assert counts.tolist() == [len(whole) + 1 if whole else 0]
    assert sums[0] == pytest.approx(log10_of(logs, weights, whole) if whole else 0.0, rel=1e-5, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(SENTENCES, st.integers(2, 5), ASKED)
def test_a_text_scores_what_kenlm_says(sentences: list[list[str]], order: int, asked: list[list[str]]) -> None:
    kenlm = pytest.importorskip("kenlm", reason="KenLM's library is an extra, built from source")
    text = arpa_text(*estimate(sentences, order))
    model = _read(text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.arpa")
        path.write_text(text, "utf-8")
        theirs = kenlm.Model(str(path))
        texts = [" ".join(words) for words in asked if words]
        sums, _ = model.score(pa.array(texts, pa.large_string()), True)
        assert np.allclose(sums, [theirs.score(t) for t in texts], rtol=1e-5, atol=1e-5)
