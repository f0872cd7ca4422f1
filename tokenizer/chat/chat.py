"""Dialogues, comparisons, verdicts and prompts as packed shards: the data of fine-tuning, reward models, DPO and KTO.

A dialogue is one document; all answers to one prompt lie in one row, so their losses can be compared. Each span names
its turns, and targets are learned in answers alone (InstructGPT, Ouyang et al. 2022, arXiv 2203.02155, sections 3.2
and 3.5). Rows and shards are those of pre-training, so the same loader reads them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from manifests.packing import ROW_PACKINGS
from manifests.schema import CHAT_SPANS
from manifests.shard import MAX_SHARD_TOKENS
from tokenizer.chat.messages import ANSWERER
from tokenizer.chat.templates import NAMED
from tokenizer.encoding.encode import Encoder
from tokenizer.packing.packers import row_packer
from tokenizer.packing.rows import begin_shards

PROMPTS, UNDESIRABLE = "prompt", "undesirable"
Ids = npt.NDArray[Any]


class ChatConfig(BaseModel):
    """How dialogues become rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row_length: int = Field(2048, ge=8, le=1 << 20, description=(
        "Tokens of a row; dialogues of as many are too long, for any row may be a shard's first, which begins with an "
        "end-of-text token."))
    shard_tokens: int = Field(1 << 24, ge=8, le=MAX_SHARD_TOKENS, description=(
        "Tokens of dialogues that are packed together, into one shard: what is held in memory."))
    packing: str = Field("best_fit", description=(
        f"How dialogues, or comparisons, fill rows: {', '.join(ROW_PACKINGS)}."))
    template: str = Field("chatml", description=(
        f"How turns are written: {', '.join(NAMED)}; `tokenizer`, the tokenizer's own chat template; or a file of one, "
        "in Jinja."))
    template_variables: dict[str, Any] = Field(default_factory=dict, description=(
        "What the template may read beside messages and tools, such as enable_thinking."))
    learned_roles: tuple[str, ...] = Field((ANSWERER,), description=(
        "Roles whose turns are learned. What an assistant said in a prompt is learned with `prompt` alone, and answers "
        "that KTO calls undesirable with `undesirable`."))
    learn_eot: bool = Field(True, description="Whether the end-of-text token behind a learned last turn is learned.")
    long: Literal["drop", "truncate", "split"] = Field("drop", description=(
        "What becomes of a dialogue that is longer than a row: it is left out, loses its end, or is divided over rows. "
        "Comparisons and prompts that are too long are always left out."))
    task: Literal["classification", "entailment", "similarity", "choices"] | None = Field(None, description=(
        "Lines of one of GPT-1's tasks instead of dialogues; the template is not used then."))
    auxiliary_weight: float = Field(0.5, ge=0.0, description=(
        "How much the texts of a task count in the loss as language: GPT-1's lambda. 0: they are no targets."))
    validation_fraction: float = Field(0.0, ge=0.0, lt=1.0, description="Share of lines that go to the val split.")
    seed: int = Field(0, ge=0, lt=1 << 63, description="Decides which lines are held out.")

    @property
    def most_tokens(self) -> int:
        """Tokens of the longest dialogue, or comparison, that is packed."""
        return self.row_length - 1

    @field_validator("packing")
    @classmethod
    def _fills_rows(cls, packing: str) -> str:
        if packing not in ROW_PACKINGS:
            raise ValueError(f"must be one of {', '.join(ROW_PACKINGS)}, which cut no dialogue")
        return packing

    @model_validator(mode="after")
    def _whole_rows(self) -> ChatConfig:
        if self.shard_tokens < self.row_length:
            raise ValueError(f"shard_tokens {self.shard_tokens} is less than row_length {self.row_length}")
        if self.task is not None and self.long != "drop":
            raise ValueError(f"long {self.long!r}: the sequences of a task are not cut")
        return self


class TurnSpan(NamedTuple):
    """Tokens of a turn in its dialogue: what is said and the marker that ends it, not the markers before.

    weight: how much each counts in the loss; 0 for context."""

    start: int
    n_tokens: int
    role: str
    weight: float


@dataclass(frozen=True, slots=True)
class EncodedDialogue:
    """A dialogue, or a part of one. offset: its first token in the dialogue. goes_on: whether the dialogue does.

    readout: the token at which a reward model, or a classifier, is read; None where there is none. target: what a
    head there is trained on, in GPT-1's tasks."""

    ids: Ids
    turns: list[TurnSpan]
    offset: int = 0
    goes_on: bool = False
    readout: int | None = None
    target: str | None = None

    @property
    def n_learned(self) -> int:
        return sum(turn.n_tokens for turn in self.turns if turn.weight)


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """What must lie in one row. doc_ids: 16 bytes a dialogue; group_id, the line's own, where nothing is ranked.
    ranks: of each dialogue, best first from 0, equal where the line calls them equal; or the number of an order or a
    choice in a task."""

    line: int
    identity: str
    group_id: bytes
    doc_ids: list[bytes]
    dialogues: list[EncodedDialogue]
    ranked: bool
    held_out: bool
    label: bool | None = None
    ranks: tuple[int, ...] = ()

    @property
    def n_tokens(self) -> int:
        return sum(len(d.ids) for d in self.dialogues)


@dataclass
class ChatCounts:
    """What became of the lines. turns: messages by role. encoder_fallback: blocks that the reference had to encode.
    missing_markers: what the template writes and the tokenizer has no token for. template_error: what the template said
    to the first dialogue that it refused."""

    lines: int = 0
    dialogues: int = 0
    learned_tokens: int = 0
    encoder_fallback: int = 0
    truncated: int = 0
    split: int = 0
    turns: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    missing_markers: list[str] = field(default_factory=list)
    template_error: str | None = None


def fill_shard(config: ChatConfig, groups: Sequence[EncodedGroup], encoder: Encoder) -> tuple[Ids, pa.Table]:
    """(payload [rows * T], CHAT_SPANS) of one shard: groups in whole rows, padding filled with end-of-text tokens.

    Args:
        config: Packing and row length, T tokens.
        groups: Each of at most T - 1 tokens, so that none is cut for the end-of-text token that begins a shard.
        encoder: Whose dtype and end-of-text token the payload has.
    """
    lengths = np.array([g.n_tokens for g in groups], np.int64)
    rows = row_packer(config.packing).fill_rows(lengths, config.row_length, len(groups))
    rows = begin_shards(rows, config.row_length, 0, rows.n_rows)
    payload = np.full(rows.n_rows * config.row_length, encoder.eot_id, encoder.dtype)
    begins = np.empty(len(groups), np.int64)
    begins[rows.instance] = rows.row * config.row_length + rows.start
    spans: list[dict[str, Any]] = []
    for index in np.argsort(begins).tolist():
        group, start = groups[index], int(begins[index])
        for rank, (doc_id, dialogue) in enumerate(zip(group.doc_ids, group.dialogues, strict=True)):
            payload[start : start + len(dialogue.ids)] = dialogue.ids
            spans.append({"token_start": start, "row": start // config.row_length, **_span(group, rank, doc_id)})
            start += len(dialogue.ids)
    return payload, pa.Table.from_pylist(spans, CHAT_SPANS)


def _span(group: EncodedGroup, rank: int, doc_id: bytes) -> dict[str, Any]:
    dialogue = group.dialogues[rank]
    return {
        "n_tokens": len(dialogue.ids), "doc_id": doc_id, "source_id": 0, "doc_token_offset": dialogue.offset,
        "epoch": 0, "truncated_left": dialogue.offset > 0, "truncated_right": dialogue.goes_on,
        "group_id": group.group_id if group.ranked else None, "rank": group.ranks[rank] if group.ranked else None,
        "label": group.label, "readout": dialogue.readout, "target": dialogue.target,
        "turns": [{"start": t.start, "n_tokens": t.n_tokens, "role": t.role, "loss": t.weight > 0, "weight": t.weight}
                  for t in dialogue.turns]}


def recipe_text(config: ChatConfig, template: str) -> str:
    """The settings as one line of JSON, the template by its text: what recipe_sha256 is of."""
    digest = hashlib.sha256(template.encode()).hexdigest()
    return json.dumps({**config.model_dump(mode="json"), "template": digest}, sort_keys=True)
