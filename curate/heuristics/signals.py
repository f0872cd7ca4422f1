"""The signals of a document: one table of them all, in the order of their columns.

Heuristic rules, buckets and `curate tune` read signals; they are computed once and stored as columns, `signal_` in
front of the name. To add one: an entry here, and the line of a kernel that fills it (`kernels/signals.py`, which finds
columns by `COLUMN`), or for an external one the code in `external`. docs/filters.md shows the table.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Set
from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from typing import Any, Final

import pyarrow as pa

from manifests.schema import SIGNAL_PREFIX


class Words(StrEnum):
    """What a word, a line and a character are to the signals; `computed` defines both."""

    PAPER = "paper"
    DATATROVE = "datatrove"


class Group(Flag):
    """Which kernel fills a signal's column; those of a group are computed together."""

    REPETITION = auto()  # words, lines, paragraphs and n-grams of the text as it is; always computed
    SURVEY = auto()  # kinds of characters, scripts, sentences
    C4 = auto()  # the text after C4's line rules
    REFINEDWEB = auto()  # what RefinedWeb's line rules remove
    EXTERNAL = auto()  # needs models or lists that the recipe names; a stage of its own


EVERY_GROUP: Final = Group.REPETITION | Group.SURVEY | Group.C4 | Group.REFINEDWEB
"""The groups that need nothing but the text."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. description: what its value is, as docs/filters.md and the column's comment say it."""

    name: str
    group: Group
    description: str

    @property
    def field(self) -> pa.Field[pa.FloatScalar]:
        """Its column, float32; that of an external signal is null where nothing can be said."""
        return pa.field(SIGNAL_PREFIX + self.name, pa.float32(), nullable=self.group is Group.EXTERNAL,
                        metadata={"comment": self.description})


def _group(group: Group, descriptions: dict[str, str], after: str = "") -> tuple[Signal, ...]:
    return tuple(Signal(name, group, after + description) for name, description in descriptions.items())


_REPETITION: Final = {
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
}
_SURVEY: Final = {
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
}
_C4: Final = {
    "c4_n_sentences": "sentences",
    "c4_lorem_ipsum": "1 if `lorem ipsum` comes before any curly bracket, else 0",
    "c4_curly_bracket": "1 if `{` comes before any `lorem ipsum`, else 0",
    "c4_kept_line_fraction": "lines that are left",
    "c4_terminal_line_fraction": "lines whose last character ends sentences",
    "c4_short_line_fraction": "lines of at most 30 characters",
    "c4_duplicate_line_character_fraction": "characters in lines seen before",
    "c4_line_feed_to_word_ratio": "line feeds per word",
}
_C4_STRICT: Final = {
    "c4_strict_n_sentences": "sentences",
    "c4_strict_lorem_ipsum": "1 if `lorem ipsum` comes before any curly bracket, else 0",
    "c4_strict_curly_bracket": "1 if `{` comes before any `lorem ipsum`, else 0",
}
SIGNAL_NAME: Final = r"^[a-z][a-z0-9_]*$"
"""What signals may be called."""
DOCUMENT_SIGNALS: Final = ("page_type_score", "language_score", "language_share")
"""Columns of the documents that rules may read as they read signals; null where nothing can be said."""
PERPLEXITY: Final = "perplexity"
TOXIC: Final = "toxic_word_fraction"

SIGNALS: Final = (
    *_group(Group.REPETITION, _REPETITION),
    *_group(Group.SURVEY, _SURVEY),
    *_group(Group.C4, _C4, "after C4's line rules without the one on sentence ends: "),
    *_group(Group.C4, _C4_STRICT, "after C4's line rules: "),
    Signal("refinedweb_cut_word_fraction", Group.REFINEDWEB, "words in lines that RefinedWeb's line rules cut"),
    Signal(PERPLEXITY, Group.EXTERNAL,
           "perplexity under the language model that the recipe gives for the document's language; null without"),
    Signal(TOXIC, Group.EXTERNAL, "words that are part of words and phrases in the recipe's lists of toxic ones"),
)
"""Every signal. Those that are computed from the text alone come first, in the order of the document's columns."""

COMPUTED: Final = {signal.name: signal for signal in SIGNALS if signal.group in EVERY_GROUP}
"""Signals that `extract` computes from the text alone, by name."""

EXTERNAL: Final = {signal.name: signal for signal in SIGNALS if signal.group is Group.EXTERNAL}
"""Signals that need models or lists of the user's own, by name; columns of the stage `signals`."""

SIGNAL_FIELDS: Final = tuple(signal.field for signal in COMPUTED.values())
"""Their columns in the documents' table."""

_Columns: Any = namedtuple("_Columns", COMPUTED)  # type: ignore[misc]  # names come from the table
COLUMN: Final[Any] = _Columns(*range(len(COMPUTED)))
"""Index of each computed signal among the columns: `COLUMN.n_words`, a constant inside kernels too."""


def groups_of(names: Set[str]) -> Group:
    """Which groups to compute for these signals."""
    groups = Group.REPETITION
    for name in COMPUTED.keys() & names:
        groups |= COMPUTED[name].group
    return groups
