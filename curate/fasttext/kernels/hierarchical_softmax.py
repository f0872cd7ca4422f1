"""Kernels of a classifier of many labels whose loss is a tree: fastText's arithmetic, line by line, without fastText.

Features are those of `curate.fasttext.kernels.features`. Sums are float32, word by word; the best leaf of the tree is
found as fastText finds it, by a walk that leaves every branch that cannot win any more (HierarchicalSoftmaxLoss::dfs).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numba as nb
import numpy as np

from curate.fasttext.kernels.features import (
    _EOS_BYTES,
    _add_byte,
    _find,
    _is_eos,
    _modulo,
    _same,
    _tokens,
    hash_bytes,
    suspects_of,
)

_NGRAM_FACTOR = np.uint64(116049371)
_FNV_OFFSET = np.uint32(2166136261)
_ADDED = 1e-5  # inside fastText's logarithm
_NOTHING = np.int64(-1)
# Without numba's reference counts: these call each other for every word, and allocate nothing.
_kernel: Final[Any] = nb.njit(nogil=True, cache=True, _nrt=False)  # type: ignore[call-overload]
_SLOTS = 1 << 14  # words that are remembered
_ONE = np.uint64(1)
_PAIRS, _QUADS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)  # of the count of a number's bits
_BYTES, _ONES = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


@nb.njit(nogil=True, cache=True)
def huffman(counts, children):  # type: ignore[no-untyped-def]
    """Fill children int32 [labels - 1, 2] of the inner nodes, which are numbered after the labels. counts: int64
    [labels], falling."""
    n = counts.size
    size = np.full(2 * n - 1, np.int64(10) ** 15)
    size[:n] = counts
    leaf, node = n - 1, n
    for i in range(n, 2 * n - 1):
        for side in range(2):
            if leaf >= 0 and size[leaf] < size[node]:
                children[i - n, side] = leaf
                leaf -= 1
            else:
                children[i - n, side] = node
                node += 1
        size[i] = size[children[i - n, 0]] + size[children[i - n, 1]]


@nb.njit(nogil=True, cache=True, inline="always")
def _add(vectors, row, total):  # type: ignore[no-untyped-def]
    for j in range(total.size):
        total[j] += vectors[row, j]


@nb.njit(nogil=True, cache=True, inline="always")
def _add_bucket(vectors, buckets, bucket, total):  # type: ignore[no-untyped-def]
    """Add the vector of a bucket, if the model kept it; whether it did. Its row is told by the bits before its own."""
    _, kept, ranks = buckets
    bits = kept[bucket >> 6] >> np.uint64(bucket & 63)
    if not bits & _ONE:
        return 0
    row = ranks[bucket >> 6]
    v = kept[bucket >> 6] ^ (bits << np.uint64(bucket & 63))
    v = v - ((v >> _ONE) & _PAIRS)
    v = (v & _QUADS) + ((v >> np.uint64(2)) & _QUADS)
    v = (v + (v >> np.uint64(4))) & _BYTES
    _add(vectors, row + np.int64((v * _ONES) >> np.uint64(56)), total)
    return 1


@_kernel
def _add_subwords(word, size, min_chars, max_chars, vectors, buckets, total):  # type: ignore[no-untyped-def]
    """Add the vectors of the character n-grams of word[:size]; returns how many there are."""
    count, n_buckets, inverse = 0, np.uint64(buckets[0]), 1.0 / np.float64(buckets[0])
    for i in range(size):
        if (word[i] & 0xC0) == 0x80:
            continue
        h, j = _FNV_OFFSET, i
        for n in range(1, max_chars + 1):
            if j >= size:
                break
            h = _add_byte(h, word[j])
            j += 1
            while j < size and (word[j] & 0xC0) == 0x80:
                h = _add_byte(h, word[j])
                j += 1
            if n >= min_chars and not (n == 1 and (i == 0 or j == size)):
                count += _add_bucket(vectors, buckets, _modulo(np.uint64(h), n_buckets, inverse), total)
    return count


@_kernel
def _add_word(data, start, end, h, chars, dictionary, vectors, buckets, memory, total):  # type: ignore[no-untyped-def]
    """Add what the word data[start:end] brings; returns how many features that is.

    Most words of a batch have been met before. memory: (places int64 [slots, 2], sums float32 [slots, dim], counts),
    what was met last in each slot; a sum is the same whether it is remembered or made anew."""
    places, sums, counts, word = memory
    slot = np.int64(h) & (counts.size - 1)
    if not _same(data, start, end, data, places[slot, 0], places[slot, 1]):
        places[slot, 0], places[slot, 1] = start, end
        own = sums[slot]
        own[:] = np.float32(0.0)
        w = _find(data, start, end, h, dictionary[0], dictionary[1], dictionary[2])
        counts[slot] = w >= 0
        if w >= 0:
            _add(vectors, w, own)
        if chars[1] > 0 and not _is_eos(data, start, end):
            size = end - start + 2
            word[0], word[size - 1] = 60, 62  # < and >
            for k in range(end - start):  # a slice would be copied first
                word[k + 1] = data[start + k]
            counts[slot] += _add_subwords(word, size, chars[0], chars[1], vectors, buckets, own)
    _add(sums, slot, total)
    return counts[slot]


@_kernel
def _mean(data, n, whole, eos, chars, word_ngrams, dictionary, vectors, buckets, memory, room, total):  # type: ignore[no-untyped-def]
    """Write the mean vector of the features of a line's n words; returns how many features there are."""
    hashes, _, starts, ends = room
    total[:] = np.float32(0.0)
    count = 0
    for i in range(n):
        count += _add_word(data, starts[i], ends[i], hashes[i], chars, dictionary, vectors, buckets, memory, total)
    if not whole:
        hashes[n] = eos[1]
        n += 1
        if eos[0] >= 0:
            _add(vectors, eos[0], total)
            count += 1
    for i in range(n if word_ngrams > 1 else 0):
        h = np.uint64(np.int64(np.int32(hashes[i])))
        for j in range(i + 1, min(n, i + word_ngrams)):
            h = h * _NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[j])))
            count += _add_bucket(vectors, buckets, np.int64(h % np.uint64(buckets[0])), total)
    if count:
        share = np.float32(1.0 / np.float64(count))
        for j in range(total.size):
            total[j] *= share
    return count


@_kernel
def _best_leaf(children, outputs, hidden, nodes, scores):  # type: ignore[no-untyped-def]
    """(label, log probability) of the best leaf. nodes, scores: room for the walk's stack."""
    n = outputs.shape[0]
    best, label = np.float32(-np.inf), _NOTHING
    nodes[0], scores[0] = 2 * n - 2, np.float32(0.0)
    depth = 1
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < best or score < np.float32(math.log(_ADDED)):
            continue
        if node < n:
            if score > best:  # of equal leaves fastText keeps the first
                best, label = score, np.int64(node)
            continue
        dot = np.float32(0.0)
        for j in range(hidden.size):
            dot += outputs[node - n, j] * hidden[j]
        right = np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-dot)))))
        nodes[depth], scores[depth] = children[node - n, 1], score + np.float32(math.log(np.float64(right) + _ADDED))
        left = np.float32(math.log(np.float64(np.float32(1.0 - np.float64(right))) + _ADDED))
        nodes[depth + 1], scores[depth + 1] = children[node - n, 0], score + left
        depth += 2
    return label, best


@nb.njit(nogil=True, cache=True)
def best_labels(data, offsets, dictionary, labels, label_offsets, word_ngrams, chars,  # type: ignore[no-untyped-def]
                vectors, outputs, buckets, children, found, probabilities):
    """Write the best label of each line and its probability; -1 for a line without features.

    dictionary: (words, word_offsets, table) as of `linear.logits`. chars: least and most of a character n-gram.
    buckets: (n_buckets, kept, ranks) of `QuantisedMatrices`."""
    words, word_offsets, table = dictionary
    longest = 0
    for i in range(offsets.size - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    n = longest // 2 + 3
    room = np.empty(n, np.uint32), np.empty(n, np.uint64), np.empty(n, np.int64), np.empty(n, np.int64)
    memory = (np.zeros((_SLOTS, 2), np.int64), np.empty((_SLOTS, vectors.shape[1]), np.float32),
              np.zeros(_SLOTS, np.int64), np.empty(longest + 2, np.uint8))
    suspects, total = suspects_of(labels, label_offsets), np.empty(vectors.shape[1], np.float32)
    eos_text = np.array(_EOS_BYTES, np.uint8)
    eos_hash = hash_bytes(eos_text, 0, 4)
    eos = (_find(eos_text, 0, 4, eos_hash, words, word_offsets, table), eos_hash)
    nodes, scores = np.empty(2 * outputs.shape[0], np.int64), np.empty(2 * outputs.shape[0], np.float32)
    for i in range(offsets.size - 1):
        n = _tokens(data, offsets[i], offsets[i + 1], eos_hash, suspects, words, word_offsets, table, labels,
                    label_offsets, room[0], room[1], room[2], room[3])
        whole = n < 0
        n = -1 - n if whole else n
        count = _mean(data, n, whole, eos, chars, word_ngrams, dictionary, vectors, buckets, memory, room,
                      total)
        found[i], probabilities[i] = _NOTHING, np.float32(0.0)
        if count:
            label, score = _best_leaf(children, outputs, total, nodes, scores)
            found[i], probabilities[i] = label, np.float32(math.exp(score))
