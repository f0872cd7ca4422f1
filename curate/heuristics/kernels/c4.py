"""C4's rules on lines (Raffel et al. 2020, 2.2): which lines stay, what is cut from them, what the rest is like.

After datatrove's reading of them: a line is stripped, its words are counted, citations are cut, and it stays if it ends
like a sentence (where asked), has enough words, and names neither JavaScript nor a policy. A kept line with "lorem
ipsum" or a curly bracket condemns the whole text.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.edits.kernels.pieces import COPIED, LINE_FEED, add_span, trim_spans
from curate.heuristics.kernels.spacy.english import english_sentences
from curate.heuristics.kernels.survey import QUOTES, SHORT_LINE, ascii_bytes, spells
from curate.text.characters import BREAK, DECIMAL, ENGLISH_SHIFT, SPACE, TERMINAL, WORD, properties_of
from curate.text.unicode import TABLE_SIZE, decode
from curate.text.words import FNV_OFFSET, FNV_PRIME, fmix64

# Indices in a text's counters.
(OPEN_STOP, OPEN_SENTENCES, STRICT_STOP, STRICT_SENTENCES, ALL_LINES, KEPT_LINES, FULL_LINES, WORDS, CHARS,
 TERMINAL_LINES, SHORT_LINES, LINE_FEEDS) = range(12)
N_C4: Final = 12
# What a line must not contain, in the order in which C4 asks.
LOREM_IPSUM, _JAVASCRIPT, CURLY_BRACKET, _POLICY, _CLEAN = range(1, 6)
# Facts of a line.
(_FIRST, _LAST, _STOP, _NEXT, _N_WORDS, _LONGEST, _WORST, _CITED, _CHARS, _TAIL, _SENTENCES, _LEFT, _RIGHT) = range(13)
N_FACTS: Final = 13
_DECIMAL: Final = np.uint32(DECIMAL << ENGLISH_SHIFT)

_LOREM = ascii_bytes("lorem ipsum")
_SCRIPT = ascii_bytes("javascript")
_TERMS, _PRIVACY, _COOKIE = ascii_bytes("terms of use"), ascii_bytes("privacy policy"), ascii_bytes("cookie policy")
_USES, _OF, _USE = ascii_bytes("uses cookies"), ascii_bytes("use of cookies"), ascii_bytes("use cookies")
_EDIT, _NEEDED = ascii_bytes("[edit]"), ascii_bytes("[citation needed]")


@nb.njit(nogil=True, cache=True)
def _rank(data, p, end, low):  # type: ignore[no-untyped-def]
    """How early C4 asks for the phrase that begins at p with this lower-case byte; _CLEAN for none."""
    if low == 0x6C:
        return LOREM_IPSUM if spells(data, p, end, _LOREM) else _CLEAN
    if low == 0x6A:
        return _JAVASCRIPT if spells(data, p, end, _SCRIPT) else _CLEAN
    if low == 0x7B:
        return CURLY_BRACKET
    if low in (0x74, 0x70, 0x63, 0x75) and p + 1 < end and data[p + 1] | 0x20 in (0x65, 0x72, 0x6F, 0x73):
        for phrase in (_TERMS, _PRIVACY, _COOKIE, _USES, _OF, _USE):
            if spells(data, p, end, phrase):
                return _POLICY
    return _CLEAN


@nb.njit(nogil=True, cache=True)
def _line(data, p, end, properties, facts):  # type: ignore[no-untyped-def]
    """Fill facts of the line at p, as str.splitlines() splits, stripped; returns the hash of its code points.

    _LEFT and _RIGHT are the code points of white space that were stripped."""
    first, last, stop, n_words, longest, width, chars, left = -1, p, end, 0, 0, 0, 0, 0
    worst, cited, tail, n_sentences, ended, words = _CLEAN, False, np.int64(0), 0, False, False
    h, h_last = FNV_OFFSET, FNV_OFFSET
    n = 0
    while p < end:
        q = p
        c = np.int64(data[p])
        if c < 0x80:
            p += 1
            kind = properties[c]
        else:
            c, p = decode(data, p, end)
            kind = properties_of(properties, c)
        if kind & SPACE:
            width = 0
            if ended and words:
                n_sentences, words = n_sentences + 1, False
            if kind & BREAK:
                stop = q
                p += c == 0x0D and p < end and data[p] == 0x0A
                break
            if first >= 0:
                h = (h ^ np.uint64(c)) * FNV_PRIME
                n += 1
            else:
                left += 1
            continue
        n_words += width == 0
        width += 1
        n += 1
        h = (h ^ np.uint64(c)) * FNV_PRIME
        longest = max(longest, width)
        first = q if first < 0 else first
        last, h_last, chars, tail = p, h, n, c
        low = c | 0x20 if 0x41 <= c <= 0x5A else c
        if low in (0x6C, 0x6A, 0x7B, 0x74, 0x70, 0x63, 0x75):
            worst = min(worst, _rank(data, q, end, low))
        cited |= c == 0x5B
        words |= kind & WORD != 0
        ended = kind & TERMINAL != 0 or (ended and c in QUOTES)
    facts[_FIRST], facts[_LAST], facts[_STOP], facts[_NEXT] = (first if first >= 0 else last), last, stop, p
    facts[_N_WORDS], facts[_LONGEST], facts[_WORST], facts[_CITED] = n_words, longest, worst, cited
    facts[_CHARS], facts[_TAIL], facts[_SENTENCES] = chars, tail, n_sentences + words
    facts[_LEFT], facts[_RIGHT] = left, n - chars
    return fmix64(h_last)


@nb.njit(nogil=True, cache=True)
def _citation(data, p, end, properties):  # type: ignore[no-untyped-def]
    """Bytes of `[12]`, `[]`, `[edit]` or `[citation needed]` at p; 0 where there is none. Digits are any script's."""
    q = after = p + 1
    while after <= q < end:
        c, after = decode(data, q, end)
        if c < TABLE_SIZE and properties[c] & _DECIMAL:
            q = after
    if q < end and data[q] == 0x5D:
        return q + 1 - p
    for phrase in (_EDIT, _NEEDED):
        if p + len(phrase) <= end:
            same = True
            for i in range(len(phrase)):
                same &= data[p + i] == phrase[i]
            if same:
                return len(phrase)
    return 0


@nb.njit(nogil=True, cache=True)
def _copy(data, a, b, properties, out, cuts):  # type: ignore[no-untyped-def]
    """Copy data[a:b] without citations to out; returns (its size, number of cuts). cuts: int64 [2, many]."""
    n, p, size = 0, a, 0
    while p < b:
        if data[p] == 0x5B:
            length = _citation(data, p, b, properties)
            if length:
                cuts[0, n], cuts[1, n] = p, p + length
                n, p = n + 1, p + length
                continue
        out[size] = data[p]
        size, p = size + 1, p + 1
    return size, n


@nb.njit(nogil=True, cache=True)
def _is_terminal(out, a, b):  # type: ignore[no-untyped-def]
    """Whether a line ends in . ? ! " or ', and in no ellipsis."""
    if b <= a or out[b - 1] not in (0x2E, 0x3F, 0x21, 0x22, 0x27):
        return False
    return not (b - a >= 3 and out[b - 1] == 0x2E and out[b - 2] == 0x2E and out[b - 3] == 0x2E)


@nb.njit(nogil=True, cache=True)
def _describe(held, h, properties, counts, units, last):  # type: ignore[no-untyped-def]
    """Count a kept line with something in it as FineWeb's rules see it. last: whether no such line follows.

    Where citations were cut at a line's ends, white space stays; but not at the ends of the whole text."""
    left = held[_LEFT] if counts[FULL_LINES] else 0
    right = 0 if last else held[_RIGHT]
    n, c = left + held[_CHARS] + right, held[_TAIL]
    for side in (left, right):
        if side:
            h = fmix64(h ^ np.uint64(side))  # one kind of white space for another is no matter here
    counts[CHARS] += n
    units[0][counts[FULL_LINES]], units[1][counts[FULL_LINES]] = h, n
    counts[FULL_LINES] += 1
    counts[SHORT_LINES] += n <= SHORT_LINE
    counts[TERMINAL_LINES] += right == 0 and c < TABLE_SIZE and properties[c] & TERMINAL != 0


@nb.njit(nogil=True, cache=True)
def _record(spans, n, base, first, last, cuts, n_cuts):  # type: ignore[no-untyped-def]
    p = first
    for i in range(n_cuts):
        n = add_span(spans, n, p - base, cuts[0, i] - base, COPIED)
        p = cuts[1, i]
    return add_span(spans, n, p - base, last - base, COPIED)


@nb.njit(nogil=True, cache=True)
def _record_break(data, spans, n, base, stop, after):  # type: ignore[no-untyped-def]
    """The line feed between two kept lines: the text's own, where its break holds one."""
    if after > stop and data[after - 1] == 0x0A:
        return add_span(spans, n, after - 1 - base, after - base, COPIED)
    return add_span(spans, n, stop - base, after - base, LINE_FEED)


@nb.njit(nogil=True, cache=True)
def _stops(counts, worst, terminal):  # type: ignore[no-untyped-def]
    """Note what condemns the text: for every line, and for lines that end like a sentence."""
    counts[OPEN_STOP] = counts[OPEN_STOP] if counts[OPEN_STOP] else worst
    if terminal:
        counts[STRICT_STOP] = counts[STRICT_STOP] if counts[STRICT_STOP] else worst


@nb.njit(nogil=True, cache=True)
def uncited(data, offsets, properties):  # type: ignore[no-untyped-def]
    """(data, offsets, rows) of the texts that hold citations, without them; rows: int64, which texts they are."""
    n_texts = len(offsets) - 1
    room = 0
    rows = np.empty(n_texts, np.int64)
    n = 0
    for d in range(n_texts):
        for p in range(offsets[d], offsets[d + 1]):
            if data[p] == 0x5B and _citation(data, p, offsets[d + 1], properties):
                rows[n], n, room = d, n + 1, room + offsets[d + 1] - offsets[d]
                break
    out, bounds, size = np.empty(room, np.uint8), np.zeros(n + 1, np.int64), 0
    for i in range(n):
        p, end = offsets[rows[i]], offsets[rows[i] + 1]
        while p < end:
            length = _citation(data, p, end, properties) if data[p] == 0x5B else 0
            if not length:
                out[size] = data[p]
                size, length = size + 1, 1
            p += length
        bounds[i + 1] = size
    return out[:size], bounds, rows[:n]


@nb.njit(nogil=True, cache=True)
def _judge(data, rules, properties, facts, h, out, cuts):  # type: ignore[no-untyped-def]
    """(number of cuts, whether it ends like a sentence, hash) of a line without citations; facts become those of it."""
    if not (rules[3] and facts[_CITED]):
        facts[_LEFT] = facts[_RIGHT] = 0
        return 0, _is_terminal(data, facts[_FIRST], facts[_LAST]), h
    size, n_cuts = _copy(data, facts[_FIRST], facts[_LAST], properties, out, cuts)
    h = _line(out, 0, size, properties, facts)  # C4 does not strip again
    return n_cuts, _is_terminal(out, 0, size), h


@nb.njit(nogil=True, cache=True)
def c4_lines(data, start, end, properties, rules, text, scratch, counts, units, spans):  # type: ignore[no-untyped-def]
    """Fill counts [12] and the hashes and lengths of the kept lines; returns (first span, number after the last).

    rules: (min words, max word characters, whether a line must end like a sentence, whether citations are cut).
    text: (flags, lines, number) of the words of the text without citations, as `english_words` gives them, where words
    and sentences are spaCy's; a number of -1 where they are not. units: (hashes, lengths). scratch: (facts int64
    [2, N_FACTS], out uint8, cuts int64 [2, many])."""
    facts, held, out, cuts = scratch[0][0], scratch[0][1], scratch[1], scratch[2]
    flags, lines, n_text = text
    counts[:] = 0
    p, n, before, after, k, held_hash, feeds = start, 0, -1, -1, 0, np.uint64(0), -1
    while p < end and not (counts[OPEN_STOP] and counts[STRICT_STOP]):
        h = _line(data, p, end, properties, facts)
        first, last, stop, p = facts[_FIRST], facts[_LAST], facts[_STOP], facts[_NEXT]
        word = k
        while k < n_text and lines[k] == counts[ALL_LINES]:
            k += 1
        counts[ALL_LINES] += 1
        if facts[_LONGEST] > rules[1] or facts[_N_WORDS] < rules[0]:
            continue
        n_cuts, terminal, h = _judge(data, rules, properties, facts, h, out, cuts)
        worst = facts[_WORST]
        if worst in (LOREM_IPSUM, CURLY_BRACKET):
            _stops(counts, worst, terminal)
        if worst != _CLEAN:
            continue
        n_words, n_sentences = facts[_N_WORDS], facts[_SENTENCES]
        if n_text >= 0:
            n_words, n_sentences = k - word, english_sentences(flags, word, k)
        counts[OPEN_SENTENCES] += n_sentences
        if terminal:
            counts[STRICT_SENTENCES] += n_sentences
        if rules[2] and not terminal:
            continue
        if before >= 0:
            n = _record_break(data, spans, n, start, before, after)
        before, after = stop, p
        counts[KEPT_LINES] += 1
        counts[WORDS] += n_words
        n = _record(spans, n, start, first, last, cuts, n_cuts)
        feeds += feeds >= 0
        if facts[_CHARS]:
            if feeds > 0:  # there was one before, feeds line feeds ago
                _describe(held, held_hash, properties, counts, units, False)
                counts[LINE_FEEDS] += feeds
            held[:], held_hash, feeds = facts, h, 0
    if feeds >= 0:
        _describe(held, held_hash, properties, counts, units, True)
    return trim_spans(data, start, properties, spans, n)
