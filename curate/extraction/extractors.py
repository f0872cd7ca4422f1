"""The extractors of a page's main content, in one table: HTML to plain text.

Another extractor is a function that loads it, and one entry in `EXTRACTORS`. docs/extraction.md compares them. What
extractors are made of is imported by those functions: a recipe names extractors, and loads none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from curate.extraction.extracted import Content, Extracted, Format
from manifests.errors import InputError

Extract = Callable[[bytes, str | None], Extracted]
"""HTML and what HTTP says of its encoding in, text out. It may raise ValueError or RuntimeError."""

DEFAULT: Final = "blocks"


def extract_text(html: bytes, *, charset: str | None = None) -> str:
    """The main content of a page by the default extractor, as text.

    Line breaks, paragraphs, list items, cells of a row (parted by tabs) and preformatted text survive.

    Args:
        html: The page, in any encoding: any bytes are HTML of a kind.
        charset: What the HTTP header says of its encoding, if it does.
    Returns:
        The text; empty where there is none. Nothing is raised.
    """
    return extractor(DEFAULT)(html, charset).text


def extractor(name: str, content: Content = Content.AUTO, form: Format = Format.TEXT) -> Extract:
    """The function of an extractor.

    Args:
        name: A key of `EXTRACTORS`.
        content: What counts as text; extractors other than `blocks` have a view of their own.
        form: How it is written; others write text.
    Raises:
        InputError: The extractor is not installed.
    """
    return EXTRACTORS[name](content, form)


def _blocks(content: Content, form: Format) -> Extract:
    """This project's own: boosted trees choose blocks."""
    from curate.extraction.blocks import extract_blocks
    from curate.extraction.html import as_utf8

    return lambda html, charset: extract_blocks(as_utf8(html, charset), content, form)


def _resiliparse(_: Content, __: Format) -> Extract:
    """Main content by Resiliparse's rules, without comment sections and alternative texts of images: on 757 pages with
    human gold text (dragnet, CleanEval) that raises word-4-gram F1 from 0.792 to 0.849."""
    from resiliparse.extract.html2text import extract_plain_text

    from curate.extraction.html import decode

    def extracted(html: bytes, charset: str | None) -> Extracted:
        return Extracted(extract_plain_text(
            decode(html, charset), preserve_formatting=True, main_content=True, list_bullets=True, alt_texts=False,
            links=False, form_fields=False, noscript=False, comments=False))

    return extracted


def _trafilatura(_: Content, __: Format) -> Extract:
    """Trafilatura as datatrove calls it: without comments, precision and recall as they come."""
    try:
        from trafilatura import extract
    except ImportError:
        raise InputError("the extractor trafilatura is not installed", where="extract.extractor",
                         hint="pip install 'curate-corpus[trafilatura]', or take the extractor blocks") from None
    from curate.extraction.html import decode

    return lambda html, charset: Extracted(extract(decode(html, charset), include_comments=False) or "")


EXTRACTORS: Final[dict[str, Callable[[Content, Format], Extract]]] = {
    "blocks": _blocks, "resiliparse": _resiliparse, "trafilatura": _trafilatura}
"""What loads each extractor, by the name that recipes have for it."""
