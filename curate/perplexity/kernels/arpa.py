"""Kernels of n-gram language models: an ARPA file as hash tables, and the probability of texts by back-off.

    log10 p(w | context) = that of the longest n-gram that ends in w and is in the model, plus the back-off weight of
    every longer context that is in it (Katz 1987; the format is Doug Paul's, as SRILM and KenLM write it)

A word is known by the 64-bit hash of its bytes, an n-gram by a 64-bit hash of its words' numbers, taken from the last
to the first, so that longer contexts go on from the hash of shorter ones. As in KenLM, hashes are not checked against
the words: that any of a billion look-ups in a model of a million n-grams takes one n-gram for another has a chance of
1 in 20,000. Numbers are float32, as they are in KenLM; sums over a text are float64.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from curate.text.hash_table import slot_of
from curate.text.utf8 import longest
from curate.text.words import FNV_OFFSET, FNV_PRIME, GRAM_BASE, fmix64

MAX_ORDER = 16
MISSING = np.uint64(0)
UNKNOWN = 0
"""Number of the unknown word, `<unk>`."""


@nb.njit(nogil=True, cache=True, inline="always")
def is_blank(byte):  # type: ignore[no-untyped-def]
    """Whether a byte parts words: ASCII white space, as `bytes.split` and KenLM have it."""
    return byte == 0x20 or 0x09 <= byte <= 0x0D


@nb.njit(nogil=True, cache=True)
def _word_key(data, start, end):  # type: ignore[no-untyped-def]
    h = FNV_OFFSET
    for p in range(start, end):
        h = (h ^ np.uint64(data[p])) * FNV_PRIME
    h = fmix64(h)
    return h if h != MISSING else np.uint64(1)


@nb.njit(nogil=True, cache=True)
def find_word(word, vocabulary):  # type: ignore[no-untyped-def]
    """Number of a word, uint8 [n], or -1."""
    j = slot_of(vocabulary[:, 0], _word_key(word, 0, word.size))
    return np.int64(vocabulary[j, 1]) - 1 if vocabulary[j, 0] != MISSING else -1


@nb.njit(nogil=True, cache=True, inline="always")
def _longer(key, number):  # type: ignore[no-untyped-def]
    """Key of an n-gram with one more word in front."""
    h = fmix64(key * GRAM_BASE + np.uint64(number) + np.uint64(1))
    return h if h != MISSING else np.uint64(1)


@nb.njit(nogil=True, cache=True)
def _number(data, p, end):  # type: ignore[no-untyped-def]
    """(value, next offset) of the decimal number at p; the offset is p where there is none."""
    start, sign, mantissa, scale, digits = p, 1.0, np.float64(0.0), 0, 0
    if p < end and (data[p] == 0x2D or data[p] == 0x2B):
        sign = -1.0 if data[p] == 0x2D else 1.0
        p += 1
    point = False
    while p < end:
        byte = data[p]
        if byte == 0x2E and not point:
            point = True
        elif 0x30 <= byte <= 0x39:
            digits += 1
            mantissa = mantissa * 10.0 + (byte - 0x30)
            scale -= point
        else:
            break
        p += 1
    if digits == 0:
        return 0.0, start
    if p < end and (data[p] | 0x20) == 0x65:
        q, minus, power = p + 1, False, 0
        if q < end and (data[q] == 0x2D or data[q] == 0x2B):
            minus = data[q] == 0x2D
            q += 1
        if q < end and 0x30 <= data[q] <= 0x39:
            while q < end and 0x30 <= data[q] <= 0x39:
                power = power * 10 + (data[q] - 0x30)
                q += 1
            scale += -power if minus else power
            p = q
    return sign * mantissa * math.pow(10.0, scale), p


@nb.njit(nogil=True, cache=True, inline="always")
def _skip_blanks(data, p, end):  # type: ignore[no-untyped-def]
    while p < end and is_blank(data[p]):
        p += 1
    return p


@nb.njit(nogil=True, cache=True)
def _entry(data, p, end, order, numbers):  # type: ignore[no-untyped-def]
    """(log10 probability, back-off, first word's end) of the line data[p:end], 0 as the end of a line that is none.

    numbers: int64 [order, 2], filled with the bounds of its words."""
    p = _skip_blanks(data, p, end)
    probability, q = _number(data, p, end)
    if q == p or q >= end or not is_blank(data[q]):
        return 0.0, 0.0, False
    p = q
    for i in range(order):
        p = _skip_blanks(data, p, end)
        if p >= end:
            return 0.0, 0.0, False
        numbers[i, 0] = p
        while p < end and not is_blank(data[p]):
            p += 1
        numbers[i, 1] = p
    p = _skip_blanks(data, p, end)
    if p == end:
        return probability, 0.0, True
    weight, q = _number(data, p, end)
    return probability, weight, q > p and _skip_blanks(data, q, end) == end


@nb.njit(nogil=True, cache=True)
def _line_end(data, p, end):  # type: ignore[no-untyped-def]
    while p < end and data[p] != 0x0A:
        p += 1
    return p


@nb.njit(nogil=True, cache=True)
def read_words(data, p, n, vocabulary, values):  # type: ignore[no-untyped-def]
    """Read n lines of 1-grams from p on; returns where they end, or -1 - (offset of the first line that is none).

    vocabulary: uint64 [a power of two, 2], at first 0, filled with word keys and numbers + 1. values: float32
    [n + 1, 2], log10 probability and back-off by number; 0 is `<unk>`'s."""
    end, next_number = data.size, 1
    bounds = np.empty((1, 2), np.int64)
    unknown = np.array([60, 117, 110, 107, 62], np.uint8)
    upper = np.array([60, 85, 78, 75, 62], np.uint8)
    unknown_key, upper_key = _word_key(unknown, 0, 5), _word_key(upper, 0, 5)
    for _ in range(n):
        stop = _line_end(data, p, end)
        probability, weight, good = _entry(data, p, stop, 1, bounds)
        if not good:
            return -1 - p
        key = _word_key(data, bounds[0, 0], bounds[0, 1])
        number = UNKNOWN if key in (unknown_key, upper_key) else next_number
        j = slot_of(vocabulary[:, 0], key)
        if vocabulary[j, 0] != MISSING:
            return -1 - p
        vocabulary[j, 0], vocabulary[j, 1] = key, np.uint64(number + 1)
        values[number, 0], values[number, 1] = probability, weight
        next_number += number != UNKNOWN
        p = min(end, stop + 1)
    return p


@nb.njit(nogil=True, cache=True)
def read_grams(data, p, n, order, vocabulary, table, keys, values):  # type: ignore[no-untyped-def]
    """Read n lines of n-grams of an order from p on; (offset as of `read_words`, whether the model has all n-grams less
    their first words).

    table: the n-grams of lower orders. keys: uint64 [n]; values: float32 [n, 2]."""
    end, closed = data.size, True
    bounds = np.empty((order, 2), np.int64)
    for i in range(n):
        stop = _line_end(data, p, end)
        probability, weight, good = _entry(data, p, stop, order, bounds)
        if not good:
            return -1 - p, closed
        key = np.uint64(0)
        for k in range(order - 1, -1, -1):
            j = slot_of(vocabulary[:, 0], _word_key(data, bounds[k, 0], bounds[k, 1]))
            if vocabulary[j, 0] == MISSING:
                return -1 - p, closed
            number = np.int64(vocabulary[j, 1]) - 1
            if k == 0 and order > 2 and table[slot_of(table[:, 0], key), 0] == MISSING:
                closed = False
            key = np.uint64(number + 1) if k == order - 1 else _longer(key, number)
        keys[i], values[i, 0], values[i, 1] = key, probability, weight
        p = min(end, stop + 1)
    return p, closed


@nb.njit(nogil=True, cache=True)
def fill_grams(keys, values, table):  # type: ignore[no-untyped-def]
    """Put n-grams into an open-addressing table, uint64 [a power of two, 2] and at first 0; returns whether all differ.

    An entry is its key, and the bits of its probability and, above them, of its back-off. values: uint32 [n, 2]."""
    for i in range(keys.size):
        j = slot_of(table[:, 0], keys[i])
        if table[j, 0] != MISSING:
            return False
        table[j, 0] = keys[i]
        table[j, 1] = np.uint64(values[i, 0]) | (np.uint64(values[i, 1]) << np.uint64(32))
    return True


@nb.njit(nogil=True, cache=True)
def _numbers(data, p, end, by_line, vocabulary, start_number, end_number, out):  # type: ignore[no-untyped-def]
    """Write the words of data[p:end] as numbers, each sentence between its marks; returns how many.

    A sentence is a line that holds a word, or the whole text."""
    n, words = 0, 0
    while True:
        while p < end and is_blank(data[p]):
            if data[p] == 0x0A and by_line and words:
                out[n] = end_number
                n, words = n + 1, 0
            p += 1
        if p >= end:
            break
        h = FNV_OFFSET
        while p < end and not is_blank(data[p]):
            h = (h ^ np.uint64(data[p])) * FNV_PRIME
            p += 1
        h = fmix64(h)
        h = h if h != MISSING else np.uint64(1)
        if words == 0:
            out[n] = -start_number - 1
            n += 1
        j = slot_of(vocabulary[:, 0], h)
        out[n] = np.int64(vocabulary[j, 1]) - 1 if vocabulary[j, 0] != MISSING else UNKNOWN
        n, words = n + 1, words + 1
    if words:
        out[n] = end_number
        n += 1
    return n


@nb.njit(nogil=True, cache=True, inline="always")
def _float(bits):  # type: ignore[no-untyped-def]
    return np.uint32(bits).view(np.float32)


@nb.njit(nogil=True, cache=True)
def _score(numbers, n, words, table, order, closed, room):  # type: ignore[no-untyped-def]
    """(sum of log10 probabilities, words and sentence ends) of the numbers that `_numbers` wrote.

    closed: whether an n-gram that is missing tells that all longer ones are. room: uint64 [2, MAX_ORDER + 1], for the
    entries that end at the word before and at this one."""
    total, count = 0.0, 0
    last, now = room[0], room[1]
    n_last = 0  # words of the longest context that may matter
    start = 0
    for i in range(n):
        number = numbers[i]
        if number < 0:  # the sentence's start: a context, and no word to be foretold
            start, n_last = i, 1
            last[1] = np.uint64(words[-number - 1, 1]) << np.uint64(32)
            continue
        longest = min(order, n_last + 1)
        key, known, probability = np.uint64(number + 1), 1, _float(words[number, 0])
        now[1] = np.uint64(words[number, 1]) << np.uint64(32)
        for k in range(2, longest + 1):
            before = numbers[i - k + 1]
            key = _longer(key, before if i - k + 1 > start else -before - 1)
            j = slot_of(table[:, 0], key)
            now[k] = MISSING
            if table[j, 0] != MISSING:
                now[k], known = table[j, 1], k
                probability = _float(table[j, 1] & np.uint64(0xFFFFFFFF))
            elif closed:
                break
        value = np.float64(probability)
        for k in range(known, n_last + 1):
            value += np.float64(_float(last[k] >> np.uint64(32)))
        total += value
        count += 1
        last, now = now, last
        n_last = min(order - 1, known if closed else longest)
    return total, count


@nb.njit(nogil=True, cache=True)
def score_texts(data, offsets, by_line, vocabulary, words, table, order, closed,  # type: ignore[no-untyped-def]
                start_number, end_number, sums, counts):
    """Sum of the log10 probabilities of each text, float64 [n], and how many words and sentence ends, int64 [n].

    words: uint32 [n_words + 1, 2], bits of float32. by_line: whether a line is a sentence, or the whole text.
    closed: as of `_score`."""
    numbers, room = np.empty(2 * longest(offsets) + 4, np.int64), np.zeros((2, MAX_ORDER + 1), np.uint64)
    for d in range(sums.size):
        n = _numbers(data, offsets[d], offsets[d + 1], by_line, vocabulary, start_number, end_number, numbers)
        sums[d], counts[d] = _score(numbers, n, words, table, order, closed, room)
