"""The linear scorer against fastText's own predict, and against the model's arithmetic in float64."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import fasttext
import fsspec
import numpy as np
import pyarrow as pa
import pytest

from curate.classifier.lines import classifier_lines
from curate.classifier.scorer import NEGATIVE, POSITIVE, FoldedModel, LibraryModel, load_scorer
from curate.fasttext.kernels.features import hash_bytes
from curate.fasttext.model_file import read_model_file
from manifests.errors import InputError

WORDS = ["the", "of", "and", "größe", "weiß", "中", "国", "river", "stone", "house", "sell", "buy", "now", "cheap", "a",
         "b", "c", "é", "internationalisation", "internationalization", "eightchr", "ninechars"]
REPORTED_EXCESS = 1e-5  # fastText takes log(p + 1e-5)
HARD = ["", " ", "unknown words only", "river", "river </s> stone cheap", "</s>", "a __label__other b", "__label__",
        f"{POSITIVE} river", "tab\tstone\vhouse\fnow\rbuy\0sell", "xinternationalization internationalisationx",
        "<river>", "\ud7ff \U0010ffff", "a" * 100, "ñ" * 40]


def _lines(n: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS + [f"w{i}" for i in range(30)], random.integers(0, 30))) for _ in range(n)]


def _model(folder: Path, negative: str = NEGATIVE, positive: str = POSITIVE, extra: str = "",
           **options: object) -> str:
    path = folder / "train.txt"
    lines = _lines(200, 1)
    path.write_text(extra + "".join(f"{positive if 'river' in line else negative} {line}\n" for line in lines),
                    encoding="utf-8")
    settings = {"dim": 8, "epoch": 20, "lr": 0.5, "bucket": 5000, "minCount": 2, "thread": 1, "verbose": 0, **options}
    model = fasttext.train_supervised(str(path), **settings)
    model.save_model(str(folder / "m.bin"))
    return str(folder / "m.bin")


def _reported(path: str, lines: list[str], positive: str = POSITIVE) -> np.ndarray:
    """What fastText's predict says of the positive label, less what it adds."""
    model = fasttext.load_model(path)
    labels, chances = model.f.multilinePredict([f"{line}\n" for line in lines], 2, -1.0, "strict")
    return np.array([dict(zip(names, found, strict=True)).get(positive, 0.5 + REPORTED_EXCESS)
                     for names, found in zip(labels, chances, strict=True)]) - REPORTED_EXCESS


@pytest.mark.parametrize("options", [
    {"wordNgrams": 1}, {"wordNgrams": 2}, {"wordNgrams": 4, "loss": "hs"}, {"wordNgrams": 2, "bucket": 1},
    {"wordNgrams": 1, "minn": 2, "maxn": 4}, {"wordNgrams": 3, "minn": 1, "maxn": 3, "loss": "hs"},
    {"wordNgrams": 2, "minn": 0, "maxn": 2, "dim": 1}, {"wordNgrams": 1, "minn": 5, "maxn": 5},
    {"wordNgrams": 2, "minCount": 1000, "bucket": 100}], ids=str)
def test_scores_are_fasttexts(tmp_path: Path, options: dict[str, object]) -> None:
    path = _model(tmp_path, **options)
    lines = [*HARD, *_lines(200, 2), *classifier_lines(pa.array(["Ein Fluß, 中国!"]), 99).to_pylist()]
    scorer = load_scorer(path)
    assert isinstance(scorer, FoldedModel)
    scores = scorer.score(pa.array(lines, pa.large_string()))
    np.testing.assert_allclose(scores, _reported(path, lines), atol=1e-6)
    assert scores.std() > 0.02
    other = load_scorer(path, NEGATIVE).score(pa.array(lines, pa.large_string()))
    np.testing.assert_allclose(other + scores, 1, atol=1e-6)


@pytest.mark.parametrize("options", [
    {"wordNgrams": 1}, {"wordNgrams": 2}, {"wordNgrams": 4, "loss": "hs"}, {"wordNgrams": 2, "bucket": 1},
    {"wordNgrams": 1, "minn": 2, "maxn": 4}, {"wordNgrams": 3, "minn": 1, "maxn": 3, "loss": "hs"},
    {"wordNgrams": 2, "minCount": 1000, "bucket": 100}, {"wordNgrams": 2, "loss": "ova"}], ids=str)
def test_exact_scores_are_fasttexts_to_the_last_digits(tmp_path: Path, options: dict[str, object]) -> None:
    path = _model(tmp_path, **{"epoch": 200, "lr": 1.0, "dim": 50, **options})
    lines = [*HARD, *_lines(100, 2), " ".join(_lines(400, 3))]
    texts = pa.array(lines, pa.large_string())
    scorer = load_scorer(path, exact=True)
    assert scorer.way == ("library" if "ova" in options.values() else "summed")
    worded = [i for i, line in enumerate(lines) if line.strip()]
    scores, reported = scorer.score(texts), np.clip(_reported(path, lines), 0, 1)
    np.testing.assert_allclose(scores[worded], reported[worded], atol=2e-7)
    some = np.array([3, len(lines) - 1])
    out = np.full(len(lines), 7, np.float32)
    scorer.score(texts, some, out)
    assert (out[some] == scores[some]).all()
    assert (out == 7).sum() == len(lines) - 2


def test_where_float32_sums_stray_fasttexts_own_are_taken(tmp_path: Path) -> None:
    path = _model(tmp_path, epoch=100, lr=1.0, dim=3, wordNgrams=2)
    words = " ".join(_lines(4000, 3)).split()
    lines = [" ".join(words[:n]) for n in range(2000, len(words), 9000)]
    lines += [" ".join([a, b] * n) for a in ("cheap", "w1") for b in ("river", "w2", "w3") for n in (10, 20_000)]
    texts, scorer, reported = pa.array(lines, pa.large_string()), load_scorer(path), _reported(path, lines)
    assert isinstance(scorer, FoldedModel)
    alone = dataclasses.replace(scorer, exact=None).score(texts)
    assert np.abs(alone - reported).max() > 2e-6  # the longest would differ
    assert np.abs(scorer.score(texts) - reported).max() < 1e-6
    assert (scorer.score(texts) == alone).any()


@pytest.mark.parametrize("loss", ["ova", "ns"])
def test_one_vs_all_follows_fasttexts_table(tmp_path: Path, loss: str) -> None:
    path = _model(tmp_path, loss=loss, wordNgrams=2)
    lines = [*HARD, *_lines(300, 2)]
    scorer = load_scorer(path)
    assert isinstance(scorer, FoldedModel)
    texts = pa.array(lines, pa.large_string())
    scores, reported = scorer.score(texts), _reported(path, lines)
    logit, _ = scorer.logits(texts, np.arange(len(lines)))
    away = np.abs(logit * 32 - np.round(logit * 32)) > 32e-5  # from the nearest edge of a bin of 1/32
    inside = away & (logit != 0)
    np.testing.assert_allclose(scores[inside], reported[inside], atol=1e-6)
    assert inside.mean() > 0.8


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
    path = _model(tmp_path, wordNgrams=1)
    scores = load_scorer(path).score(pa.array([twin, "river", "neverseen"], pa.large_string()))
    assert scores[0] == scores[2] != scores[1]
    np.testing.assert_allclose(scores, _reported(path, [twin, "river", "neverseen"]), atol=1e-6)


def test_the_folded_sum_is_the_models_arithmetic_in_float64(tmp_path: Path) -> None:
    path = _model(tmp_path, wordNgrams=1, dim=50)
    file = read_model_file(path)
    assert file.input_vectors is not None
    assert file.output_vectors is not None
    names = [bytes(file.words[a:b]).decode() for a, b in zip(file.word_offsets, file.word_offsets[1:], strict=False)]
    lines = [line for line in _lines(50, 5) if line]
    expected = []
    for line in lines:
        rows = [names.index(w) for w in [*line.split(), "</s>"] if w in names]
        mean = np.array(file.input_vectors, np.float64)[rows].mean(axis=0)
        logit = np.array(file.output_vectors, np.float64) @ mean
        expected.append(1 / (1 + np.exp(logit[1 - file.labels.index(POSITIVE)] - logit[file.labels.index(POSITIVE)])))
    scores = load_scorer(path).score(pa.array(lines, pa.large_string()))
    np.testing.assert_allclose(scores, expected, atol=1.2e-7)


def test_a_prefix_of_ones_own_and_dclms_labels(tmp_path: Path) -> None:
    path = _model(tmp_path, "__label__cc", "__label__hq", wordNgrams=2)
    lines = [*HARD, "a __label__hq b", *_lines(20, 3)]
    np.testing.assert_allclose(load_scorer(path).score(pa.array(lines, pa.large_string())),
                               _reported(path, lines, "__label__hq"), atol=1e-6)
    path = _model(tmp_path, "#bad", "#good", label="#", wordNgrams=2, minCount=1, extra="#good __label__word here\n")
    lines = ["#bad river", "__label__word here", "__label__other here", "#else x", *_lines(20, 3)]
    np.testing.assert_allclose(load_scorer(path, "#good").score(pa.array(lines, pa.large_string())),
                               _reported(path, lines, "#good"), atol=1e-6)


def test_quantised_models_and_more_labels_go_through_the_library(tmp_path: Path) -> None:
    model = fasttext.load_model(_model(tmp_path, dim=8, wordNgrams=2))
    lines = _lines(300, 6)
    texts = pa.array(lines, pa.large_string())
    folded = load_scorer(str(tmp_path / "m.bin")).score(texts)
    model.quantize(input=str(tmp_path / "train.txt"), retrain=False)
    model.save_model(str(tmp_path / "m.ftz"))
    scorer = load_scorer(str(tmp_path / "m.ftz"))
    assert isinstance(scorer, LibraryModel)
    assert np.corrcoef(scorer.score(texts), folded)[0, 1] > 0.9
    path = _model(tmp_path, extra="__label__third stone stone\n" * 30)
    scorer = load_scorer(path)
    assert isinstance(scorer, LibraryModel)
    sums = sum(load_scorer(path, label).score(texts) for label in ("positive", "negative", "third"))
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert scorer.score(pa.array(["a\nb", None], pa.large_string())).shape == (2,)


def test_only_the_chosen_rows_are_written(tmp_path: Path) -> None:
    path, lines = _model(tmp_path, wordNgrams=2), pa.array(_lines(10, 3), pa.large_string())
    for scorer in (load_scorer(path), LibraryModel(fasttext.load_model(path), POSITIVE)):
        out = np.full(10, -1, np.float32)
        scorer.score(lines, np.array([2, 5]), out)
        assert np.flatnonzero(out >= 0).tolist() == [2, 5]
        assert (out[[2, 5]] == scorer.score(lines)[[2, 5]]).all()


def test_a_changed_file_under_the_same_path_is_loaded_anew(tmp_path: Path) -> None:
    line = pa.array(["stone house sell w3", "buy now"], pa.large_string())
    path = _model(tmp_path, wordNgrams=1)
    first = load_scorer(path)
    before = first.score(line)
    assert load_scorer(path) is first
    Path(path).unlink()
    assert load_scorer(_model(tmp_path, wordNgrams=2)).score(line).tolist() != before.tolist()


def test_a_model_behind_a_url_scores_the_same(tmp_path: Path) -> None:
    path, lines = _model(tmp_path, wordNgrams=2), pa.array(_lines(5, 4), pa.large_string())
    fsspec.filesystem("memory").pipe_file("/models/m.bin", Path(path).read_bytes())
    assert (load_scorer("memory://models/m.bin").score(lines) == load_scorer(path).score(lines)).all()


def test_other_files_and_labels_are_refused_by_name(tmp_path: Path) -> None:
    path = _model(tmp_path, "__label__good", "__label__bad")
    with pytest.raises(InputError, match=r"which label.*__label__good"):
        load_scorer(path)
    with pytest.raises(InputError, match=r"no label 'better'.*__label__good"):
        load_scorer(path, "better")
    (tmp_path / "text.bin").write_text("no model")
    with pytest.raises(InputError, match=r"text\.bin.*no fastText model"):
        load_scorer(str(tmp_path / "text.bin"))
    whole = Path(path).read_bytes()
    for n in (60, 90, 150, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.bin").write_bytes(whole[:n])
        with pytest.raises(InputError, match="no fastText model"):
            load_scorer(str(tmp_path / "cut.bin"), "good")
    vectors = fasttext.train_unsupervised(str(tmp_path / "train.txt"), dim=4, minCount=1, thread=1, verbose=0, epoch=1)
    vectors.save_model(str(tmp_path / "vectors.bin"))
    with pytest.raises(InputError, match="word vectors"):
        load_scorer(str(tmp_path / "vectors.bin"))
