"""Kernels of the exact scorer: fastText's own float32 sums in fastText's own order, over the features' whole vectors.

The folded scorer sums one float64 a feature; fastText adds float32 vectors, whose rounding grows with a text's length
and with the size of the vectors. Who needs fastText's figures to the last digits for any model sums vectors as it does.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from curate.kernels.linear import _EOS_BYTES, _add_byte, _find, _is_eos, _tokens, hash_bytes, suspects_of

_NGRAM_FACTOR = np.uint64(116049371)
_FNV_OFFSET = np.uint32(2166136261)


@nb.njit(nogil=True, cache=True, inline="always")
def _add(vectors, row, total):  # type: ignore[no-untyped-def]
    for j in range(total.size):
        total[j] += vectors[row, j]


@nb.njit(nogil=True, cache=True)
def _add_subwords(word, min_chars, max_chars, n_words, n_buckets, vectors, total):  # type: ignore[no-untyped-def]
    """Add the vectors of the character n-grams of a word between `<` and `>`; returns how many."""
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
                _add(vectors, n_words + np.int64(h) % n_buckets, total)
                count += 1
    return count


@nb.njit(nogil=True, cache=True)
def _add_word(data, start, end, w, sizes, vectors, total):  # type: ignore[no-untyped-def]
    """Add what a word brings: its own vector where it is known, and its character n-grams; returns how many."""
    n_words, n_buckets, min_chars, max_chars = sizes
    count = 0
    if w >= 0:
        _add(vectors, w, total)
        count += 1
    if max_chars <= 0 or _is_eos(data, start, end):
        return count
    word = np.empty(end - start + 2, np.uint8)
    word[0], word[word.size - 1] = 60, 62  # < and >
    word[1 : word.size - 1] = data[start:end]
    return count + _add_subwords(word, min_chars, max_chars, n_words, n_buckets, vectors, total)


@nb.njit(nogil=True, cache=True)
def hidden_of(data, offsets, row, words, word_offsets, table, labels, label_offsets,  # type: ignore[no-untyped-def]
              word_ngrams, sizes, vectors, suspects, room, total):
    """Write the mean of the vectors of a line's features to total, float32 [dim]; returns how many features it has.

    sizes: (words, buckets, min_chars, max_chars). room: (hashes, keys, starts, ends), for the line's words and one."""
    hashes, keys, starts, ends = room
    eos_text = np.array(_EOS_BYTES, np.uint8)
    eos_hash = hash_bytes(eos_text, 0, 4)
    total[:] = np.float32(0.0)
    n = _tokens(data, offsets[row], offsets[row + 1], eos_hash, suspects, words, word_offsets, table, labels,
                label_offsets, hashes, keys, starts, ends)
    whole = n < 0
    if whole:
        n = -1 - n
    count = 0
    for i in range(n):
        w = _find(data, starts[i], ends[i], hashes[i], words, word_offsets, table)
        count += _add_word(data, starts[i], ends[i], w, sizes, vectors, total)
    if not whole:
        hashes[n] = eos_hash
        n += 1
        eos = _find(eos_text, 0, 4, eos_hash, words, word_offsets, table)
        if eos >= 0:
            _add(vectors, eos, total)
            count += 1
    for i in range(n if sizes[1] > 0 else 0):
        h = np.uint64(np.int64(np.int32(hashes[i])))
        for j in range(i + 1, min(n, i + word_ngrams)):
            h = h * _NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[j])))
            _add(vectors, sizes[0] + np.int64(h % np.uint64(sizes[1])), total)
            count += 1
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
