"""Counts and repetition measures of texts, as compiled passes over Arrow string buffers.

One pass over the code points of a text finds its words and lines with their hashes; all that follows works on those.
`curate.heuristics.signals` says what each column means.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.kernels.unicode import DIGIT, LETTER, PUNCTUATION, SPACE, TABLE_SIZE, decode

STOP_WORDS: Final = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Gopher's (Rae et al. 2021, A1.1)."""

N_COLUMNS: Final = 21
MAX_GRAM: Final = 10
_PRIME: Final = np.uint64(0x100000001B3)
_SEED: Final = np.uint64(0xCBF29CE484222325)
_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_ELLIPSIS: Final = 0x2026
_BULLET: Final = 0x2022
# Places in the array of a text's counters.
_TOKENS, _WORDS, _WORD_CHARS, _ALPHA, _HASHES, _ELLIPSES, _STOPS, _CHARS = range(8)
_LINES, _BULLETS, _ELLIPSIS_LINES, _PARAGRAPHS = range(8, 12)
_N_COUNTS: Final = 12


@nb.njit(nogil=True, cache=True)
def _mix(h):  # type: ignore[no-untyped-def]
    """MurmurHash3's 64-bit finaliser (Appleby)."""
    h = (h ^ (h >> np.uint64(33))) * _MIX_1
    h = (h ^ (h >> np.uint64(33))) * _MIX_2
    return h ^ (h >> np.uint64(33))


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "little")


STOP_KEYS: Final = np.array([_packed(w) for w in STOP_WORDS], np.uint64)
"""The stop words as `signal_columns` takes them: up to four letters each, packed little-endian."""


@nb.njit(nogil=True, cache=True)
def _stop_bit(key, n, stop_keys):  # type: ignore[no-untyped-def]
    """Bit of a stop word from its up to four lower-case letters, packed little-endian; 0 for any other."""
    if n < 2 or n > 4:
        return 0
    for i in range(len(stop_keys)):
        if stop_keys[i] == key:
            return 1 << i
    return 0


@nb.njit(nogil=True, cache=True)
def _stop_step(key, n, ended, c, kind):  # type: ignore[no-untyped-def]
    """A word's packed letters, their number and whether punctuation followed them, after one more character. More
    than four letters, one beyond ASCII, or punctuation inside make the number 9: no stop word."""
    if kind == PUNCTUATION:
        return key, n, n > 0
    low = c | 0x20 if 0x41 <= c <= 0x5A else c
    if ended or n >= 4 or low >= 0x80:
        return key, 9, ended
    return key | (np.uint64(low) << np.uint64(8 * n)), n + 1, ended


@nb.njit(nogil=True, cache=True)
def _end_word(counts, words, word_chars, word_hash, n_chars, kinds):  # type: ignore[no-untyped-def]
    """Store a word and count it. kinds: bits of the kinds of its characters."""
    words[counts[_TOKENS]] = _mix(word_hash)
    word_chars[counts[_TOKENS]] = n_chars
    counts[_TOKENS] += 1
    counts[_CHARS] += n_chars
    if kinds & ((1 << LETTER) | (1 << DIGIT)):
        counts[_WORDS] += 1
        counts[_WORD_CHARS] += n_chars
    counts[_ALPHA] += (kinds >> LETTER) & 1


@nb.njit(nogil=True, cache=True)
def _end_line(counts, lines, line_chars, paragraphs, paragraph_chars, line_hash, n_chars, opens, first,  # type: ignore[no-untyped-def]
              last_dots):
    """Store a line that has a visible character, and add it to its paragraph."""
    place = counts[_LINES]
    lines[place] = _mix(line_hash)
    line_chars[place] = n_chars
    counts[_LINES] += 1
    counts[_BULLETS] += first == _BULLET or first == 0x2D
    counts[_ELLIPSIS_LINES] += last_dots
    if opens:
        counts[_PARAGRAPHS] += 1
        paragraphs[counts[_PARAGRAPHS] - 1] = _SEED
        paragraph_chars[counts[_PARAGRAPHS] - 1] = 0
    paragraphs[counts[_PARAGRAPHS] - 1] = _mix(paragraphs[counts[_PARAGRAPHS] - 1] ^ lines[place])
    paragraph_chars[counts[_PARAGRAPHS] - 1] += n_chars


@nb.njit(nogil=True, cache=True)
def _scan(data, start, end, kinds, stop_keys, counts, words, word_chars, lines, line_chars, paragraphs,  # type: ignore[no-untyped-def]
          paragraph_chars):
    """One pass over a text: fills counts [12], the hashes and code points of its words, lines and
    paragraphs. White space does not count as characters."""
    counts[:] = 0
    word_hash, word_length, word_kinds = _SEED, 0, 0
    stop_key, stop_length, stop_ended = np.uint64(0), 0, False
    line_hash, line_length, gap, first, dots, run = _SEED, 0, False, 0, False, 0
    blank_line = True  # the last line that ended was blank: the next opens a paragraph
    stops = 0
    p = start
    while p <= end:
        if p < end:
            c, p = decode(data, p, end)
            kind = kinds[c] if c < TABLE_SIZE else LETTER
        else:
            c, p, kind = 0x0A, p + 1, SPACE  # the end of the text ends its word and line
        if kind != SPACE:
            code = np.uint64(c)
            word_hash = (word_hash ^ code) * _PRIME
            if line_length and gap:
                line_hash = (line_hash ^ np.uint64(0x20)) * _PRIME
            line_hash = (line_hash ^ code) * _PRIME
            if not line_length:
                first = c
            line_length += 1
            word_length += 1
            gap = False
            run = run + 1 if c == 0x2E else 0
            dots = c == _ELLIPSIS or run >= 3
            counts[_ELLIPSES] += c == _ELLIPSIS or (run > 0 and run % 3 == 0)
            counts[_HASHES] += c == 0x23
            word_kinds |= 1 << kind
            stop_key, stop_length, stop_ended = _stop_step(stop_key, stop_length, stop_ended, c, kind)
            continue
        run = 0
        gap = True
        if word_length:
            _end_word(counts, words, word_chars, word_hash, word_length, word_kinds)
            stops |= _stop_bit(stop_key, stop_length, stop_keys)
            word_hash, word_length, word_kinds = _SEED, 0, 0
            stop_key, stop_length, stop_ended = np.uint64(0), 0, False
        if c == 0x0A:
            if line_length:
                _end_line(counts, lines, line_chars, paragraphs, paragraph_chars, line_hash, line_length, blank_line,
                          first, dots)
            blank_line = line_length == 0
            line_hash, line_length, first, dots = _SEED, 0, 0, False
    while stops:
        counts[_STOPS] += stops & 1
        stops >>= 1


@nb.njit(nogil=True, cache=True)
def _find(keys, stamps, stamp, key, mask):  # type: ignore[no-untyped-def]
    """(slot of a key, whether it is new) in an open-addressing table whose live slots carry this stamp."""
    slot = np.int64(key & mask)
    while stamps[slot] == stamp:
        if keys[slot] == key:
            return slot, False
        slot = (slot + 1) & np.int64(mask)
    stamps[slot] = stamp
    keys[slot] = key
    return slot, True


@nb.njit(nogil=True, cache=True)
def _repeats(hashes, lengths, n, keys, stamps, stamp, mask):  # type: ignore[no-untyped-def]
    """(units, characters) of second and later occurrences among n units."""
    units, chars = 0, 0
    for i in range(n):
        _, new = _find(keys, stamps, stamp, hashes[i], mask)
        if not new:
            units += 1
            chars += lengths[i]
    return units, chars


@nb.njit(nogil=True, cache=True)
def _top_gram(grams, word_chars, m, n, keys, stamps, stamp, mask, seen):  # type: ignore[no-untyped-def]
    """Characters in all occurrences of the most frequent n-gram; of equally frequent ones the longest. 0 where none
    occurs twice. seen: scratch, occurrences by slot."""
    length = 0
    for i in range(n - 1):
        length += word_chars[i]
    best, best_length = 1, 0
    for i in range(m):
        length += word_chars[i + n - 1]
        slot, new = _find(keys, stamps, stamp, grams[i], mask)
        seen[slot] = 1 if new else seen[slot] + 1
        if seen[slot] > best or (seen[slot] == best and best > 1 and length > best_length):
            best, best_length = seen[slot], length
        length -= word_chars[i]
    return best * best_length


@nb.njit(nogil=True, cache=True)
def _covered(grams, word_chars, m, n, keys, stamps, stamp, mask):  # type: ignore[no-untyped-def]
    """Characters of words in n-grams that occurred before, each word counted once."""
    chars, done = 0, 0  # words below `done` are counted
    for i in range(m):
        _, new = _find(keys, stamps, stamp, grams[i], mask)
        if not new:
            for j in range(max(i, done), i + n):
                chars += word_chars[j]
            done = i + n
    return chars


@nb.njit(nogil=True, cache=True)
def _gram_columns(row, words, word_chars, n_words, n_chars, grams, keys, stamps, stamp, mask, seen):  # type: ignore[no-untyped-def]
    """Fill row[12:21]: top 2- to 4-grams, repeated 5- to 10-grams. Returns the last stamp used."""
    for i in range(n_words):
        grams[i] = words[i]
    for n in range(2, MAX_GRAM + 1):
        m = n_words - n + 1
        if m < 2:
            break
        for i in range(m):  # the hash of n words from that of their first n - 1
            grams[i] = _mix(grams[i] * _PRIME + words[i + n - 1])
        stamp += 1
        if n <= 4:
            chars = _top_gram(grams, word_chars, m, n, keys, stamps, stamp, mask, seen)
        else:
            chars = _covered(grams, word_chars, m, n, keys, stamps, stamp, mask)
        row[10 + n] = min(1.0, chars / n_chars)
    return stamp


@nb.njit(nogil=True, cache=True)
def _count_columns(row, counts):  # type: ignore[no-untyped-def]
    """Fill row[0:8] from a text's counters."""
    tokens, lines = max(1, counts[_TOKENS]), max(1, counts[_LINES])
    row[0] = counts[_WORDS]
    row[1] = counts[_WORD_CHARS] / max(1, counts[_WORDS])
    row[2] = counts[_HASHES] / tokens
    row[3] = counts[_ELLIPSES] / tokens
    row[4] = counts[_BULLETS] / lines
    row[5] = counts[_ELLIPSIS_LINES] / lines
    row[6] = counts[_ALPHA] / tokens
    row[7] = counts[_STOPS]


@nb.njit(nogil=True, cache=True)
def _table_size(n):  # type: ignore[no-untyped-def]
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@nb.njit(nogil=True, cache=True)
def signal_columns(data, offsets, kinds, stop_keys):  # type: ignore[no-untyped-def]
    """float32 [n, 21], one row a text, the columns in the order of `curate.heuristics.signals.SIGNALS`.

    data: uint8. offsets: int64 [n + 1]. kinds: uint8, by code point. stop_keys: uint64 [8].
    Scratch is about 30 bytes for each byte of the longest text."""
    n_texts = len(offsets) - 1
    longest = 0
    for i in range(n_texts):
        longest = max(longest, offsets[i + 1] - offsets[i])
    units = longest // 2 + 2  # a word or a line takes two bytes at least, but for the last
    words, grams, lines = np.empty(units, np.uint64), np.empty(units, np.uint64), np.empty(units, np.uint64)
    word_chars, line_chars = np.empty(units, np.int32), np.empty(units, np.int32)
    paragraphs, paragraph_chars = np.empty(units, np.uint64), np.empty(units, np.int32)
    size = _table_size(units)
    keys, stamps, seen = np.empty(size, np.uint64), np.zeros(size, np.int64), np.empty(size, np.int32)
    counts = np.zeros(_N_COUNTS, np.int64)
    out = np.zeros((n_texts, N_COLUMNS), np.float32)
    stamp = 0
    for i in range(n_texts):
        _scan(data, offsets[i], offsets[i + 1], kinds, stop_keys, counts, words, word_chars, lines, line_chars,
              paragraphs, paragraph_chars)
        row, n_chars = out[i], counts[_CHARS]
        _count_columns(row, counts)
        if n_chars == 0:
            continue
        mask = np.uint64(_table_size(max(counts[_TOKENS], counts[_LINES])) - 1)
        repeated, chars = _repeats(lines, line_chars, counts[_LINES], keys, stamps, stamp + 1, mask)
        row[8], row[9] = repeated / counts[_LINES], chars / n_chars
        repeated, chars = _repeats(paragraphs, paragraph_chars, counts[_PARAGRAPHS], keys, stamps, stamp + 2, mask)
        row[10], row[11] = repeated / counts[_PARAGRAPHS], chars / n_chars
        stamp = _gram_columns(row, words, word_chars, counts[_TOKENS], n_chars, grams, keys, stamps, stamp + 2, mask,
                              seen)
    return out
