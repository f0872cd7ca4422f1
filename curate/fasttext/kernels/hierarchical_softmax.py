"""Kernels of a classifier of many labels whose loss is a tree: fastText's arithmetic, line by line, without fastText.

Features are those of `curate.fasttext.kernels.features`. Sums are float32, word by word; the best leaf of the tree is
found as fastText finds it, by a walk that leaves every branch that cannot win any more (HierarchicalSoftmaxLoss::dfs).
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from curate.fasttext.kernels.features import (
    NGRAM_FACTOR,
    SUBWORDS,
    enclose,
    end_token,
    find,
    is_eos,
    kernel,
    modulo,
    room_for,
    same,
    subword_hashes,
    suspects_of,
    tokens,
)
from curate.fasttext.kernels.sums import add_row, mean
from curate.text.utf8 import longest

_ADDED = 1e-5  # inside fastText's logarithm
_NOTHING = np.int64(-1)
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
def _add_bucket(vectors, buckets, bucket, total):  # type: ignore[no-untyped-def]
    """Add the vector of a bucket, if the model kept it; whether it did. The bits before its own give its row."""
    _, kept, ranks = buckets
    bits = kept[bucket >> 6] >> np.uint64(bucket & 63)
    if not bits & _ONE:
        return 0
    row = ranks[bucket >> 6]
    v = kept[bucket >> 6] ^ (bits << np.uint64(bucket & 63))
    v = v - ((v >> _ONE) & _PAIRS)
    v = (v & _QUADS) + ((v >> np.uint64(2)) & _QUADS)
    v = (v + (v >> np.uint64(4))) & _BYTES
    add_row(vectors, row + np.int64((v * _ONES) >> np.uint64(56)), total)
    return 1


@kernel
def _add_word(data, start, end, h, chars, dictionary, vectors, buckets, memory, total):  # type: ignore[no-untyped-def]
    """Add what the word data[start:end] brings; returns how many features that is.

    Most words of a batch have been met before. memory: (offsets int64 [slots, 2], sums float32 [slots, dim], counts) of
    what was met last in each slot, and scratch; a sum is the same whether it is remembered or made anew."""
    known, sums, counts, word, hashes = memory
    slot = np.int64(h) & (counts.size - 1)
    if not same(data, start, end, data, known[slot, 0], known[slot, 1]):
        known[slot, 0], known[slot, 1] = start, end
        own = sums[slot]
        own[:] = np.float32(0.0)
        w = find(data, start, end, h, dictionary[0], dictionary[1], dictionary[2])
        counts[slot] = w >= 0
        if w >= 0:
            add_row(vectors, w, own)
        if chars[1] > 0 and not is_eos(data, start, end):
            inverse, size, first = 1.0 / np.float64(buckets[0]), enclose(data, start, end, word), 0
            while first < size:
                n, first = subword_hashes(word, first, size, chars[0], chars[1], hashes)
                for k in range(n):
                    bucket = modulo(np.uint64(hashes[k]), np.uint64(buckets[0]), inverse)
                    counts[slot] += _add_bucket(vectors, buckets, bucket, own)
    add_row(sums, slot, total)
    return counts[slot]


@kernel
def _add_line(data, n, eos, chars, word_ngrams, dictionary, vectors, buckets, memory, room, total):  # type: ignore[no-untyped-def]
    """Write the mean vector of the features of a line to total; returns how many there are. n: as of `tokens`."""
    hashes, _, starts, ends = room
    cut = n < 0
    n = -1 - n if cut else n
    total[:] = np.float32(0.0)
    count = 0
    for i in range(n):
        count += _add_word(data, starts[i], ends[i], hashes[i], chars, dictionary, vectors, buckets, memory, total)
    if not cut:
        hashes[n] = eos[1]
        n += 1
        if eos[0] >= 0:
            add_row(vectors, eos[0], total)
            count += 1
    for i in range(n if word_ngrams > 1 else 0):
        h = np.uint64(np.int64(np.int32(hashes[i])))
        for j in range(i + 1, min(n, i + word_ngrams)):
            h = h * NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[j])))
            count += _add_bucket(vectors, buckets, np.int64(h % np.uint64(buckets[0])), total)
    mean(total, count)
    return count


@kernel
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
                vectors, outputs, buckets, children, best, probabilities):
    """Write the best label of each line and its probability; -1 for a line without features.

    dictionary: (words, word_offsets, table) as of `fill_table`. chars: least and most of a character n-gram.
    buckets: (n_buckets, kept, ranks) of `QuantisedMatrices`."""
    words, word_offsets, table = dictionary
    most = longest(offsets)
    room, eos, suspects = room_for(most), end_token(words, word_offsets, table), suspects_of(labels, label_offsets)
    memory = (np.zeros((_SLOTS, 2), np.int64), np.empty((_SLOTS, vectors.shape[1]), np.float32),
              np.zeros(_SLOTS, np.int64), np.empty(most + 2, np.uint8), np.empty(max(SUBWORDS, chars[1]), np.uint32))
    total = np.empty(vectors.shape[1], np.float32)
    nodes, scores = np.empty(2 * outputs.shape[0], np.int64), np.empty(2 * outputs.shape[0], np.float32)
    for i in range(offsets.size - 1):
        n = tokens(data, offsets[i], offsets[i + 1], eos[1], suspects, words, word_offsets, table, labels,
                   label_offsets, room)
        count = _add_line(data, n, eos, chars, word_ngrams, dictionary, vectors, buckets, memory, room, total)
        best[i], probabilities[i] = _NOTHING, np.float32(0.0)
        if count:
            label, score = _best_leaf(children, outputs, total, nodes, scores)
            best[i], probabilities[i] = label, np.float32(math.exp(score))
