"""The configuration of the search for repeated passages."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Occurrences(StrEnum):
    """Which occurrences of a passage that occurs more than once are cut."""

    REPEATS = "repeats"  # all but the first, in survivor order
    ALL = "all"  # all of them, as google-research/deduplicate-text-datasets does


class SubstringReason(StrEnum):
    """Why a document is not kept after its repeated passages were cut."""

    REPEATED_TEXT = "repeated_text"  # too little of it occurs nowhere else
    NOT_SELECTED = "not_selected"


class SubstringConfig(BaseModel):
    """Exact substrings (Lee et al. 2022, ExactSubstr): a byte is cut where it lies in a run of `min_bytes` bytes of one
    document that also occurs elsewhere in the kept documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_bytes: int = Field(default=100, ge=16, le=100_000, description=(
        "Shortest run of UTF-8 bytes that counts as a repeat; the paper takes 50 tokens, its tool 100 bytes."))
    cut: Occurrences = Field(default=Occurrences.REPEATS, description=(
        "repeats: the first occurrence in survivor order stays. all: none does, as in the paper's tool."))
    min_left_bytes: int = Field(default=0, ge=0, le=1_000_000, description=(
        "A document that was cut is dropped if it has fewer bytes left than this; one with nothing left always is."))
    partitions: Literal["auto"] | Annotated[int, Field(ge=1, le=4096)] = Field(default="auto", description=(
        "Partitions of the search, up to 4,096; memory falls with their number. auto: a power of two, one partition "
        "for 32 parts and for 65,536 documents."))

    @model_validator(mode="after")
    def _leaves_first_occurrences(self) -> Self:
        if self.min_left_bytes > self.min_bytes:
            raise ValueError("min_left_bytes must not exceed min_bytes: the first occurrence of a passage could go")
        return self
