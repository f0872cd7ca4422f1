"""Rules on stored signals: declarative predicates over columns, and the first that a document fails.

No text is read: a changed threshold is judged again in milliseconds. NumPy alone judges, no library with threads of its
own: callers fork, such as `datasets.map(num_proc=...)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.extraction.extracted import PageType
from curate.heuristics.signals import DOCUMENT_SIGNALS, SIGNAL_NAME, SIGNALS
from manifests.errors import InputError
from manifests.schema import SIGNAL_PREFIX
from manifests.tables import one_array


class Rule(BaseModel):
    """One rule: a document is dropped where the signal is below `at_least` or above `at_most`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="What the decisions say of a document that it drops.")
    signal: str = Field(pattern=SIGNAL_NAME, description=(
        "What it reads: a signal, without `signal_` in front, of those that docs/filters.md lists, one of a plug-in "
        "that the recipe names under `signals`, or `page_type_score`, `language_score` or `language_share`, columns of "
        "the documents."))
    page_types: tuple[PageType, ...] | None = Field(default=None, min_length=1, description=(
        "Kinds of pages that it asks (column `page_type`); null asks all, and those of no kind too."))
    at_least: float | None = Field(default=None, ge=-1e9, le=1e9, description="Smallest value that passes.")
    at_most: float | None = Field(default=None, ge=-1e9, le=1e9, description="Greatest value that passes.")
    paper: str = Field(default="", description="Where the rule and its number come from.")

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"rule {self.reason}: give either at_least or at_most")
        return self

    @property
    def threshold(self) -> float:
        """The number it compares with."""
        return float(self.at_least if self.at_least is not None else self.at_most or 0.0)

    def fails(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which values the rule drops. Thresholds are float32, so that 1 of 10 is not more than 0.1; what is no number
        counts as greater than all."""
        limit = np.float32(self.threshold)
        return values < limit if self.at_least is not None else ~(values <= limit)

    def at(self, threshold: float) -> Rule:
        """The same rule with another number."""
        side = "at_least" if self.at_least is not None else "at_most"
        return self.model_copy(update={side: threshold})


def unknown_signal(rules: Iterable[Rule], more: Iterable[str] = ()) -> str | None:
    """What is wrong with the first rule that reads a signal which is not there; None where all are.

    more: signals beside the project's own."""
    known = [*more, *(signal.name for signal in SIGNALS), *DOCUMENT_SIGNALS]
    for rule in rules:
        if rule.signal not in known:
            close = get_close_matches(rule.signal, known, n=1)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            return f"rule {rule.reason}: no signal is called {rule.signal!r}{meant}"
    return None


def column_of(signal: str) -> str:
    """The column of documents that holds a signal."""
    return signal if signal in DOCUMENT_SIGNALS else SIGNAL_PREFIX + signal


def columns_of(rules: Iterable[Rule]) -> list[str]:
    """The columns of documents that rules read, those of signals that `extract` computes aside."""
    rules = list(rules)
    columns = [rule.signal for rule in rules if rule.signal in DOCUMENT_SIGNALS]
    return list(dict.fromkeys([*columns, *(["page_type"] if any(rule.page_types for rule in rules) else [])]))


def judge(table: pa.Table, rules: Sequence[Rule]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The first rule that each row fails. A value equal to its threshold passes.

    Args:
        table: Has the `signal_*` columns of the rules, float32, and those that `columns_of` names; n rows.
        rules: In the order in which they are asked.
    Returns:
        (reasons string, values float64, thresholds float64), each [n] and null where the row passes.
    Raises:
        InputError: A column is missing.
    """
    if not rules:
        return pa.nulls(len(table), pa.string()), pa.nulls(len(table), pa.float64()), pa.nulls(len(table), pa.float64())
    for column in dict.fromkeys([*(column_of(rule.signal) for rule in rules), *columns_of(rules)]):
        if column not in table.column_names:
            hint = "extract with signals on, give the model or the list that it needs, or turn the rule off"
            raise InputError(f"has no column {column}", hint=hint)
    first, measured = np.full(len(table), -1, np.int64), np.zeros(len(table), np.float64)
    for index, rule in enumerate(rules):
        signal: Any = one_array(table[column_of(rule.signal)]).cast(pa.float32())
        values = signal.fill_null(0).to_numpy()
        fails = rule.fails(values) & (first < 0)
        if signal.null_count:
            fails &= signal.is_valid().to_numpy(zero_copy_only=False)
        if rule.page_types is not None:
            asked = pc.is_in(one_array(table["page_type"]), pa.array(rule.page_types, pa.string()))
            fails &= asked.to_numpy(zero_copy_only=False)
        first[fails], measured[fails] = index, values[fails]
    passed = first < 0
    indices = pa.array(first, mask=passed)
    reasons = pa.array([rule.reason for rule in rules], pa.string()).take(indices)
    thresholds = pa.array([rule.threshold for rule in rules], pa.float64()).take(indices)
    return reasons, pa.array(measured, mask=passed), thresholds
