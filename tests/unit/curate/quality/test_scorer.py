"""The folded scorer against fastText's own predict."""

from __future__ import annotations

from pathlib import Path

import fasttext
import fsspec
import numpy as np
import pyarrow as pa
import pytest

from curate.quality.lines import classifier_lines
from curate.quality.scorer import NEGATIVE, POSITIVE, fold_model, load_scorer
from manifests.errors import InputError

WORDS = ["the", "of", "and", "größe", "weiß", "中", "国", "river", "stone", "house", "sell", "buy", "now",
         "cheap", "a", "b", "c", "é"]


def _lines(n: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS + [f"w{i}" for i in range(30)], random.integers(0, 30))) for _ in range(n)]


def _model(folder: Path, word_ngrams: int, label: str = NEGATIVE) -> fasttext.FastText._FastText:
    path = folder / "train.txt"
    lines = _lines(200, 1)
    path.write_text("".join(f"{POSITIVE if 'river' in line else label} {line}\n" for line in lines), encoding="utf-8")
    return fasttext.train_supervised(str(path), dim=8, epoch=20, lr=0.5, wordNgrams=word_ngrams, bucket=5000,
                                     minCount=2, thread=1, verbose=0)


@pytest.mark.parametrize("word_ngrams", [1, 2, 4])
def test_scores_are_fasttexts(tmp_path: Path, word_ngrams: int) -> None:
    model = _model(tmp_path, word_ngrams)
    lines = ["", "unknown words only", "river", *_lines(200, 2)]
    lines += classifier_lines(pa.array(["Ein Fluß, 中国!"]), 99).to_pylist()
    labels, chances = model.f.multilinePredict([f"{line}\n" for line in lines], 2, 0.0, "strict")
    expected = [c[list(names).index(POSITIVE)] for names, c in zip(labels, chances, strict=True)]
    scores = fold_model(model, "memory").score(pa.array(lines, pa.large_string()))
    # fastText adds 1e-5 to every probability before its logarithm.
    np.testing.assert_allclose(scores, np.array(expected) - 1e-5, atol=3e-6)
    assert scores.std() > 0.1


def test_only_the_chosen_rows_are_written(tmp_path: Path) -> None:
    scorer = fold_model(_model(tmp_path, 2), "memory")
    lines = pa.array(_lines(10, 3), pa.large_string())
    out = np.full(10, -1, np.float32)
    scorer.score(lines, np.array([2, 5]), out)
    assert np.flatnonzero(out >= 0).tolist() == [2, 5]
    assert (out[[2, 5]] == scorer.score(lines)[[2, 5]]).all()


def test_a_changed_file_under_the_same_path_is_loaded_anew(tmp_path: Path) -> None:
    path, line = str(tmp_path / "m.bin"), pa.array(["river stone house"], pa.large_string())
    _model(tmp_path, 1).save_model(path)
    first = load_scorer(path)
    assert load_scorer(path) is first
    _model(tmp_path, 2).save_model(path)
    assert load_scorer(path).score(line) != first.score(line)


def test_a_model_behind_a_url_scores_the_same(tmp_path: Path) -> None:
    path, lines = tmp_path / "m.bin", pa.array(_lines(5, 4), pa.large_string())
    _model(tmp_path, 2).save_model(str(path))
    fsspec.filesystem("memory").pipe_file("/models/m.bin", path.read_bytes())
    assert (load_scorer("memory://models/m.bin").score(lines) == load_scorer(str(path)).score(lines)).all()


def test_other_models_and_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no quality model"):
        fold_model(_model(tmp_path, 1, label="__label__other"), "somewhere")
    (tmp_path / "text.bin").write_text("no model")
    with pytest.raises(InputError, match=r"text\.bin"):
        load_scorer(str(tmp_path / "text.bin"))
