"""Elements of a report's page: tables that sort, excerpts of texts. All that they are given is text, and escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell. value: by which it is sorted, where that is not its text. is_number: whether it stands to the right."""

    text: str
    value: str | None = None
    is_number: bool = False


def number(value: float | int | None, form: str | None = None) -> Cell:
    """A cell with a number. form: as of `format`; by default thousands are parted, and fractions have five digits."""
    if value is None:
        return Cell("", "", True)
    text = format(value, form) if form else f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
    return Cell(text, repr(value), True)


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table whose columns can be sorted."""
    if not rows:
        return ""
    kinds = ["" if cell.is_number else ' class="text"' for cell in rows[0]]
    heads = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(head, kinds, strict=True))
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f'<div class="wrap"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def article(heading: str, content: str) -> str:
    """A box. content: markup already."""
    return f"<article><strong>{escape(heading)}</strong>{content}</article>"


def excerpt(row: Mapping[str, Any]) -> str:
    """A document of a sample."""
    fate = f"dropped by {row['stage']}: {row['reason']}" if row.get("stage") else row["source"]
    measured = [f"{name} {row[name]:.5g}" for name in ("value", "threshold") if row.get(name) is not None]
    about = ", ".join([str(fate), *measured])
    text = f'<div class="body">{escape(row["text"])}</div>' if row["text"] is not None else ""
    return article(row["url"] or row["doc_id"], f'<p class="soft">{escape(about)}</p>{text}')


def pieces(parts: Sequence[Mapping[str, Any]]) -> str:
    """A text in pieces that stay or were removed."""
    shown = "".join(escape(p["text"]) if p["kept"] else f"<del>{escape(p['text'])}</del>" for p in parts)
    return f'<div class="body">{shown}</div>'


def _cell(cell: Cell) -> str:
    kind = "" if cell.is_number else ' class="text"'
    value = f' data-value="{escape(cell.value)}"' if cell.value is not None else ""
    return f"<td{kind}{value}>{escape(cell.text)}</td>"
