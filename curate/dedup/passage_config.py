"""The configuration of deduplication within documents: paragraphs, sentences and n-grams; and the reasons it gives."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class RemovalRule(StrEnum):
    """Which rule removed a span of a document."""

    PARAGRAPH = "paragraph"
    SENTENCES = "sentences"
    BLOOM = "bloom"


class PassageReason(StrEnum):
    """Why a document is not kept after its repeated passages were removed."""

    TOO_LITTLE_LEFT = "too_little_left"
    MOSTLY_SEEN = "mostly_seen"  # by the n-gram filter
    NOT_SELECTED = "not_selected"


class ParagraphForm(StrEnum):
    """What two paragraphs must have in common to be one."""

    PAPER = "paper"  # CCNet's paper: lower case, digits as 0, without punctuation and accents; white space is one
    CC_NET = "cc_net"  # what the released code of CCNet does: ASCII punctuation and accents stay


class ParagraphsConfig(BaseModel):
    """CCNet's rule (Wenzek et al. 2020, 3.1): of paragraphs that are the same when normalised, the first stays.

    A paragraph is a line; it is known by the first 64 bits of the SHA-1 of its normal form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: ParagraphForm = Field(default=ParagraphForm.PAPER, description=(
        "Normal form: paper: lower case, digits as 0, no accents and no punctuation. cc_net: that of CCNet's released "
        "code, whose hashes it gives."))
    min_bytes: int = Field(default=1, ge=1, le=1 << 20, description=(
        "Paragraphs whose normal form has fewer UTF-8 bytes than this are never cut; CCNet has no such limit."))
    report_pages: int = Field(default=10, ge=2, description=(
        "A paragraph on so many pages of one host is listed in the boilerplate report."))


class SentencesConfig(BaseModel):
    """C4's rule (Raffel et al. 2020, 2.2): of any run of three sentences that occurs twice or more, the first stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    span: int = Field(default=3, ge=1, le=64, description="Sentences of a span.")


class BloomConfig(BaseModel):
    """DCLM's rule (Li et al. 2024, 3.3, BFF's `old-both`): paragraphs and documents whose n-grams were mostly seen
    go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ngram: int = Field(default=13, ge=1, le=64, description="Words of an n-gram.")
    min_ngram: int = Field(default=13, ge=1, le=64, description=(
        "A paragraph of fewer words than ngram, but of so many, is one n-gram of all of them; shorter ones stay."))
    threshold: float = Field(default=0.8, ge=0.0, le=1.0, description=(
        "A paragraph goes when more than this share of its n-grams was seen, a document likewise."))
    false_positive_rate: float = Field(default=0.01, gt=0.0, lt=0.5, description=(
        "Chance that an n-gram that was never seen is taken for one that was, when a filter is full."))
    filters: int = Field(default=1, ge=1, le=1 << 16, description=(
        "Filters that the parts are dealt to by the hash of their name. Each is one process, and what one has seen the "
        "others do not know."))
    max_filter_bytes: int = Field(default=1 << 30, ge=1 << 10, description=(
        "A filter that would have to be larger than this stops the run: ask for more filters."))

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.min_ngram > self.ngram:
            raise ValueError(f"min_ngram {self.min_ngram} is above ngram {self.ngram}")
        return self
