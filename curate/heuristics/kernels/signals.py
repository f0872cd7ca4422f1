"""Every signal of texts, in one call over Arrow string buffers: the columns are those of `COLUMN`.

`curate.heuristics.signals` says what each means. Texts are taken in batches of 4 MiB; scratch is about 25 bytes
a word of the batch, and 60 a word or line of its longest text.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.heuristics.kernels import c4, refinedweb, segments, survey
from curate.heuristics.kernels.flags import ALL_CAPS, HAS_LETTER, IS_WORD
from curate.heuristics.kernels.repetition import gram_measures, repeats
from curate.heuristics.kernels.spacy.contractions import SPECIAL_KEYS, SPECIAL_TOKENS
from curate.heuristics.kernels.spacy.english import english_words
from curate.heuristics.kernels.spacy.english_affixes import UNIT_KEYS, UNIT_VALUES
from curate.heuristics.kernels.stop_words import LANGUAGE_SHIFT, STOP_BITS, STOP_KEYS
from curate.heuristics.signals import COLUMN, Group
from curate.text.characters import PROPERTIES
from curate.text.hash_table import look_up, n_slots
from curate.text.strings import Bytes, Offsets, read_only
from curate.text.unicode import LOWER
from curate.text.utf8 import longest

_GRAMS: Final = (COLUMN.top_2_gram_character_fraction, COLUMN.top_3_gram_character_fraction,
                 COLUMN.top_4_gram_character_fraction, COLUMN.duplicate_5_gram_character_fraction,
                 COLUMN.duplicate_6_gram_character_fraction, COLUMN.duplicate_7_gram_character_fraction,
                 COLUMN.duplicate_8_gram_character_fraction, COLUMN.duplicate_9_gram_character_fraction,
                 COLUMN.duplicate_10_gram_character_fraction)
_BATCH_BYTES: Final = 4 << 20
TABLES: Final = (SPECIAL_KEYS, SPECIAL_TOKENS, UNIT_KEYS, UNIT_VALUES)


@nb.njit(nogil=True, cache=True)
def _word_columns(row, chars, flags, stops, counts, language):  # type: ignore[no-untyped-def]
    """Fill the columns that count words, of which there is one at least."""
    n = len(chars)
    real, real_chars, letters, capitals, stop, seen = 0, 0, 0, 0, 0, np.int64(0)
    for i in range(n):
        if flags[i] & IS_WORD:
            real += 1
            real_chars += chars[i]
        letters += flags[i] & HAS_LETTER != 0
        capitals += flags[i] & ALL_CAPS != 0
        seen |= np.int64(stops[i] & np.uint32(0xFF))
        stop += language >= 0 and (stops[i] >> np.uint32(LANGUAGE_SHIFT + language)) & np.uint32(1) != 0
    row[COLUMN.n_words], row[COLUMN.mean_word_length] = real, real_chars / max(1, real)
    row[COLUMN.hash_to_word_ratio] = counts[segments.HASHES] / n
    row[COLUMN.ellipsis_to_word_ratio] = counts[segments.ELLIPSES] / n
    row[COLUMN.alpha_word_fraction] = letters / n
    while seen:
        row[COLUMN.n_stop_words] += seen & 1
        seen >>= 1
    row[COLUMN.stop_word_fraction], row[COLUMN.all_caps_word_fraction] = stop / n, capitals / n


@nb.njit(nogil=True, cache=True)
def _survey_columns(row, counts):  # type: ignore[no-untyped-def]
    lines, visible = max(1, counts[survey.FULL_LINES]), max(1, counts[survey.VISIBLE])
    letters = max(1, counts[survey.LETTERS])
    known = counts[survey.LATINS] + counts[survey.CYRILLICS] + counts[survey.ARABICS] + counts[survey.HANS]
    row[COLUMN.n_lines], row[COLUMN.n_sentences] = counts[survey.FULL_LINES], counts[survey.SENTENCES]
    row[COLUMN.terminal_line_fraction] = counts[survey.TERMINAL_LINES] / lines
    row[COLUMN.short_line_fraction] = counts[survey.SHORT_LINES] / lines
    row[COLUMN.javascript_line_fraction] = counts[survey.JAVASCRIPT_LINES] / lines
    row[COLUMN.code_line_fraction] = counts[survey.CODE_LINES] / lines
    row[COLUMN.lorem_ipsum_fraction] = counts[survey.LOREM_CHARS] / visible
    row[COLUMN.uppercase_fraction] = counts[survey.UPPERS] / letters
    row[COLUMN.digit_fraction] = counts[survey.DIGITS] / visible
    row[COLUMN.punctuation_fraction] = counts[survey.PUNCTUATIONS] / visible
    row[COLUMN.curly_bracket_fraction] = counts[survey.CURLIES] / visible
    row[COLUMN.latin_fraction] = counts[survey.LATINS] / letters
    row[COLUMN.cyrillic_fraction] = counts[survey.CYRILLICS] / letters
    row[COLUMN.arabic_fraction] = counts[survey.ARABICS] / letters
    row[COLUMN.han_fraction] = counts[survey.HANS] / letters
    row[COLUMN.other_script_fraction] = (counts[survey.LETTERS] - known) / letters


@nb.njit(nogil=True, cache=True)
def _c4_columns(row, counts, line_hashes, line_chars, table, stamp):  # type: ignore[no-untyped-def]
    lines = max(1, counts[c4.FULL_LINES])
    _, repeated = repeats(line_hashes, line_chars, counts[c4.FULL_LINES], table, stamp)
    row[COLUMN.c4_n_sentences] = counts[c4.OPEN_SENTENCES]
    row[COLUMN.c4_lorem_ipsum] = counts[c4.OPEN_STOP] == c4.LOREM_IPSUM
    row[COLUMN.c4_curly_bracket] = counts[c4.OPEN_STOP] == c4.CURLY_BRACKET
    row[COLUMN.c4_kept_line_fraction] = counts[c4.KEPT_LINES] / max(1, counts[c4.ALL_LINES])
    row[COLUMN.c4_terminal_line_fraction] = counts[c4.TERMINAL_LINES] / lines
    row[COLUMN.c4_short_line_fraction] = counts[c4.SHORT_LINES] / lines
    row[COLUMN.c4_duplicate_line_character_fraction] = repeated / max(1, counts[c4.CHARS])
    row[COLUMN.c4_line_feed_to_word_ratio] = counts[c4.LINE_FEEDS] / max(1, counts[c4.WORDS])
    row[COLUMN.c4_strict_n_sentences] = counts[c4.STRICT_SENTENCES]
    row[COLUMN.c4_strict_lorem_ipsum] = counts[c4.STRICT_STOP] == c4.LOREM_IPSUM
    row[COLUMN.c4_strict_curly_bracket] = counts[c4.STRICT_STOP] == c4.CURLY_BRACKET


@nb.njit(nogil=True, cache=True)
def _unit_columns(row, counts, lines, paragraphs, n_chars, table, stamp):  # type: ignore[no-untyped-def]
    """Fill the columns on lines and paragraphs; uses two stamps."""
    all_lines = max(1, counts[segments.ALL_LINES])
    row[COLUMN.bullet_line_fraction] = counts[segments.BULLET_LINES] / all_lines
    row[COLUMN.ellipsis_line_fraction] = counts[segments.ELLIPSIS_LINES] / all_lines
    n = counts[segments.LINES]
    repeated, chars = repeats(lines[0], lines[1], n, table, stamp + 1)
    row[COLUMN.duplicate_line_fraction] = repeated / max(1, n)
    row[COLUMN.duplicate_line_character_fraction] = chars / n_chars
    n = counts[segments.PARAGRAPHS]
    repeated, chars = repeats(paragraphs[0], paragraphs[1], n, table, stamp + 2)
    row[COLUMN.duplicate_paragraph_fraction] = repeated / max(1, n)
    row[COLUMN.duplicate_paragraph_character_fraction] = chars / n_chars


@nb.njit(nogil=True, cache=True)
def _paper_batch(data, offsets, properties, lower, stop_table):  # type: ignore[no-untyped-def]
    """(words, chars, flags, stops, lines, bounds) of the words of every text; bounds: int64 [n + 1]. No lines."""
    room = offsets[-1] - offsets[0] + len(offsets)
    words, chars = np.empty(room // 2 + len(offsets), np.uint64), np.empty(room // 2 + len(offsets), np.int32)
    flags, stops = np.empty(len(words), np.uint8), np.empty(len(words), np.uint32)
    bounds = np.zeros(len(offsets), np.int64)
    for d in range(len(offsets) - 1):
        a = bounds[d]
        bounds[d + 1] = a + segments.paper_words(data, offsets[d], offsets[d + 1], properties, lower, stop_table,
                                                 words[a:], chars[a:], flags[a:], stops[a:])
    return words, chars, flags, stops, np.empty(0, np.int32), bounds


@nb.njit(nogil=True, cache=True)
def _english_batch(data, offsets, properties, tables, stop_table):  # type: ignore[no-untyped-def]
    """The same by spaCy's English tokenizer; lines: int32, each word's line as of splitlines()."""
    room = offsets[-1] - offsets[0] + len(offsets)
    words, chars, lines = np.empty(room, np.uint64), np.empty(room, np.int32), np.empty(room, np.int32)
    flags, stops, bounds = np.empty(room, np.uint8), np.empty(room, np.uint32), np.zeros(len(offsets), np.int64)
    codes = (np.empty(room, np.int32), np.empty(room, np.uint32), np.empty(room, np.int32))
    for d in range(len(offsets) - 1):
        a = bounds[d]
        n = english_words(data, offsets[d], offsets[d + 1], properties, tables, codes, words[a:], chars[a:], flags[a:],
                          lines[a:])
        for i in range(a, a + n):
            stops[i] = look_up(words[i], stop_table[0], stop_table[1])
        bounds[d + 1] = a + n
    return words, chars, flags, stops, lines, bounds


@nb.njit(nogil=True, cache=True)
def _gopher_batch(out, data, offsets, languages, english, words, properties):  # type: ignore[no-untyped-def]
    """Fill the columns on words, lines, paragraphs and n-grams."""
    hashes, chars, flags, stops, _, bounds = words
    room = longest(offsets) + 4
    counts = np.zeros(segments.N_COUNTS, np.int64)
    lines, paragraphs = (np.empty(room, np.uint64), np.empty(room, np.int32)), (np.empty(room, np.uint64), np.empty(
        room, np.int32))
    grams, starts, slots = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    size = n_slots(room)
    table = (np.empty(size, np.uint64), np.zeros(size, np.int64), np.empty(size, np.int32))
    measures, stamp = np.zeros(11, np.float64), 0
    for d in range(len(offsets) - 1):
        start, end, row, a, b = offsets[d], offsets[d + 1], out[d], bounds[d], bounds[d + 1]
        if start == end or (a == b and not english):
            continue
        if english:
            segments.datatrove_units(data, start, end, properties, counts, lines, paragraphs)
        else:
            segments.paper_units(data, start, end, properties, counts, lines, paragraphs)
        if a == b:  # white space alone, which repeats itself too
            _unit_columns(row, counts, lines, paragraphs, counts[segments.CHARS], table, stamp)
            stamp += 2
            continue
        _word_columns(row, chars[a:b], flags[a:b], stops[a:b], counts, languages[d])
        _unit_columns(row, counts, lines, paragraphs, counts[segments.CHARS], table, stamp)
        measures[:] = 0
        stamp = gram_measures(measures, hashes[a:b], chars[a:b], b - a, counts[segments.CHARS], english, grams, starts,
                              slots, table, stamp + 2)
        for i in range(len(_GRAMS)):
            row[_GRAMS[i]] = measures[2 + i] if english else min(1.0, measures[2 + i])
        row[COLUMN.unique_word_fraction], row[COLUMN.word_entropy] = measures[0], measures[1]


@nb.njit(nogil=True, cache=True)
def _survey_batch(out, data, offsets, properties):  # type: ignore[no-untyped-def]
    counts, ascii_counts = np.zeros(survey.N_SURVEY, np.int64), np.zeros(128, np.int64)
    for d in range(len(offsets) - 1):
        survey.survey(data, offsets[d], offsets[d + 1], properties, ascii_counts, counts)
        if counts[survey.VISIBLE]:
            _survey_columns(out[d], counts)


@nb.njit(nogil=True, cache=True)
def _c4_batch(out, data, offsets, rules, english, words, cited_rows, cited_words, properties):  # type: ignore[no-untyped-def]
    """Fill the columns after C4's edits. cited_rows: texts with citations; cited_words: their words without these."""
    room = longest(offsets) + 4
    counts, units = np.zeros(c4.N_C4, np.int64), (np.empty(room, np.uint64), np.empty(room, np.int32))
    scratch = (np.empty((2, c4.N_FACTS), np.int64), np.empty(room, np.uint8), np.empty((2, room), np.int64))
    spans = np.empty((3, room), np.int64)
    size = n_slots(room)
    table = (np.empty(size, np.uint64), np.zeros(size, np.int64), np.empty(size, np.int32))
    cited = 0
    for d in range(len(offsets) - 1):
        flags, lines, bounds, i = words[2], words[4], words[5], d
        if cited < len(cited_rows) and cited_rows[cited] == d:
            flags, lines, bounds, i = cited_words[2], cited_words[4], cited_words[5], cited
            cited += 1
        a, b = bounds[i], bounds[i + 1]
        text = (flags[a:b], lines[a:b], b - a if english else np.int64(-1))
        c4.c4_lines(data, offsets[d], offsets[d + 1], properties, rules, text, scratch, counts, units, spans)
        _c4_columns(out[d], counts, units[0], units[1], table, d + 1)


@nb.njit(nogil=True, cache=True)
def _web_batch(out, data, offsets, rules, properties):  # type: ignore[no-untyped-def]
    counts, line = np.zeros(refinedweb.N_REFINEDWEB, np.int64), np.empty(7, np.int64)
    spans = np.empty((3, longest(offsets) + 4), np.int64)
    for d in range(len(offsets) - 1):
        refinedweb.refinedweb_lines(data, offsets[d], offsets[d + 1], properties, rules, line, counts, spans)
        out[d, COLUMN.refinedweb_cut_word_fraction] = counts[refinedweb.CUT_WORDS] / max(1, counts[refinedweb.WORDS])


def signal_columns(data: Bytes, offsets: Offsets, languages: npt.NDArray[np.int64], english: bool, groups: Group,
                   rules: tuple[tuple[int, int, bool, bool], tuple[float, int]]) -> npt.NDArray[np.float32]:
    """float32 [n, len(COLUMN)], one row a text.

    data, offsets: of `string_buffers`. languages: int64 [n], index in LANGUAGE_CODES, -1 for another. english: count
    words, lines and n-grams as datatrove does, else as the papers do. groups: which columns to fill; those of
    REPETITION always are. rules: of `c4_lines` and `refinedweb_lines`."""
    out = np.zeros((len(offsets) - 1, len(COLUMN)), np.float32)
    data, start = read_only(data), 0
    while start < len(out):
        end = int(np.searchsorted(offsets, offsets[start] + _BATCH_BYTES, "right")) - 1
        end = min(max(end, start + 1), len(out))
        _fill(out[start:end], data, read_only(offsets[start : end + 1]), languages[start:end], english, groups,
              rules)
        start = end
    return out


def _words(data: Bytes, offsets: Offsets, english: bool) -> Any:
    stop_table = (STOP_KEYS, STOP_BITS)
    if english:
        return _english_batch(data, offsets, PROPERTIES, TABLES, stop_table)
    return _paper_batch(data, offsets, PROPERTIES, LOWER, stop_table)


def _fill(out: npt.NDArray[np.float32], data: Bytes, offsets: Offsets, languages: npt.NDArray[np.int64], english: bool,
          groups: Group, rules: tuple[tuple[int, int, bool, bool], tuple[float, int]]) -> None:
    """One batch. The kernels are apart, so that each compiles fast and only if it is needed."""
    words = _words(data, offsets, english)
    _gopher_batch(out, data, offsets, languages, english, words, PROPERTIES)
    if Group.SURVEY in groups:
        _survey_batch(out, data, offsets, PROPERTIES)
    if Group.C4 in groups:
        cited_rows, cited_words = np.empty(0, np.int64), words
        if english and rules[0][3]:
            text, bounds, cited_rows = c4.uncited(data, offsets, PROPERTIES)
            cited_words = _words(read_only(text), read_only(bounds), english) if len(cited_rows) else words
        _c4_batch(out, data, offsets, rules[0], english, words, cited_rows, cited_words, PROPERTIES)
    if Group.REFINEDWEB in groups:
        _web_batch(out, data, offsets, rules[1], PROPERTIES)
