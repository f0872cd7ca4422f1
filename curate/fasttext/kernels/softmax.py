"""The best label of lines by a model of many labels whose loss is softmax: fastText's arithmetic, without fastText.

Features and their sums are those of `curate.fasttext.kernels.sums`; the matrices stay a map of the file, of which only
the rows that a line asks for are read."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from curate.fasttext.kernels.features import SUBWORDS, end_token, room_for, suspects_of, tokens
from curate.fasttext.kernels.sums import ROWS, add_line, dot
from curate.text.utf8 import longest

_ADDED = 1e-5  # inside fastText's logarithm


@nb.njit(nogil=True, cache=True)
def best_by_softmax(data, offsets, dictionary, labels, label_offsets,  # type: ignore[no-untyped-def]
                    word_ngrams, sizes, vectors, outputs, indices, probabilities):
    """Write each line's best label, -1 for a line without a feature, and its probability as fastText reports it.

    dictionary: words, their offsets, their table. sizes: (words, buckets, min_chars, max_chars). vectors, outputs:
    float32, both matrices."""
    words, word_offsets, table = dictionary
    size = longest(offsets)
    room, eos, suspects = room_for(size), end_token(words, word_offsets, table), suspects_of(labels, label_offsets)
    n_subwords = max(SUBWORDS, sizes[3])
    scratch = (np.empty((ROWS, 2), np.uint64), np.empty(max(ROWS + word_ngrams, n_subwords), np.int64),
               np.empty(size + 2, np.uint8), np.empty(n_subwords, np.uint32))
    total, logits = np.empty(vectors.shape[1], np.float32), np.empty(outputs.shape[0], np.float32)
    for row in range(indices.size):
        n = tokens(data, offsets[row], offsets[row + 1], eos[1], suspects, words, word_offsets, table, labels,
                   label_offsets, room)
        if add_line(data, n, eos, dictionary, word_ngrams, sizes, vectors, room, scratch, total) == 0:
            indices[row], probabilities[row] = -1, np.float32(0.0)
            continue
        best = 0
        for label in range(logits.size):
            logits[label] = dot(outputs[label], total)
            if logits[label] > logits[best]:
                best = label
        whole = np.float32(0.0)
        for label in range(logits.size):
            whole += np.float32(math.exp(logits[label] - logits[best]))
        indices[row] = best
        probabilities[row] = np.float32(np.float64(np.float32(1.0) / whole) + _ADDED)
