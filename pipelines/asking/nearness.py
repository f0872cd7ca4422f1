"""Documents near a threshold: on either side of the number at which a rule cuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curate.heuristics.tuning import examples, read_values
from curate.selection.config import SelectConfig
from manifests.errors import RecipeError
from manifests.stage_files import StageFiles
from pipelines.asking.lock import locked_recipe


def thresholds(files: StageFiles) -> dict[str, list[tuple[str, float, str]]]:
    """By signal: (reason, threshold, `at_least` or `at_most`) of the rules that a run asked, in their order."""
    select = SelectConfig.model_validate(locked_recipe(files.storage).get("select") or {})
    found: dict[str, list[tuple[str, float, str]]] = {}
    for rule in select.rules.in_force if select.rules is not None else ():
        side = "at_least" if rule.at_least is not None else "at_most"
        found.setdefault(rule.signal, []).append((rule.reason, rule.threshold, side))
    return found


def nearest(files: StageFiles, signal: str, threshold: float | None, n: int) -> list[dict[str, Any]]:
    """Documents on either side of a signal's threshold, the nearest first.

    Args:
        files: The run's.
        signal: A stored signal, or `quality_score`.
        threshold: Where to cut; None for the run's own rules.
        n: How many on each side.
    Returns:
        signal, reason, threshold, side (`below` or `above`, which holds the threshold too), value, doc_id, url, text.
    Raises:
        RecipeError: No rule reads the signal, and no threshold is given.
        InputError: The run stores no such signal.
    """
    values = read_values(files.storage.root, signal)
    rules = thresholds(files).get(signal, [])
    cuts = [(None, threshold)] if threshold is not None else [(reason, number) for reason, number, _ in rules]
    if not cuts:
        raise RecipeError(f"no rule of the run reads {signal!r}", where="--near", hint="give --threshold")
    return [{"signal": signal, "reason": reason, "threshold": number, "side": side, **example}
            for reason, number in cuts
            for side, found in examples(files.storage.root, values, number, n).items() for example in found]


def near_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Documents near thresholds, for a person."""
    last = None
    for row in rows:
        heading = (row["reason"], row["threshold"], row["side"])
        if heading != last:
            rule = f" (rule {row['reason']})" if row["reason"] else ""
            yield f"{row['signal']} {row['side']} {row['threshold']:g}{rule}"
            last = heading
        yield f"  {row['value']:.6g}  {row['doc_id']}  {row['url'] or '(no URL)'}"
        yield f"    {row['text']}"
