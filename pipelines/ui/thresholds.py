"""The page of thresholds: a slider for each rule, and what select would keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Final

from manifests.errors import InputError
from manifests.stage_files import StageFiles
from pipelines.asking.lock import locked_recipe
from pipelines.ui.frame import framed, link
from pipelines.ui.recount import Recount, RuleCount, recount

_STEPS: Final = 200
_MAX_ALPHA: Final = 16.0
_COUNTS: Final = ("the run's", "fail it then", "now", "dropped by it then", "now")


def thresholds_page(files: StageFiles, query: Mapping[str, str]) -> str:
    """The page. query: `rule-N`, what rule N would compare with, and `alpha`; all else is the run's own.

    Raises InputError where one of them is no number."""
    if not files.of("select", "decisions"):
        return framed("Thresholds", "/thresholds", "<p>The run has not selected yet.</p>")
    recipe = locked_recipe(files.storage)
    given = {int(name[5:]): _number(value) for name, value in query.items()
             if name.startswith("rule-") and name[5:].isascii() and name[5:].isdigit() and value.strip()}
    counted = recount(files, recipe, given, _alpha(query.get("alpha", "")))
    if not counted.rules and counted.alphas is None:
        return framed("Thresholds", "/thresholds", "<p>No rule of the run reads a stored signal or a score.</p>")
    return framed("Thresholds", "/thresholds", _said(counted) + _form(counted))


def _said(counted: Recount) -> str:
    part = "" if counted.n_parts == counted.of_parts else (
        f" Counted in {counted.n_parts:,} of {counted.of_parts:,} parts, chosen by a hash of their names.")
    unsure = ("" if not counted.unsure else " Word lists, buckets of perplexity and personal data, which are asked "
              "after the rules, may drop some of those gained.")
    return ('<p class="soft">What the stage select would keep with other numbers, by stored signals. The run '
            f"is left as it is: a recipe with the new numbers, run again, makes it so.{part}{unsure}</p>"
            f'<p class="kept"><output data-count="kept">{counted.kept[1]:,}</output> of {counted.documents:,} documents'
            f' kept, where the run kept {counted.kept[0]:,}: <output data-count="gained">{counted.gained:,}</output> '
            f'gained, <output data-count="lost">{counted.lost:,}</output> lost</p>')


def _form(counted: Recount) -> str:
    rows = []
    if counted.alphas is not None:
        was, now = counted.alphas
        rows.append(_row("alpha", "pareto", "quality_score", "alpha", was, now, (0.25, max(_MAX_ALPHA, was, now), 0.25),
                         (None, counted.by_score), "alpha"))
    rows += [_rule(i, count) for i, count in enumerate(counted.rules)]
    head = "".join(f'<th class="text">{name}</th>' for name in ("rule and signal", "threshold")) + "".join(
        f"<th>{name}</th>" for name in _COUNTS)
    return ('<form class="sliders" action="/thresholds"><button>Recount</button> '
            + link("/thresholds", {}, "the run's own numbers")
            + f'<div class="wrap" data-plain><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
            "</table></div></form>")


def _rule(number: int, count: RuleCount) -> str:
    low, high = (min(count.low, count.was, count.now), max(count.high, count.was, count.now))
    if not high > low:
        low, high = low - 1.0, high + 1.0
    side = "at least" if count.rule.at_least is not None else "at most"
    bounds = (low, high, 10.0 ** math.floor(math.log10((high - low) / _STEPS)))
    return _row(f"rule-{number}", count.rule.reason, count.rule.signal, side, count.was, count.now, bounds,
                (count.fails, count.first), f"rule-{number}")


def _row(name: str, rule: str, signal: str, side: str, was: float, now: float, bounds: tuple[float, float, float],
         counts: tuple[list[int] | None, list[int]], key: str) -> str:
    low, high, step = bounds
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    shown = f"{now:.6g}"
    label = escape(f"threshold of {rule}")
    inputs = (f'<span class="slide">{side} <input type="number" step="any" name="{name}" value="{shown}" '
              f'aria-label="{label}"><input type="range" min="{low:.6g}" max="{high:.6g}" step="{step:.3g}" '
              f'value="{shown}" data-for="{name}" aria-label="{label}, slider"></span>')
    shown_counts = [f"{was:.6g}"]
    for what, pair in zip(("fails", "first"), counts, strict=True):
        shown_counts += ["", ""] if pair is None else [
            f"{pair[0]:,}", f'<output data-count="{key}-{what}">{pair[1]:,}</output>']
    cells = "".join(f'<td data-label="{escape(label)}">{text}</td>'
                    for label, text in zip(_COUNTS, shown_counts, strict=True))
    return (f'<tr><td class="text" data-value="{escape(rule)}">{escape(rule)}<br><span class="soft">{escape(signal)}'
            f'</span></td><td class="text" data-value="{now!r}">{inputs}</td>{cells}</tr>')


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= 1e9:
        raise InputError("is no threshold: a number of at most a billion", where=text)
    return value


def _alpha(text: str) -> float | None:
    if not text.strip():
        return None
    value = _number(text)
    if not (0.25 <= value <= 64 and value * 4 == int(value * 4)):
        raise InputError("is no alpha: a multiple of 0.25, from 0.25 to 64", where=text)
    return value
