"""Models that only the fastText library scores."""

from __future__ import annotations

from pathlib import Path

import fasttext
import numpy as np

from curate.fasttext.library import LibraryScorer
from tests.unit.curate.fasttext.models import POSITIVE, lines_of, strings, train_model


def test_only_the_chosen_rows_are_written(tmp_path: Path) -> None:
    path, lines = train_model(tmp_path, wordNgrams=2), strings(lines_of(10, 3))
    scorer = LibraryScorer(fasttext.load_model(path), POSITIVE)
    out = np.full(10, -1, np.float32)
    scorer.score(lines, np.array([2, 5]), out)
    assert np.flatnonzero(out >= 0).tolist() == [2, 5]
    assert (out[[2, 5]] == scorer.score(lines)[[2, 5]]).all()
