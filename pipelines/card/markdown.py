"""Markdown in which what data says is text: names of sources and domains cannot make links, tables or HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pipelines.terminal import printable

_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")


def plain(text: Any) -> str:
    """A text of one line without a meaning in Markdown."""
    return _MARKS.sub(r"\\\1", " ".join(printable(str(text)).split()))


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; nothing where it has no row. Numbers are written with their thousands parted."""
    if not rows:
        return ""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.2%}" if isinstance(value, float) else plain(value)
