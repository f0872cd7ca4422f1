"""Scores by fastText's own arithmetic, against fastText's predict and against the model's arithmetic in float64."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.fasttext.exact import exact_model
from curate.fasttext.kernels.features import hash_bytes
from curate.fasttext.model_file import read_model_file
from manifests.tasks import _turn_to
from tests.unit.curate.fasttext.models import (
    HARD,
    NEGATIVE,
    POSITIVE,
    lines_of,
    reported_by,
    scorer_of,
    strings,
    train_model,
)


@pytest.mark.parametrize("options", [
    {"wordNgrams": 1}, {"wordNgrams": 2}, {"wordNgrams": 4, "loss": "hs"}, {"wordNgrams": 2, "bucket": 1},
    {"wordNgrams": 1, "minn": 2, "maxn": 4}, {"wordNgrams": 3, "minn": 1, "maxn": 3, "loss": "hs"},
    {"wordNgrams": 2, "minn": 0, "maxn": 2, "dim": 1}, {"wordNgrams": 1, "minn": 5, "maxn": 5},
    {"wordNgrams": 2, "minCount": 1000, "bucket": 100}, {"wordNgrams": 2, "loss": "ova"},
    {"wordNgrams": 2, "loss": "ns", "minn": 2, "maxn": 3}, {"wordNgrams": 2, "dim": 50, "epoch": 200, "lr": 1.0},
    {"wordNgrams": 4, "dim": 50, "epoch": 200, "lr": 1.0, "loss": "hs"}], ids=str)
def test_scores_are_fasttexts_to_the_last_digits(tmp_path: Path, options: dict[str, Any]) -> None:
    path = train_model(tmp_path, **options)
    lines = [*HARD, *lines_of(200, 2), "ein fluß , 中 国 !",
             " ".join(lines_of(400, 3))]
    scorer = scorer_of(path)
    scores, reported = scorer.score(strings(lines)), np.clip(reported_by(path, lines), 0, 1)
    np.testing.assert_allclose(scores, reported, atol=2e-7)
    assert scores.std() > 0.02
    other = scorer_of(path, NEGATIVE).score(strings(lines))
    np.testing.assert_allclose(other, np.clip(reported_by(path, lines, NEGATIVE), 0, 1), atol=2e-7)


def test_long_texts_whose_sums_are_rounded_most(tmp_path: Path) -> None:
    path = train_model(tmp_path, epoch=100, lr=1.0, dim=3, wordNgrams=2)
    words = " ".join(lines_of(4000, 3)).split()
    lines = [" ".join(words[:n]) for n in range(2000, len(words), 9000)]
    lines += [" ".join([a, b] * n) for a in ("cheap", "w1") for b in ("river", "w2", "w3") for n in (10, 20_000)]
    np.testing.assert_allclose(scorer_of(path).score(strings(lines)), reported_by(path, lines), atol=2e-7)


def test_a_long_word_has_all_its_character_ngrams(tmp_path: Path) -> None:
    path = train_model(tmp_path, minn=1, maxn=6, wordNgrams=2)
    lines = ["river" * 4000, "größe中" * 700 + " stone", "x" * 1022]
    np.testing.assert_allclose(scorer_of(path).score(strings(lines)), reported_by(path, lines), atol=2e-7)


def _colliding(known: str) -> str:
    """A word of other letters with the same 32-bit hash: found by working FNV-1a backwards from its end."""
    target = int(hash_bytes(np.frombuffer(known.encode(), np.uint8), 0, len(known)))
    inverse = pow(16777619, -1, 1 << 32)
    letters = np.frombuffer(b"bcdfghjklmnpqrstvwxz", np.uint8)
    forward: dict[int, str] = {}
    alphabet = [chr(c) for c in letters]
    def step(h: int, char: str) -> int:
        return ((h ^ ord(char)) * 16777619) & 0xFFFFFFFF
    def words(n: int) -> list[str]:
        return functools.reduce(lambda made, _: [w + c for w in made for c in alphabet], range(n), [""])
    for word in words(4):
        forward[functools.reduce(step, word, 2166136261)] = word
    for tail in words(4):
        h = target
        for char in reversed(tail):
            h = ((h * inverse) & 0xFFFFFFFF) ^ ord(char)
        if h in forward and forward[h] + tail != known:
            return forward[h] + tail
    raise AssertionError("no collision among 25 thousand million words")


def test_an_unknown_word_with_a_known_words_hash_is_still_unknown(tmp_path: Path) -> None:
    twin = _colliding("river")
    sizes = [hash_bytes(np.frombuffer(w.encode(), np.uint8), 0, len(w)) for w in (twin, "river")]
    assert sizes[0] == sizes[1]
    path = train_model(tmp_path, wordNgrams=1)
    scores = scorer_of(path).score(strings([twin, "river", "neverseen"]))
    assert scores[0] == scores[2] != scores[1]
    np.testing.assert_allclose(scores, reported_by(path, [twin, "river", "neverseen"]), atol=1e-6)


def test_scores_are_the_models_arithmetic_in_float64(tmp_path: Path) -> None:
    path = train_model(tmp_path, wordNgrams=1, dim=50)
    file = read_model_file(path)
    assert file.input_vectors is not None
    assert file.output_vectors is not None
    names = [bytes(file.words[a:b]).decode() for a, b in zip(file.word_offsets, file.word_offsets[1:], strict=False)]
    lines = [line for line in lines_of(50, 5) if line]
    expected = []
    for line in lines:
        rows = [names.index(w) for w in [*line.split(), "</s>"] if w in names]
        mean = np.array(file.input_vectors, np.float64)[rows].mean(axis=0)
        logit = np.array(file.output_vectors, np.float64) @ mean
        expected.append(1 / (1 + np.exp(logit[1 - file.labels.index(POSITIVE)] - logit[file.labels.index(POSITIVE)])))
    scores = scorer_of(path).score(strings(lines))
    np.testing.assert_allclose(scores, expected, atol=2e-6)


def test_label_prefixes_of_any_kind(tmp_path: Path) -> None:
    path = train_model(tmp_path, "__label__cc", "__label__hq", wordNgrams=2)
    lines = [*HARD, "a __label__hq b", *lines_of(20, 3)]
    np.testing.assert_allclose(scorer_of(path, "__label__hq").score(strings(lines)),
                               reported_by(path, lines, "__label__hq"), atol=1e-6)
    path = train_model(tmp_path, "#bad", "#good", label="#", wordNgrams=2, minCount=1,
                       extra="#good __label__word here\n")
    lines = ["#bad river", "__label__word here", "__label__other here", "#else x", *lines_of(20, 3)]
    np.testing.assert_allclose(scorer_of(path, "#good").score(strings(lines)),
                               reported_by(path, lines, "#good"), atol=1e-6)


def test_only_the_chosen_rows_are_written(tmp_path: Path) -> None:
    path, lines = train_model(tmp_path, wordNgrams=2), strings(lines_of(10, 3))
    scorer = scorer_of(path)
    out = np.full(10, -1, np.float32)
    scorer.score(lines, np.array([2, 5]), out)
    assert np.flatnonzero(out >= 0).tolist() == [2, 5]
    assert (out[[2, 5]] == scorer.score(lines)[[2, 5]]).all()


def test_more_labels_than_two_are_not_scored_so(tmp_path: Path) -> None:
    path = train_model(tmp_path, extra="__label__third stone stone\n" * 30)
    assert exact_model(read_model_file(path), POSITIVE) is None


def test_pages_of_a_model_are_left_and_mapped_again(tmp_path: Path) -> None:
    path = train_model(tmp_path, wordNgrams=2)
    lines = strings(lines_of(200, 5))
    file = read_model_file(str(path))
    exact = exact_model(file, file.labels[0])
    assert exact is not None
    first = exact.score(lines)
    held = _pages_of(path)
    _turn_to("classifier/scores")
    _turn_to("another stage")
    assert held > 0
    assert _pages_of(path) < held
    assert exact.score(lines).tolist() == first.tolist()


def _pages_of(path: str) -> int:
    """KiB of a file that this process has mapped and touched."""
    sizes, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            inside = line.endswith(path)
        elif inside and line.startswith("Rss:"):
            sizes += int(line.split()[1])
    return sizes
