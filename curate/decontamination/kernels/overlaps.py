"""Kernels of decontamination: n-grams of texts, their search in a hash table, and the pieces that are left."""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np

from curate.text.hash_table import n_slots, slot_of
from curate.text.strings import Bytes, Offsets, read_only
from curate.text.unicode import TABLE_SIZE, decode
from curate.text.utf8 import back, forward, n_characters
from curate.text.words import (
    ALONE,
    BREAK,
    FNV_OFFSET,
    FNV_PRIME,
    GRAM_BASE,
    TOKEN,
    Hashes,
    beyond_table,
    fmix64,
    gram_power,
)
from manifests.hashing import Int64

N_OFFSETS: Final = 6
"""Columns of a hit: byte and character span of its words, and of its words with the window around them, in bytes."""


def gram_table(grams: Hashes) -> tuple[Hashes, Hashes]:
    """(slots, bits) of a set of distinct n-gram hashes, none of them 0.

    slots: as of `curate.text.hash_table`. bits: one bit for each possible value
    of a hash's upper bits, 8 or more a gram: it answers nearly all look-ups, and being 1/16 of the slots it stays in
    the processor's cache where those do not."""
    slots = np.zeros(int(n_slots(len(grams) + 1)), np.uint64)
    bits = np.zeros(max(1, len(slots) // 16), np.uint64)
    _fill(slots, bits, grams)
    return slots, bits


@nb.njit(nogil=True, cache=True, inline="always")
def _bit(bits, gram):  # type: ignore[no-untyped-def]
    """(word, mask) of a gram's bit: the word by bits 32 and up of the hash, the bit by the last six."""
    word = (gram >> np.uint64(32)) & np.uint64(bits.size - 1)
    return word, np.uint64(1) << (gram >> np.uint64(58))


@nb.njit(nogil=True, cache=True)
def _fill(table, bits, grams):  # type: ignore[no-untyped-def]
    for gram in grams:
        word, bit = _bit(bits, gram)
        bits[word] |= bit
        table[slot_of(table, gram)] = gram


@nb.njit(nogil=True, cache=True, inline="always")
def _contains(table, bits, gram):  # type: ignore[no-untyped-def]
    word, bit = _bit(bits, gram)
    return bits[word] & bit != 0 and table[slot_of(table, gram)] == gram


@nb.njit(nogil=True, cache=True)
def _spans(data, offsets, texts, first_bytes, last_bytes, window, spans):  # type: ignore[no-untyped-def]
    """Spans of n-grams, by text and offset: code points before them are counted once, in texts that have one."""
    text, p, char = np.int64(-1), np.int64(0), np.int64(0)
    for i in range(texts.size):
        if texts[i] != text:
            text, p, char = texts[i], offsets[texts[i]], np.int64(0)
        start, end = offsets[text], offsets[text + 1]
        first, last = start + first_bytes[i], start + last_bytes[i]
        char += n_characters(data, p, first)
        p = first
        spans[i, 0], spans[i, 1] = first_bytes[i], last_bytes[i]
        spans[i, 2], spans[i, 3] = char, char + n_characters(data, first, last)
        if window >= 0:
            spans[i, 4] = back(data, first, start, window) - start
            spans[i, 5] = forward(data, last, end, window) - start


@nb.njit(nogil=True, cache=True)
def _lengths(data, offsets, n_chars):  # type: ignore[no-untyped-def]
    for d in range(n_chars.size):
        n_chars[d] = n_characters(data, offsets[d], offsets[d + 1])


def scan(data: Bytes, offsets: Offsets, ngram: int, table: tuple[Hashes, Hashes] | None,
         window: int) -> tuple[Hashes, Int64, Int64, Int64]:
    """N-grams of texts in reading order: (hashes uint64 [m], text int64 [m], spans int64 [m, 6], characters [n]).

    table: from `gram_table`: only its n-grams are reported; None reports all. window: characters cut on both sides; -1
    for none. spans: byte start and end of the n-gram in its text, then its start and end in characters, then byte
    start and end with the window. characters: Unicode code points of each text. A text of fewer than ngram words has no
    n-gram."""
    n_chars = np.empty(len(offsets) - 1, np.int64)
    _lengths(read_only(data), read_only(offsets), n_chars)
    if table is not None and not table[1].any():
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty((0, N_OFFSETS), np.int64), n_chars
    grams, texts, first, last = match_words(split_words(data, offsets), ngram, table)
    spans = np.zeros((len(grams), N_OFFSETS), np.int64)
    _spans(read_only(data), read_only(offsets), texts, first, last, window, spans)
    return grams, texts, spans, n_chars


@nb.njit(nogil=True, cache=True)
def _cut(spans, ends, n_chars, n_bytes, window, min_piece, pieces, bounds, n_pieces):  # type: ignore[no-untyped-def]
    n = first = 0
    for d in range(ends.size):
        char_from = byte_from = np.int64(0)
        for i in range(first, ends[d] + 1):
            inner = i < ends[d]
            char_to = max(np.int64(0), spans[i, 2] - window) if inner else n_chars[d]
            byte_to = spans[i, 4] if inner else n_bytes[d]
            if char_to > char_from:
                n_pieces[d] += 1
                if char_to - char_from >= min_piece:
                    pieces[n, 0], pieces[n, 1] = byte_from, byte_to
                    n += 1
            if inner and spans[i, 3] + window > char_from:
                char_from, byte_from = min(spans[i, 3] + window, n_chars[d]), spans[i, 5]
        first = ends[d]
        bounds[d + 1] = n
    return n


def cut(spans: Int64, ends: Int64, n_chars: Int64, n_bytes: Int64, window: int,
        min_piece: int) -> tuple[Int64, Int64, Int64]:
    """What is left of documents: (byte spans int64 [k, 2], bounds int64 [n + 1], pieces made int64 [n]).

    Windows that overlap or touch are removed as one. A piece is what lies before, between and after them, never empty;
    pieces are counted before those shorter than min_piece characters are left out.

    spans: rows of `scan`, by document and offset; document i has rows ends[i - 1]:ends[i]."""
    pieces = np.empty((len(spans) + len(ends), 2), np.int64)
    bounds, n_pieces = np.zeros(len(ends) + 1, np.int64), np.zeros(len(ends), np.int64)
    n = _cut(spans, ends, n_chars, n_bytes, window, min_piece, pieces, bounds, n_pieces)
    return pieces[:n], bounds, n_pieces


@nb.njit(nogil=True, cache=True)
def _words(data, offsets, tokens, ascii_tokens, hashes, starts, ends, bounds):  # type: ignore[no-untyped-def]
    n = 0
    for d in range(offsets.size - 1):
        begin, end = offsets[d], offsets[d + 1]
        p = begin
        while p < end:
            h, first, last = FNV_OFFSET, np.int64(-1), np.int64(0)
            while p < end:
                at = p
                c = data[p]
                if c < 0x80:
                    v = ascii_tokens[c]
                    p += 1
                else:
                    wide, p = decode(data, p, end)
                    v = tokens[wide] if wide < TABLE_SIZE else beyond_table(wide)
                if v == BREAK:
                    break
                if v >= ALONE:
                    if first >= 0:  # the word before it ends here, and it is read again
                        p = at
                    else:
                        h, first, last = (FNV_OFFSET ^ np.uint64(v ^ ALONE)) * FNV_PRIME, at, p
                    break
                if v != 0:
                    if first < 0:
                        first = at
                    h = (h ^ np.uint64(v)) * FNV_PRIME
                    last = p
            if first >= 0:
                hashes[n], starts[n], ends[n] = fmix64(h), first - begin, last - begin
                n += 1
        bounds[d + 1] = n
    return n


_ASCII: Final = np.ascontiguousarray(TOKEN[:0x80])  # stays in the processor's nearest cache


class Words(NamedTuple):
    """Words of texts: hashes uint64 [m], byte offsets in their text int64 [m], and where each text's begin [n + 1]."""

    hashes: Hashes
    starts: Int64
    ends: Int64
    bounds: Int64


def split_words(data: Bytes, offsets: Offsets) -> Words:
    """Every word of texts, as `scan` has them, so that n-grams of several lengths can be looked for in one reading.

    Memory: 24 bytes a word."""
    room = int(offsets[-1] - offsets[0]) // 2 + len(offsets)
    hashes, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    bounds = np.zeros(len(offsets), np.int64)
    n = _words(read_only(data), read_only(offsets), TOKEN, _ASCII, hashes, starts, ends, bounds)
    return Words(hashes[:n], starts[:n], ends[:n], bounds)


@nb.njit(nogil=True, cache=True)
def _match(hashes, bounds, n, table, bits, grams, texts, last_words):  # type: ignore[no-untyped-def]
    """What does not fit in the output arrays is counted but not written. An empty table holds every n-gram."""
    power, n_found = gram_power(n), 0
    for d in range(bounds.size - 1):
        rolling = np.uint64(0)
        for i in range(bounds[d], bounds[d + 1]):
            rolling = rolling * GRAM_BASE + hashes[i]
            if i - bounds[d] >= n:
                rolling -= hashes[i - n] * power
            if i - bounds[d] < n - 1:
                continue
            gram = max(fmix64(rolling), np.uint64(1))
            if table.size and not _contains(table, bits, gram):
                continue
            if n_found < grams.size:
                grams[n_found], texts[n_found], last_words[n_found] = gram, d, i
            n_found += 1
    return n_found


def match_words(words: Words, ngram: int,
                table: tuple[Hashes, Hashes] | None) -> tuple[Hashes, Int64, Int64, Int64]:
    """N-grams of a table, or all if None, in reading order: (hashes uint64, text, first byte, byte after the last)."""
    room = 1024 if table is not None else len(words.hashes)
    slots, bits = table or (np.empty(0, np.uint64), np.empty(0, np.uint64))
    while True:
        grams, texts, last = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
        n_found = _match(words.hashes, words.bounds, ngram, slots, bits, grams, texts, last)
        if n_found <= room:
            last = last[:n_found]
            return grams[:n_found], texts[:n_found], words.starts[last - (ngram - 1)], words.ends[last]
        room = n_found
