"""fastText's own float32 sums in fastText's own order: the vectors of a line's features, and what two labels score.

Vectors are rounded as they are added, by a part of the sum's size, so a long text's sum depends on the order. Here it
is fastText's: words with their character n-grams, the line's end, word n-grams.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from curate.fasttext.kernels.features import (
    NGRAM_FACTOR,
    SUBWORDS,
    enclose,
    end_token,
    first_entries,
    is_eos,
    kernel,
    modulo,
    number_of,
    room_for,
    subword_hashes,
    suspects_of,
    tokens,
)

_AHEAD = 16  # rows that are on their way while one is added
_CACHE_LINE = 64
ROWS = 512  # rows found before they are added, and words before they are looked up; 4 KiB
SIGMOID_BINS = 512
SIGMOID_LIMIT = 8.0
SOFTMAX, TREE, TABLE = 0, 1, 2
"""What makes a probability of a mean vector: of two labels' softmax, the one node of their tree, fastText's table."""


@intrinsic
def _fetch(typing, vectors, offset):  # type: ignore[no-untyped-def]
    """Ask for the cache line of the byte at an offset (int64) behind the first of an array, without waiting for it."""
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(builder.bitcast(array.data, cgutils.voidptr_t), [arguments[1]])
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, flag, flag, flag])
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(vectors, types.int64), code


@nb.njit(nogil=True, cache=True, inline="always")
def _fetch_row(vectors, row):  # type: ignore[no-untyped-def]
    size = np.int64(4 * vectors.shape[1])
    for offset in range(0, size, _CACHE_LINE):
        _fetch(vectors, row * size + offset)  # type: ignore[call-arg]
    _fetch(vectors, row * size + size - 1)  # type: ignore[call-arg]  # matrices begin at odd bytes of a file


@nb.njit(nogil=True, cache=True, inline="always")
def add_row(vectors, row, total):  # type: ignore[no-untyped-def]
    """total += vectors[row]."""
    for j in range(total.size):
        total[j] += vectors[row, j]


@kernel
def _add_rows(vectors, rows, n, total):  # type: ignore[no-untyped-def]
    """Add vectors[rows[:n]] in this order."""
    for i in range(min(n, _AHEAD)):
        _fetch_row(vectors, rows[i])
    for i in range(n):
        if i + _AHEAD < n:
            _fetch_row(vectors, rows[i + _AHEAD])
        add_row(vectors, rows[i], total)


@kernel
def _add_subwords(data, start, end, sizes, vectors, scratch, total):  # type: ignore[no-untyped-def]
    """Add the vectors of the character n-grams of the word data[start:end]; returns how many."""
    n_words, n_buckets, min_chars, max_chars = sizes
    _, rows, word, hashes = scratch
    inverse = 1.0 / np.float64(n_buckets)
    size, first, count = enclose(data, start, end, word), 0, 0
    while first < size:
        n, first = subword_hashes(word, first, size, min_chars, max_chars, hashes)
        for k in range(n):
            rows[k] = n_words + modulo(np.uint64(hashes[k]), np.uint64(n_buckets), inverse)
        _add_rows(vectors, rows, n, total)
        count += n
    return count


@kernel
def _add_words(data, n, dictionary, sizes, vectors, room, scratch, total):  # type: ignore[no-untyped-def]
    """Add what n words bring: their vectors where they are known, and their character n-grams; returns how many."""
    words, word_offsets, table = dictionary
    hashes, keys, starts, ends = room
    entries, rows, _, _ = scratch
    q, count = 0, 0
    for i in range(n):
        if i % ROWS == 0:
            _add_rows(vectors, rows, q, total)
            q = 0
            first_entries(hashes, i, min(n, i + ROWS), table.shape[0] - 1, table, entries)
        w = number_of(data, starts[i], ends[i], hashes[i], keys[i], entries[i % ROWS, 0], entries[i % ROWS, 1],
                      words, word_offsets, table)
        if w >= 0:
            rows[q] = w
            q += 1
            count += 1
        if sizes[3] > 0 and not is_eos(data, starts[i], ends[i]):
            _add_rows(vectors, rows, q, total)
            q = 0
            count += _add_subwords(data, starts[i], ends[i], sizes, vectors, scratch, total)
    _add_rows(vectors, rows, q, total)
    return count


@kernel
def _add_ngrams(hashes, n, word_ngrams, sizes, vectors, rows, total):  # type: ignore[no-untyped-def]
    """Add the vectors of the 2- to word_ngrams-grams of hashes[:n]; returns how many."""
    q, count = 0, 0
    n_buckets = np.uint64(sizes[1])
    small, inverse = n_buckets < 4096, 1.0 / np.float64(n_buckets)
    for i in range(n):
        if q + word_ngrams > rows.size:
            _add_rows(vectors, rows, q, total)
            q = 0
        h = np.uint64(np.int64(np.int32(hashes[i])))
        for j in range(i + 1, min(n, i + word_ngrams)):
            h = h * NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[j])))
            rows[q] = sizes[0] + (np.int64(h % n_buckets) if small else modulo(h, n_buckets, inverse))
            q += 1
            count += 1
    _add_rows(vectors, rows, q, total)
    return count


@kernel
def add_line(data, n, eos, dictionary, word_ngrams, sizes, vectors, room, scratch, total):  # type: ignore[no-untyped-def]
    """Write the mean of the vectors of a line's features to total, float32 [dim]; returns how many features it has.

    n: its words, as of `tokens`. sizes: (words, buckets, min_chars, max_chars)."""
    hashes, cut = room[0], n < 0
    n = -1 - n if cut else n
    total[:] = np.float32(0.0)
    count = _add_words(data, n, dictionary, sizes, vectors, room, scratch, total)
    if not cut:
        hashes[n] = eos[1]
        n += 1
        if eos[0] >= 0:
            add_row(vectors, eos[0], total)
            count += 1
    if sizes[1] > 0 and word_ngrams > 1:
        count += _add_ngrams(hashes, n, word_ngrams, sizes, vectors, scratch[1], total)
    mean(total, count)
    return count


@kernel
def mean(total, count):  # type: ignore[no-untyped-def]
    """Divide a sum of vectors by their number, as fastText does: by one multiplication a dimension."""
    share = np.float32(1.0 / np.float64(count)) if count else np.float32(0.0)
    for j in range(total.size):
        total[j] *= share


@nb.njit(nogil=True, cache=True, inline="always")
def dot(vector, total):  # type: ignore[no-untyped-def]
    """The product of a row and a mean vector, summed in order."""
    result = np.float32(0.0)
    for j in range(total.size):
        result += vector[j] * total[j]
    return result


@nb.njit(nogil=True, cache=True)
def _table_logistic(x):  # type: ignore[no-untyped-def]
    """fastText's table of the logistic function, which one-vs-all and negative sampling read: 512 bins over [-8, 8]."""
    if x < -SIGMOID_LIMIT:
        return np.float32(0.0)
    if x > SIGMOID_LIMIT:
        return np.float32(1.0)
    slot = np.int64((np.float32(x) + np.float32(SIGMOID_LIMIT)) * np.float32(SIGMOID_BINS)
                    / np.float32(SIGMOID_LIMIT) / np.float32(2.0))
    start = np.float32(slot * 2.0 * SIGMOID_LIMIT / SIGMOID_BINS) - np.float32(SIGMOID_LIMIT)
    return np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-start)))))


@nb.njit(nogil=True, cache=True)
def _probability(outputs, positive, loss, total):  # type: ignore[no-untyped-def]
    """Of label `positive` (0 or 1), float32, from a mean vector."""
    if loss == TABLE:
        return _table_logistic(dot(outputs[positive], total))
    a = dot(outputs[0], total)
    if loss == TREE:
        # The second label, of the smaller count, is the left child; the node's logistic is the chance of the right one.
        right = np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-a)))))
        return right if positive == 0 else np.float32(1.0) - right
    b = dot(outputs[1], total)
    greater = max(a, b)
    a, b = np.float32(math.exp(np.float32(a - greater))), np.float32(math.exp(np.float32(b - greater)))
    return (a if positive == 0 else b) / np.float32(a + b)


@nb.njit(nogil=True, cache=True)
def label_scores(data, offsets, rows, dictionary, labels, label_offsets,  # type: ignore[no-untyped-def]
                 word_ngrams, sizes, vectors, outputs, positive, loss, out):
    """Write the probability of label `positive` of texts `rows` to out[rows], float32; one half for a text without a
    feature, as for a logit of 0.

    dictionary: words, their offsets, their table. vectors, outputs: float32, both matrices. loss: SOFTMAX, TREE or
    TABLE."""
    words, word_offsets, table = dictionary
    longest = 0
    for row in rows:
        longest = max(longest, offsets[row + 1] - offsets[row])
    room, eos, suspects = room_for(longest), end_token(words, word_offsets, table), suspects_of(labels, label_offsets)
    n_subwords = max(SUBWORDS, sizes[3])
    scratch = (np.empty((ROWS, 2), np.uint64), np.empty(max(ROWS + word_ngrams, n_subwords), np.int64),
               np.empty(longest + 2, np.uint8), np.empty(n_subwords, np.uint32))
    total = np.empty(vectors.shape[1], np.float32)
    for row in rows:
        n = tokens(data, offsets[row], offsets[row + 1], eos[1], suspects, words, word_offsets, table, labels,
                   label_offsets, room)
        add_line(data, n, eos, dictionary, word_ngrams, sizes, vectors, room, scratch, total)
        out[row] = _probability(outputs, positive, loss, total)
