"""`curate estimate`: a sample of the input through the real stages, in a folder that goes, and what the whole takes.

The stages run three times in that folder, each time over more of the sample, so that what is done is used again: over
next to nothing, which says what a process costs before it has done anything; over half; and over all. Which costs and
which drops grow with the input, and how, is seen between the last two.
"""

from __future__ import annotations

import copy
import glob
import os
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from manifests.errors import CurateError, RecipeError
from manifests.graph import View
from manifests.storage import Storage
from pipelines.estimating import extrapolation as extra
from pipelines.estimating.clock import Clock, Costs
from pipelines.estimating.extrapolation import Range, around
from pipelines.estimating.sampling import Group, SourceSample, sample_source
from pipelines.inputs import InputScanner
from pipelines.recipe import Recipe
from pipelines.running import Settings, run, scan

LEAST_BYTES: Final = 12 << 20
"""Of a source, as it lies, that are sampled at least: some hundred pages, with fewer nothing can be said."""
WIDEST: Final = 0.25
"""How far an interval may reach to either side; where it reaches farther, twice as much is sampled."""
_MOST_SHARE: Final = 0.5
_ROUNDS: Final = 4
_TOKEN_DOUBT: Final = 0.05  # relative standard errors of what no sample shows: tokenizer, host by host duplicates
_COST_DOUBT: Final = 0.15  # what else a machine does, and how its caches and clocks answer to that
_DISK_DOUBT: Final = 0.06  # compression of files of another size
_SLOWER: Final = {"tokenizer": 0.6, "tokenizer/words": 0.6}
"""Stages whose work grows with the distinct words of the texts: by Heaps' law a power of 0.4 to 0.6 of their length."""
_BY_FILE: Final = {"tokenizer/counts": 0.75, "tokenizer/check": 0.0}
"""Likewise of stages with a task for each file: distinct words of a part, and a sample of fixed size."""
_DROPS: Final = ("dropped_exact_duplicate", "dropped_near_duplicate", "dropped_url_duplicate")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take.

    share: of the input that was sampled. n_bytes: of the input. core_seconds, disk_bytes, memory_bytes: of the run;
    memory of one worker, as far as the sample showed. startup_seconds: of each process before it does anything. tokens:
    by source, before the mixture chooses. most_tokens: without any further duplicates, the upper bound. documents: by
    source. dropped_as_duplicates: shares of documents, in the sample and expected of the whole. bytes_per_token:
    likewise. stages: CPU seconds of the most expensive ones."""

    share: float
    n_bytes: int
    core_seconds: Range
    startup_seconds: float
    disk_bytes: Range
    memory_bytes: int
    tokens: dict[str, Range]
    most_tokens: dict[str, float]
    documents: dict[str, Range]
    dropped_as_duplicates: tuple[float, float]
    bytes_per_token: tuple[float, float]
    stages: dict[str, float]

    @property
    def width(self) -> float:
        """How far the widest interval reaches."""
        return max(r.width for r in (self.core_seconds, self.disk_bytes, *self.tokens.values()))

    def seconds(self, workers: int) -> Range:
        """Time from the command to its end, with so many workers."""
        work = max(0.0, self.core_seconds.value - self.startup_seconds)
        return self.core_seconds.times((self.startup_seconds + work / workers) / max(1e-9, self.core_seconds.value))


def estimate(recipe: Recipe, share: float = 0.01, seed: int = 0, widest: float = WIDEST,
             least_bytes: int = LEAST_BYTES) -> Estimate:
    """What a run of a recipe would take, by a sample of its input.

    Args:
        recipe: What would be done.
        share: Of the input that is sampled at first.
        seed: Of the sample: the same one takes the same.
        widest: While an 80 % interval reaches farther to a side, twice as much is sampled, up to half of the input.
        least_bytes: Of each source, that are sampled at least.
    Returns:
        Figures with 80 % intervals.
    Raises:
        RecipeError: The recipe cannot be run, or its sources not be sampled.
        StageError: The sample is too small for some stage to work.
    """
    for round_number in range(_ROUNDS):
        with tempfile.TemporaryDirectory(prefix="curate-estimate-") as folder:
            found = _Sampled(recipe, share, least_bytes, seed, Path(folder)).estimate()
        if found.width <= widest or found.share >= _MOST_SHARE or round_number == _ROUNDS - 1:
            return found
        share, least_bytes = max(share, found.share) * 2, least_bytes * 2
    raise AssertionError  # the last round returns


@dataclass(slots=True)
class _Seen:
    """What one of the nested runs showed. amounts: by source and part, tokens, bytes and documents of encoded texts.
    came, dropped: documents that deduplication saw, and those that it dropped."""

    n_bytes: float
    costs: Costs
    amounts: dict[str, dict[str, tuple[int, int, int]]] = field(default_factory=dict)
    came: int = 0
    dropped: int = 0
    trained: bool = False

    @property
    def bytes_per_token(self) -> float:
        rows = [row for parts in self.amounts.values() for row in parts.values()]
        return sum(row[1] for row in rows) / max(1, sum(row[0] for row in rows))


class _Sampled:
    """A recipe with a sample of its input, in a folder of its own."""

    def __init__(self, recipe: Recipe, share: float, least_bytes: int, seed: int, folder: Path) -> None:
        self._recipe = recipe
        self._folder = folder
        http = recipe.http
        progress = scan(recipe, InputScanner(Storage(str(folder / "scan")), http))
        if not progress.sources:
            raise RecipeError("has no source with files", where="sources")
        self._samples = {source.name: sample_source(source, share, least_bytes, seed, folder / "sample", http)
                         for source in progress.sources}
        self._groups: dict[tuple[str, str], tuple[str, int]] = {}  # (source, part) -> (source with files, group)

    def estimate(self) -> Estimate:
        """Run the sample, and extrapolate."""
        clock = Clock()
        with suppress(CurateError):  # next to nothing may be too little for a stage: the others are warm
            self._run(clock, {name: s.groups[:1] for name, s in self._samples.items()})
        startup = clock.costs.between + sum(sum(tasks.values()) for tasks in clock.costs.seconds.values())
        half: _Seen | None = None
        with suppress(CurateError):
            half = self._run(clock, {name: s.half for name, s in self._samples.items()})
        between = clock.costs.between
        whole = self._run(clock, {name: s.groups for name, s in self._samples.items()})
        between = clock.costs.between - between
        return self._extrapolated(half or whole, whole, startup, between, clock.peak_memory_bytes)

    def _run(self, clock: Clock, chosen: Mapping[str, Sequence[Group]]) -> _Seen:
        sources = {name: source.model_copy(update={
            "files": tuple(glob.escape(g.path) if os.path.exists(g.path) else g.path for g in chosen[name]),
            "commoncrawl": None, "in_order": True, "split_bytes": None})
            if name in chosen else source for name, source in self._recipe.sources.items()}
        recipe = self._recipe.model_copy(update={"sources": sources})
        result = run(recipe, str(self._folder / "run"), Settings("inline", guards=False, tracebacks=False), clock)
        seen = _Seen(sum(g.n_bytes for groups in chosen.values() for g in groups), copy.deepcopy(clock.costs))
        self._read(result.view, seen)
        return seen

    def _read(self, view: View, seen: _Seen) -> None:
        derived = {name: source.derived_from for name, source in self._recipe.sources.items() if source.derived_from}
        for source in view.sources:
            paths = {group.path: number for number, group in enumerate(self._samples[source.name].groups)}
            for file in source.files:
                for name in (source.name, *(d for d, of in derived.items() if of == source.name)):
                    self._groups[name, file.part] = (source.name, paths[file.path])
        for record in view.tasks("tokens"):
            source_name, _, part = record.identity.task.rpartition("/")
            counted = record.counters
            seen.amounts.setdefault(source_name, {})[part] = (
                counted.get("tokens", 0) + counted.get("documents", 0), counted.get("bytes", 0),
                counted.get("documents", 0))
        counters = view.counters("dedup/decisions")
        seen.dropped = sum(counters.get(name, 0) for name in _DROPS)
        seen.came = counters.get("kept", 0) + seen.dropped
        seen.trained = bool(view.tasks("tokenizer"))

    def _extrapolated(self, half: _Seen, seen: _Seen, startup: float, between: float, memory: int) -> Estimate:
        n_bytes = sum(sample.n_bytes for sample in self._samples.values())
        growth, factor = seen.n_bytes / half.n_bytes, n_bytes / seen.n_bytes
        share_here = seen.dropped / max(1, seen.came)
        share_there = max(share_here, extra.dropped_share((half.dropped, half.came), (seen.dropped, seen.came), growth,
                                                          factor))
        survival = (1 - share_there) / (1 - share_here) if share_here < 1 else 1.0
        later = extra.later_bytes_per_token(half.bytes_per_token, seen.bytes_per_token, growth, factor
                                            ) if seen.trained else seen.bytes_per_token
        token_factor = seen.bytes_per_token / later if later else 1.0
        doubt = np.hypot(_TOKEN_DOUBT if factor > 1 else 0.0, (1 - survival) / 2)
        tokens, documents, most = {}, {}, {}
        for name, parts in seen.amounts.items():
            value, error, degrees = self._total(name, parts, 0)
            tokens[name] = around(value * survival * token_factor, float(np.hypot(error, doubt)), degrees)
            most[name] = value * token_factor
            value, error, degrees = self._total(name, parts, 2)
            documents[name] = around(value * survival, float(np.hypot(error, doubt)), degrees)
        seconds, per_stage, spread = self._cost(half.costs.seconds, seen.costs.seconds, growth, factor)
        disk, _, disk_spread = self._cost(half.costs.n_bytes, seen.costs.n_bytes, growth, factor)
        return Estimate(
            share=seen.n_bytes / n_bytes, n_bytes=n_bytes, startup_seconds=startup,
            core_seconds=around(startup + between + seconds, float(np.hypot(spread, _COST_DOUBT))),
            disk_bytes=around(disk, float(np.hypot(disk_spread, _DISK_DOUBT))), memory_bytes=memory, tokens=tokens,
            most_tokens=most, documents=documents, dropped_as_duplicates=(share_here, share_there),
            bytes_per_token=(seen.bytes_per_token, later),
            stages=dict(sorted(per_stage.items(), key=lambda item: -item[1])[:10]))

    def _total(self, name: str, parts: Mapping[str, tuple[int, int, int]], column: int) -> tuple[float, float, int]:
        """A source's total by the ratio to its input, its relative error, and the groups that tell it, less one."""
        sample = self._sample_of(name)
        amounts = np.zeros(len(sample.groups))
        for part, row in parts.items():
            amounts[self._groups[name, part][1]] += row[column]
        sizes = np.array([group.n_bytes for group in sample.groups])
        # The tiny groups go with the first of the others.
        if 0 < sample.tiny < len(sizes):
            amounts[sample.tiny] += amounts[:sample.tiny].sum()
            sizes[sample.tiny] += sizes[:sample.tiny].sum()
            amounts, sizes = amounts[sample.tiny:], sizes[sample.tiny:]
        value, error = extra.ratio(list(amounts), list(sizes), sample.n_bytes, sample.large)
        return value, error, len(amounts) - 1 - sample.large

    def _sample_of(self, name: str) -> SourceSample:
        own = self._recipe.sources[name].derived_from or name
        return self._samples[own]

    def _cost(self, half: Mapping[str, Mapping[str, float]], seen: Mapping[str, Mapping[str, float]], growth: float,
              factor: float) -> tuple[float, dict[str, float], float]:
        """The whole of a cost, that of each stage, and the relative error that the groups show."""
        by_stage: dict[str, float] = {}
        spread: dict[str, float] = defaultdict(float)  # by source, of the stages that have a task for each file
        for stage, tasks in seen.items():
            named = {task: self._groups.get((task.rpartition("/")[0], task.rpartition("/")[2])) for task in tasks}
            if any(group is None for group in named.values()):
                by_stage[stage] = extra.grown(sum(half.get(stage, {}).values()), sum(tasks.values()), growth, factor,
                                              _SLOWER.get(stage, 1.0))
                continue
            by_stage[stage] = 0.0
            for name, sample in self._samples.items():
                costs = np.zeros(len(sample.groups))
                for task, group in named.items():
                    if group is not None and group[0] == name:
                        costs[group[1]] += tasks[task]
                sizes = np.array([group.n_bytes for group in sample.groups])
                by_stage[stage] += extra.by_file(costs, sizes, sample.tiny, sample.large, sample.n_files,
                                                 sample.n_bytes, _BY_FILE.get(stage, 1.0))
                _, error = extra.ratio(list(costs[sample.tiny:]), list(sizes[sample.tiny:]), sample.n_bytes,
                                       sample.large)
                # The same pages are behind all stages: their errors add up.
                spread[name] += error * by_stage[stage] if np.isfinite(error) else 0.0
        total = sum(by_stage.values())
        return total, by_stage, float(np.sqrt(sum(value**2 for value in spread.values()))) / max(total, 1e-9)
