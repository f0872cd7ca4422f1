"""Why a heuristic rule dropped a document: one reason for each rule of every preset."""

from __future__ import annotations

from enum import StrEnum


class RuleReason(StrEnum):
    """Reasons of the published rules. What the rule reads, and its threshold, is in `presets`."""

    GOPHER_TOO_FEW_WORDS = "gopher_too_few_words"
    GOPHER_TOO_MANY_WORDS = "gopher_too_many_words"
    GOPHER_SHORT_WORDS = "gopher_short_words"
    GOPHER_LONG_WORDS = "gopher_long_words"
    GOPHER_HASHES = "gopher_hashes"
    GOPHER_ELLIPSES = "gopher_ellipses"
    GOPHER_BULLET_LINES = "gopher_bullet_lines"
    GOPHER_ELLIPSIS_LINES = "gopher_ellipsis_lines"
    GOPHER_FEW_ALPHABETIC_WORDS = "gopher_few_alphabetic_words"
    GOPHER_FEW_STOP_WORDS = "gopher_few_stop_words"
    GOPHER_DUPLICATE_LINES = "gopher_duplicate_lines"
    GOPHER_DUPLICATE_PARAGRAPHS = "gopher_duplicate_paragraphs"
    GOPHER_DUPLICATE_LINE_CHARACTERS = "gopher_duplicate_line_characters"
    GOPHER_DUPLICATE_PARAGRAPH_CHARACTERS = "gopher_duplicate_paragraph_characters"
    GOPHER_TOP_2_GRAM = "gopher_top_2_gram"
    GOPHER_TOP_3_GRAM = "gopher_top_3_gram"
    GOPHER_TOP_4_GRAM = "gopher_top_4_gram"
    GOPHER_DUPLICATE_5_GRAMS = "gopher_duplicate_5_grams"
    GOPHER_DUPLICATE_6_GRAMS = "gopher_duplicate_6_grams"
    GOPHER_DUPLICATE_7_GRAMS = "gopher_duplicate_7_grams"
    GOPHER_DUPLICATE_8_GRAMS = "gopher_duplicate_8_grams"
    GOPHER_DUPLICATE_9_GRAMS = "gopher_duplicate_9_grams"
    GOPHER_DUPLICATE_10_GRAMS = "gopher_duplicate_10_grams"
    C4_LOREM_IPSUM = "c4_lorem_ipsum"
    C4_CURLY_BRACKET = "c4_curly_bracket"
    C4_FEW_SENTENCES = "c4_few_sentences"
    FINEWEB_FEW_TERMINAL_LINES = "fineweb_few_terminal_lines"
    FINEWEB_SHORT_LINES = "fineweb_short_lines"
    FINEWEB_DUPLICATE_LINE_CHARACTERS = "fineweb_duplicate_line_characters"
    FINEWEB_LINE_FEEDS = "fineweb_line_feeds"
    REFINEDWEB_CUT_WORDS = "refinedweb_cut_words"
