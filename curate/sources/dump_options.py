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
