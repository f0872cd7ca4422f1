"""The Gopher rules on quality and repetition (Rae et al. 2021, A1.1 and table A1), on stored signals.

No text is read: a changed threshold is judged again in milliseconds.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from manifests.errors import InputError
from manifests.schema import SIGNAL_PREFIX


class GopherReason(StrEnum):
    """Why a document was dropped, in the order in which the rules are applied."""

    TOO_FEW_WORDS = "gopher_too_few_words"
    TOO_MANY_WORDS = "gopher_too_many_words"
    SHORT_WORDS = "gopher_short_words"
    LONG_WORDS = "gopher_long_words"
    HASHES = "gopher_hashes"
    ELLIPSES = "gopher_ellipses"
    BULLET_LINES = "gopher_bullet_lines"
    ELLIPSIS_LINES = "gopher_ellipsis_lines"
    FEW_ALPHABETIC_WORDS = "gopher_few_alphabetic_words"
    FEW_STOP_WORDS = "gopher_few_stop_words"
    DUPLICATE_LINES = "gopher_duplicate_lines"
    DUPLICATE_PARAGRAPHS = "gopher_duplicate_paragraphs"
    DUPLICATE_LINE_CHARACTERS = "gopher_duplicate_line_characters"
    DUPLICATE_PARAGRAPH_CHARACTERS = "gopher_duplicate_paragraph_characters"
    TOP_2_GRAM = "gopher_top_2_gram"
    TOP_3_GRAM = "gopher_top_3_gram"
    TOP_4_GRAM = "gopher_top_4_gram"
    DUPLICATE_5_GRAMS = "gopher_duplicate_5_grams"
    DUPLICATE_6_GRAMS = "gopher_duplicate_6_grams"
    DUPLICATE_7_GRAMS = "gopher_duplicate_7_grams"
    DUPLICATE_8_GRAMS = "gopher_duplicate_8_grams"
    DUPLICATE_9_GRAMS = "gopher_duplicate_9_grams"
    DUPLICATE_10_GRAMS = "gopher_duplicate_10_grams"


def _share(default: float, what: str) -> float | None:
    value: float | None = Field(default, ge=0, le=1, description=f"{what}; null turns the rule off.")
    return value


class GopherRules(BaseModel):
    """Thresholds of the Gopher rules; null turns a rule off. The defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_words: int | None = Field(default=50, ge=0, description="Fewest words; null turns the rule off.")
    max_words: int | None = Field(default=100_000, ge=1, description="Most words; null turns the rule off.")
    min_mean_word_length: float | None = Field(
        default=3.0, ge=0, description="Least mean length of words in code points; null turns the rule off.")
    max_mean_word_length: float | None = Field(
        default=10.0, gt=0, description="Greatest mean length of words in code points; null turns the rule off.")
    max_hash_ratio: float | None = Field(default=0.1, ge=0, description="Most `#` per word; null turns the rule off.")
    max_ellipsis_ratio: float | None = Field(
        default=0.1, ge=0, description="Most ellipses per word; null turns the rule off.")
    max_bullet_line_fraction: float | None = _share(0.9, "Most lines that start with a bullet")
    max_ellipsis_line_fraction: float | None = _share(0.3, "Most lines that end with an ellipsis")
    min_alpha_word_fraction: float | None = _share(0.8, "Fewest words with a letter")
    min_stop_words: int | None = Field(
        default=2, ge=0, le=8, description="Fewest different English stop words; null turns the rule off.")
    max_duplicate_line_fraction: float | None = _share(0.30, "Most lines seen before")
    max_duplicate_paragraph_fraction: float | None = _share(0.30, "Most paragraphs seen before")
    max_duplicate_line_character_fraction: float | None = _share(0.20, "Most characters in lines seen before")
    max_duplicate_paragraph_character_fraction: float | None = _share(0.20, "Most characters in paragraphs seen before")
    max_top_2_gram_fraction: float | None = _share(0.20, "Most characters in the most frequent 2-gram")
    max_top_3_gram_fraction: float | None = _share(0.18, "Most characters in the most frequent 3-gram")
    max_top_4_gram_fraction: float | None = _share(0.16, "Most characters in the most frequent 4-gram")
    max_duplicate_5_gram_fraction: float | None = _share(0.15, "Most characters in 5-grams seen before")
    max_duplicate_6_gram_fraction: float | None = _share(0.14, "Most characters in 6-grams seen before")
    max_duplicate_7_gram_fraction: float | None = _share(0.13, "Most characters in 7-grams seen before")
    max_duplicate_8_gram_fraction: float | None = _share(0.12, "Most characters in 8-grams seen before")
    max_duplicate_9_gram_fraction: float | None = _share(0.11, "Most characters in 9-grams seen before")
    max_duplicate_10_gram_fraction: float | None = _share(0.10, "Most characters in 10-grams seen before")


_Rule = tuple[GopherReason, str, str]
_RULES: tuple[_Rule, ...] = (
    (GopherReason.TOO_FEW_WORDS, "n_words", "min_words"),
    (GopherReason.TOO_MANY_WORDS, "n_words", "max_words"),
    (GopherReason.SHORT_WORDS, "mean_word_length", "min_mean_word_length"),
    (GopherReason.LONG_WORDS, "mean_word_length", "max_mean_word_length"),
    (GopherReason.HASHES, "hash_to_word_ratio", "max_hash_ratio"),
    (GopherReason.ELLIPSES, "ellipsis_to_word_ratio", "max_ellipsis_ratio"),
    (GopherReason.BULLET_LINES, "bullet_line_fraction", "max_bullet_line_fraction"),
    (GopherReason.ELLIPSIS_LINES, "ellipsis_line_fraction", "max_ellipsis_line_fraction"),
    (GopherReason.FEW_ALPHABETIC_WORDS, "alpha_word_fraction", "min_alpha_word_fraction"),
    (GopherReason.FEW_STOP_WORDS, "n_stop_words", "min_stop_words"),
    (GopherReason.DUPLICATE_LINES, "duplicate_line_fraction", "max_duplicate_line_fraction"),
    (GopherReason.DUPLICATE_PARAGRAPHS, "duplicate_paragraph_fraction", "max_duplicate_paragraph_fraction"),
    (GopherReason.DUPLICATE_LINE_CHARACTERS, "duplicate_line_character_fraction",
     "max_duplicate_line_character_fraction"),
    (GopherReason.DUPLICATE_PARAGRAPH_CHARACTERS, "duplicate_paragraph_character_fraction",
     "max_duplicate_paragraph_character_fraction"),
    *((GopherReason(f"gopher_top_{n}_gram"), f"top_{n}_gram_character_fraction", f"max_top_{n}_gram_fraction")
      for n in (2, 3, 4)),
    *((GopherReason(f"gopher_duplicate_{n}_grams"), f"duplicate_{n}_gram_character_fraction",
       f"max_duplicate_{n}_gram_fraction") for n in range(5, 11)),
)


def judge(table: pa.Table, rules: GopherRules) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """(reason, value, threshold) of each row: the first rule it fails, all null where it passes.

    table: has the `signal_*` columns of the rules in force, float32. A value equal to its threshold passes; thresholds
    are compared as float32, so that 1 of 10 is not more than 0.1. Raises InputError where a column is missing."""
    n = len(table)
    reason = np.full(n, -1, np.int8)
    value, threshold = np.zeros(n), np.zeros(n)
    for number, (_, signal, field) in enumerate(_RULES):
        limit = getattr(rules, field)
        if limit is None:
            continue
        column = _signal(table, signal)
        fails = column < np.float32(limit) if field.startswith("min_") else column > np.float32(limit)
        fails &= reason < 0
        reason[fails] = number
        value[fails], threshold[fails] = column[fails], limit
    passed = reason < 0
    names = pa.array([str(r) for r, _, _ in _RULES], pa.string())
    codes = pa.array(reason, pa.int8(), mask=passed)
    return names.take(codes), pa.array(value, mask=passed), pa.array(threshold, mask=passed)


def _signal(table: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    column = SIGNAL_PREFIX + name
    if column not in table.column_names:
        raise InputError(f"has no column {column}", hint="extract with signals on, or turn the Gopher rules off")
    values: np.ndarray[tuple[int], np.dtype[np.float32]] = table[column].to_numpy().astype(np.float32, copy=False)
    return values
