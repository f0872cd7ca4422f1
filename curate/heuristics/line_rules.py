"""Rules that edit: which lines of a text stay. Their thresholds, and the spans that they leave."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from curate.edits.spans import edits_array
from curate.heuristics.kernels.edits import C4_OPEN, C4_STRICT, REFINEDWEB, edit_texts
from curate.text.strings import string_buffers


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


_KINDS: Final = {Editing.C4: C4_OPEN, Editing.C4_STRICT: C4_STRICT, Editing.REFINEDWEB: REFINEDWEB}


def line_edits(texts: pa.Array | pa.ChunkedArray, editing: Editing, c4: C4Lines, refinedweb: RefinedWebLines,
               ) -> pa.ListArray:
    """The spans that line rules leave of each text. A line feed between kept lines is the text's own where it has one.

    Args:
        texts: string or large_string [n].
        editing: Which rules.
        c4: Numbers of C4's rules.
        refinedweb: Numbers of RefinedWeb's.
    Returns:
        list<EDIT> [n]; an empty list where nothing is left.
    """
    data, offsets = string_buffers(texts)
    starts, ends, codes, bounds = edit_texts(data, offsets, _KINDS[editing], c4.as_tuple(), refinedweb.as_tuple())
    return edits_array(starts, ends, codes, bounds, pa.array(["\n"]))
