"""Which lists of words a recipe gives (`listed_words`)."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ToxicWordsConfig(BaseModel):
    """Documents with too many words of given lists are dropped; C4 allowed none (Raffel et al. 2020, 2.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[str, ...] = Field(default=(), description=(
        "Text files with a word or a phrase a line, for all documents; case and punctuation do not matter."))
    by_language: dict[str, tuple[str, ...]] = Field(default_factory=dict, description=(
        "Further such files for documents of one language, by ISO 639-1 code."))
    max_fraction: float = Field(default=0.0, ge=0, le=1, description=(
        "Greatest share of a document's words that are part of listed words and phrases."))

    @model_validator(mode="after")
    def _some_list(self) -> Self:
        if not self.files and not any(self.by_language.values()):
            raise ValueError("toxic_words: give files, or files by_language")
        return self
