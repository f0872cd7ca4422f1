"""The mixture: exact token budgets per source, and which documents fill them.

A token of the mixture is a document token or the one end-of-text token that each document is counted with. Shares are
kept exactly: where a source would need more than `max_epochs` passes, the total shrinks until it does not. Whole passes
take every training document; the fractional one takes documents in ascending hash until the budget is met to the token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from manifests.errors import StageError
from manifests.hashing import UInt64, keyed_hash, uniform

Weight = Annotated[float, Field(ge=0.0, le=1e9)]
Epochs = Annotated[float, Field(gt=0.0, le=1000.0)]
MAX_SOURCES = 1 << 15


class MixtureConfig(BaseModel):
    """How much of each source the training split holds, and what is held out for validation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, Weight] = Field(
        min_length=1, max_length=MAX_SOURCES,
        description="Share of training tokens of each source, on any scale; 0 leaves a source out of both splits.")
    total_tokens: int | None = Field(
        None, ge=1, description="Training tokens wanted; null takes as many as the sources and max_epochs allow.")
    max_epochs: Epochs = Field(
        4.0, description="Most passes over any source; the total shrinks until no source needs more.")
    max_epochs_by_source: dict[str, Epochs] = Field(
        default_factory=dict, description="Most passes over single sources, where they differ from max_epochs.")
    validation_fraction: float = Field(
        0.005, ge=0.0, lt=1.0,
        description="Probability that a document is held out; each such document is in the val split once.")

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, value: dict[str, float]) -> dict[str, float]:
        if not any(value.values()):
            raise ValueError("at least one source needs a weight above 0")
        return value


@dataclass(frozen=True, slots=True)
class Counts:
    """What one source has: documents and tokens of each split, an end-of-text token counted with each document."""

    train_documents: int
    train_tokens: int
    val_documents: int
    val_tokens: int


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a fractional pass ends: documents whose (order, doc_id) is below are whole, this one keeps n_tokens, and
    the rest are out. order: the keyed hash, 16 hex digits. doc_id: 32 hex digits. n_tokens: counts the end-of-text
    token where the document happens to end exactly here."""

    order: str
    doc_id: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source's part of the mixture. source_id: its place among all sources by name. weight: share asked for, of 1.

    whole_epochs: passes over all training documents; partial_tokens: tokens of one more, fractional pass, which ends at
    `boundary` (null where there is none)."""

    name: str
    source_id: int
    weight: float
    max_epochs: float
    available_documents: int
    available_tokens: int
    val_documents: int
    val_tokens: int
    selected_tokens: int
    whole_epochs: int
    partial_tokens: int
    boundary: Boundary | None = None

    @property
    def epochs(self) -> float:
        return self.selected_tokens / self.available_tokens if self.available_tokens else 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """mix/plan: what every later stage needs to know about the mixture. limited_by: the source whose max_epochs set
    the total, or null where the recipe's total_tokens did."""

    seed: int
    validation_fraction: float
    requested_tokens: int | None
    total_tokens: int
    limited_by: str | None
    sources: tuple[SourcePlan, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1) + "\n"

    @staticmethod
    def from_json(data: str | bytes) -> Plan:
        fields = json.loads(data)
        sources = []
        for source in fields.pop("sources"):
            boundary = source.pop("boundary")
            sources.append(SourcePlan(boundary=Boundary(**boundary) if boundary else None, **source))
        return Plan(sources=tuple(sources), **fields)

    def source(self, name: str) -> SourcePlan:
        """A source's plan; StageError where the mixture has no such source."""
        for source in self.sources:
            if source.name == name:
                return source
        raise StageError(f"the mixture has no source {name!r}", where="mix/plan",
                         hint=f"give mixture.weights.{name} a value; 0 leaves it out")

    def table(self) -> str:
        """The plan as lines for people."""
        lines = [f"{'source':<20} {'asked':>7} {'available':>15} {'selected':>15} {'epochs':>7} {'val':>13}"]
        lines += [f"{s.name:<20} {s.weight:>7.2%} {s.available_tokens:>15,} {s.selected_tokens:>15,} "
                  f"{s.epochs:>7.2f} {s.val_tokens:>13,}" for s in self.sources]
        reason = f"limited by max_epochs of {self.limited_by}" if self.limited_by else "as asked for"
        return "\n".join([*lines, f"{'total':<20} {self.total_tokens:>46,} tokens, {reason}"])


def plan_budgets(config: MixtureConfig, counts: Mapping[str, Counts], seed: int) -> Plan:
    """Exact budgets of all sources; boundaries are still to be found.

    total = min(total_tokens, min over sources of floor(floor(available * max_epochs) / share)), split by the shares
    with largest remainders, ties by name. All in exact fractions. Raises StageError where a source with a weight has no
    training tokens, or one with tokens has no weight."""
    names = sorted(config.weights)
    _check_sources(config, counts)
    whole = sum((Fraction(w) for w in config.weights.values()), Fraction(0))
    shares = {n: Fraction(config.weights[n]) / whole for n in names}
    limits = {n: Fraction(config.max_epochs_by_source.get(n, config.max_epochs)) for n in names}
    most = {n: int(int(counts[n].train_tokens * limits[n]) / shares[n]) for n in names if shares[n]}
    scarce = min(most, key=lambda n: (most[n], n))
    asked = config.total_tokens
    limited = asked is None or most[scarce] < asked
    total = most[scarce] if asked is None else min(asked, most[scarce])
    budgets = largest_remainder(total, shares)
    plans = []
    for source_id, name in enumerate(names):
        have = counts.get(name, Counts(0, 0, 0, 0)) if shares[name] else Counts(0, 0, 0, 0)
        whole_epochs, partial = divmod(budgets[name], have.train_tokens) if have.train_tokens else (0, 0)
        plans.append(SourcePlan(
            name=name, source_id=source_id, weight=float(shares[name]), max_epochs=float(limits[name]),
            available_documents=have.train_documents, available_tokens=have.train_tokens,
            val_documents=have.val_documents, val_tokens=have.val_tokens, selected_tokens=budgets[name],
            whole_epochs=whole_epochs, partial_tokens=partial))
    return Plan(seed, config.validation_fraction, asked, total, scarce if limited else None, tuple(plans))


def _check_sources(config: MixtureConfig, counts: Mapping[str, Counts]) -> None:
    for name in sorted(counts):
        if name not in config.weights:
            raise StageError(f"source {name!r} has tokens but no weight", where="mixture.weights",
                             hint="give it one; 0 leaves it out")
    for name in sorted(config.weights):
        if config.weights[name] and (name not in counts or not counts[name].train_tokens):
            raise StageError(f"source {name!r} has a weight of {config.weights[name]:g} but no training tokens",
                             where="mixture.weights", hint="see why its documents were dropped, or set its weight to 0")
    for name in sorted(config.max_epochs_by_source):
        if name not in config.weights:
            raise StageError(f"source {name!r} is not in mixture.weights", where="mixture.max_epochs_by_source")


def largest_remainder(total: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Whole numbers that sum to total and differ from total * share by less than one (Hamilton's method).

    shares sum to 1. Ties go to the name that sorts first; a share of 0 gets 0."""
    exact = {n: total * shares[n] for n in sorted(shares)}
    parts = {n: int(e) for n, e in exact.items()}
    left = total - sum(parts.values())
    for name in sorted(exact, key=lambda n: (parts[n] - exact[n], n))[:left]:
        parts[name] += 1
    return parts


def is_validation(seed: int, fraction: float, words: UInt64) -> npt.NDArray[np.bool_]:
    """Which documents are held out, bool [n], from uint64 [n, 2] ids: a fact of the document and the seed alone."""
    return uniform(seed, "validation", words) < fraction


def epoch_order(seed: int, words: UInt64) -> UInt64:
    """uint64 [n]: the order in which a fractional pass takes documents. One order serves whichever pass is fractional,
    so a larger budget only adds documents. Ties are broken by the id's two little-endian words."""
    return keyed_hash(seed, "mixture", words)


def partial_pass(plan: SourcePlan, order: UInt64, words: UInt64, n_tokens: npt.NDArray[np.int64]
                 ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which training documents a source's fractional pass takes, bool [n], and how many tokens each keeps, int64 [n].

    n_tokens: int64 [n], without end-of-text. A document that keeps n_tokens + 1 is whole, with its end-of-text."""
    kept = n_tokens + 1
    if plan.boundary is None:
        return np.zeros(len(order), np.bool_), kept
    edge = np.uint64(int(plan.boundary.order, 16))
    low, high = np.frombuffer(bytes.fromhex(plan.boundary.doc_id), np.uint64)
    tie = order == edge
    last = tie & (words[:, 0] == low) & (words[:, 1] == high)
    before = tie & ((words[:, 0] < low) | ((words[:, 0] == low) & (words[:, 1] < high)))
    return (order < edge) | before | last, np.where(last, plan.boundary.n_tokens, kept)
