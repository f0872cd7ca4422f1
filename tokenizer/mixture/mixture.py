"""The mixture: exact token budgets per source and phase, and which documents fill them.

A token of the mixture is a document token or the one end-of-text token that each document is counted with. Shares are
kept exactly: where a source would need more than `max_epochs` passes, the total shrinks until it does not.

Each source is read as an endless *tape*: its training documents in ascending hash, pass after pass. Phase after phase
takes its budget off the front, to the token; so nothing repeats before all of a source was used, whatever the phases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from manifests.errors import StageError
from manifests.hashing import UInt64, keyed_hash, uniform
from tokenizer.mixture.mixture_config import Amounts, MixtureConfig

Ints = npt.NDArray[np.int64]
Shares = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Counts:
    """What one source has: documents and tokens of each split, an end-of-text token counted with each document."""

    train_documents: int
    train_tokens: int
    val_documents: int
    val_tokens: int


@dataclass(frozen=True, slots=True)
class Boundary:
    """The document in which a phase ends within a pass: the phase takes all of the documents whose
    (order, doc_id) is below, and n_tokens of this one. order: the keyed hash, 16 hex digits. doc_id: 32 hex digits.
    n_tokens: counts the end-of-text token where the document happens to end exactly here."""

    order: str
    doc_id: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The position on a source's tape where a phase ends: `tokens` into pass number `epoch`. boundary: null at the
    start of a pass."""

    epoch: int
    tokens: int
    boundary: Boundary | None = None


START = Cut(0, 0)


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source's part of the mixture. source_id: its rank among all sources by name. weight: its target share, of 1,
    over all phases. cuts: where each phase ends on the source's tape."""

    name: str
    source_id: int
    weight: float
    max_epochs: float
    available_documents: int
    available_tokens: int
    val_documents: int
    val_tokens: int
    selected_tokens: int
    cuts: tuple[Cut, ...]

    @property
    def epochs(self) -> float:
        return self.selected_tokens / self.available_tokens if self.available_tokens else 0.0

    def phase(self, number: int) -> tuple[Cut, Cut]:
        """Where a phase begins and ends on the source's tape."""
        return (self.cuts[number - 1] if number else START), self.cuts[number]


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One phase. shares: the target share of each source, of 1. selected_tokens: what each gives; in the order of the
    plan's sources."""

    name: str
    total_tokens: int
    shares: tuple[float, ...]
    selected_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """mix/plan: what every later stage needs to know about the mixture. limited_by: the source whose max_epochs set
    the total, or null where the recipe's total_tokens did."""

    seed: int
    validation_fraction: float
    requested_tokens: int | None
    total_tokens: int
    limited_by: str | None
    phases: tuple[PhasePlan, ...]
    sources: tuple[SourcePlan, ...]

    @property
    def streams(self) -> tuple[tuple[str, int], ...]:
        """(split, phase) of every stream that is shuffled and packed by itself: the training phases, then val."""
        return (*(("train", phase) for phase in range(len(self.phases))), ("val", 0))

    def stream_tokens(self) -> list[int]:
        """Tokens that the plan selects for every stream."""
        return [*(p.total_tokens for p in self.phases), sum(s.val_tokens for s in self.sources)]

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1) + "\n"

    @staticmethod
    def from_json(data: str | bytes) -> Plan:
        fields = json.loads(data)
        sources = []
        for source in fields.pop("sources"):
            cuts = tuple(Cut(c["epoch"], c["tokens"], Boundary(**c["boundary"]) if c["boundary"] else None)
                         for c in source.pop("cuts"))
            sources.append(SourcePlan(cuts=cuts, **source))
        phases = [PhasePlan(p["name"], p["total_tokens"], tuple(p["shares"]), tuple(p["selected_tokens"]))
                  for p in fields.pop("phases")]
        return Plan(sources=tuple(sources), phases=tuple(phases), **fields)

    def source(self, name: str) -> SourcePlan:
        """A source's plan; StageError where the mixture has no such source."""
        for source in self.sources:
            if source.name == name:
                return source
        raise StageError(f"the mixture has no source {name!r}", where="mix/plan",
                         hint=f"give mixture.weights.{name} a value; 0 leaves it out")

    def table(self) -> str:
        """The plan as lines for people. An epoch is a pass over the source's training documents."""
        lines = [f"{'source':<20}  target share  actual share  {'selected tokens':>16}  {'epochs':>11}  "
                 f"available tokens  {'val tokens':>13}"]
        lines += [_line(s.name, s.weight, s.selected_tokens, self.total_tokens, s.available_tokens)
                  + f"  {s.available_tokens:>16,}  {s.val_tokens:>13,}" for s in self.sources]
        for phase in self.phases if len(self.phases) > 1 else ():
            lines.append(f"phase {phase.name}: {phase.total_tokens:,} tokens")
            lines += [_line(f"  {s.name}", share, n, phase.total_tokens, s.available_tokens)
                      for s, n, share in zip(self.sources, phase.selected_tokens, phase.shares, strict=True) if n]
        requested = f" of {self.requested_tokens:,} requested" if self.requested_tokens else ""
        reason = f"{requested}, limited by max_epochs of {self.limited_by}" if self.limited_by else ", as requested"
        return "\n".join([*lines, f"total: {self.total_tokens:,} tokens{reason}"])


def _line(name: str, target_share: float, n_tokens: int, total_tokens: int, available_tokens: int) -> str:
    epochs = f"{n_tokens / max(1, available_tokens):.2f} epochs"
    return f"{name:<20}  {target_share:>12.2%}  {n_tokens / max(1, total_tokens):>12.2%}  {n_tokens:>16,}  {epochs:>11}"


def plan_budgets(config: MixtureConfig, counts: Mapping[str, Counts], seed: int) -> Plan:
    """Exact budgets of all sources in all phases; boundaries come later.

    total = min(total_tokens, min over sources of floor(floor(available * max_epochs) / share)), split by the shares
    with largest remainders, ties by name; phases likewise. All in exact fractions.

    Args:
        config: Target shares, limits and phases.
        counts: Documents and tokens of every source.
        seed: Of the run; it is noted in the plan.
    Returns:
        The plan: tokens of every source in every phase, without the documents that phases end in.
    Raises:
        StageError: A source with a weight has no training tokens, or one with tokens has no weight.
    """
    used = config.sources()
    _check_sources(config, counts, used)
    have = {n: counts.get(n, Counts(0, 0, 0, 0)) if used[n] else Counts(0, 0, 0, 0) for n in used}
    targets = [_shares(amounts, used, have) for _, amounts in config.stages()]
    parts, requested = _phase_parts(config, [total for _, total in targets])
    limits = {n: Fraction(config.max_epochs_by_source.get(n, config.max_epochs)) for n in used}
    most = {n: int(have[n].train_tokens * limits[n]) for n in used}
    overall = {n: sum((p * shares[n] for p, (shares, _) in zip(parts, targets, strict=True)), Fraction(0))
               for n in used}
    totals = {n: int(most[n] / overall[n]) for n in used if overall[n]}
    scarce = min(totals, key=lambda n: (totals[n], n))
    limited = requested is None or totals[scarce] < requested
    total = totals[scarce] if requested is None else min(requested, totals[scarce])
    budgets = _budgets(total, parts, [shares for shares, _ in targets], most, overall)
    phases = tuple(
        PhasePlan(name, sum(budget.values()), tuple(float(shares[n]) for n in used), tuple(budget.values()))
        for (name, _), (shares, _), budget in zip(config.stages(), targets, budgets, strict=True))
    sources = tuple(
        _source_plan(name, i, overall[name], limits[name], have[name], [b[name] for b in budgets])
        for i, name in enumerate(used))
    return Plan(seed, config.validation_fraction, requested, sum(p.total_tokens for p in phases),
                scarce if limited else None, phases, sources)


def _source_plan(name: str, source_id: int, weight: Fraction, limit: Fraction, have: Counts, budgets: Sequence[int]
                 ) -> SourcePlan:
    ends = np.cumsum(budgets).tolist()
    cuts = tuple(Cut(*divmod(int(end), have.train_tokens)) if have.train_tokens else START for end in ends)
    return SourcePlan(
        name=name, source_id=source_id, weight=float(weight), max_epochs=float(limit),
        available_documents=have.train_documents, available_tokens=have.train_tokens, val_documents=have.val_documents,
        val_tokens=have.val_tokens, selected_tokens=int(ends[-1]), cuts=cuts)


def _shares(amounts: Amounts, names: Mapping[str, bool], have: Mapping[str, Counts]
            ) -> tuple[dict[str, Fraction], int | None]:
    """Each source's share of a phase, of 1, and the phase's tokens where the amounts say."""
    if amounts.weights:
        wanted, total = {n: Fraction(w) for n, w in amounts.weights.items()}, None
    else:
        given = {n: int(have[n].train_tokens * Fraction(e)) for n, e in amounts.epochs.items()} or amounts.tokens
        wanted, total = {n: Fraction(t) for n, t in given.items()}, sum(given.values())
    n_wanted = sum(wanted.values(), Fraction(0))
    if not n_wanted:
        raise StageError("a phase asks for no token at all", where="mixture.epochs", hint="ask for more of a source")
    return {n: wanted.get(n, Fraction(0)) / n_wanted for n in names}, total


def _phase_parts(config: MixtureConfig, totals: Sequence[int | None]) -> tuple[list[Fraction], int | None]:
    """Each phase's part of all tokens, of 1, and the requested tokens."""
    if not config.phases:
        return [Fraction(1)], totals[0] if totals[0] is not None else config.total_tokens
    if config.phases[0].is_relative:
        wanted, requested = [Fraction(p.share or 0) for p in config.phases], config.total_tokens
    else:
        wanted = [Fraction(p.total_tokens or t or 0) for p, t in zip(config.phases, totals, strict=True)]
        requested = int(sum(wanted))
    return [w / sum(wanted) for w in wanted], requested


def _budgets(total: int, parts: Sequence[Fraction], shares: Sequence[Shares], most: Mapping[str, int],
             overall: Shares) -> list[dict[str, int]]:
    """Tokens of every source in every phase. Rounding in several phases may take a source beyond its limit by a few
    tokens; then the total shrinks by as many."""
    while True:
        sizes = largest_remainder(total, {f"{i:06d}": part for i, part in enumerate(parts)}).values()
        budgets = [largest_remainder(size, of_phase) for size, of_phase in zip(sizes, shares, strict=True)]
        over = {n: sum(b[n] for b in budgets) - most[n] for n in most}
        excess = [int(over[n] / overall[n]) for n in most if over[n] > 0]
        if not excess or not total:
            return budgets
        total = max(0, total - max(1, *excess))


def _check_sources(config: MixtureConfig, counts: Mapping[str, Counts], used: Mapping[str, bool]) -> None:
    for name in sorted(counts):
        if name not in used:
            raise StageError(f"source {name!r} has tokens but no weight", where="mixture.weights",
                             hint="give it one; 0 leaves it out")
    for name in used:
        if used[name] and (name not in counts or not counts[name].train_tokens):
            weight = f"a weight of {config.weights[name]:g}" if name in config.weights else "a part in the mixture"
            raise StageError(f"source {name!r} has {weight} but no training tokens",
                             where="mixture.weights", hint="see why its documents were dropped, or set its weight to 0")
    for name in sorted(config.max_epochs_by_source):
        if name not in used:
            raise StageError(f"source {name!r} is not in mixture.weights", where="mixture.max_epochs_by_source")


def largest_remainder(total: int, shares: Shares) -> dict[str, int]:
    """Integers that sum to total and differ from total * share by less than one (Hamilton's method).

    shares sum to 1. Ties go to the name that sorts first; a share of 0 gets 0. In the order of the names."""
    exact = {n: total * shares[n] for n in sorted(shares)}
    parts = {n: int(e) for n, e in exact.items()}
    left = total - sum(parts.values())
    for name in sorted(exact, key=lambda n: (parts[n] - exact[n], n))[:left]:
        parts[name] += 1
    return parts


def is_validation(seed: int, fraction: float, words: UInt64) -> npt.NDArray[np.bool_]:
    """Which documents are held out, bool [n], from uint64 [n, 2] ids of their groups: a fact of those and the seed.

    Parts of one page, and documents that a chain of near-duplicates joins, are one group and lie on one side."""
    return uniform(seed, "validation", words) < fraction


def epoch_order(seed: int, words: UInt64) -> UInt64:
    """uint64 [n]: the order in which a pass takes documents. One order serves every pass, so a larger budget only adds
    documents; their order in the shards is another hash. Ties are broken by the id's two little-endian words."""
    return keyed_hash(seed, "mixture", words)


def phase_passes(cuts: tuple[Cut, Cut], order: UInt64, words: UInt64, n_tokens: Ints
                 ) -> Iterator[tuple[int, Ints, Ints, Ints]]:
    """What a phase takes of some training documents, pass by pass: (epoch, rows, first token, tokens).

    cuts: where the phase begins and ends. n_tokens: int64 [n], without end-of-text. rows: int64 [m], indexes into the
    arguments. first token: 0 unless an earlier phase took the document's beginning. tokens: what is taken from there;
    it counts the end-of-text where the document's end is reached."""
    start, end = cuts
    counted = n_tokens + 1
    for epoch in range(start.epoch, end.epoch + 1):
        until = _before(end, order, words, counted) if epoch == end.epoch else counted
        first = _before(start, order, words, counted) if epoch == start.epoch else np.zeros(len(counted), np.int64)
        rows = np.flatnonzero(until > first)
        yield epoch, rows, first[rows], (until - first)[rows]


def _before(cut: Cut, order: UInt64, words: UInt64, counted: Ints) -> Ints:
    """Tokens of every document that lie before the end of a phase within its pass, int64 [n]."""
    if cut.boundary is None:
        return np.zeros(len(order), np.int64)
    edge = np.uint64(int(cut.boundary.order, 16))
    low, high = np.frombuffer(bytes.fromhex(cut.boundary.doc_id), np.uint64)
    tie = order == edge
    here = tie & (words[:, 0] == low) & (words[:, 1] == high)
    below = (order < edge) | (tie & ((words[:, 0] < low) | ((words[:, 0] == low) & (words[:, 1] < high))))
    return np.where(here, cut.boundary.n_tokens, np.where(below, counted, 0))
