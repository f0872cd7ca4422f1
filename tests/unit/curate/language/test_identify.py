"""Language identification against fastText's own predict and against labelled sentences."""

from __future__ import annotations

import gzip
from pathlib import Path

import fasttext
import pyarrow as pa
import pytest

from curate.language.download import LID_MODEL_BYTES, lid_model_path
from curate.language.identify import identify
from manifests.errors import InputError
from tests.paths import DATA


@pytest.fixture(scope="module")
def model() -> str:
    try:
        return str(lid_model_path())
    except InputError as error:
        pytest.skip(str(error))


def test_codes_and_scores_are_fasttexts(model: str) -> None:
    texts = ["The quick brown fox jumps over the lazy dog.",
             "Der schnelle braune\n\n Fuchs\tspringt.", "こんにちは世界、お元気ですか"]
    codes, scores, _ = identify(pa.array(texts, pa.large_string()))
    own = fasttext.load_model(model)
    for text, code, score in zip(texts, codes.to_pylist(), scores.to_pylist(), strict=True):
        ((probability, label),) = own.f.predict(" ".join(text.split()) + "\n", 1, 0.0, "strict")
        assert label == f"__label__{code}"
        assert score == pytest.approx(min(1.0, probability), abs=1e-6)
    assert codes.to_pylist() == ["en", "de", "ja"]


def test_texts_without_a_visible_character_have_no_language(model: str) -> None:
    column = pa.chunked_array([["", None, " \n\u00a0\t\u0085"], ["hello there, how are you today?"]])
    codes, scores, _ = identify(column)
    assert codes.to_pylist() == [None, None, None, "en"]
    assert scores.null_count == 3
    assert identify(pa.array([], pa.large_string()))[0].to_pylist() == []


def test_other_texts_of_the_batch_change_nothing(model: str) -> None:
    texts = [f"This is sentence number {i}, and it is in English." for i in range(20)]
    together = identify(pa.array(texts))[1].to_pylist()
    assert together == [identify(pa.array([t]))[1][0].as_py() for t in texts]


@pytest.mark.skipif(not DATA.exists(), reason="labelled sentences are not on this machine")
def test_real_sentences(model: str) -> None:
    with gzip.open(DATA / "langid/sentences.tsv.gz", "rt") as stream:
        rows = [line.rstrip("\n").split("\t", 1) for line in stream]
    wanted = [(c, t) for c, t in rows if c in ("en", "de", "fr", "ru", "ja")]
    codes, _, _ = identify(pa.array([t for _, t in wanted]))
    right = sum(a == b for a, (b, _) in zip(codes.to_pylist(), wanted, strict=True))
    assert len(wanted) >= 240
    assert right / len(wanted) > 0.95


def test_a_missing_model_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="curate models fetch"):
        lid_model_path()
    (tmp_path / "lid.176.ftz").write_bytes(b"\0" * (LID_MODEL_BYTES - 1))
    with pytest.raises(InputError, match="curate models fetch"):
        lid_model_path()
    with pytest.raises(InputError, match="no fastText model"):
        identify(pa.array(["text"]), str(tmp_path / "lid.176.ftz"))
