"""Histograms of the score and of every signal that a rule reads, with the rule's threshold and documents beside it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from curate.heuristics.tuning import Values, examples, histogram
from manifests.schema import SIGNAL_PREFIX
from manifests.single_rows import read_one
from manifests.stage_files import StageFiles
from manifests.tables import open_table
from pipelines.asking.nearness import thresholds

SCORE: Final = "quality_score"
_BINS: Final = 40
_BESIDE: Final = 5


def signal_facts(files: StageFiles, tasks: list[str]) -> list[dict[str, Any]]:
    """JSON-ready, for each signal: name, documents, bins, rules with how many documents fail them, and documents on
    either side of the first threshold.

    Args:
        files: The run's.
        tasks: The parts to read.
    """
    rules = thresholds(files)
    found = []
    for name in (SCORE, *rules):
        values = _values(files, tasks, name)
        if values is None:
            continue
        own = rules.get(name, [])
        facts: dict[str, Any] = {"signal": name, "documents": len(values.values),
                                 "bins": histogram(values.values, _BINS), "rules": [], "beside": {}}
        for reason, threshold, side in own:
            limit = np.float32(threshold)
            fails = values.values < limit if side == "at_least" else values.values > limit
            facts["rules"].append({"reason": reason, "threshold": threshold, "side": side, "fail": int(fails.sum())})
        if own:
            facts["beside"] = examples(files.storage.root, values, own[0][1], _BESIDE)
        found.append(facts)
    return found


def _values(files: StageFiles, tasks: list[str], name: str) -> Values | None:
    """A signal of the documents of some parts; None where the run does not store it."""
    stage, role, column = ("select", "decisions", name) if name == SCORE else ("extract", "documents",
                                                                              SIGNAL_PREFIX + name)
    documents, own = files.by_task("extract", "documents"), files.by_task(stage, role)
    parts, values = [], []
    for task in tasks:
        if task not in own:
            return None
        with open_table(files.path(own[task])) as file:
            if column not in file.schema_arrow.names:
                return None
            stored = file.read(columns=[column], use_threads=False)[column].to_numpy(zero_copy_only=False)
        parts.append((documents[task].path, len(stored)))
        values.append(stored.astype(np.float32))
    joined = np.concatenate(values) if values else np.empty(0, np.float32)
    return Values(name, joined, parts) if len(joined) and not np.isnan(joined).all() else None


def text_of(files: StageFiles, task: str, row: int) -> dict[str, Any]:
    """doc_id, url, source and text of an extracted document."""
    return read_one(files.path(files.by_task("extract", "documents")[task]), row, ["doc_id", "url", "source", "text"])
