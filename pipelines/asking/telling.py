"""A document's history in sentences: what each stage did, in words that say why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from curate.why import Decision, History
from manifests.hashing import id_words, uniform
from manifests.schema import ID
from pipelines.asking.finding import Found

_PURPOSE: Final = "select"
_OWN: Final = "quality"
_HIDDEN: Final = ("reason", "value", "threshold", "chance", "draw", "language", "language_score", "source",
                  "duplicate_of", "similarity", "cluster_id", "of_run", "doc_id")
_HOW: Final = {"form": "archived under another form of this URL", "host": "pages of this host",
               "part": "URLs that hold this", "id": "documents whose id begins so"}


def with_draws(history: History, recipe: Mapping[str, Any]) -> History:
    """A history whose decisions that were left to chance say so: `chance` is the probability with which the score is
    kept, `draw` the number below which it had to be.

    Args:
        history: Of one document.
        recipe: The run's resolved recipe.
    """
    return replace(history, decisions=[_with_draw(d, history, recipe) if d.stage == "select" else d
                                       for d in history.decisions])


def _with_draw(decision: Decision, history: History, recipe: Mapping[str, Any]) -> Decision:
    facts, select = decision.facts, recipe.get("select") or {}
    source = facts.get("source") or history.source
    filtered = select.get("filtered_sources")
    rules = [rule for rule in select.get("keep") or [{"score": _OWN, "rule": "pareto", "alpha": select.get("alpha")}]
             if rule.get("rule") == "pareto" and rule.get("alpha") is not None]
    dropped = facts.get("reason") == "pareto"
    judged = dropped or (decision.verdict == "kept" and filtered is not None and source in filtered)
    if len(rules) != 1 or not judged:
        return decision
    (rule,) = rules
    score = facts.get("value") if dropped else facts.get("quality_score") if rule["score"] == _OWN else None
    if score is None:
        return decision
    purpose = _PURPOSE if rule["score"] == _OWN else f"{_PURPOSE}/{rule['score']}"
    ids = pa.array([bytes.fromhex(history.doc_id)], ID)
    draw = float(uniform(int(recipe.get("seed", 0)), purpose, id_words(ids))[0])
    return replace(decision, facts={**facts, "chance": (2.0 - float(score)) ** -float(rule["alpha"]), "draw": draw})


def history_lines(history: History) -> Iterator[str]:
    """A history for a person."""
    yield f"{history.doc_id}  {history.url or '(no URL)'}"
    yield f"  from {history.origin_path} at {history.origin_offset}, source {history.source}"
    for decision in history.decisions:
        yield f"  {decision.stage:<18} {decision.verdict:<9} {sentence(decision)}".rstrip()


def fate(history: History) -> str:
    """What became of a document in the end, in a few words."""
    drops = [d for d in history.decisions if d.verdict == "dropped"]
    if drops:
        return f"dropped by {drops[-1].stage}: {_why(drops[-1])}"
    last = history.decisions[-1]
    if last.stage == "packed":
        first, _, end = str(last.facts["rows"]).partition("-")
        return f"packed in {last.facts['shard']}, " + (f"row {first}" if end in ("", first) else f"rows {first}-{end}")
    return {"clean": "kept", "tokens": "kept; the mixture did not draw it"}.get(last.stage, f"kept up to {last.stage}")


def found_lines(found: Found) -> Iterator[str]:
    """What a question matched, for a person: one document's history, several documents' fates."""
    if found.how in _HOW and (found.total > 1 or found.how == "form"):
        total = f"more than {found.total:,}" if found.more else f"{found.total:,}"
        yield f"{total} {_HOW[found.how]}"
    if found.how in ("url", "form") or found.total == 1:
        for history in found.histories:
            yield from history_lines(history)
        return
    for history in found.histories:
        yield f"{history.doc_id}  {history.url or '(no URL)'}"
        yield f"  {fate(history)}"
    if found.total > len(found.histories):
        yield f"… and {found.total - len(found.histories):,} more; --limit shows them"


def decision_rows(histories: Sequence[History]) -> list[dict[str, Any]]:
    """A row for each decision, for tables."""
    rows = []
    for history in histories:
        about = {"doc_id": history.doc_id, "url": history.url, "source": history.source,
                 "origin_path": history.origin_path, "origin_offset": history.origin_offset}
        for d in history.decisions:
            named = {name: d.facts.get(name) for name in ("reason", "value", "threshold", "chance", "draw")}
            rest = {k: v for k, v in d.facts.items() if k not in named and v is not None}
            rows.append({**about, "stage": d.stage, "verdict": d.verdict, **named, "facts": rest})
    return rows


def sentence(decision: Decision) -> str:
    facts = decision.facts
    said = [_why(decision)] if decision.verdict == "dropped" else []
    if decision.verdict == "kept" and "draw" in facts:
        said.append(f"score {_number(facts['quality_score'])}: {_drawn(facts)}")
    if decision.verdict != "dropped" and facts.get("language"):
        said.append(f"{facts['language']} ({_number(facts.get('language_score'))})")
    if decision.stage == "clean":
        said.append(f"document {facts['doc_id']} of {facts['source']}")
    rest = [f"{k}={_number(v)}" for k, v in facts.items() if k not in _HIDDEN and v is not None and v != []]
    return "  ".join([*said, *rest])


def _why(decision: Decision) -> str:
    """The reason of a drop, with what was measured."""
    facts = decision.facts
    reason = str(facts.get("reason"))
    if "draw" in facts:
        return f"{reason}: score {_number(facts.get('value'))}: {_drawn(facts)}"
    if facts.get("language"):
        score = facts.get("language_score")
        return f"{reason}: {facts['language']}" + (f", with probability {_number(score)}" if score is not None else "")
    if facts.get("duplicate_of"):
        similarity = facts.get("similarity")
        same = f", similarity {_number(similarity)}" if similarity is not None else ""
        run = f" of {facts['of_run']}" if facts.get("of_run") else ""
        return f"{reason} of {facts['duplicate_of']}{run}{same}"
    if facts.get("value") is not None:
        limit = f", threshold {_number(facts['threshold'])}" if facts.get("threshold") is not None else ""
        return f"{reason}: {_number(facts['value'])}{limit}"
    return reason


def _drawn(facts: Mapping[str, Any]) -> str:
    return f"kept with probability {facts['chance']:.3g}; this document drew {facts['draw']:.3g}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
