"""Models that name the language of a line: quantised ones such as lid.176 and those of a softmax such as GlotLID and
OpenLID compiled, any other through fastText."""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.fasttext.exact import word_table
from curate.fasttext.kernels.hierarchical_softmax import best_labels, huffman
from curate.fasttext.kernels.softmax import best_by_softmax
from curate.fasttext.model_file import SUPERVISED, FastTextFile, Loss, read_model_file
from curate.fasttext.quantised import QuantisedMatrices, read_quantised
from curate.text.strings import read_only, string_buffers
from manifests.errors import InputError


class LanguageModel(Protocol):
    """What names languages, however it does it."""

    def best(self, lines: pa.LargeStringArray) -> tuple[list[str | None], list[float]]:
        """(label, probability) of each line; null and 0 for a line without features."""
        ...


@dataclass(frozen=True, slots=True)
class HierarchicalSoftmax:
    """A quantised model with a hierarchical softmax: fastText's own float32 arithmetic over the Arrow buffers."""

    file: FastTextFile
    matrices: QuantisedMatrices
    table: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.uint8]
    label_offsets: npt.NDArray[np.int64]
    children: npt.NDArray[np.int32]

    def best(self, lines: pa.LargeStringArray) -> tuple[list[str | None], list[float]]:
        """As `LanguageModel.best`."""
        file, matrices = self.file, self.matrices
        data, offsets = string_buffers(lines)
        indices, probabilities = np.empty(len(lines), np.int64), np.empty(len(lines), np.float32)
        best_labels(read_only(data), read_only(offsets), (file.words, file.word_offsets, self.table),
                    self.labels, self.label_offsets, file.word_ngrams, (file.min_chars, file.max_chars),
                    matrices.inputs, matrices.outputs, (matrices.n_buckets, matrices.kept, matrices.ranks),
                    self.children, indices, probabilities)
        names = (*file.labels, None)  # -1 is the last of them
        return [names[label] for label in indices.tolist()], probabilities.tolist()


@dataclass(frozen=True, slots=True)
class Softmax:
    """A model of plain matrices with a softmax. They stay a map of the file, which the workers of a node share."""

    file: FastTextFile
    table: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.uint8]
    label_offsets: npt.NDArray[np.int64]

    def best(self, lines: pa.LargeStringArray) -> tuple[list[str | None], list[float]]:
        """As `LanguageModel.best`."""
        file = self.file
        data, offsets = string_buffers(lines)
        indices, probabilities = np.empty(len(lines), np.int64), np.empty(len(lines), np.float32)
        n_buckets = max(0, file.n_buckets)
        sizes = (file.n_words, n_buckets, file.min_chars, file.max_chars if n_buckets else 0)
        best_by_softmax(read_only(data), read_only(offsets), (file.words, file.word_offsets, self.table), self.labels,
                        self.label_offsets, max(1, file.word_ngrams), sizes, file.input_vectors, file.output_vectors,
                        indices, probabilities)
        names = (*file.labels, None)  # -1 is the last of them
        return [names[label] for label in indices.tolist()], probabilities.tolist()


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """Any other model, asked through fastText."""

    model: Any

    def best(self, lines: pa.LargeStringArray) -> tuple[list[str | None], list[float]]:
        """As `LanguageModel.best`."""
        labels, chances = self.model.predict(lines.to_pylist())
        return ([label[0] if len(label) else None for label in labels],
                [float(p[0]) if len(p) else 0.0 for p in chances])


@functools.lru_cache(maxsize=2)
def load_language_model(path: str) -> LanguageModel:
    """The model in a file, loaded once a process.

    Args:
        path: A local file of fastText's (.bin or .ftz).
    Returns:
        Compiled code where the model is quantised and has a hierarchical softmax, or is not and has a plain one, else
        fastText itself.
    Raises:
        InputError: It is none of fastText's models.
    """
    file = read_model_file(path)
    if file.kind == SUPERVISED and file.quantised and file.loss == Loss.HIERARCHICAL_SOFTMAX and len(file.labels) > 1:
        return hierarchical_softmax(file, path)
    if (file.kind == SUPERVISED and not file.quantised and file.n_pruned < 0 and file.loss == Loss.SOFTMAX
            and len(file.labels) > 1):
        labels, offsets = string_buffers(pa.array(file.labels, pa.large_string()))
        return Softmax(file, word_table(file), labels, np.ascontiguousarray(offsets))
    import fasttext

    try:
        return LibraryModel(fasttext.FastText._FastText(model_path=path))  # load_model of old versions prints to stderr
    except ValueError as error:
        raise InputError(f"is no fastText model: {error}", where=path) from error


def hierarchical_softmax(file: FastTextFile, path: str) -> HierarchicalSoftmax:
    """A quantised model ready to be asked. Raises InputError where its matrices are damaged."""
    try:
        matrices = read_quantised(file)
    except (ValueError, IndexError, struct.error) as error:
        raise InputError(f"is no fastText model: {error}", where=path) from error
    labels, offsets = string_buffers(pa.array(file.labels, pa.large_string()))
    children = np.zeros((len(file.labels) - 1, 2), np.int32)
    huffman(np.array(file.label_counts, np.int64), children)
    return HierarchicalSoftmax(file, matrices, word_table(file), labels, np.ascontiguousarray(offsets), children)
