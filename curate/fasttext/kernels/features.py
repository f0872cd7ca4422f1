"""Kernels of the linear scorer: fastText's features of a line, each looked up as one number instead of a vector.

What fastText does is followed to the letter (Dictionary::getLine, addSubwords, addWordNgrams): words end at the six
white-space characters and at NUL; hashes are FNV-1a with sign-extended bytes; a token `</s>` in the text ends the line;
a token that begins with `__label__` is no word; word n-grams run over unknown words too; an unknown word has its
character n-grams and no more. A vocabulary word is compared byte by byte: to trust the 32-bit hash alone gives an
unknown word the weight of a known one, about once in 2**32 / n_words tries.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from curate.fasttext.kernels.rounding import SLOTS, stray

_FNV_OFFSET, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
_NGRAM_FACTOR = np.uint64(116049371)
_EOS_BYTES = (60, 47, 115, 62)  # </s>
_LABEL_BYTES = (95, 95, 108, 97, 98, 101, 108, 95, 95)  # __label__
SPACES = np.zeros(256, np.bool_)
SPACES[[0, 9, 10, 11, 12, 13, 32]] = True
_LESS, _GREATER = np.uint8(60), np.uint8(62)
_WHOLE = np.uint64(1 << 56)
_BLOCK = 512  # words whose places are found before they are looked up; 4 KiB
SIGMOID_BINS = 512
SIGMOID_LIMIT = 8.0


@nb.njit(nogil=True, cache=True, inline="always")
def _add_byte(h, byte):  # type: ignore[no-untyped-def]
    """One step of fastText's FNV-1a, which takes bytes over 127 as negative numbers."""
    return np.uint32(np.uint32(h ^ np.uint32(np.int8(byte))) * _FNV_PRIME)


@nb.njit(nogil=True, cache=True)
def hash_bytes(data, start, end):  # type: ignore[no-untyped-def]
    """fastText's 32-bit hash of data[start:end]."""
    h = _FNV_OFFSET
    for p in range(start, end):
        h = _add_byte(h, data[p])
    return h


@nb.njit(nogil=True, cache=True)
def _tail(data, start, end):  # type: ignore[no-untyped-def]
    """The last eight bytes as one number. No word holds a NUL, so below 2**56 it is the whole word."""
    key = np.uint64(0)
    for p in range(start, end):
        key = (key << np.uint64(8)) | np.uint64(data[p])
    return key


@nb.njit(nogil=True, cache=True)
def fill_table(words, offsets, table):  # type: ignore[no-untyped-def]
    """Fill an open-addressing table, uint64 [a power of two, 2] and at first 0: each word's tail, its number + 1."""
    mask = np.int64(table.shape[0] - 1)
    for w in range(offsets.size - 1):
        j = np.int64(hash_bytes(words, offsets[w], offsets[w + 1])) & mask
        while table[j, 1]:
            j = (j + 1) & mask
        table[j, 0] = _tail(words, offsets[w], offsets[w + 1])
        table[j, 1] = np.uint64(w + 1)


@nb.njit(nogil=True, cache=True, inline="always")
def _same(data, p, end, words, start, stop):  # type: ignore[no-untyped-def]
    """Whether data[p:end] is words[start:stop]."""
    if stop - start != end - p:
        return False
    for k in range(end - p):  # noqa: SIM110 (numba has no all())
        if words[start + k] != data[p + k]:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _search(data, p, end, key, j, words, offsets, table):  # type: ignore[no-untyped-def]
    """Number of the word data[p:end] with this tail in the table from place j on, or -1."""
    mask = np.int64(table.shape[0] - 1)
    while True:
        if not table[j, 1]:
            return np.int64(-1)
        if table[j, 0] == key:
            w = np.int64(table[j, 1]) - 1
            if key < _WHOLE or _same(data, p, end, words, offsets[w], offsets[w + 1]):
                return w
        j = (j + 1) & mask


@nb.njit(nogil=True, cache=True)
def _find(data, p, end, h, words, offsets, table):  # type: ignore[no-untyped-def]
    """Number of the word data[p:end] with hash h, or -1."""
    return _search(data, p, end, _tail(data, p, end), np.int64(h) & np.int64(table.shape[0] - 1), words, offsets,
                   table)


@nb.njit(nogil=True, cache=True, inline="always")
def _is(data, p, end, wanted):  # type: ignore[no-untyped-def]
    """Whether data[p:end] begins with the bytes of a tuple."""
    if end - p < len(wanted):
        return False
    for k in range(len(wanted)):  # noqa: SIM110
        if data[p + k] != wanted[k]:
            return False
    return True


@nb.njit(nogil=True, cache=True, inline="always")
def _is_eos(data, p, end):  # type: ignore[no-untyped-def]
    """Whether data[p:end] is `</s>`."""
    return end - p == 4 and _is(data, p, end, _EOS_BYTES)


@nb.njit(nogil=True, cache=True)
def subword_sum(word, size, min_chars, max_chars, n_buckets, buckets):  # type: ignore[no-untyped-def]
    """(sum, count) of the character n-grams of word[:size], which begins with `<` and ends with `>`.

    As Dictionary::computeSubwords: n-grams of min_chars to max_chars characters, not the lone `<` or `>`."""
    total, count = 0.0, 0
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
                total += buckets[np.int64(h) % n_buckets]
                count += 1
    return total, count


@nb.njit(nogil=True, cache=True)
def add_subwords(words, offsets, eos, min_chars, max_chars, n_buckets,  # type: ignore[no-untyped-def]
                 buckets, weights, counts):
    """Add to each word's weight and count those of its character n-grams; `</s>` has none. weights: float64."""
    room = np.empty(2, np.uint8)
    for w in range(offsets.size - 1):
        size = offsets[w + 1] - offsets[w] + 2
        if w == eos:
            continue
        if room.size < size:
            room = np.empty(2 * size, np.uint8)
        room[0] = _LESS
        room[1 : size - 1] = words[offsets[w] : offsets[w + 1]]
        room[size - 1] = _GREATER
        total, count = subword_sum(room, size, min_chars, max_chars, n_buckets, buckets)
        weights[w] += total
        counts[w] += count


@nb.njit(nogil=True, cache=True, inline="always")
def _unknown(data, p, end, room, min_chars, max_chars, n_buckets, buckets):  # type: ignore[no-untyped-def]
    """(sum, count) of the character n-grams of the unknown word data[p:end]."""
    size = end - p + 2
    if room.size < size:
        room = np.empty(size, np.uint8)
    room[0] = _LESS
    room[1 : size - 1] = data[p:end]
    room[size - 1] = _GREATER
    return subword_sum(room, size, min_chars, max_chars, n_buckets, buckets)


@nb.njit(nogil=True, cache=True)
def _ends_no_word(data, start, end, h, words, offsets, table, labels, label_offsets):  # type: ignore[no-untyped-def]
    """Whether a token is a label rather than a word: one of the model's, or an unknown one that begins as labels do."""
    for i in range(label_offsets.size - 1):
        if _same(data, start, end, labels, label_offsets[i], label_offsets[i + 1]):
            return True
    return _is(data, start, end, _LABEL_BYTES) and _find(data, start, end, h, words, offsets, table) < 0


@nb.njit(nogil=True, cache=True)
def _tokens(data, p, end, eos_hash, suspects, words, offsets, table,  # type: ignore[no-untyped-def]
            labels, label_offsets, hashes, keys, starts, ends):
    """Hash, tail, start and end of each word of the line data[p:end]; returns how many, n.

    A `</s>` in the text ends the line, and is the last word then: the number comes back as -1 - n, so that the caller
    does not add the line's own end."""
    n = 0
    while True:
        while p < end and data[p] <= 32 and SPACES[data[p]]:
            p += 1
        if p >= end:
            return n
        start = p
        h, key = _FNV_OFFSET, np.uint64(0)
        c = data[p]
        first = c
        while True:
            key = (key << np.uint64(8)) | np.uint64(c)
            h = np.uint32(np.uint32(h ^ np.uint32(np.int8(c))) * _FNV_PRIME)
            p += 1
            if p >= end:
                break
            c = data[p]
            if c <= 32 and SPACES[c]:
                break
        if suspects[first] and _ends_no_word(data, start, p, h, words, offsets, table, labels, label_offsets):
            continue
        hashes[n] = h
        keys[n] = key
        starts[n] = start
        ends[n] = p
        n += 1
        if h == eos_hash and _is_eos(data, start, p):
            return -1 - n


@nb.njit(nogil=True, cache=True, inline="always")
def _modulo(h, n_buckets, inverse):  # type: ignore[no-untyped-def]
    """h % n_buckets, by a multiplication: for n_buckets >= 4,096 the quotient is below 2**52, so float64 misses it by
    one at the most."""
    rest = np.int64(h - np.uint64(np.float64(h) * inverse) * n_buckets)
    size = np.int64(n_buckets)
    if rest < 0:
        rest += size
    elif rest >= size:
        rest -= size
    return rest


@nb.njit(nogil=True, cache=True, inline="always")
def _gather(numbers, places, n):  # type: ignore[no-untyped-def]
    """Sum of numbers[places[:n]] in four running sums, so that many look-ups wait for memory at once."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = n // 4 * 4
    for k in range(0, whole, 4):
        a += numbers[places[k]]
        b += numbers[places[k + 1]]
        c += numbers[places[k + 2]]
        d += numbers[places[k + 3]]
    for k in range(whole, n):
        a += numbers[places[k]]
    return a + b + c + d


@nb.njit(nogil=True, cache=True)
def _ngram_sum(hashes, n, word_ngrams, n_buckets, buckets, places):  # type: ignore[no-untyped-def]
    """Sum of the weights of the 2- to word_ngrams-grams of hashes[:n]; places: room for a block of their buckets.

    Places first and look-ups after, which is three times as fast as one by one where the buckets exceed the cache."""
    total = 0.0
    inverse = 1.0 / np.float64(n_buckets)
    small = n_buckets < 4096
    q = 0
    for i in range(n):
        if q + word_ngrams > places.size:
            total += _gather(buckets, places, q)
            q = 0
        h = np.uint64(np.int64(np.int32(hashes[i])))
        for j in range(i + 1, min(n, i + word_ngrams)):
            h = h * _NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[j])))
            places[q] = np.int64(h % n_buckets) if small else _modulo(h, n_buckets, inverse)
            q += 1
    return total + _gather(buckets, places, q)


@nb.njit(nogil=True, cache=True)
def _first_entries(hashes, start, end, mask, table, entries):  # type: ignore[no-untyped-def]
    """The table's entries at the home places of hashes[start:end]: look-ups that wait for memory together."""
    for k in range(start, end):
        j = np.int64(hashes[k]) & mask
        entries[k - start, 0] = table[j, 0]
        entries[k - start, 1] = table[j, 1]


@nb.njit(nogil=True, cache=True, inline="always")
def _number(data, start, end, h, key, entry, words, offsets, table):  # type: ignore[no-untyped-def]
    """As `_find`, where the tail is known and entry is what stands at the word's home place."""
    if entry[1] and key < _WHOLE and entry[0] == key:
        return np.int64(entry[1]) - 1
    if not entry[1]:
        return np.int64(-1)
    return _search(data, start, end, key, np.int64(h) & np.int64(table.shape[0] - 1), words, offsets, table)


@nb.njit(nogil=True, cache=True)
def suspects_of(labels, label_offsets):  # type: ignore[no-untyped-def]
    """bool [256]: bytes with which a label may begin."""
    suspects = np.zeros(256, np.bool_)
    suspects[_LABEL_BYTES[0]] = True
    for i in range(label_offsets.size - 1):
        if label_offsets[i + 1] > label_offsets[i]:
            suspects[labels[label_offsets[i]]] = True
    return suspects


@nb.njit(nogil=True, cache=True)
def _longest(offsets, rows):  # type: ignore[no-untyped-def]
    longest = 0
    for row in rows:
        longest = max(longest, offsets[row + 1] - offsets[row])
    return longest


@nb.njit(nogil=True, cache=True)
def logits(data, offsets, rows, words, word_offsets, table, weights, counts,  # type: ignore[no-untyped-def]
           labels, label_offsets, buckets, word_ngrams, min_chars, max_chars, shape, out, strays):
    """Write the mean weight of the features of texts `rows` to out[rows], float64; 0 for a text without a feature.

    A text is one line, in which line feeds are spaces. Sums are float64; fastText's own are float32. How far those may
    stray from ours goes to strays[rows]: `stray`'s estimate. shape: of `stray_shape`."""
    n_buckets = np.uint64(max(1, buckets.size))
    eos_text = np.array(_EOS_BYTES, np.uint8)
    eos_hash = hash_bytes(eos_text, 0, 4)
    eos = _find(eos_text, 0, 4, eos_hash, words, word_offsets, table)
    suspects = suspects_of(labels, label_offsets)
    room, places = np.empty(256, np.uint8), np.empty(_BLOCK + word_ngrams, np.int64)
    mask, entries = np.int64(table.shape[0] - 1), np.empty((_BLOCK, 2), np.uint64)
    longest = _longest(offsets, rows) // 2 + 3
    hashes, keys = np.empty(longest, np.uint32), np.empty(longest, np.uint64)
    starts, ends = np.empty(longest, np.int64), np.empty(longest, np.int64)
    seen = np.empty((2, SLOTS), np.uint16)
    for row in rows:
        n = _tokens(data, offsets[row], offsets[row + 1], eos_hash, suspects, words, word_offsets, table, labels,
                    label_offsets, hashes, keys, starts, ends)
        whole = n < 0
        if whole:
            n = -1 - n
        total, n_features, most = 0.0, np.int64(0), 0.0
        for i in range(n):
            if i & 31 == 0:
                most = max(most, abs(total))
            if i % _BLOCK == 0:
                _first_entries(hashes, i, min(n, i + _BLOCK), mask, table, entries)
            w = _number(data, starts[i], ends[i], hashes[i], keys[i], entries[i % _BLOCK], words, word_offsets, table)
            if w >= 0:
                total += weights[w]
                n_features += counts[w]
            elif max_chars > 0 and not _is_eos(data, starts[i], ends[i]):
                found, n_found = _unknown(data, starts[i], ends[i], room, min_chars, max_chars, n_buckets, buckets)
                total += found
                n_features += n_found
        if not whole:
            hashes[n] = eos_hash
            n += 1
            if eos >= 0:
                total += weights[eos]
                n_features += counts[eos]
        most = max(most, abs(total))
        if word_ngrams > 1:
            total += _ngram_sum(hashes, n, word_ngrams, n_buckets, buckets, places)
            for k in range(1, word_ngrams):
                n_features += max(0, n - k)
        out[row] = total / n_features if n_features else 0.0
        strays[row] = 0.0
        if n_features:
            strays[row] = stray(hashes, n, n_features, most, total, word_ngrams, max_chars, shape, seen)


@nb.njit(nogil=True, cache=True)
def fold_rows(vectors, direction, out):  # type: ignore[no-untyped-def]
    """out = vectors @ direction in float64 with a fixed order of additions, which a BLAS does not promise."""
    for i in range(vectors.shape[0]):
        total = 0.0
        for j in range(vectors.shape[1]):
            total += np.float64(vectors[i, j]) * direction[j]
        out[i] = total


@nb.njit(nogil=True, cache=True)
def logistic(values):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)), float64 [n], for any x."""
    out = np.empty(values.size, np.float64)
    for i in range(values.size):
        out[i] = 1.0 / (1.0 + math.exp(-values[i])) if values[i] > -700.0 else 0.0
    return out


@nb.njit(nogil=True, cache=True)
def binned_logistic(values):  # type: ignore[no-untyped-def]
    """fastText's table of 512 bins over [-8, 8], which its one-vs-all loss uses; float64 [n]."""
    out = np.empty(values.size, np.float64)
    for i in range(values.size):
        x = values[i]
        if x < -SIGMOID_LIMIT:
            out[i] = 0.0
        elif x > SIGMOID_LIMIT:
            out[i] = 1.0
        else:
            edge = np.int64((x + SIGMOID_LIMIT) * SIGMOID_BINS / SIGMOID_LIMIT / 2.0)
            middle = np.float32(edge * 2.0 * SIGMOID_LIMIT / SIGMOID_BINS) - np.float32(SIGMOID_LIMIT)
            out[i] = np.float32(1.0 / (1.0 + math.exp(-np.float64(middle))))
    return out
