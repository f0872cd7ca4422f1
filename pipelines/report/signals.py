"""Histograms of the score and of every signal that a rule reads, with the rule's threshold and documents beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.heuristics.tuning import Values, examples, histogram
from manifests.schema import SIGNAL_PREFIX
from manifests.single_rows import read_one
from manifests.stage_files import StageFiles
from manifests.tables import open_table
from pipelines.asking.nearness import thresholds

SCORE: Final = "quality_score"
_BINS: Final = 40
_TOGETHER: Final = 8  # signals in memory at a time
_BESIDE: Final = 5


def signal_facts(files: StageFiles, tasks: list[str]) -> list[dict[str, Any]]:
    """JSON-ready, for each signal: name, documents, bins, rules with how many documents fail them, and documents on
    either side of the first threshold.

    Args:
        files: The run's.
        tasks: The parts to read.
    """
    rules = thresholds(files)
    names = [SCORE, *rules]
    found = []
    for start in range(0, len(names), _TOGETHER):
        for values in _values(files, tasks, names[start : start + _TOGETHER]):
            found.append(_facts(files, values, rules.get(values.name, [])))
    return found


def _facts(files: StageFiles, values: Values, rules: Sequence[tuple[str, float, str]]) -> dict[str, Any]:
    facts: dict[str, Any] = {"signal": values.name, "documents": len(values.values),
                             "bins": histogram(values.values, _BINS), "rules": [], "beside": {}}
    for reason, threshold, side in rules:
        limit = np.float32(threshold)
        fails = values.values < limit if side == "at_least" else values.values > limit
        facts["rules"].append({"reason": reason, "threshold": threshold, "side": side, "fail": int(fails.sum())})
    if rules:
        facts["beside"] = examples(files.storage.root, values, rules[0][1], _BESIDE)
    return facts


def _values(files: StageFiles, tasks: list[str], names: Sequence[str]) -> Iterator[Values]:
    """Some signals of the documents of some parts, of which each is opened once; those alone that the run stores."""
    documents = files.by_task("extract", "documents")
    for stage, role, prefix, own in (("select", "decisions", "", [name for name in names if name == SCORE]),
                                     ("extract", "documents", SIGNAL_PREFIX, [n for n in names if n != SCORE])):
        parts: list[tuple[str, int]] = []
        values: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in own}
        there = files.by_task(stage, role)
        if not all(task in there for task in tasks):
            continue
        for task in tasks if own else ():
            with open_table(files.path(there[task])) as file:
                stored = [name for name in values if prefix + name in file.schema_arrow.names]
                table = file.read(columns=[prefix + name for name in stored], use_threads=False)
            values = {name: values[name] for name in stored}
            parts.append((documents[task].path, table.num_rows))
            for name in stored:
                values[name].append(table[prefix + name].to_numpy(zero_copy_only=False).astype(np.float32))
        for name in own:
            joined = np.concatenate(values[name]) if values.get(name) else np.empty(0, np.float32)
            if len(joined) and not np.isnan(joined).all():
                yield Values(name, joined, parts)


def text_of(files: StageFiles, task: str, row: int) -> dict[str, Any]:
    """doc_id, url, source and text of an extracted document."""
    return read_one(files.path(files.by_task("extract", "documents")[task]), row, ["doc_id", "url", "source", "text"])
