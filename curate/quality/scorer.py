"""Scoring lines with a two-class fastText model, over the Arrow buffers and without a Python object per document.

fastText averages the vectors of a line's features and multiplies the mean with two output vectors. The product can be
taken first: each feature then has one number, its vector times the difference of the two output vectors, and a line's
score is the logistic function of the mean of its features' numbers. That is fastText's own arithmetic in another order
(equal to about 1e-6) at several times its speed, and it has no clipping: fastText's probabilities reach 1.00001.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import fasttext
import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.kernels.strings import string_buffers
from manifests.errors import InputError
from manifests.storage import digest_file, is_local, local_path, open_read

POSITIVE: Final = "__label__positive"
NEGATIVE: Final = "__label__negative"
_EOS = "</s>"  # fastText ends every line with it
_FNV_OFFSET, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
_NGRAM_FACTOR = np.uint64(116049371)


@nb.njit(nogil=True, cache=True, inline="always")
def _word_hash(data, p, end):  # type: ignore[no-untyped-def]
    """fastText's 32-bit FNV-1a, with its sign extension of bytes over 127."""
    h = _FNV_OFFSET
    while p < end:
        h = np.uint32(np.uint32(h ^ np.uint32(np.int8(data[p]))) * _FNV_PRIME)
        p += 1
    return h


@nb.njit(nogil=True, cache=True)
def _build(data, offsets, table):  # type: ignore[no-untyped-def]
    """Fill an open-addressing table (-1 free) with the numbers of words."""
    mask = np.int64(table.size - 1)
    for w in range(offsets.size - 1):
        j = np.int64(_word_hash(data, offsets[w], offsets[w + 1])) & mask
        while table[j] >= 0:
            j = (j + 1) & mask
        table[j] = w


@nb.njit(nogil=True, cache=True, inline="always")
def _find(data, p, end, h, words, word_offsets, table):  # type: ignore[no-untyped-def]
    """Number of the word data[p:end] with hash h, or -1."""
    mask = np.int64(table.size - 1)
    j = np.int64(h) & mask
    while table[j] >= 0:
        w = table[j]
        start = word_offsets[w]
        if word_offsets[w + 1] - start == end - p:
            k = 0
            while k < end - p and words[start + k] == data[p + k]:
                k += 1
            if k == end - p:
                return np.int64(w)
        j = (j + 1) & mask
    return np.int64(-1)


@nb.njit(nogil=True, cache=True, inline="always")
def _ngrams(h, n_before, running, word_ngrams, n_words, n_buckets, weights):  # type: ignore[no-untyped-def]
    """Sum of the weights of all n-grams that end in the word of hash h; `running` holds those of the words before."""
    signed = np.uint64(np.int64(np.int32(h)))
    total = 0.0
    for k in range(min(n_before, word_ngrams - 1), 0, -1):
        running[k] = running[k - 1] * _NGRAM_FACTOR + signed
        total += weights[n_words + np.int64(running[k] % n_buckets)]
    running[0] = signed
    return total


@nb.njit(nogil=True, cache=True)
def _score(data, offsets, rows, words, word_offsets, table, weights,  # type: ignore[no-untyped-def]
           eos, eos_hash, word_ngrams, n_buckets, out):
    """Write the probability of the positive class of the lines `rows` to out[rows]. Words are split at spaces."""
    n_words = np.int64(word_offsets.size - 1)
    running = np.zeros(word_ngrams + 1, np.uint64)
    for row in rows:
        p, end = offsets[row], offsets[row + 1]
        total, n_features, n_before = 0.0, 0, 0
        while True:
            while p < end and data[p] == 32:
                p += 1
            if p >= end:
                break
            start = p
            while p < end and data[p] != 32:
                p += 1
            h = _word_hash(data, start, p)
            w = _find(data, start, p, h, words, word_offsets, table)
            if w >= 0:
                total += weights[w]
                n_features += 1
            total += _ngrams(h, n_before, running, word_ngrams, n_words, n_buckets, weights)
            n_features += min(n_before, word_ngrams - 1)
            n_before += 1
        if eos >= 0:
            total += weights[eos]
            n_features += 1
        total += _ngrams(eos_hash, n_before, running, word_ngrams, n_words, n_buckets, weights)
        n_features += min(n_before, word_ngrams - 1)
        out[row] = 1.0 / (1.0 + math.exp(-total / max(n_features, 1)))


@nb.njit(nogil=True, cache=True)
def _fold(vectors, difference):  # type: ignore[no-untyped-def]
    """vectors @ difference in float64 with a fixed order of additions, which a BLAS does not promise."""
    out = np.empty(vectors.shape[0], np.float32)
    for i in range(vectors.shape[0]):
        total = 0.0
        for j in range(vectors.shape[1]):
            total += np.float64(vectors[i, j]) * np.float64(difference[j])
        out[i] = total
    return out


@dataclass(frozen=True, slots=True)
class Scorer:
    """A folded model. Words as bytes and offsets, their hash table, and one weight for each word and bucket."""

    words: npt.NDArray[np.uint8]
    word_offsets: npt.NDArray[np.int64]
    table: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    eos: int
    word_ngrams: int
    n_buckets: int

    def score(self, lines: pa.Array[Any] | pa.ChunkedArray[Any], rows: npt.NDArray[np.int64] | None = None,
              out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Probability of the positive class, float32 [n], of lines made by `classifier_lines`.

        rows: score only these, into `out` (float32 [n]), so that several models can share one result."""
        data, offsets = string_buffers(lines)
        n = len(offsets) - 1
        scores = np.zeros(n, np.float32) if out is None else out
        chosen = np.arange(n, dtype=np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        eos = np.frombuffer(_EOS.encode(), np.uint8)
        _score(data, np.ascontiguousarray(offsets), chosen, self.words, self.word_offsets, self.table, self.weights,
               np.int64(self.eos), _word_hash(eos, np.int64(0), np.int64(len(eos))), np.int64(self.word_ngrams),
               np.uint64(self.n_buckets), scores)
        return scores


def fold_model(model: fasttext.FastText._FastText, where: str) -> Scorer:
    """Fold a supervised softmax model with the two labels of this project; raises InputError for any other."""
    labels, arguments = model.get_labels(), model.f.getArgs()
    if sorted(labels) != [NEGATIVE, POSITIVE] or arguments.maxn > 0 or model.is_quantized():
        raise InputError(f"is no quality model: it has the labels {sorted(labels)[:4]}", where=where,
                         hint="train one with the classifier stage")
    words = model.get_words()
    text = pa.array(words, pa.large_string())
    data, offsets = string_buffers(text)
    offsets = np.ascontiguousarray(offsets)
    table = np.full(1 << max(4, (2 * len(words)).bit_length()), -1, np.int32)
    _build(data, offsets, table)
    output = model.get_output_matrix()
    positive = labels.index(POSITIVE)
    weights = _fold(np.ascontiguousarray(model.get_input_matrix()), output[positive] - output[1 - positive])
    return Scorer(data, offsets, table, weights, words.index(_EOS) if _EOS in words else -1, arguments.wordNgrams,
                  len(weights) - len(words) if arguments.wordNgrams > 1 else 1)


def load_scorer(path: str) -> Scorer:
    """The scorer of a model file (local or URL), kept in this process for as long as the file's bytes are the same."""
    return _load(path, digest_file(path))


@lru_cache(maxsize=65)  # every fold and the whole
def _load(path: str, digest: str) -> Scorer:
    if not is_local(path):
        return _load_remote(path)
    try:
        return fold_model(fasttext.load_model(local_path(path)), path)
    except ValueError as error:
        raise InputError(f"is no fastText model: {error}", where=path) from error


def _load_remote(path: str) -> Scorer:
    with tempfile.NamedTemporaryFile(suffix=".bin") as copy, open_read(path) as stream:
        shutil.copyfileobj(stream, copy)
        copy.flush()
        return fold_model(fasttext.load_model(copy.name), path)
