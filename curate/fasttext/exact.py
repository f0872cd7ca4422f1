"""A model of two labels scored over the Arrow buffers with fastText's own float32 arithmetic, and no Python per text.

Any supervised model of two labels that is neither quantised nor pruned, whatever its n-grams, subwords and loss:
softmax, hierarchical softmax, one-vs-all and negative sampling. A score is the probability itself: what fastText's
`predict` reports is greater by 1e-5, which it adds inside its logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.fasttext.kernels.features import fill_table
from curate.fasttext.kernels.sums import SOFTMAX, TABLE, TREE, label_scores
from curate.fasttext.model_file import FastTextFile, Loss
from curate.text.strings import read_only, string_buffers

_LOSSES: Final = {Loss.SOFTMAX: SOFTMAX, Loss.HIERARCHICAL_SOFTMAX: TREE, Loss.ONE_VS_ALL: TABLE,
                  Loss.NEGATIVE_SAMPLING: TABLE}


@dataclass(frozen=True, slots=True)
class ExactModel:
    """A model's file with a hash table of its words. Vectors stay a map of the file: only pages that are read count."""

    file: FastTextFile
    table: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.uint8]
    label_offsets: npt.NDArray[np.int64]
    positive: int

    @property
    def method(self) -> str:
        return "exact"

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Probability of the positive label, float32 [n]; a text without a feature scores one half.

        A text is one line, in which line feeds are spaces. rows: score only these, into `out` (float32 [n])."""
        file = self.file
        data, offsets = string_buffers(lines)
        chosen = np.arange(len(lines), dtype=np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        scores = np.zeros(len(lines), np.float32) if out is None else out
        n_buckets = max(0, file.n_buckets)
        sizes = (file.n_words, n_buckets, file.min_chars, file.max_chars if n_buckets else 0)
        label_scores(read_only(data), read_only(offsets), chosen, (file.words, file.word_offsets, self.table),
                     self.labels, self.label_offsets, max(1, file.word_ngrams), sizes, file.input_vectors,
                     file.output_vectors, self.positive, _LOSSES[Loss(file.loss)], scores)
        return scores


def exact_model(file: FastTextFile, positive: str) -> ExactModel | None:
    """None where the model is quantised, pruned, or of more than two labels. positive: the label that is the score."""
    if file.quantised or file.n_pruned >= 0 or len(file.labels) != 2:
        return None
    labels, offsets = string_buffers(pa.array(file.labels, pa.large_string()))
    return ExactModel(file, word_table(file), labels, np.ascontiguousarray(offsets), file.labels.index(positive))


def word_table(file: FastTextFile) -> npt.NDArray[np.uint64]:
    """The hash table of a model's words, as of `fill_table`."""
    table = np.zeros((1 << max(4, (2 * file.n_words).bit_length()), 2), np.uint64)
    fill_table(file.words, file.word_offsets, table)
    return table
