"""Charts as SVG of our own: bars and histograms, in the page's own colours, with their numbers as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

_WIDTH: Final = 640
_ROW: Final = 22
_LABEL: Final = 190
_HEIGHT: Final = 150


def bars(title: str, rows: Sequence[tuple[str, float, float | None, str]]) -> str:
    """Horizontal bars.

    Args:
        title: What the chart shows, for those who cannot see it.
        rows: (label, whole, part of it that is drawn darker or None, text at the end) of each bar.
    Returns:
        An `<svg>` element; nothing where there is no row.
    """
    most = max((whole for _, whole, _, _ in rows), default=0) or 1
    room = _WIDTH - _LABEL - 120
    parts = []
    for i, (label, whole, part, text) in enumerate(rows):
        y = i * _ROW
        parts.append(f'<text x="{_LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(_short(label, 28))}</text>')
        parts.append(f'<rect class="whole" x="{_LABEL}" y="{y + 3}" width="{room * whole / most:.1f}" height="16"/>')
        if part is not None:
            parts.append(f'<rect class="part" x="{_LABEL}" y="{y + 3}" width="{room * part / most:.1f}" height="16"/>')
        parts.append(f'<text x="{_LABEL + room * whole / most + 6:.1f}" y="{y + 15}">{escape(text)}</text>')
    return _svg(title, len(rows) * _ROW, parts) if rows else ""


def histogram(title: str, bins: Sequence[dict[str, Any]], lines: Sequence[tuple[float, str]]) -> str:
    """A histogram with vertical lines.

    Args:
        title: What the chart shows.
        bins: `from`, `to` and `documents` of each.
        lines: (value, label) of each line; one beyond the bins stands at their edge.
    Returns:
        An `<svg>` element; nothing where there are no bins.
    """
    if not bins:
        return ""
    most = max(row["documents"] for row in bins) or 1
    low, high = float(bins[0]["from"]), float(bins[-1]["to"])
    width, parts = _WIDTH / len(bins), []
    for i, row in enumerate(bins):
        height = (_HEIGHT - 30) * row["documents"] / most
        tip = f"{row['from']:.5g} to {row['to']:.5g}: {row['documents']:,} documents"
        parts.append(f'<rect class="part" x="{i * width:.1f}" y="{_HEIGHT - 18 - height:.1f}" '
                     f'width="{max(1.0, width - 1):.1f}" height="{height:.1f}"><title>{escape(tip)}</title></rect>')
    for value, label in lines:
        x = _WIDTH * min(1.0, max(0.0, (value - low) / (high - low))) if high > low else _WIDTH / 2
        label += " →" if value > high else " ←" if value < low else ""
        anchor = "end" if x > _WIDTH / 2 else "start"
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="{_HEIGHT - 18}"/>')
        parts.append(f'<text x="{x + (-4 if anchor == "end" else 4):.1f}" y="11" '
                     f'text-anchor="{anchor}">{escape(label)}</text>')
    parts.append(f'<text x="0" y="{_HEIGHT - 3}">{low:.5g}</text>')
    parts.append(f'<text x="{_WIDTH}" y="{_HEIGHT - 3}" text-anchor="end">{high:.5g}</text>')
    return _svg(title, _HEIGHT, parts)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
            f'<title>{escape(title)}</title>{"".join(parts)}</svg>')


def _short(text: str, n: int) -> str:
    return text if len(text) <= n else text[: n - 1] + "…"
