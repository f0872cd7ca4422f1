"""What other thresholds would keep, from the signals and scores that a run stored: nothing is extracted again.

The rules and the keep rule are those of the stage select itself, over the same columns, so with a run's own numbers the
counts are the run's own. Memory is that of a few columns of a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.heuristics.rules import Rule, column_of, columns_of, judge
from curate.selection.config import SelectConfig
from curate.selection.keep import judge_scores
from curate.selection.keep_rules import SelectReason
from manifests.hashing import text_hash64
from manifests.schema import SIGNAL_PREFIX
from manifests.stage_files import StageFile, StageFiles
from manifests.tables import open_table, read_table
from pipelines.asking.fates import tasks_of
from pipelines.report.flow import MAX_DOCUMENTS, MAX_PARTS

Bools = npt.NDArray[np.bool_]
_BY_SCORE: Final = pa.array([str(reason) for reason in SelectReason])


@dataclass(slots=True)
class RuleCount:
    """One rule. was, now: its thresholds. n_asked: documents that have its signal. fails, first: documents that fail
    it, and of which it is the first reason; each [then, now]. low, high: where nearly all values lie."""

    rule: Rule
    was: float
    now: float
    n_asked: int = 0
    fails: list[int] = field(default_factory=lambda: [0, 0])
    first: list[int] = field(default_factory=lambda: [0, 0])
    low: float = np.inf
    high: float = -np.inf


@dataclass(slots=True)
class Recount:
    """Counts over the parts that were read. documents: of them. kept: [then, now]; gained, lost: that select would keep
    now and dropped then, and the reverse. alphas: [then, now] of the keep rule; None where it has none that can be
    moved. by_score: dropped by the keep rules alone, [then, now]. unsure: whether other checks, which read texts, may
    drop some of those gained. n_parts, of_parts: how many were read."""

    rules: list[RuleCount]
    alphas: list[float] | None
    unsure: bool
    of_parts: int
    n_parts: int = 0
    documents: int = 0
    kept: list[int] = field(default_factory=lambda: [0, 0])
    by_score: list[int] = field(default_factory=lambda: [0, 0])
    gained: int = 0
    lost: int = 0


def recount(files: StageFiles, recipe: Mapping[str, Any], thresholds: Mapping[int, float],
            alpha: float | None = None) -> Recount:
    """Count what the stage select would keep with other numbers.

    Args:
        files: The run's.
        recipe: Its resolved recipe.
        thresholds: By the number of a rule: what it would compare with.
        alpha: Of the keep rule; None for the run's own.
    Returns:
        Counts over all parts, or over those of two million documents or two thousand parts, chosen by a hash of their
        names.
    """
    config = SelectConfig.model_validate(recipe.get("select") or {})
    own = list(config.rules.in_force) if config.rules is not None else []
    stored = _stored(files)
    rules = [RuleCount(rule.at(thresholds.get(i, rule.threshold)), rule.threshold,
                       float(np.float32(thresholds.get(i, rule.threshold))))
             for i, rule in enumerate(own) if column_of(rule.signal) in stored]
    tasks = [task for task in tasks_of(files) if task in files.by_task("select", "decisions")]
    moved = config if alpha is None else config.model_copy(update={"alpha": alpha})
    judged = bool(config.filtered_sources) and not config.keep
    counted = Recount(rules, [config.alpha, moved.alpha] if judged else None,
                      bool(config.toxic_words or config.pii or config.perplexity_buckets), len(tasks))
    before = [rule.at(count.was) for rule, count in zip((c.rule for c in rules), rules, strict=True)]
    for task in sorted(tasks, key=lambda name: text_hash64(0, "report", name)):
        if counted.documents > MAX_DOCUMENTS or counted.n_parts >= MAX_PARTS:
            break
        _add(files, counted, task, before, (config, moved), int(recipe.get("seed", 0)))
    return counted


def _add(files: StageFiles, counted: Recount, task: str, before: Sequence[Rule],
         configs: tuple[SelectConfig, SelectConfig], seed: int) -> None:
    after = [count.rule for count in counted.rules]
    table, decided = _columns(files, task, after), _decisions(files, task)
    reason = decided["reason"]
    names = pa.array([rule.reason for rule in after], pa.string())
    kept_then = decided["keep"].to_numpy()
    # What neither a rule nor a score dropped, such as another kind of page: no threshold brings it back.
    otherwise = pc.and_(pc.is_valid(reason), pc.invert(pc.is_in(reason, pa.concat_arrays([names, _BY_SCORE]))))
    open_then = ~pc.fill_null(otherwise, False).to_numpy(zero_copy_only=False)
    passed = []
    for side, rules in enumerate((before, after)):
        first = judge(table, rules)[0]
        passed.append(first.is_null().to_numpy(zero_copy_only=False))
        of = {row["values"]: row["counts"] for row in pc.value_counts(first.filter(pa.array(open_then))).to_pylist()}
        for count, rule in zip(counted.rules, rules, strict=True):
            count.first[side] += of.get(rule.reason, 0)
            count.fails[side] += len(table) - judge(table, [rule])[0].null_count
    scored = [_by_score(config, table, decided, seed) for config in configs]
    kept_now = open_then & passed[1] & scored[1]
    for side in (0, 1):
        counted.by_score[side] += int((open_then & passed[side] & ~scored[side]).sum())
    counted.n_parts += 1
    counted.documents += len(table)
    counted.kept[0] += int(kept_then.sum())
    counted.kept[1] += int(kept_now.sum())
    counted.gained += int((kept_now & ~kept_then).sum())
    counted.lost += int((kept_then & ~kept_now).sum())
    for count in counted.rules:
        _spread(count, table)


def _by_score(config: SelectConfig, table: pa.Table, decided: pa.Table, seed: int) -> Bools:
    """Which documents the keep rules let pass; where they cannot be asked again, what they said."""
    sources = pa.array(list(config.filtered_sources or ()), pa.string())
    filtered: Bools = pc.is_in(decided["source"], sources).to_numpy(zero_copy_only=False)
    if config.keep:
        dropped: Bools = pc.fill_null(pc.is_in(decided["reason"], _BY_SCORE), False).to_numpy(zero_copy_only=False)
        return ~dropped
    passes: Bools = ~filtered
    if filtered.any():
        own = pa.array(filtered)
        passes[filtered] = judge_scores(config, table.filter(own), decided.filter(own), None, seed).keep
    return passes


def _spread(count: RuleCount, table: pa.Table) -> None:
    values = table[column_of(count.rule.signal)].drop_null().to_numpy()
    values = values[np.isfinite(values)]
    count.n_asked += len(values)
    if len(values):
        low, high = np.quantile(values, [0.01, 0.99])
        count.low, count.high = min(count.low, float(low)), max(count.high, float(high))


def _columns(files: StageFiles, task: str, rules: Sequence[Rule]) -> pa.Table:
    """doc_id, language and the columns of rules, of the documents of a part, external signals among them."""
    wanted = ["doc_id", "language", *columns_of(rules), *dict.fromkeys(column_of(rule.signal) for rule in rules)]
    wanted = list(dict.fromkeys(wanted))
    found: dict[str, Any] = {}
    for file in (files.by_task("extract", "documents")[task], *_external(files, task)):
        with open_table(files.path(file)) as opened:
            names = [n for n in wanted if n in opened.schema_arrow.names and n not in found]
            table = opened.read(columns=names, use_threads=False)
        found |= {name: table[name] for name in names}
    return pa.table({name: found[name] for name in wanted})


def _decisions(files: StageFiles, task: str) -> pa.Table:
    """The decisions of a part, with the scores that they were made of."""
    path = files.path(files.by_task("select", "decisions")[task])
    with open_table(path) as opened:
        names = [n for n in opened.schema_arrow.names if n in ("source", "keep", "reason") or n.startswith("quality_")]
    return read_table(path, names)


def _external(files: StageFiles, task: str) -> list[StageFile]:
    return [file for file in files.of("signals") if file.role in ("signals", "signal")
            and (file.task == task or file.task.endswith(f"/{task}"))]


def _stored(files: StageFiles) -> set[str]:
    """Columns of signals that every document of the run has."""
    tasks = tasks_of(files)[:1]
    found = set(columns_of(())) | {"page_type_score", "language_score", "language_share"}
    for task in tasks:
        for file in (files.by_task("extract", "documents")[task], *_external(files, task)):
            with open_table(files.path(file)) as opened:
                found |= {n for n in opened.schema_arrow.names if n.startswith(SIGNAL_PREFIX)}
    return found
