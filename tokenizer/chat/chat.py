"""Dialogues, comparisons and prompts as packed shards: the data of supervised fine-tuning, reward models and DPO.

A dialogue is one document of one row, never cut; all answers to one prompt lie in one row, so their losses can be
compared. Each span names its turns, and targets are learned in answers alone (InstructGPT, Ouyang et al. 2022,
arXiv 2203.02155, sections 3.2 and 3.5). Rows and shards are those of pre-training, so the same loader reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from tokenizers import Tokenizer

from manifests.hashing import document_id, id_words
from manifests.packing import ROW_PACKINGS
from manifests.schema import CHAT_SPANS
from manifests.shard import MAX_SHARD_TOKENS
from tokenizer.chat.dialogues import ChatReason, Group, LeftOut, Turn
from tokenizer.encoding.encode import Encoder
from tokenizer.mixture.mixture import is_validation
from tokenizer.packing.packers import row_packer
from tokenizer.packing.rows import begin_shards

_BLOCK_GROUPS = 1024
_CHECKED = 256  # one text in so many is encoded by the reference too
Ids = npt.NDArray[Any]
TEMPLATES = {"chatml": ("<|im_start|>{role}\n", "<|im_end|>\n"), "plain": ("", "")}
"""The text before and after that of a turn."""


class ChatConfig(BaseModel):
    """How dialogues become rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row_length: int = Field(2048, ge=8, le=1 << 20, description=(
        "Tokens of a row; dialogues of as many are left out, for any row may be a shard's first, which begins with an "
        "end-of-text token."))
    shard_tokens: int = Field(1 << 24, ge=8, le=MAX_SHARD_TOKENS, description=(
        "Tokens of dialogues that are packed together, into one shard: what is held in memory."))
    packing: str = Field("best_fit", description=(
        f"How dialogues, or comparisons, fill rows: {', '.join(ROW_PACKINGS)}."))
    template: Literal["chatml", "plain"] = Field("chatml", description=(
        "chatml marks who speaks, with single tokens where the tokenizer has <|im_start|> and <|im_end|>; plain joins "
        "the texts as they are, as InstructGPT's prompts do."))
    learned_roles: tuple[str, ...] = Field(("assistant",), description="Roles whose turns are learned.")
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
        return self


@dataclass(frozen=True, slots=True)
class Dialogue:
    """An encoded dialogue. turns: (first token, tokens, role, loss); the markers before a turn's text are in none."""

    ids: Ids
    turns: list[tuple[int, int, str, bool]]


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """What must lie in one row. doc_ids: 16 bytes a dialogue; group_id, the line's own, where nothing is ranked."""

    line: int
    identity: str
    group_id: bytes
    doc_ids: list[bytes]
    dialogues: list[Dialogue]
    ranked: bool
    held_out: bool

    @property
    def n_tokens(self) -> int:
        return sum(len(d.ids) for d in self.dialogues)


@dataclass
class ChatCounts:
    """What became of the lines. encoder_fallback: blocks that the reference had to encode."""

    lines: int = 0
    dialogues: int = 0
    learned_tokens: int = 0
    encoder_fallback: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


class ChatEncoder:
    """Groups to token ids by a template.

    A turn's text is encoded by itself, so its ids do not depend on the text around it, and special tokens spelt in
    it stay text; only the template's own markers may become special tokens. data: the tokenizer.json."""

    def __init__(self, config: ChatConfig, encoder: Encoder, data: bytes, source: str, counts: ChatCounts) -> None:
        self.config, self.encoder, self.source, self.counts = config, encoder, source, counts
        self._markers = Tokenizer.from_str(data.decode())  # knows special tokens, unlike the encoder of texts
        self._header, self._footer = TEMPLATES[config.template]
        self._marker_ids: dict[str, Ids] = {}

    def encode(self, path: str, rows: Iterable[Group | LeftOut]) -> Iterator[EncodedGroup | LeftOut]:
        """Every line of a file in order: encoded, or left out with its reason. path: as ids name it."""
        iterator = iter(rows)
        while block := list(islice(iterator, _BLOCK_GROUPS)):
            self.counts.lines += len(block)
            groups = [row for row in block if isinstance(row, Group)]
            texts = self._encode_texts([t.content for g in groups for d in g.dialogues for t in d])
            for row in block:
                done = self._group(path, row, texts) if isinstance(row, Group) else row
                if isinstance(done, LeftOut):
                    self.counts.left_out[done.reason] = self.counts.left_out.get(done.reason, 0) + 1
                else:
                    self.counts.dialogues += len(done.dialogues)
                    self.counts.learned_tokens += sum(n for d in done.dialogues for _, n, _, loss in d.turns if loss)
                yield done

    def _encode_texts(self, contents: list[str]) -> Iterator[Ids]:
        """Ids of every text, in order: by the fast encoder where a sample of them agrees with the reference."""
        texts = pa.array(contents, pa.large_string())
        ids, offsets = self.encoder.encode(texts)
        checked = np.arange(0, len(texts), _CHECKED)
        expected, _ = self.encoder.encode_reference(texts.take(pa.array(checked)))
        sample = [ids[offsets[i] : offsets[i + 1]] for i in checked.tolist()]
        if self.encoder.fast and not np.array_equal(np.concatenate([*sample, ids[:0]]), expected):
            self.counts.encoder_fallback += 1
            ids, offsets = self.encoder.encode_reference(texts)
        return (ids[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))

    def _group(self, path: str, group: Group, texts: Iterator[Ids]) -> EncodedGroup | LeftOut:
        dialogues = [self._dialogue(turns, texts) for turns in group.dialogues]
        group_id = document_id(self.source, path, group.line)
        doc_ids = [document_id(self.source, path, f"{group.line}/{rank}") for rank in range(len(dialogues))]
        held_out = is_validation(self.config.seed, self.config.validation_fraction,
                                 id_words(pa.array([group_id], pa.binary(16))))[0]
        done = EncodedGroup(group.line, group.identity, group_id, doc_ids if group.ranked else [group_id], dialogues,
                            group.ranked, bool(held_out))
        if done.n_tokens > self.config.most_tokens:
            return LeftOut(group.line, group.identity, ChatReason.TOO_LONG, done.n_tokens)
        return done

    def _dialogue(self, turns: tuple[Turn, ...], texts: Iterator[Ids]) -> Dialogue:
        parts: list[Ids] = []
        spans, position = [], 0
        for number, turn in enumerate(turns):
            header = self._marker(self._header.format(role=turn.role))
            end = self._marker(self._footer)
            if number == len(turns) - 1:
                end = np.append(end, self.encoder.eot_id)
            text = next(texts)
            n_tokens = len(text) + len(end)
            spans.append((position + len(header), n_tokens, turn.role, turn.role in self.config.learned_roles))
            parts += [header, text, end]
            position += len(header) + n_tokens
        return Dialogue(np.concatenate(parts).astype(self.encoder.dtype), spans)

    def _marker(self, text: str) -> Ids:
        if text not in self._marker_ids:
            ids = self._markers.encode(text, add_special_tokens=False).ids if text else []
            self._marker_ids[text] = np.array(ids, self.encoder.dtype)
        return self._marker_ids[text]


def fill_shard(config: ChatConfig, groups: list[EncodedGroup], encoder: Encoder) -> tuple[Ids, pa.Table]:
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
            spans.append({
                "token_start": start, "n_tokens": len(dialogue.ids), "doc_id": doc_id, "source_id": 0,
                "doc_token_offset": 0, "epoch": 0, "row": start // config.row_length, "truncated_left": False,
                "truncated_right": False, "group_id": group.group_id if group.ranked else None,
                "rank": rank if group.ranked else None,
                "turns": [{"start": a, "n_tokens": n, "role": role, "loss": loss}
                          for a, n, role, loss in dialogue.turns]})
            start += len(dialogue.ids)
    return payload, pa.Table.from_pylist(spans, CHAT_SPANS)


def recipe_text(config: ChatConfig) -> str:
    """The settings as one line of JSON: what recipe_sha256 is of."""
    return json.dumps(config.model_dump(mode="json"), sort_keys=True)
