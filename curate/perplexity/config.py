"""Configuration of perplexity: which models, what they are fed, and where head, middle and tail part."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Bucket(StrEnum):
    """CCNet's parts of a language's corpus, by perplexity (Wenzek et al. 2020, section 3.4)."""

    HEAD = "head"
    MIDDLE = "middle"
    TAIL = "tail"


class PerplexityReading(BaseModel):
    """How texts are fed to language models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    normalise: bool = Field(True, description=(
        "Whether text is normalised as CCNet does it: small letters, accents off, digits as 0, marks as ASCII ones."))
    sentence: Literal["line", "document"] = Field("line", description=(
        "line: each line that holds a word is a sentence. document: the whole text is one, which is what CCNet's own "
        "pipeline scores; with `normalise`, words at the ends of lines then run together, as there."))


class PerplexityCuts(BaseModel):
    """Where head, middle and tail part, by language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: float = Field(30.0, gt=0, lt=100, description=(
        "Percentile of a language's perplexities below which a document is of the head; 30 is cc_net's."))
    middle: float = Field(60.0, gt=0, lt=100, description=(
        "Percentile below which it is of the middle, and from which on of the tail; 60 is cc_net's."))
    cutoffs: dict[str, tuple[float, float]] = Field(default_factory=dict, description=(
        "Perplexities at which the head and the middle end, by ISO 639-1 code, instead of percentiles of this corpus; "
        "such as those of cc_net's cutoff.csv."))

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.middle < self.head:
            raise ValueError(f"middle ({self.middle:g}) is below head ({self.head:g})")
        for language, (head, middle) in self.cutoffs.items():
            if not 0 < head <= middle:
                raise ValueError(f"cutoffs.{language}: {head:g} and {middle:g} do not rise from above 0")
        return self
