"""A model scored with fastText's own float32 sums: its figures for any model and text, at a fraction of the speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.fasttext.kernels.features import fill_table
from curate.fasttext.kernels.sums import summed_scores
from curate.fasttext.model_file import FastTextFile, Loss
from curate.text.strings import string_buffers
from curate.text.words import read_only, read_only_offsets


@dataclass(frozen=True, slots=True)
class SummedModel:
    """A model's file with a hash table of its words. vectors stay a map of the file: only pages that are read count."""

    file: FastTextFile
    table: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.uint8]
    label_offsets: npt.NDArray[np.int64]
    positive: int

    @property
    def way(self) -> str:
        return "summed"

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """As `Scorer.score`."""
        file = self.file
        data, offsets = string_buffers(lines)
        chosen = np.arange(len(lines), dtype=np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        scores = np.zeros(len(lines), np.float32) if out is None else out
        found = np.zeros(len(lines), np.float32)
        n_buckets = max(0, file.n_buckets)
        sizes = (file.n_words, n_buckets, file.min_chars, file.max_chars if n_buckets else 0)
        summed_scores(read_only(data), read_only_offsets(offsets), chosen, file.words, file.word_offsets, self.table,
                      self.labels, self.label_offsets, max(1, file.word_ngrams), sizes, file.input_vectors,
                      file.output_vectors, self.positive, file.loss == Loss.HIERARCHICAL_SOFTMAX, found)
        scores[chosen] = found[chosen]
        return scores


def summed_model(file: FastTextFile, positive: str, table: npt.NDArray[np.uint64] | None = None) -> SummedModel | None:
    """None where the model is quantised, pruned, of more than two labels or of another loss than softmax and hs.

    table: of its words, where it has been filled before."""
    if (file.quantised or file.n_pruned >= 0 or len(file.labels) != 2
            or file.loss not in (Loss.SOFTMAX, Loss.HIERARCHICAL_SOFTMAX)):
        return None
    if table is None:
        table = np.zeros((1 << max(4, (2 * file.n_words).bit_length()), 2), np.uint64)
        fill_table(file.words, file.word_offsets, table)
    labels, offsets = string_buffers(pa.array(file.labels, pa.large_string()))
    return SummedModel(file, table, labels, np.ascontiguousarray(offsets), file.labels.index(positive))
