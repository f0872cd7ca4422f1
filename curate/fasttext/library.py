"""Models that `exact` does not cover, scored by the fastText library: quantised, pruned, or of more than two labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_EXCESS: Final = 1e-5  # fastText's std_log(x) is log(x + 1e-5)
_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class LibraryScorer:
    """A model of the library. positive: the label whose probability is the score."""

    model: Any
    positive: str

    @property
    def method(self) -> str:
        return "library"

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """As `ExactModel.score`; a label that fastText does not report, and a text without features, score 0."""
        chosen = np.arange(len(lines), dtype=np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        scores = np.zeros(len(lines), np.float32) if out is None else out
        n_labels = len(self.model.get_labels())
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            texts = pc.replace_substring(lines.take(pa.array(batch)), "\n", " ").fill_null("").to_pylist()
            labels, chances = self.model.f.multilinePredict([f"{text}\n" for text in texts], n_labels, 0.0, "strict")
            for row, names, probabilities in zip(batch.tolist(), labels, chances, strict=True):
                chance = dict(zip(names, probabilities, strict=True)).get(self.positive, 0.0)
                scores[row] = min(1.0, max(0.0, chance - _EXCESS))
        return scores
