"""Scorers of plug-ins: scores that keep rules read as those of any other classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.plugins import Loaded
from manifests.tables import one_array


@dataclass(frozen=True, slots=True)
class PluginScorer:
    """A `scorers.Scorer` that asks a plug-in."""

    plugin: Loaded
    method: str = "plugin"

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """As of `scorers.Scorer`. Raises StageError where the plug-in raises, or gives no scores in 0 to 1."""
        texts = one_array(lines).cast(pa.large_string())
        given = texts if rows is None else texts.take(pa.array(rows))
        with self.plugin.blamed():
            found = self.plugin.object.scores(given)
        scores = self._checked(found, len(given))
        result = np.zeros(len(texts), np.float32) if out is None else out
        result[slice(None) if rows is None else rows] = scores
        return result

    def _checked(self, found: Any, n: int) -> npt.NDArray[np.float32]:
        try:
            array = found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else np.asarray(found)
            scores = array.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise self.plugin.wrong(f"returned {type(found).__name__}, not one number a text") from error
        if scores.shape != (n,):
            raise self.plugin.wrong(f"returned scores of shape {scores.shape} for {n} texts")
        bad = ~((scores >= 0) & (scores <= 1))
        if bad.any():
            raise self.plugin.wrong(f"returned the score {scores[bad][0]}, outside 0 to 1")
        return scores
