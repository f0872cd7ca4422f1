"""What a recipe may choose of each kind of dump: the models of `options` of a source."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MediaWikiOptions(BaseModel):
    """What of a wiki's dump becomes documents, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespaces: tuple[int, ...] = Field((0,), description="Numbers of the namespaces that are read; 0 holds articles.")
    title: bool = Field(True, description="Whether a text begins with the page's title, a line of its own.")
    headings: Literal["markdown", "plain", "none"] = Field("markdown", description=(
        "How headings of sections stand in the text: with # signs by their level, as bare lines, or not at all."))
    skipped_sections: tuple[str, ...] = Field((), description=(
        "Headings of sections that are left out with all below them, such as `See also`; letter case is ignored."))
    max_page_bytes: int = Field(64 << 20, ge=1 << 10, le=1 << 30, description=(
        "Bytes of one revision's XML above which a page is named and passed by."))


class StackExchangeOptions(BaseModel):
    """Which questions and answers of a site become documents, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str | None = Field(None, description=(
        "Host of the site, for addresses, such as cooking.stackexchange.com; null takes the name of the archive or of "
        "the folder, where that is one."))
    min_question_score: int | None = Field(None, description="Score below which a question is left out.")
    min_answer_score: int | None = Field(None, description="Score below which an answer is left out.")
    min_answers: int = Field(0, ge=0, description="Answers, of those that count, below which a question is left out.")
    max_answers: int | None = Field(None, ge=1, description="Most answers of a question, those of the highest scores.")
    question_label: str = Field("Q: ", description="What a question's title begins with.")
    answer_label: str = Field("A: ", description="What an answer begins with.")
