"""Spark's hashed features and the logistic regression on them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.classifier.hashed import HashedModel, minimise, read, train_hashed
from curate.classifier.kernels.lbfgs import loss_and_gradient
from curate.classifier.kernels.murmur import murmur3, term_columns
from curate.text.strings import string_buffers
from manifests.errors import InputError


def _hash(term: str) -> int:
    data = np.frombuffer(term.encode(), np.uint8)
    return int(murmur3(data, 0, len(data)))


def _reference(term: str) -> int:
    """MurmurHash3 x86 32 with seed 42, after Appleby's published description, in plain integers."""
    data, h, m = term.encode(), 42, 0xFFFFFFFF
    def mixed(k: int) -> int:
        k = k * 0xCC9E2D51 & m
        return ((k << 15 | k >> 17) & m) * 0x1B873593 & m
    for i in range(0, len(data) // 4 * 4, 4):
        h ^= mixed(int.from_bytes(data[i : i + 4], "little"))
        h = ((h << 13 | h >> 19) & m) * 5 + 0xE6546B64 & m
    if len(data) % 4:
        h ^= mixed(int.from_bytes(data[len(data) // 4 * 4 :], "little"))
    h ^= len(data)
    for factor, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
        h = (h ^ h >> shift) * factor & m
    return h ^ h >> 16


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_the_hash_is_murmur3(term: str) -> None:
    assert _hash(term) == _reference(term)


def _columns(texts: list[str], n: int) -> list[list[int]]:
    data, offsets = string_buffers(pa.array(texts, pa.large_string()))
    columns, places = term_columns(data, np.ascontiguousarray(offsets), n)
    return [columns[a:b].tolist() for a, b in pairwise(places.tolist())]


def test_columns_are_those_of_sparks_documentation() -> None:
    # pyspark.ml.feature.HashingTF: ["a", "b", "c"] gives {5, 7, 8} of 10 columns and {0, 2, 3} of 5; indexOf("b") is 5.
    assert sorted(_columns(["a b c"], 10)[0]) == [5, 7, 8]
    assert sorted(_columns(["a b c"], 5)[0]) == [0, 2, 3]
    assert _columns(["b"], 10) == [[5]]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("ab \t\n\r\x0b\x0cé\xa0", max_size=12), max_size=5))
def test_terms_are_split_as_java_splits(texts: list[str]) -> None:
    def split(text: str) -> list[str]:
        for space in "\t\n\r\x0b\x0c":
            text = text.replace(space, " ")
        parts = text.split(" ")
        while parts and not parts[-1] and text:
            parts.pop()
        return parts
    def column(term: str) -> int:
        h = _reference(term)
        return (h - (1 << 32) if h >> 31 else h) % 1000
    assert _columns(texts, 1000) == [[column(term) for term in split(text)] for text in texts]


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    random = np.random.default_rng(0)
    columns, places = random.integers(0, 6, 40).astype(np.uint32), np.arange(0, 41, 4)
    labels, point = (random.random(10) < 0.5).astype(float), random.normal(size=7)
    def loss(at: np.ndarray) -> float:
        return float(loss_and_gradient(columns, places, labels, at, 0.3, np.zeros(7)))
    gradient = np.zeros(7)
    loss_and_gradient(columns, places, labels, point, 0.3, gradient)
    slopes = [(loss(point + d) - loss(point - d)) / 2e-6 for d in np.eye(7) * 1e-6]
    np.testing.assert_allclose(gradient, slopes, atol=1e-7)


def test_the_minimum_of_a_known_function_is_found() -> None:
    matrix = np.diag(np.arange(1.0, 21))
    found = minimise(lambda x: (float(x @ matrix @ x / 2 - x.sum()), matrix @ x - 1), np.zeros(20), 200, 1e-15)
    np.testing.assert_allclose(found, 1 / np.arange(1.0, 21), atol=1e-5)


def test_training_separates_saves_and_repeats_itself(tmp_path: Path) -> None:
    lines = pa.array([("river stone " if i % 2 else "buy cheap ") + f"w{i % 7}" for i in range(200)], pa.large_string())
    positive = np.arange(200) % 2 == 1
    models = [train_hashed(lines, positive, 1 << 12, 1e-4, 100) for _ in range(2)]
    scores = models[0].score(lines)
    assert scores[positive].min() > 0.9 > 0.1 > scores[~positive].max()
    for model, name in zip(models, "ab", strict=True):
        model.save(str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = read(str(tmp_path / "a"), "a", None)
    assert isinstance(again, HashedModel)
    assert (again.score(lines) == scores).all()
    out = np.full(200, -1, np.float32)
    again.score(lines, np.array([3]), out)
    assert out[3] == scores[3]
    assert (np.delete(out, 3) == -1).all()
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes()[:-4])
    with pytest.raises(InputError, match="cut off"):
        read(str(tmp_path / "c"), "c", None)
