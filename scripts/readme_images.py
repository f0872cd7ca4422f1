"""The two pictures of README: the demo's funnel, and how many times faster some steps are than other projects'.

    python -m scripts.readme_images [RUN]     writes docs/images/benchmarks.svg; of a finished demo, RUN, funnel.svg too

The funnel's numbers are the run's, so they depend on the texts of the libraries of which the demo is made, and that
picture is drawn when somebody asks for it; the others are those of the table "Beside others" in docs/benchmarks.md.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import pipelines

_DOCS: Final = Path(__file__).parent.parent / "docs"
_WIDTH: Final = 760
_ROW: Final = 34
_STYLE: Final = """<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .dim { fill: #59636e } .bar { fill: #2f6f9f }
.gone { fill: #d9a05b } @media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .dim { fill: #9198a1 } .bar { fill: #5aa0d0 } .gone { fill: #b9803f } }
</style>"""
_TITLES: Final = {"extract": "pages in a wanted language", "select": "rules and classifier",
                  "dedup/decisions": "no copies, no near-copies", "decontaminate": "no benchmark in them"}
_BESIDE: Final = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<times>[\d.]+) \| (?P<whose>[^|]+) \| `make [\w-]+` \|$", re.MULTILINE)


def funnel_svg(rows: Sequence[tuple[str, int, str]]) -> str:
    """Bars of documents that are left, each with what the step dropped most.

    rows: title, documents left, and what was dropped, in words."""
    most = max(n for _, n, _ in rows)
    lines = []
    for number, (title, n, dropped) in enumerate(rows):
        y, width = number * _ROW + 24, 210 * n / most
        lines.append(f'<text x="196" y="{y + 4}" text-anchor="end">{escape(title)}</text>'
                     f'<rect class="bar" x="206" y="{y - 10}" width="{width:.1f}" height="20" rx="2"/>'
                     f'<text x="{214 + width:.1f}" y="{y + 4}">{n:,}<tspan class="dim" dx="8">{escape(dropped)}</tspan>'
                     "</text>")
    return _svg(len(rows) * _ROW + 14, "Documents that are left after each step of the demo", lines)


def benchmarks_svg(rows: Sequence[tuple[str, float, str]]) -> str:
    """Bars on a logarithmic scale. rows: the step, how many times faster, than whose."""
    most = math.log(max(times for _, times, _ in rows))
    lines = []
    for number, (what, times, whose) in enumerate(rows):
        y, width = number * _ROW + 24, 230 * math.log(times) / most
        lines.append(f'<text x="276" y="{y + 4}" text-anchor="end">{escape(what)}</text>'
                     f'<rect class="bar" x="286" y="{y - 10}" width="{width:.1f}" height="20" rx="2"/>'
                     f'<text x="{294 + width:.1f}" y="{y + 4}">{times:g} times<tspan class="dim" dx="8">'
                     f"{escape(whose)}</tspan></text>")
    return _svg(len(rows) * _ROW + 14, "Times faster than other projects, on a logarithmic scale", lines)


def _svg(height: int, title: str, lines: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
    return "\n".join([f'{head} aria-label="{escape(title)}">', f"<title>{escape(title)}</title>", _STYLE, *lines,
                      "</svg>", ""])


def beside_others(page: str) -> list[tuple[str, float, str]]:
    """The rows of the table of docs/benchmarks.md, the largest first."""
    rows = [(m["what"].strip(), float(m["times"]), m["whose"].strip()) for m in _BESIDE.finditer(page)]
    return sorted(rows, key=lambda row: -row[1])


def funnel_rows(run: pipelines.Run) -> list[tuple[str, int, str]]:
    """The demo's funnel: records that may be documents, then what each deciding stage left."""
    stages = run.funnel().to_pylist()
    first = stages[0]["documents"]
    rows = [("records of the archives", first, "")]
    for stage in stages:
        if (title := _TITLES.get(stage["stage"])) is not None:
            gone = [f"{d['documents']:,} {d['reason'].removeprefix('gopher_').replace('_', ' ')}"
                    for d in stage["dropped"][:2]]
            rows.append((title, stage["kept"], f"dropped: {', '.join(gone)}" if gone else "questions cut out of pages"))
    return rows


def main() -> None:
    """Write the pictures."""
    images = _DOCS / "images"
    if len(sys.argv) > 1:
        (images / "funnel.svg").write_text(
            funnel_svg(funnel_rows(pipelines.Run(sys.argv[1]))), encoding="utf-8")
    rows = beside_others((_DOCS / "benchmarks.md").read_text(encoding="utf-8"))
    (images / "benchmarks.svg").write_text(benchmarks_svg(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
