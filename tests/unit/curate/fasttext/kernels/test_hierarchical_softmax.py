"""Quantised language models, compiled, beside fastText's own predict."""

from __future__ import annotations

from pathlib import Path

import fasttext
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.language.models import HierarchicalSoftmax, LibraryModel, load_language_model
from manifests.errors import InputError

N_LABELS = {"few": 5, "pruned": 5, "many": 300}
WORDS = [f"{a}{b}{c}" for a in ("ba", "ko", "лу", "水", "é", "thi") for b in ("r", "nn", "жи", "火山", "")
         for c in "aeiouй木"]


@pytest.fixture(scope="module", params=list(N_LABELS))
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, HierarchicalSoftmax]:
    folder = tmp_path_factory.mktemp("lid")
    n = N_LABELS[request.param]
    lines = [f"__label__l{k % n} " + " ".join(WORDS[(k * 7 + i * (k % n + 1)) % len(WORDS)] for i in range(9))
             for k in range(2 * n + 300)]
    (folder / "train.txt").write_text("\n".join(lines))
    model = fasttext.train_supervised(str(folder / "train.txt"), dim=8, minn=2, maxn=4, epoch=3, lr=0.5, bucket=5000,
                                      loss="hs", thread=1, verbose=0, wordNgrams=2 if request.param == "few" else 1)
    model.quantize(str(folder / "train.txt"), cutoff=1000 if request.param == "pruned" else 0, retrain=False, verbose=0,
                   qnorm=request.param != "few", qout=request.param == "many", thread=1)
    path = str(folder / "model.ftz")
    model.save_model(path)
    ours = load_language_model(path)
    assert isinstance(ours, HierarchicalSoftmax)
    return path, ours


def assert_same(path: str, ours: HierarchicalSoftmax, texts: list[str]) -> None:
    theirs = LibraryModel(fasttext.FastText._FastText(model_path=path))
    lines = pa.array(texts, pa.large_string())
    labels, chances = ours.best(lines)
    wanted, probabilities = theirs.best(lines)
    for label, chance, label_wanted, probability in zip(labels, chances, wanted, probabilities, strict=True):
        assert chance == pytest.approx(probability, abs=2e-6)
        assert label == label_wanted or probability < 0.51  # near ties may fall either way
    assert ours.best(lines.slice(1)) == (labels[1:], chances[1:])  # whatever was met before


TOKENS = st.one_of(st.sampled_from([*WORDS, "</s>", "__label__l0", "__label__x", "<", ">", "a"]),
                   st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=6))


@settings(deadline=None)
@given(st.lists(st.lists(TOKENS, max_size=12).map(" ".join), min_size=1, max_size=6))
def test_labels_and_probabilities_are_fasttexts(models: tuple[str, HierarchicalSoftmax], texts: list[str]) -> None:
    assert_same(*models, texts)


def test_more_words_than_are_remembered(models: tuple[str, HierarchicalSoftmax]) -> None:
    texts = [" ".join(f"{WORDS[i % len(WORDS)]}{i // 7 + k}" for i in range(400)) for k in range(0, 40_000, 400)]
    assert_same(*models, texts * 2)


def test_a_damaged_model_is_named(models: tuple[str, HierarchicalSoftmax], tmp_path: Path) -> None:
    data = Path(models[0]).read_bytes()
    for size in (len(data) - 1, len(data) - len(data) // 8, len(data) // 2):
        (tmp_path / f"{size}.ftz").write_bytes(data[:size])
        with pytest.raises(InputError, match="no fastText model"):
            load_language_model(str(tmp_path / f"{size}.ftz"))
