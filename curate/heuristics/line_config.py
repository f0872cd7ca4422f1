"""Thresholds of rules that edit: which lines of a text stay (`line_rules`)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class C4Lines(BaseModel):
    """C4's rules on lines (Raffel et al. 2020, 2.2), with the numbers of its first version, which datatrove keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_words: int = Field(default=3, ge=0, le=1000, description=(
        "Fewest words of a line, between white space; C4's released code asks for 5."))
    max_word_characters: int = Field(default=1000, ge=1, le=10_000_000, description=(
        "Most code points of any word of a line."))
    remove_citations: bool = Field(default=True, description=(
        "Whether `[12]`, `[edit]` and `[citation needed]` are cut out of lines."))

    def as_tuple(self, must_end: bool = False) -> tuple[int, int, bool, bool]:
        """As the kernels take them. must_end: whether a line must end like a sentence."""
        return self.min_words, self.max_word_characters, must_end, self.remove_citations


class RefinedWebLines(BaseModel):
    """RefinedWeb's corrections line by line (Penedo et al. 2023, G.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_uppercase_fraction: float = Field(default=0.5, ge=0, le=1, description=(
        "Most capitals among a line's letters; the paper says mainly, DCLM (Li et al. 2024) half."))
    short_line_words: int = Field(default=10, ge=0, le=1000, description=(
        "Most words of a line from which `sign-in`, `read more...` and `items in cart` are cut."))

    def as_tuple(self) -> tuple[float, int]:
        """As the kernels take them."""
        return self.max_uppercase_fraction, self.short_line_words


class Editing(StrEnum):
    """Which rules rewrite the text."""

    C4 = "c4"  # every line rule of C4 but the one on sentence ends, as FineWeb uses them
    C4_STRICT = "c4_strict"  # all of them
    REFINEDWEB = "refinedweb"
