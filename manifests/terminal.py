"""What data says is data: text that a terminal shows without obeying it.

URLs, titles and texts of pages may hold escape sequences that move the cursor, rename the window or write to the
clipboard, and marks that turn the direction of what follows. They are shown as the escapes that Python writes for them.
"""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 controls, DEL, line and paragraph separators, marks of direction, byte-order marks and lone surrogates.
_UNSHOWN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]")


def shown(text: object, limit: int | None = None) -> str:
    """One line of text that a terminal may be given.

    Args:
        text: What a document, a file or a recipe says.
        limit: Most characters of it; a longer one ends in an ellipsis.
    Returns:
        The text with every control character and every mark of direction as its escape, such as `\\x1b`.
    """
    plain = str(text)
    if limit is not None and len(plain) > limit:
        plain = plain[: limit - 1] + "…"
    return _UNSHOWN.sub(_escape, plain)


def shown_lines(text: str, limit: int | None = None) -> list[str]:
    """The lines of a text, each as `shown`; white space that only lays a line out is one space.

    limit: most characters of the whole text."""
    plain = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    return [shown(line.replace("\t", " ")) for line in plain.splitlines()]


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
