"""The signals of a document: what heuristic filters look at, computed once by extract and stored as columns.

Thresholds are then a question to a table. What a word is depends on the mode; docs/filters.md says where the two differ
and what it does to verdicts.

paper       word: a maximal run of characters that are not Unicode white space, as `str.split()` gives; counting and
            mean length take words with a letter or digit only, ratios are over all of them. line: what lies between
            line feeds, if it has a visible character, its white space collapsed. paragraph: a run of lines with no
            blank one between. Characters are code points that are no white space, in numerators and denominators
            alike, so that fractions end at 1. An n-gram repeats if it occurs twice.
datatrove   exactly what datatrove 0.10.1 counts: words and sentences are those of spaCy's English tokenizer, lines and
            paragraphs stand as they are, white space counts as characters, stop words are lower-case, and the most
            frequent n-gram counts even if it occurs once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.heuristics.kernels.signals import ALL_GROUPS, C4_LINES, COLUMNS, SURVEYED, WEB_LINES, signal_columns
from curate.heuristics.kernels.stop_words import LANGUAGE_CODES
from curate.heuristics.line_rules import C4Lines, RefinedWebLines
from curate.text.strings import string_buffers
from manifests.schema import SIGNAL_PREFIX


class Words(StrEnum):
    """What a word, a line and a character are to the signals."""

    PAPER = "paper"
    DATATROVE = "datatrove"


_AFTER_C4: Final = "after C4's line rules without the one on sentence ends: "
_AFTER_STRICT: Final = "after C4's line rules: "
SIGNALS: Final[dict[str, str]] = {
    "n_words": "words with a letter or digit",
    "mean_word_length": "mean code points of those words",
    "hash_to_word_ratio": "`#` characters per word",
    "ellipsis_to_word_ratio": "`...` and `…` per word",
    "bullet_line_fraction": "lines that start with `•` or `-`",
    "ellipsis_line_fraction": "lines that end with `...` or `…`",
    "alpha_word_fraction": "words with a letter",
    "n_stop_words": "different ones of the, be, to, of, and, that, have, with; case and punctuation around ignored",
    "duplicate_line_fraction": "lines seen before",
    "duplicate_line_character_fraction": "characters in lines seen before",
    "duplicate_paragraph_fraction": "paragraphs seen before",
    "duplicate_paragraph_character_fraction": "characters in paragraphs seen before",
    **{f"top_{n}_gram_character_fraction": f"characters in the most frequent {n}-gram, if it occurs twice, at most 1"
       for n in (2, 3, 4)},
    **{f"duplicate_{n}_gram_character_fraction": f"characters in {n}-grams seen before, each counted once"
       for n in range(5, 11)},
    "stop_word_fraction": "words that are stop words of the document's language; 0 where it has no list",
    "all_caps_word_fraction": "words with capitals and no small letter",
    "unique_word_fraction": "different words, of all words",
    "word_entropy": "Shannon entropy of the words, in nats",
    "n_lines": "lines with a visible character",
    "n_sentences": "sentences: ended by a mark before white space, or by their line",
    "terminal_line_fraction": "lines that end like a sentence, quotes and brackets aside",
    "short_line_fraction": "lines of at most 30 characters",
    "javascript_line_fraction": "lines that name JavaScript",
    "code_line_fraction": "lines that end with `;`, `{` or `}`: the look of code",
    "lorem_ipsum_fraction": "visible characters in `lorem ipsum`",
    "uppercase_fraction": "letters that are capitals",
    "digit_fraction": "visible characters that are digits",
    "punctuation_fraction": "visible characters that are punctuation or symbols",
    "curly_bracket_fraction": "visible characters that are curly brackets",
    "latin_fraction": "letters of the Latin script",
    "cyrillic_fraction": "letters of the Cyrillic script",
    "arabic_fraction": "letters of the Arabic script",
    "han_fraction": "letters of the Han script, kana or hangul",
    "other_script_fraction": "letters of other scripts",
    "c4_n_sentences": _AFTER_C4 + "sentences",
    "c4_lorem_ipsum": _AFTER_C4 + "1 if `lorem ipsum` comes before any curly bracket, else 0",
    "c4_curly_bracket": _AFTER_C4 + "1 if `{` comes before any `lorem ipsum`, else 0",
    "c4_kept_line_fraction": _AFTER_C4 + "lines that are left",
    "c4_terminal_line_fraction": _AFTER_C4 + "lines whose last character ends sentences",
    "c4_short_line_fraction": _AFTER_C4 + "lines of at most 30 characters",
    "c4_duplicate_line_character_fraction": _AFTER_C4 + "characters in lines seen before",
    "c4_line_feed_to_word_ratio": _AFTER_C4 + "line feeds per word",
    "c4_strict_n_sentences": _AFTER_STRICT + "sentences",
    "c4_strict_lorem_ipsum": _AFTER_STRICT + "1 if `lorem ipsum` comes before any curly bracket, else 0",
    "c4_strict_curly_bracket": _AFTER_STRICT + "1 if `{` comes before any `lorem ipsum`, else 0",
    "refinedweb_cut_word_fraction": "words in lines that RefinedWeb's line rules cut",
}
"""Each signal and what it is; the columns of the document table are these with `signal_` in front."""

GIVEN_SIGNALS: Final[dict[str, str]] = {
    "perplexity": "perplexity under the language model that the recipe gives for the document's language; null without",
    "toxic_word_fraction": "words that stand in the recipe's lists of toxic words and phrases",
}
"""Signals that need models or lists of the user's own; columns of the stage `signals`, named alike."""

SIGNAL_FIELDS: Final = tuple(
    pa.field(SIGNAL_PREFIX + name, pa.float32(), nullable=False, metadata={"comment": SIGNALS[name]})
    for name in COLUMNS)


def signals(texts: pa.Array | pa.ChunkedArray, words: Words = Words.PAPER, languages: Any = None,
            c4: C4Lines | None = None, refinedweb: RefinedWebLines | None = None, groups: int = ALL_GROUPS) -> pa.Table:
    """All signals of texts, one float32 column each. texts: string or large_string [n]; a null counts as empty.

    languages: ISO 639-1 codes [n], for the share of stop words; English where it is None. c4, refinedweb: other line
    rules than the papers'. groups: `groups_of` the signals that are wanted; others may be 0. A text without words has 0
    everywhere."""
    data, offsets = string_buffers(texts)
    rules = ((c4 or C4Lines()).as_tuple(), (refinedweb or RefinedWebLines()).as_tuple())
    values = signal_columns(data, offsets, _language_places(languages, len(texts)), words is Words.DATATROVE, groups,
                            rules)
    columns = [pa.array(np.ascontiguousarray(values[:, i])) for i in range(values.shape[1])]
    return pa.Table.from_arrays(columns, schema=pa.schema(SIGNAL_FIELDS))


def groups_of(names: set[str]) -> int:
    """Which groups of columns to compute for these signals."""
    survey = set(COLUMNS[COLUMNS.index("n_lines") : COLUMNS.index("c4_n_sentences")])
    return ((SURVEYED if names & survey else 0) | (C4_LINES if any(n.startswith("c4_") for n in names) else 0)
            | (WEB_LINES if "refinedweb_cut_word_fraction" in names else 0))


def _language_places(languages: Any, n: int) -> Any:
    if languages is None:
        return np.zeros(n, np.int64)
    if isinstance(languages, pa.ChunkedArray):
        languages = languages.combine_chunks()
    places = pc.index_in(languages, pa.array(LANGUAGE_CODES))
    return pc.fill_null(places, -1).to_numpy(zero_copy_only=False).astype(np.int64)
