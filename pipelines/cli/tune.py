"""`curate tune`: what a threshold would do, on the signals that a run has stored."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from manifests.errors import RecipeError
from pipelines.cli.options import Format, FormatOption, emit, shows


@shows("reading {run}")
def tune_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or URL.")],
    signal: Annotated[str | None, typer.Option(help="A stored signal, or quality_score; without it, all.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Where to cut; without it, the histogram alone.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=100, help="Texts to show on either side of the threshold.")] = 3,
    form: FormatOption = Format.TEXT,
) -> None:
    """Histogram of a signal, what a threshold drops, and texts near it: curate tune runs/gpt3 --signal n_words

    Nothing is written. With a threshold that suits, set it under select.rules.thresholds and run again: the signals are
    stored, so only selection and what follows it are computed again."""

    from curate.heuristics import tuning

    if signal is None:
        if threshold is not None:
            raise RecipeError("needs --signal", where="--threshold")
        rows = tuning.overview(run)
        emit(form, rows, lambda: "\n".join(_overview(rows)))
        return
    values = tuning.read_values(run, signal)
    facts: dict[str, Any] = {"signal": signal, "documents": len(values.values),
                             "histogram": tuning.histogram(values.values)}
    if threshold is not None:
        facts |= tuning.at_threshold(values, threshold)
        facts["examples"] = tuning.examples(run, values, threshold, examples)
    emit(form, facts, lambda: "\n".join(_lines(facts, tuning.bars)))


def _overview(rows: list[dict[str, Any]]) -> list[str]:
    keys = ("p01", "p10", "p50", "p90", "p99")
    head = f"{'signal':<44}" + "".join(f"{k:>12}" for k in keys)
    return [head, *(f"{row['signal']:<44}" + "".join(f"{row[k]:>12.5g}" for k in keys) for row in rows)]


def _lines(facts: dict[str, Any], bars: Any) -> list[str]:
    lines = [f"{facts['signal']}: {facts['documents']:,} documents", *bars(facts["histogram"])]
    if "threshold" not in facts:
        return lines
    limit = facts["threshold"]
    lines += [f"at_least {limit:g} drops {facts['dropped_by_at_least']:,} ({facts['share_by_at_least']:.2%}), "
              f"at_most {limit:g} drops {facts['dropped_by_at_most']:,} ({facts['share_by_at_most']:.2%})"]
    for side in ("below", "above"):
        lines.append(f"{side}:")
        lines += [f"  {e['value']:.6g}  {e['doc_id']}  {e['url'] or ''}\n    {e['text']}"
                  for e in facts["examples"][side]]
    return lines
