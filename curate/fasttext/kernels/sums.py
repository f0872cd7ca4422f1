"""Kernels of the exact scorer: fastText's own float32 sums in fastText's own order, over the features' whole vectors.

The folded scorer sums one float64 a feature; fastText adds float32 vectors, whose rounding grows with a text's length
and with the size of the vectors. Who needs fastText's figures to the last digits for any model sums vectors as it does.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from curate.fasttext.kernels.features import (
    _BLOCK,
    _EOS_BYTES,
    _add_byte,
    _find,
    _first_entries,
    _is_eos,
    _modulo,
    _number,
    _tokens,
    hash_bytes,
    suspects_of,
)

_NGRAM_FACTOR = np.uint64(116049371)
_FNV_OFFSET = np.uint32(2166136261)


_AHEAD = 16  # rows that are on their way while one is added
_CACHE_LINE = 64
_ROWS = 1024  # rows found before they are added


@intrinsic
def _fetch(typing, vectors, place):  # type: ignore[no-untyped-def]
    """Ask for the cache line of the byte at place (int64) behind the first of an array, without waiting for it."""
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
    size = 4 * vectors.shape[1]
    for offset in range(0, size, _CACHE_LINE):
        _fetch(vectors, np.int64(row * size + offset))  # type: ignore[call-arg]


@nb.njit(nogil=True, cache=True)
def _add_rows(vectors, rows, n, total):  # type: ignore[no-untyped-def]
    """Add vectors[rows[:n]] in this order."""
    for i in range(min(n, _AHEAD)):
        _fetch_row(vectors, rows[i])
    for i in range(n):
        if i + _AHEAD < n:
            _fetch_row(vectors, rows[i + _AHEAD])
        _add(vectors, rows[i], total)


@nb.njit(nogil=True, cache=True, inline="always")
def _add(vectors, row, total):  # type: ignore[no-untyped-def]
    for j in range(total.size):
        total[j] += vectors[row, j]


@nb.njit(nogil=True, cache=True)
def _subword_rows(data, start, end, sizes, rows):  # type: ignore[no-untyped-def]
    """Fill rows with those of the character n-grams of the word data[start:end] between `<` and `>`; returns how many.

    rows: longer than the word's bytes and two, times max_chars."""
    n_words, n_buckets, min_chars, max_chars = sizes
    word = np.empty(end - start + 2, np.uint8)
    word[0], word[word.size - 1] = 60, 62
    word[1 : word.size - 1] = data[start:end]
    count = 0
    for i in range(word.size):
        if (word[i] & 0xC0) == 0x80:
            continue
        h, j = _FNV_OFFSET, i
        for n in range(1, max_chars + 1):
            if j >= word.size:
                break
            h = _add_byte(h, word[j])
            j += 1
            while j < word.size and (word[j] & 0xC0) == 0x80:
                h = _add_byte(h, word[j])
                j += 1
            if n >= min_chars and not (n == 1 and (i == 0 or j == word.size)):
                rows[count] = n_words + np.int64(h) % n_buckets
                count += 1
    return count


@nb.njit(nogil=True, cache=True)
def _add_words(data, n, words, word_offsets, table, sizes, vectors, room, entries, rows, total):  # type: ignore[no-untyped-def]
    """Add what n words bring: their vectors where they are known, and their character n-grams; returns how many."""
    hashes, keys, starts, ends = room
    mask, q, count = np.int64(table.shape[0] - 1), 0, 0
    for i in range(n):
        if i % _BLOCK == 0:
            _first_entries(hashes, i, min(n, i + _BLOCK), mask, table, entries)
        start, end = starts[i], ends[i]
        if q + 1 + (end - start + 2) * sizes[3] > rows.size:
            _add_rows(vectors, rows, q, total)
            q = 0
            if 1 + (end - start + 2) * sizes[3] > rows.size:
                rows = np.empty(2 * (1 + (end - start + 2) * sizes[3]), np.int64)
        w = _number(data, start, end, hashes[i], keys[i], entries[i % _BLOCK], words, word_offsets, table)
        if w >= 0:
            rows[q] = w
            q, count = q + 1, count + 1
        if sizes[3] > 0 and not _is_eos(data, start, end):
            found = _subword_rows(data, start, end, sizes, rows[q:])
            q, count = q + found, count + found
    _add_rows(vectors, rows, q, total)
    return count


@nb.njit(nogil=True, cache=True)
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
            h = h * _NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[j])))
            rows[q] = sizes[0] + (np.int64(h % n_buckets) if small else _modulo(h, n_buckets, inverse))
            q, count = q + 1, count + 1
    _add_rows(vectors, rows, q, total)
    return count


@nb.njit(nogil=True, cache=True)
def hidden_of(data, offsets, row, words, word_offsets, table, labels, label_offsets,  # type: ignore[no-untyped-def]
              word_ngrams, sizes, vectors, suspects, room, total):
    """Write the mean of the vectors of a line's features to total, float32 [dim]; returns how many features it has.

    sizes: (words, buckets, min_chars, max_chars). room: (hashes, keys, starts, ends), for the line's words and one."""
    hashes, keys, starts, ends = room
    entries, rows = np.empty((_BLOCK, 2), np.uint64), np.empty(_ROWS + word_ngrams, np.int64)
    eos_text = np.array(_EOS_BYTES, np.uint8)
    eos_hash = hash_bytes(eos_text, 0, 4)
    total[:] = np.float32(0.0)
    n = _tokens(data, offsets[row], offsets[row + 1], eos_hash, suspects, words, word_offsets, table, labels,
                label_offsets, hashes, keys, starts, ends)
    whole = n < 0
    if whole:
        n = -1 - n
    count = _add_words(data, n, words, word_offsets, table, sizes, vectors, room, entries, rows, total)
    if not whole:
        hashes[n] = eos_hash
        n += 1
        eos = _find(eos_text, 0, 4, eos_hash, words, word_offsets, table)
        if eos >= 0:
            _add(vectors, eos, total)
            count += 1
    if sizes[1] > 0 and word_ngrams > 1:
        count += _add_ngrams(hashes, n, word_ngrams, sizes, vectors, rows, total)
    if count:
        share = np.float32(1.0 / np.float64(count))
        for j in range(total.size):
            total[j] *= share
    return count


@nb.njit(nogil=True, cache=True, inline="always")
def _dot(vector, total):  # type: ignore[no-untyped-def]
    found = np.float32(0.0)
    for j in range(total.size):
        found += vector[j] * total[j]
    return found


@nb.njit(nogil=True, cache=True)
def summed_scores(data, offsets, rows, words, word_offsets, table, labels, label_offsets,  # type: ignore[no-untyped-def]
                  word_ngrams, sizes, vectors, outputs, positive, tree, out):
    """Write the probability of label `positive` of texts `rows` to out[rows], float32; one half for a text without a
    feature, as for a logit of 0. vectors, outputs: float32, both matrices. tree: whether the loss is hierarchical."""
    longest = 0
    for row in rows:
        longest = max(longest, offsets[row + 1] - offsets[row])
    n = longest // 2 + 3
    room = np.empty(n, np.uint32), np.empty(n, np.uint64), np.empty(n, np.int64), np.empty(n, np.int64)
    total, suspects = np.empty(vectors.shape[1], np.float32), suspects_of(labels, label_offsets)
    for row in rows:
        hidden_of(data, offsets, row, words, word_offsets, table, labels, label_offsets, word_ngrams, sizes, vectors,
                  suspects, room, total)
        a = _dot(outputs[0], total)
        if tree:
            right = np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-a)))))
            out[row] = right if positive == 0 else np.float32(1.0) - right
            continue
        b = _dot(outputs[1], total)
        most = max(a, b)
        a, b = np.float32(math.exp(np.float32(a - most))), np.float32(math.exp(np.float32(b - most)))
        out[row] = (a if positive == 0 else b) / np.float32(a + b)
