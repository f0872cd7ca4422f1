"""What is learned of a dataset's rows beside the next token: fill-in-the-middle, end-of-text tokens, weights of tokens.

All of it is worked out from rows as they are read, by hashes of (seed, row, segment), so no shard is written anew, and
any reader of a row sees the same. Lengths and bounds of documents stay as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.dataset import IGNORED, PackedDataset, Segments
from manifests.errors import InputError
from manifests.hashing import uniform
from manifests.packing import PACKINGS
from manifests.row_facts import Known, RowFacts
from manifests.row_reader import Empty
from manifests.shard import Tokens
from manifests.shards import TOKENIZER
from manifests.storage import Storage

_MARKERS: Final = 3
_NAMES: Final = (("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),  # Qwen2.5-Coder, GPT-4's encoding
                 ("<fim_prefix>", "<fim_middle>", "<fim_suffix>"),  # StarCoder
                 ("<fim-prefix>", "<fim-middle>", "<fim-suffix>"),  # SantaCoder
                 ("▁<PRE>", "▁<MID>", "▁<SUF>"))  # Code Llama


@dataclass(frozen=True, slots=True)
class FillInTheMiddle:
    """Documents of a row turned so that their middle comes last (Bavarian et al. 2022, arXiv 2207.14255, section 3).

    prefix, middle, suffix: ids of the three markers. rate: share of segments that are turned; rates: by source, where
    it differs. spm: share of those in the order suffix, prefix, middle; the others are prefix, suffix, middle. seed:
    another one turns others. Where a document is cut is uniform over its tokens.

    A segment gives up its last three tokens for the markers, as Megatron's does, so that rows stay as long as they are.
    An end-of-text token stays last. Segments that are not learned whole, such as dialogues, are left alone."""

    prefix: int
    middle: int
    suffix: int
    rate: float = 0.5
    rates: Mapping[str, float] = field(default_factory=dict)
    spm: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("spm", self.spm), *self.rates.items()):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} {value} is not in 0 to 1")


@dataclass(frozen=True, slots=True)
class Objective:
    """What is learned of rows.

    eod_mask_loss: nothing is learned right behind an end-of-text token, as Megatron's option of that name has it.
    learn_eot: whether the end-of-text token itself is a target. fill: fill-in-the-middle. source_weights: how much the
    tokens of a source count in the loss, 1 where it is not named; 0 makes them no targets."""

    eod_mask_loss: bool = False
    learn_eot: bool = True
    fill: FillInTheMiddle | None = None
    source_weights: Mapping[str, float] = field(default_factory=dict)


class ObjectiveDataset(PackedDataset):
    """A packed dataset whose batches are those of an objective; loaders take it as they take any.

    `[i]` gives tokens as stored. A checkpoint does not pin the objective: give the same one when training goes on.

    Args:
        path: A run's folder, or its `packed` folder.
        split: `train` or `val`.
        objective: What is learned.
        mmap, validate, options: As `PackedDataset` takes them.
    Raises:
        InputError: There is no packed dataset, or it has no source that the objective names.
        ValueError: A marker of the objective is no id of the vocabulary, or a weight is below 0.
    """

    def __init__(self, path: str | os.PathLike[str], split: str, objective: Objective, mmap: bool = True,
                 validate: str = "never", **options: Any) -> None:
        super().__init__(path, split, mmap, validate, **options)
        self.objective = objective
        fill = objective.fill
        named = {*objective.source_weights, *(fill.rates if fill else ())}
        if unknown := sorted(named - set(self.source_names.values())):
            raise InputError(f"has no source {unknown[0]!r}", where=str(self.folder),
                             hint=f"it has {', '.join(sorted(self.source_names.values()))}")
        if fill and not all(0 <= token < self.vocab_size for token in (fill.prefix, fill.middle, fill.suffix)):
            raise ValueError(f"markers {fill.prefix}, {fill.middle}, {fill.suffix}: ids are 0 to {self.vocab_size - 1}")
        if min(objective.source_weights.values(), default=0) < 0:
            raise ValueError("a weight of a source is below 0")

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.where, self.objective, self._options)

    def tokens(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """Tokens [n, T] of many rows, in the stored dtype, turned as the objective says."""
        return self.batch(rows)[0]

    def read(self, rows: npt.NDArray[np.int64], documents: bool = True, as_int64: bool = False,
             empty: Empty = np.empty, known: Known | None = None
             ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], Segments | None]:
        """As `PackedDataset.read`, changed as the objective says; the bounds of documents never are."""
        tokens, targets, segments = super().read(rows, True, as_int64, empty, known)
        assert segments is not None
        if self.objective.fill is not None:
            self._turn(self.objective.fill, rows, tokens, targets, segments)
        if self.objective.eod_mask_loss:
            targets[tokens == self.eot_id] = IGNORED
        if not self.objective.learn_eot:
            targets[targets == self.eot_id] = IGNORED
        if 0 in self.objective.source_weights.values():
            targets[self._source_weights(segments, tokens.shape) == 0] = IGNORED
        return tokens, targets, segments

    def describe(self, rows: npt.NDArray[np.int64], documents: bool) -> RowFacts:
        """As `PackedDataset.describe`: documents are always needed."""
        return super().describe(rows, True)

    def rows_looked_up(self, documents: bool) -> int:
        """As `PackedDataset.rows_looked_up`: documents are always needed."""
        return super().rows_looked_up(True)

    def loss_weights(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """How much each target counts in the loss: its source's weight, times its turn's in dialogues.

        Args:
            rows: int64 [n], each in [0, len); else IndexError.
        Returns:
            float32 [n, T], beside the targets of `batch`; 0 where these are -100.
        """
        _, targets, segments = self.batch_with_segments(rows)
        weights = self._source_weights(segments, targets.shape)
        for i, row in enumerate(rows.tolist()):
            shard, local = self._locate(row)
            spans = self._shards.spans(shard)
            if spans.learned_weight is None:
                continue
            low, high = np.searchsorted(spans.learned_row, [local, local + 1]).tolist()
            start = spans.learned_start[low:high] - local * self.row_length
            for a, n, weight in zip(start.tolist(), spans.learned_n[low:high].tolist(),
                                    spans.learned_weight[low:high].tolist(), strict=True):
                weights[i, max(a - 1, 0) : a + n - 1] *= weight
        weights[targets == IGNORED] = 0
        return weights

    @cached_property
    def _weight_of(self) -> npt.NDArray[np.float32]:
        """Weight of every source id; that of no document, -1, last."""
        weights = np.ones(max(self.source_names, default=0) + 2, np.float32)
        for number, name in self.source_names.items():
            weights[number] = self.objective.source_weights.get(name, 1.0)
        return weights

    def _source_weights(self, segments: Segments, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Weight of the source of each target; a row's last target counts as the token before it."""
        of_tokens = np.repeat(self._weight_of[segments.source_ids], np.diff(segments.cu_seqlens)).reshape(shape)
        return np.concatenate([of_tokens[:, 1:], of_tokens[:, -1:]], axis=1)

    def _turn(self, fill: FillInTheMiddle, rows: npt.NDArray[np.int64], tokens: Tokens,
              targets: npt.NDArray[np.int64], segments: Segments) -> None:
        """Turn segments of rows in place."""
        length, bounds = self.row_length, segments.cu_seqlens.astype(np.int64)
        starts, ends = bounds[:-1], bounds[1:]
        words = np.stack([rows[starts // length], starts % length], axis=1).astype(np.uint64)
        rates = np.array([0.0 if s < 0 else fill.rates.get(self.source_names[s], fill.rate)
                          for s in segments.source_ids.tolist()])
        flat, goals = tokens.reshape(-1), targets.reshape(-1)
        body = ends - starts - (flat[ends - 1] == self.eot_id)
        chosen = np.flatnonzero((uniform(fill.seed, "fim", words) < rates) & (body > _MARKERS))
        kept = body - _MARKERS
        cuts = np.sort(np.stack([uniform(fill.seed, f"fim-cut-{i}", words) for i in (0, 1)]) * (kept + 1), axis=0)
        spm = uniform(fill.seed, "fim-spm", words) < fill.spm
        for i in chosen.tolist():
            start, first, second = int(starts[i]), int(cuts[0, i]), int(cuts[1, i])
            end = start + int(body[i])
            if (goals[start : int(ends[i]) - 1] == IGNORED).any():
                continue
            text = flat[start : start + int(kept[i])].copy()
            before, middle, after = text[:first], text[first:second], text[second:]
            turned = ([fill.prefix, fill.suffix], after, [fill.middle], before, middle) if spm[i] else (
                [fill.prefix], before, [fill.suffix], after, [fill.middle], middle)
            flat[start:end] = np.concatenate([np.asarray(part, flat.dtype) for part in turned])
            goals[start : int(ends[i]) - 1] = flat[start + 1 : int(ends[i])]
            if start % length and goals[start - 1] != IGNORED:
                goals[start - 1] = flat[start]
        if PACKINGS[self.packing].is_stream:
            targets[:, -1] = IGNORED  # the next row may begin otherwise than it is stored


def _reopened(where: str, objective: Objective, options: dict[str, Any]) -> ObjectiveDataset:
    return ObjectiveDataset(where, objective=objective, **options)


def fim_markers(path: str | os.PathLike[str]) -> dict[str, int]:
    """Ids of the markers of fill-in-the-middle in a packed dataset's tokenizer, as `FillInTheMiddle` takes them.

    Args:
        path: A run's folder, or its `packed` folder, with tokenizer.json; local or a URL.
    Returns:
        {"prefix", "middle", "suffix"}: ids.
    Raises:
        InputError: There is no tokenizer, or none of its special tokens are such markers.
    """
    storage = Storage(os.fspath(path))
    name = next((n for n in (TOKENIZER, f"packed/{TOKENIZER}") if storage.exists(n)), TOKENIZER)
    data, where = storage.read_bytes(name), storage.path(name)
    if data is None:
        raise InputError("is not there", where=where, hint="give a finished run, or its packed folder")
    try:
        added = {str(t["content"]): int(t["id"]) for t in json.loads(data).get("added_tokens") or []}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise InputError(f"is no tokenizer: {error}", where=where, hint="pack the dataset again") from error
    for names in _NAMES:
        if all(name in added for name in names):
            return dict(zip(("prefix", "middle", "suffix"), (added[name] for name in names), strict=True))
    raise InputError("has no markers of fill-in-the-middle", where=where,
                     hint="train it with --special-token '<|fim_prefix|>' and so on, or give the ids of other tokens")
