"""What an extractor is asked for, and what it gives. Loads no kernel, so that recipes are checked at once."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple, get_args


class Content(StrEnum):
    """What of a page counts as its text, from the least to the most; the model's trees know each by its number."""

    ARTICLE = "article"
    AUTO = "auto"
    EVERYTHING = "everything"


class Format(StrEnum):
    """How the text is written."""

    TEXT = "text"
    MARKDOWN = "markdown"


PageType = Literal["article", "forum", "listing", "collection", "service", "product", "documentation"]
PAGE_TYPES: Final[tuple[PageType, ...]] = get_args(PageType)
"""Kinds of pages, as WCXB tells them apart: a collection shows things for sale, a listing links to other pages."""


class Extracted(NamedTuple):
    """The text of a page, and which of `PAGE_TYPES` the page is taken to be, with what probability.

    The last two are None where the extractor does not say."""

    text: str
    page_type: str | None = None
    page_type_score: float | None = None
