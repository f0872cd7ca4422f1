"""fastText's features of a line: its words, and the hashes of their character n-grams.

What fastText does is followed to the letter (Dictionary::getLine, addSubwords, addWordNgrams): words end at the six
white-space characters and at NUL; hashes are FNV-1a with sign-extended bytes; a token `</s>` in the text ends the line;
a token that begins with `__label__` is no word; word n-grams run over unknown words too; an unknown word has its
character n-grams and no more. A vocabulary word is compared byte by byte: to trust the 32-bit hash alone gives an
unknown word the weight of a known one, about once in 2**32 / n_words tries.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

_FNV_OFFSET, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
NGRAM_FACTOR = np.uint64(116049371)
_EOS_BYTES = (60, 47, 115, 62)  # </s>
_LABEL_BYTES = (95, 95, 108, 97, 98, 101, 108, 95, 95)  # __label__
SPACES = np.zeros(256, np.bool_)
SPACES[[0, 9, 10, 11, 12, 13, 32]] = True
SUBWORDS = 1024  # of a word whose hashes are found at a time, or max_chars where that is more
# Without numba's reference counts: these are called for every word, and allocate nothing.
kernel: Final[Any] = nb.njit(nogil=True, cache=True, _nrt=False)  # type: ignore[call-overload]
_COMPLETE = np.uint64(1 << 56)  # a tail below it is the complete word


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
    """The last eight bytes as one number. No word holds a NUL, so below 2**56 it is the complete word."""
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
def same(data, p, end, words, start, stop):  # type: ignore[no-untyped-def]
    """Whether data[p:end] is words[start:stop]."""
    if stop - start != end - p:
        return False
    for k in range(end - p):  # noqa: SIM110 (numba has no all())
        if words[start + k] != data[p + k]:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _search(data, p, end, key, j, words, offsets, table):  # type: ignore[no-untyped-def]
    """Number of the word data[p:end] with this tail in the table from slot j on, or -1."""
    mask = np.int64(table.shape[0] - 1)
    while True:
        if not table[j, 1]:
            return np.int64(-1)
        if table[j, 0] == key:
            w = np.int64(table[j, 1]) - 1
            if key < _COMPLETE or same(data, p, end, words, offsets[w], offsets[w + 1]):
                return w
        j = (j + 1) & mask


@nb.njit(nogil=True, cache=True)
def find(data, p, end, h, words, offsets, table):  # type: ignore[no-untyped-def]
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
def is_eos(data, p, end):  # type: ignore[no-untyped-def]
    """Whether data[p:end] is `</s>`."""
    return end - p == 4 and _is(data, p, end, _EOS_BYTES)


@kernel
def enclose(data, start, end, word):  # type: ignore[no-untyped-def]
    """Write `<`, data[start:end] and `>` to word; returns its size."""
    size = end - start + 2
    word[0], word[size - 1] = 60, 62
    for k in range(end - start):  # a slice would be copied first
        word[k + 1] = data[start + k]
    return size


@kernel
def subword_hashes(word, first, size, min_chars, max_chars, hashes):  # type: ignore[no-untyped-def]
    """Write the hashes of the character n-grams of word[:size], as of `enclose`, that begin at `first` or later.

    Returns (how many, where the next ones begin: size, or less where hashes, longer than max_chars, are full). As
    Dictionary::computeSubwords: n-grams of min_chars to max_chars characters, not the lone `<` or `>`."""
    count = 0
    for i in range(first, size):
        if (word[i] & 0xC0) == 0x80:
            continue
        if count + max_chars > hashes.size:
            return count, i
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
                hashes[count] = h
                count += 1
    return count, size


@nb.njit(nogil=True, cache=True)
def _ends_no_word(data, start, end, h, words, offsets, table, labels, label_offsets):  # type: ignore[no-untyped-def]
    """Whether a token is a label rather than a word: one of the model's, or an unknown one that begins as labels do."""
    for i in range(label_offsets.size - 1):
        if same(data, start, end, labels, label_offsets[i], label_offsets[i + 1]):
            return True
    return _is(data, start, end, _LABEL_BYTES) and find(data, start, end, h, words, offsets, table) < 0


@nb.njit(nogil=True, cache=True)
def tokens(data, p, end, eos_hash, suspects, words, offsets, table,  # type: ignore[no-untyped-def]
           labels, label_offsets, room):
    """Hash, tail, start and end of each word of the line data[p:end]; returns how many, n.

    A `</s>` in the text ends the line, and is the last word then: the number comes back as -1 - n, so that the caller
    does not add the line's own end. room: of `room_for`."""
    hashes, keys, starts, ends = room
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
        if h == eos_hash and is_eos(data, start, p):
            return -1 - n


@nb.njit(nogil=True, cache=True, inline="always")
def modulo(h, n_buckets, inverse):  # type: ignore[no-untyped-def]
    """h % n_buckets, by a multiplication: for n_buckets >= 4,096 the quotient is below 2**52, so float64 misses it by
    one at the most."""
    rest = np.int64(h - np.uint64(np.float64(h) * inverse) * n_buckets)
    size = np.int64(n_buckets)
    if rest < 0:
        rest += size
    elif rest >= size:
        rest -= size
    return rest


@nb.njit(nogil=True, cache=True)
def first_entries(hashes, start, end, mask, table, entries):  # type: ignore[no-untyped-def]
    """The table's entries at the own slots of hashes[start:end]: look-ups that wait for memory together."""
    for k in range(start, end):
        j = np.int64(hashes[k]) & mask
        entries[k - start, 0] = table[j, 0]
        entries[k - start, 1] = table[j, 1]


@nb.njit(nogil=True, cache=True, inline="always")
def number_of(data, start, end, h, key, first_key, first_number, words, offsets, table):  # type: ignore[no-untyped-def]
    """As `find`, where the tail is known and first_key, first_number are the table's entry at the word's own slot."""
    if not first_number:
        return np.int64(-1)
    if first_key == key and key < _COMPLETE:
        return np.int64(first_number) - 1
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
def end_token(words, offsets, table):  # type: ignore[no-untyped-def]
    """(number of `</s>` among a model's words or -1, its hash)."""
    text = np.array(_EOS_BYTES, np.uint8)
    h = hash_bytes(text, 0, 4)
    return find(text, 0, 4, h, words, offsets, table), h


@nb.njit(nogil=True, cache=True)
def room_for(longest):  # type: ignore[no-untyped-def]
    """Scratch of `tokens` for a line of so many bytes: hashes, tails, starts and ends of its words and of its end."""
    n = longest // 2 + 3
    return np.empty(n, np.uint32), np.empty(n, np.uint64), np.empty(n, np.int64), np.empty(n, np.int64)
