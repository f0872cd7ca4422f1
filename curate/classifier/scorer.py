"""Scoring texts with a fastText model of two labels, over the Arrow buffers and without a Python object per document.

fastText averages the vectors of a line's features and multiplies the mean with its output vectors. The product can be
taken first: each feature then has one number, its vector times the difference of the two output vectors, and a text's
score is the logistic function of the mean of its features' numbers. That is fastText's own arithmetic in another order
at several times its speed. It holds for any supervised model of two labels, whatever its n-grams, subwords and loss:

    softmax                  logistic of (output[positive] - output[other]) . mean
    hierarchical softmax     logistic of output[0] . mean, or one less that: the tree of two labels has one node
    one-vs-all, negative     fastText's 512-bin table of the logistic function at output[positive] . mean
    sampling

Quantised models, pruned ones and those of more labels go through the library, with the same interface and more slowly.
A score is the probability itself: what fastText's `predict` reports is greater by 1e-5, which it adds inside its
logarithm.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.hashed import HASHED_MAGIC, HashedModel, read_hashed
from curate.fasttext.exact import SummedModel, summed_model
from curate.fasttext.kernels.features import (
    add_subwords,
    binned_logistic,
    fill_table,
    fold_rows,
    logistic,
    logits,
)
from curate.fasttext.kernels.rounding import stray_shape
from curate.fasttext.model_file import SUPERVISED, FastTextFile, Loss, read_model_file
from curate.text.strings import string_buffers
from manifests.errors import InputError
from manifests.storage import digest_file, is_local, local_path, open_read

POSITIVE: Final = "__label__positive"
NEGATIVE: Final = "__label__negative"
KNOWN_POSITIVES: Final = (POSITIVE, "__label__hq", "__label__1", "__label__pos")
"""Labels taken for the positive one where none is named: this project's, DCLM's, and two habits."""

MAX_STRAY: Final = 1e-6
"""Greatest difference to fastText's probability, where its loss is softmax or hierarchical softmax."""
_DOUBT = 2.0  # estimated standard deviations; they are generous, see docs/classifier.md

_EOS = np.frombuffer(b"</s>", np.uint8)
_FOLD_ROWS = 1 << 16
_LIBRARY_EXCESS = 1e-5  # fastText's std_log(x) is log(x + 1e-5)
_LIBRARY_BATCH = 256


class Scorer(Protocol):
    """What scores lines, however it does it. way: `folded`, `summed`, `library` or `hashed`, as counters name it."""

    @property
    def way(self) -> str: ...

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Probability of the positive label, float32 [n]; a text is one line, in which line feeds are spaces.

        rows: score only these, into `out` (float32 [n]), so that several models can share one result."""
        ...


@dataclass(frozen=True, slots=True)
class FoldedModel:
    """A folded model: words as bytes and offsets, their hash table, and one number for each word and bucket.

    weights, counts: of each word with its character n-grams, float32 and int32 [n_words]. buckets: float32, of word
    and character n-grams. binned: whether the loss reads fastText's table. shape: of `stray_shape`. exact: scores the
    texts whose probability by fastText's own float32 sums may differ from ours by more than MAX_STRAY."""

    words: npt.NDArray[np.uint8]
    word_offsets: npt.NDArray[np.int64]
    table: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]
    labels: npt.NDArray[np.uint8]
    label_offsets: npt.NDArray[np.int64]
    buckets: npt.NDArray[np.float32]
    word_ngrams: int
    min_chars: int
    max_chars: int
    binned: bool
    shape: tuple[float, float]
    exact: SummedModel | None

    @property
    def way(self) -> str:
        return "folded"

    def logits(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64]) -> tuple[
            npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(the mean weight of each text's features, by how much fastText's may stray), float64 [n] each, written for
        `rows` alone (0 elsewhere)."""
        data, offsets = string_buffers(lines)
        out, strays = np.zeros((2, len(offsets) - 1), np.float64)
        logits(data, np.ascontiguousarray(offsets), rows, self.words, self.word_offsets, self.table, self.weights,
               self.counts, self.labels, self.label_offsets, self.buckets, np.int64(self.word_ngrams),
               np.int64(self.min_chars), np.int64(self.max_chars), self.shape, out, strays)
        return out, strays

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """As `Scorer.score`."""
        chosen = np.arange(len(lines), dtype=np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        scores = np.zeros(len(lines), np.float32) if out is None else out
        values, strays = (array[chosen] for array in self.logits(lines, chosen))
        found = binned_logistic(values) if self.binned else logistic(values)
        scores[chosen] = found
        if self.exact is not None:
            doubtful = chosen[_DOUBT * found * (1 - found) * strays > MAX_STRAY]
            if len(doubtful):
                self.exact.score(lines, doubtful, scores)
        return scores


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """A model that cannot be folded, scored by fastText's own predict."""

    model: Any
    positive: str

    @property
    def way(self) -> str:
        return "library"

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """As `Scorer.score`; a label that fastText does not report, and a text without features, score 0."""
        chosen = np.arange(len(lines), dtype=np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        scores = np.zeros(len(lines), np.float32) if out is None else out
        n_labels = len(self.model.get_labels())
        for start in range(0, len(chosen), _LIBRARY_BATCH):
            batch = chosen[start : start + _LIBRARY_BATCH]
            texts = pc.replace_substring(lines.take(pa.array(batch)), "\n", " ").fill_null("").to_pylist()
            labels, chances = self.model.f.multilinePredict([f"{text}\n" for text in texts], n_labels, 0.0, "strict")
            for row, names, found in zip(batch.tolist(), labels, chances, strict=True):
                chance = dict(zip(names, found, strict=True)).get(self.positive, 0.0)
                scores[row] = min(1.0, max(0.0, chance - _LIBRARY_EXCESS))
        return scores


def fold_model(file: FastTextFile, positive: str) -> FoldedModel | None:
    """Fold a model; None where it cannot be: more than two labels, quantised, or a pruned dictionary."""
    if file.input_vectors is None or file.output_vectors is None or file.n_pruned >= 0 or len(file.labels) != 2:
        return None
    direction, binned = _direction(file, file.labels.index(positive))
    numbers = np.empty(len(file.input_vectors), np.float32)
    for start in range(0, len(numbers), _FOLD_ROWS):  # so that no more of the map than this is in memory
        block = np.array(file.input_vectors[start : start + _FOLD_ROWS], np.float32)
        fold_rows(block, direction, numbers[start : start + _FOLD_ROWS])
    table = np.zeros((1 << max(4, (2 * file.n_words).bit_length()), 2), np.uint64)
    fill_table(file.words, file.word_offsets, table)
    weights, counts = numbers[: file.n_words].astype(np.float64), np.ones(file.n_words, np.int32)
    buckets = np.ascontiguousarray(numbers[file.n_words : file.n_words + max(0, file.n_buckets)])
    word_ngrams, max_chars = (file.word_ngrams, file.max_chars) if len(buckets) else (1, 0)
    if max_chars > 0:
        eos = _number_of(file, _EOS.tobytes())
        add_subwords(file.words, file.word_offsets, np.int64(eos), np.int64(file.min_chars), np.int64(max_chars),
                     np.uint64(len(buckets)), buckets, weights, counts)
    labels, label_offsets = string_buffers(pa.array(file.labels, pa.large_string()))
    return FoldedModel(file.words, file.word_offsets, table, weights.astype(np.float32), counts, labels,
                       np.ascontiguousarray(label_offsets), buckets, max(1, word_ngrams), file.min_chars, max_chars,
                       binned, stray_shape(np.array(file.input_vectors[: min(file.n_words, _FOLD_ROWS)]), direction),
                       summed_model(file, positive, table))


def _direction(file: FastTextFile, positive: int) -> tuple[npt.NDArray[np.float64], bool]:
    """(vector whose product with the mean is the positive label's logit, whether fastText's table follows)."""
    assert file.output_vectors is not None
    output = np.array(file.output_vectors, np.float64)
    if file.loss in (Loss.ONE_VS_ALL, Loss.NEGATIVE_SAMPLING):
        return output[positive], True
    if file.loss == Loss.HIERARCHICAL_SOFTMAX:
        # Huffman's tree over labels of falling count: the second is the left child, and the node's logistic is the
        # chance of the right one.
        return (output[0] if positive == 0 else -output[0]), False
    return output[positive] - output[1 - positive], False


def _number_of(file: FastTextFile, word: bytes) -> int:
    """Place of a word in the dictionary, or -1."""
    sizes = np.diff(file.word_offsets)
    for place in np.flatnonzero(sizes == len(word)).tolist():
        start = int(file.word_offsets[place])
        if file.words[start : start + len(word)].tobytes() == word:
            return int(place)
    return -1


def positive_label(labels: tuple[str, ...], wanted: str | None, where: str) -> str:
    """The label whose probability is the score; raises InputError where it cannot be told, or is not there."""
    named = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
    if wanted is not None:
        full = wanted if wanted in labels else f"__label__{wanted}"
        if full in labels:
            return full
        raise InputError(f"has no label {wanted!r}", where=where, hint=f"its labels are {named}")
    known = [label for label in KNOWN_POSITIVES if label in labels]
    if len(known) != 1:
        raise InputError("does not say which label is the positive one", where=where,
                         hint=f"name one of its labels: {named}")
    return known[0]


def load_scorer(path: str, label: str | None = None, exact: bool = False) -> Scorer:
    """The scorer of a model file (local or URL), kept in this process for as long as the file's bytes are the same.

    path: a fastText .bin or .ftz, or a hashed logistic regression of this project. label: the positive one, with or
    without `__label__`; by default one of KNOWN_POSITIVES. exact: sum vectors as fastText does, or ask it, instead
    of folding. Raises InputError where the file is no such model."""
    return _load(path, digest_file(path), label, exact)


@lru_cache(maxsize=65)  # every fold and the whole
def _load(path: str, digest: str, label: str | None, exact: bool) -> Scorer:
    if is_local(path):
        return _read(local_path(path), path, label, exact)
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "model.bin")
        with open_read(path) as stream, open(copy, "wb") as target:
            shutil.copyfileobj(stream, target)
        return _read(copy, path, label, exact)


def _read(local: str, path: str, label: str | None, exact: bool) -> Scorer:
    with open_read(local) as stream:
        head = stream.read(len(HASHED_MAGIC))
    if head == HASHED_MAGIC:
        return read_hashed(local)
    file = read_model_file(local)
    if file.kind != SUPERVISED:
        raise InputError("is a fastText model of word vectors, not a classifier", where=path,
                         hint="train one with `curate classifier train`")
    positive = positive_label(file.labels, label, path)
    known: Scorer | None = summed_model(file, positive) if exact else fold_model(file, positive)
    if known is not None:
        return known
    import fasttext

    return LibraryModel(fasttext.load_model(local), positive)


__all__ = ["KNOWN_POSITIVES", "NEGATIVE", "POSITIVE", "FoldedModel", "HashedModel", "LibraryModel", "Scorer",
           "fold_model", "load_scorer", "positive_label"]
