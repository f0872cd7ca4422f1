"""The stage graph of a run: groups of stages in the order in which documents pass them, with what each keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_WIDTH: Final = 360
_ROW: Final = 62
_BOX: Final = (128, 44)
_LANES: Final[Sequence[Sequence[str]]] = (
    ("extract",), ("classifier", "signals"), ("select",), ("dedup",), ("decontaminate",), ("clean",), ("tokenizer",),
    ("tokens",), ("mix",), ("pack",), ("packed",))
"""Groups of stages, by the first word of their names, from above to below."""

Groups = Mapping[str, Mapping[str, Any]]


def group_rows(stages: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By group: its stages that were asked something, and whether all of them are done. stages: of `Run.status`."""
    groups: dict[str, dict[str, Any]] = {}
    for row in stages:
        if row["tasks"] or not row["done"]:
            own = groups.setdefault(row["stage"].split("/")[0], {"tasks": 0, "seconds": 0.0, "done": True})
            own["tasks"] += row["tasks"]
            own["seconds"] += row["seconds"]
            own["done"] = own["done"] and row["done"]
    return groups


def edges(needs: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
    """Arrows between groups. needs: of every stage."""
    return {(needed.split("/")[0], stage.split("/")[0]) for stage, before in needs.items() for needed in before
            if needed.split("/")[0] != stage.split("/")[0]}


def graph(groups: Groups, arrows: set[tuple[str, str]], kept: Mapping[str, tuple[int, int]]) -> str:
    """The graph as an `<svg>` whose boxes lead to the documents that a group dropped.

    Args:
        groups: As of `group_rows`; those that are not there are left out, and arrows go around them.
        arrows: As of `edges`.
        kept: By group: documents that it saw, and kept.
    """
    lanes = [[name for name in lane if name in groups] for lane in _LANES]
    lanes = [lane for lane in lanes if lane] + [[name] for name in groups if not any(name in lane for lane in _LANES)]
    places = {name: (_WIDTH * (i + 1) / (len(lane) + 1), 8 + _ROW * depth)
              for depth, lane in enumerate(lanes) for i, name in enumerate(lane)}
    if not places:
        return "<p>No stage has run yet.</p>"
    lines = [_arrow(places[a], places[b]) for a, b in sorted(_around(arrows, places))]
    boxes = [_box(name, places[name], groups[name], kept.get(name)) for name in places]
    height = 8 + _ROW * len(lanes)
    return (f'<svg class="graph" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="stages of the run">'
            '<title>stages of the run</title><defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
            f"{''.join(lines)}{''.join(boxes)}</svg>")


def _around(arrows: set[tuple[str, str]], places: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The arrows between groups that are there; through one that is not, from those before it to those behind it."""
    found = set(arrows)
    for absent in {name for arrow in arrows for name in arrow} - set(places):
        before = {a for a, b in found if b == absent}
        behind = {b for a, b in found if a == absent}
        found = {arrow for arrow in found if absent not in arrow} | {(a, b) for a in before for b in behind}
    # What a longer way says already needs no line of its own.
    return {(a, b) for a, b in found if not _reaches(found - {(a, b)}, a, b)}


def _reaches(arrows: set[tuple[str, str]], start: str, end: str) -> bool:
    seen, ahead = {start}, [start]
    while ahead:
        here = ahead.pop()
        for a, b in arrows:
            if a == here and b not in seen:
                seen.add(b)
                ahead.append(b)
    return end in seen


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    return (f'<line class="arrow" x1="{start[0]:.0f}" y1="{start[1] + _BOX[1]}" x2="{end[0]:.0f}" y2="{end[1] - 1}" '
            'marker-end="url(#tip)"/>')


def _box(name: str, place: tuple[float, float], group: Mapping[str, Any], kept: tuple[int, int] | None) -> str:
    left, top = place[0] - _BOX[0] / 2, place[1]
    tip = f"{name}: {group['tasks']:,} tasks, {group['seconds']:,.1f} core-seconds"
    below = f"{group['tasks']:,} tasks" if kept is None else f"{kept[1]:,} of {kept[0]:,} kept"
    state = "done" if group["done"] else "open"
    box = (f'<g class="{state}"><title>{escape(tip)}</title><rect x="{left:.0f}" y="{top}" width="{_BOX[0]}" '
           f'height="{_BOX[1]}" rx="5"/><text x="{place[0]:.0f}" y="{top + 18}" text-anchor="middle">{escape(name)}'
           f'</text><text class="count" x="{place[0]:.0f}" y="{top + 35}" text-anchor="middle">'
           f"{escape(below)}</text></g>")
    if kept is None or kept[0] == kept[1]:
        return box
    stage = {"dedup": "dedup/decisions"}.get(name, name)
    return f'<a href="/documents?fate={escape(stage)}">{box}</a>'
