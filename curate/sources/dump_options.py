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


class CodeOptions(BaseModel):
    """Which files of repositories become documents. The rules on files are LLaMA's (Touvron et al. 2023, section 2.1)
    with the numbers of StarCoder (Li et al. 2023, section 3) and RedPajama."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...] | None = Field(None, description=(
        "Programming languages that are kept, by the names of The Stack, such as Python and C++; null keeps all that "
        "are known."))
    licences: tuple[str, ...] | None = Field(("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT"), description=(
        "SPDX identifiers of which a file must be under one; null takes any. LLaMA took Apache, BSD and MIT."))
    unlicensed: Literal["keep", "drop"] = Field("drop", description="What becomes of files under no known licence.")
    max_file_bytes: int = Field(1 << 20, ge=1, le=1 << 28, description="Bytes above which a file is left out.")
    max_line_length: int | None = Field(1000, ge=1, description="Characters of the longest line.")
    max_average_line_length: float | None = Field(100, gt=0, description="Characters of the average line.")
    min_alphanumeric_share: float | None = Field(0.25, ge=0, le=1, description="Letters and digits of all characters.")
    min_letter_share: float | None = Field(0.25, ge=0, le=1, description="Letters of all characters.")
    generated: Literal["keep", "drop"] = Field("drop", description=(
        "What becomes of files that say that they were generated, of lock files and the like."))
    minified: Literal["keep", "drop"] = Field("drop", description="What becomes of minified scripts and style sheets.")


class EpubOptions(BaseModel):
    """Of electronic books."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_book_bytes: int = Field(256 << 20, ge=1 << 10, le=1 << 31, description=(
        "Bytes of a book's file, and of its chapters unpacked, above which it is left out."))


class ArxivOptions(BaseModel):
    """Of papers in LaTeX."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_paper_bytes: int = Field(64 << 20, ge=1 << 10, le=1 << 31, description=(
        "Bytes of a paper's archive, and of its files unpacked, above which it is left out."))
