"""The published lists of rules, each number with the paper that it comes from.

Where a paper and the code that its authors released differ, the released code's number stands and the comment says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curate.heuristics.line_config import Editing
from curate.heuristics.reasons import RuleReason
from curate.heuristics.rules import Rule

_GOPHER: Final = "Rae et al. 2021, A1.1"
_TABLE_A1: Final = "Rae et al. 2021, table A1"
_C4: Final = "Raffel et al. 2020, 2.2"
_FINEWEB: Final = "Penedo et al. 2024, 3.5"
_REFINEDWEB: Final = "Penedo et al. 2023, G.2"


class Preset(StrEnum):
    """A published list of rules."""

    GOPHER = "gopher"
    C4 = "c4"
    FINEWEB = "fineweb"
    REFINEDWEB = "refinedweb"
    DCLM = "dclm"
    GPT3 = "gpt3"


@dataclass(frozen=True, slots=True)
class RuleList:
    """Rules in the order in which they are asked, and which line rules rewrite the text."""

    rules: tuple[Rule, ...]
    editing: Editing | None = None


def _least(reason: RuleReason, signal: str, threshold: float, paper: str) -> Rule:
    return Rule(reason=reason, signal=signal, at_least=threshold, paper=paper)


def _most(reason: RuleReason, signal: str, threshold: float, paper: str) -> Rule:
    return Rule(reason=reason, signal=signal, at_most=threshold, paper=paper)


_QUALITY: Final = (
    _least(RuleReason.GOPHER_TOO_FEW_WORDS, "n_words", 50, _GOPHER),
    _most(RuleReason.GOPHER_TOO_MANY_WORDS, "n_words", 100_000, _GOPHER),
    _least(RuleReason.GOPHER_SHORT_WORDS, "mean_word_length", 3, _GOPHER),
    _most(RuleReason.GOPHER_LONG_WORDS, "mean_word_length", 10, _GOPHER),
    _most(RuleReason.GOPHER_HASHES, "hash_to_word_ratio", 0.1, _GOPHER),
    _most(RuleReason.GOPHER_ELLIPSES, "ellipsis_to_word_ratio", 0.1, _GOPHER),
    _most(RuleReason.GOPHER_BULLET_LINES, "bullet_line_fraction", 0.9, _GOPHER),
    _most(RuleReason.GOPHER_ELLIPSIS_LINES, "ellipsis_line_fraction", 0.3, _GOPHER),
    _least(RuleReason.GOPHER_FEW_ALPHABETIC_WORDS, "alpha_word_fraction", 0.8, _GOPHER),
    _least(RuleReason.GOPHER_FEW_STOP_WORDS, "n_stop_words", 2, _GOPHER),
)
# Table A1 gives no order; datatrove asks for paragraphs before lines.
_LINES: Final = (
    _most(RuleReason.GOPHER_DUPLICATE_PARAGRAPHS, "duplicate_paragraph_fraction", 0.30, _TABLE_A1),
    _most(RuleReason.GOPHER_DUPLICATE_PARAGRAPH_CHARACTERS, "duplicate_paragraph_character_fraction", 0.20, _TABLE_A1),
    _most(RuleReason.GOPHER_DUPLICATE_LINES, "duplicate_line_fraction", 0.30, _TABLE_A1),
    _most(RuleReason.GOPHER_DUPLICATE_LINE_CHARACTERS, "duplicate_line_character_fraction", 0.20, _TABLE_A1),
)
_GRAMS: Final = (
    *(_most(RuleReason(f"gopher_top_{n}_gram"), f"top_{n}_gram_character_fraction", limit, _TABLE_A1)
      for n, limit in ((2, 0.20), (3, 0.18), (4, 0.16))),
    *(_most(RuleReason(f"gopher_duplicate_{n}_grams"), f"duplicate_{n}_gram_character_fraction", limit, _TABLE_A1)
      for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))),
)
_REPETITION: Final = (*_LINES, *_GRAMS)


def _c4(prefix: str) -> tuple[Rule, ...]:
    return (_most(RuleReason.C4_LOREM_IPSUM, f"{prefix}_lorem_ipsum", 0, _C4),
            _most(RuleReason.C4_CURLY_BRACKET, f"{prefix}_curly_bracket", 0, _C4),
            _least(RuleReason.C4_FEW_SENTENCES, f"{prefix}_n_sentences", 5, _C4))


_LAYOUT: Final = (
    _least(RuleReason.FINEWEB_FEW_TERMINAL_LINES, "c4_terminal_line_fraction", 0.12, _FINEWEB),
    _most(RuleReason.FINEWEB_SHORT_LINES, "c4_short_line_fraction", 0.67, _FINEWEB),
    # The paper says 0.1; the code that made FineWeb has 0.01.
    _most(RuleReason.FINEWEB_DUPLICATE_LINE_CHARACTERS, "c4_duplicate_line_character_fraction", 0.01,
          "datatrove's FineWebQualityFilter"),
    _most(RuleReason.FINEWEB_LINE_FEEDS, "c4_line_feed_to_word_ratio", 0.3, "datatrove's FineWebQualityFilter"),
)
_CUT_WORDS: Final = _most(RuleReason.REFINEDWEB_CUT_WORDS, "refinedweb_cut_word_fraction", 0.05, _REFINEDWEB)

PRESETS: Final = {
    Preset.GOPHER: RuleList((*_QUALITY, *_REPETITION)),
    Preset.C4: RuleList(_c4("c4_strict"), Editing.C4_STRICT),
    Preset.FINEWEB: RuleList((*_REPETITION, *_QUALITY, *_c4("c4"), *_LAYOUT), Editing.C4),
    Preset.REFINEDWEB: RuleList((*_REPETITION, *_QUALITY, _CUT_WORDS), Editing.REFINEDWEB),
    Preset.DCLM: RuleList((*_QUALITY, *_REPETITION, _CUT_WORDS), Editing.REFINEDWEB),
    # GPT-3's paper has no heuristic rule: a classifier and deduplication did it all (Brown et al. 2020, appendix A).
    Preset.GPT3: RuleList(()),
}
"""Rules by preset."""
