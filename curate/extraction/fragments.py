"""Fragments of HTML that are text all over, such as posts of a forum: nothing of them is chosen, all becomes text."""

from __future__ import annotations

import re
from typing import Any, Final

from resiliparse.extract.html2text import extract_plain_text

_BULLET: Final = re.compile(r"^(\s*)• ", re.MULTILINE)


def fragment_text(html: str) -> str:
    """All text of a fragment: paragraphs parted by empty lines, items of lists with `- ` or numbers, cells by tabs.

    Preformatted text keeps its lines and blanks. Links leave their words; images leave nothing.

    Args:
        html: The fragment, decoded. One that nests thousands of elements takes long: measure it first
            (`curate.sources.kernels.markup`).
    """
    return tree_text(html)


def tree_text(html: Any) -> str:
    """As `fragment_text`, of a parsed tree too."""
    text = extract_plain_text(html, preserve_formatting=True, main_content=False, list_bullets=True, alt_texts=False,
                              links=False, form_fields=False, noscript=False, comments=True)
    return _BULLET.sub(r"\1- ", str(text)).strip("\n")
