"""The compiled softmax against fastText's own predict, on models with labels of GlotLID's form."""

from __future__ import annotations

from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pytest

from curate.language.models import LibraryModel, Softmax, load_language_model

LABELS = [f"{a}{b}n_Latn" for a in "abcdef" for b in "aeiou"]


def line(seed: int, n: int = 12) -> str:
    """Words that 30 made languages have in different shares."""
    chance = np.random.default_rng(seed)
    stem = LABELS[seed % len(LABELS)][:2]
    words = ["".join(chance.choice(list("klmnrst")) + stem[1] for _ in range(1 + i % 3)) + stem[0] for i in range(n)]
    return " ".join(words)


@pytest.mark.parametrize("shape", [
    {"minn": 2, "maxn": 5, "bucket": 3000}, {"minn": 0, "maxn": 0},
    {"wordNgrams": 3, "bucket": 500, "minn": 1, "maxn": 3}])
def test_labels_and_probabilities_are_fasttexts(shape: dict[str, int], tmp_path: Path) -> None:
    lines = [f"__label__{LABELS[seed % len(LABELS)]} {line(seed)}" for seed in range(600)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    fasttext.train_supervised(str(tmp_path / "train.txt"), dim=17, epoch=6, lr=0.4, thread=1, verbose=0,
                              **shape).save_model(str(tmp_path / "model.bin"))
    loaded = load_language_model(str(tmp_path / "model.bin"))
    assert isinstance(loaded, Softmax)
    asked = [*(line(seed, 1 + seed % 40) for seed in range(400)), "", "zzz", "é\0à kake", "</s> kake",
             "__label__x kaka", "日本語 の テキスト", "kaka " * 3000]
    labels, probabilities = loaded.best(pa.array(asked, pa.large_string()))
    own = LibraryModel(fasttext.load_model(str(tmp_path / "model.bin"))).best(pa.array(asked, pa.large_string()))
    assert probabilities == pytest.approx(own[1], abs=2e-6)
    assert len({label for label in labels if label}) > 20
    # Of two that are as likely, either may be the best.
    assert sum(a != b for a, b in zip(labels, own[0], strict=True)) <= 2


def test_the_model_is_mapped_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n".join(f"__label__{LABELS[i % 3]} {line(i)}" for i in range(60)))
    fasttext.train_supervised(str(tmp_path / "train.txt"), dim=16, epoch=1, minn=2, maxn=3, bucket=100_000, thread=1,
                              verbose=0).save_model(str(tmp_path / "model.bin"))
    loaded = load_language_model(str(tmp_path / "model.bin"))
    assert isinstance(loaded, Softmax)
    vectors = loaded.file.input_vectors
    assert vectors is not None
    assert not vectors.flags.owndata
    assert not vectors.flags.writeable
