"""Which files are models, which of their labels is the score, and which of them are loaded anew."""

from __future__ import annotations

from pathlib import Path

import fasttext
import fsspec
import numpy as np
import pyarrow as pa
import pytest

from curate.classifier.config import ClassifierConfig
from curate.classifier.scorers import POSITIVE, SCORERS, load_scorer
from curate.fasttext.library import LibraryScorer
from manifests.errors import InputError
from tests.unit.curate.fasttext.models import lines_of, strings, train_model


@pytest.mark.parametrize("kind", list(SCORERS))
def test_every_kind_is_trained_recognised_and_read(tmp_path: Path, kind: str) -> None:
    config = ClassifierConfig(kind=kind, buckets=1000, min_count=1, hashed_features=1 << 10)
    assert set(SCORERS[kind].settings) < set(ClassifierConfig.model_fields)
    lines = lines_of(200, 1)
    table = pa.table({"text": strings(lines), "positive": ["river" in line for line in lines]})
    path = str(tmp_path / "m.bin")
    SCORERS[kind].train(config, table, 1, path)
    assert Path(path).read_bytes().startswith(SCORERS[kind].magic)
    scores = load_scorer(path, POSITIVE).score(strings(["river stone river", "sell now cheap"]))
    assert scores[0] > 0.5 > scores[1]


def test_a_changed_file_under_the_same_path_is_loaded_anew(tmp_path: Path) -> None:
    line = strings(["stone house sell w3", "buy now"])
    path = train_model(tmp_path, wordNgrams=1)
    first = load_scorer(path)
    before = first.score(line)
    assert load_scorer(path) is first
    Path(path).unlink()
    assert load_scorer(train_model(tmp_path, wordNgrams=2)).score(line).tolist() != before.tolist()


def test_a_model_behind_a_url_scores_the_same(tmp_path: Path) -> None:
    path, lines = train_model(tmp_path, wordNgrams=2), strings(lines_of(5, 4))
    fsspec.filesystem("memory").pipe_file("/models/m.bin", Path(path).read_bytes())
    assert (load_scorer("memory://models/m.bin").score(lines) == load_scorer(path).score(lines)).all()


def test_other_files_and_labels_are_refused_by_name(tmp_path: Path) -> None:
    path = train_model(tmp_path, "__label__good", "__label__bad")
    with pytest.raises(InputError, match=r"which label.*__label__good"):
        load_scorer(path)
    with pytest.raises(InputError, match=r"no label 'better'.*__label__good"):
        load_scorer(path, "better")
    (tmp_path / "text.bin").write_text("no model")
    with pytest.raises(InputError, match=r"text\.bin.*no fastText model"):
        load_scorer(str(tmp_path / "text.bin"))
    content = Path(path).read_bytes()
    for n in (60, 90, 150, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.bin").write_bytes(content[:n])
        with pytest.raises(InputError, match="no fastText model"):
            load_scorer(str(tmp_path / "cut.bin"), "good")
    vectors = fasttext.train_unsupervised(str(tmp_path / "train.txt"), dim=4, minCount=1, thread=1, verbose=0, epoch=1)
    vectors.save_model(str(tmp_path / "vectors.bin"))
    with pytest.raises(InputError, match="word vectors"):
        load_scorer(str(tmp_path / "vectors.bin"))


def test_quantised_models_and_more_labels_go_through_the_library(tmp_path: Path) -> None:
    model = fasttext.load_model(train_model(tmp_path, dim=8, wordNgrams=2))
    lines = lines_of(300, 6)
    texts = strings(lines)
    exact = load_scorer(str(tmp_path / "m.bin")).score(texts)
    model.quantize(input=str(tmp_path / "train.txt"), retrain=False)
    model.save_model(str(tmp_path / "m.ftz"))
    scorer = load_scorer(str(tmp_path / "m.ftz"))
    assert isinstance(scorer, LibraryScorer)
    assert np.corrcoef(scorer.score(texts), exact)[0, 1] > 0.9
    path = train_model(tmp_path, extra="__label__third stone stone\n" * 30)
    scorer = load_scorer(path)
    assert isinstance(scorer, LibraryScorer)
    sums = sum(load_scorer(path, label).score(texts) for label in ("positive", "negative", "third"))
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert scorer.score(strings(["a\nb", None])).shape == (2,)
