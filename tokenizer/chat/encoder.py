"""Dialogues to token ids: what a template writes is encoded as one text, and turns are found in it.

Names of special tokens become tokens only where the template wrote them. A sample of the dialogues is encoded by
`tokenizers` as a whole too; where one differs, `tokenizers` encodes all of its block.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from manifests.hashing import document_id, id_words
from tokenizer.chat.chat import ChatConfig, ChatCounts, EncodedDialogue, EncodedGroup, Ids, TurnSpan
from tokenizer.chat.dialogues import Group, LeftOut, read_groups
from tokenizer.chat.learning import SaidTurn, said_turns, turn_weights
from tokenizer.chat.messages import ANSWERER, BadLineError, ChatReason
from tokenizer.chat.templates import ChatTemplate, Rendered, choose_template
from tokenizer.encoding.encode import Encoder
from tokenizer.mixture.mixture import is_validation

_BLOCK_GROUPS = 1024
_CHECKED = 256  # one dialogue in so many is encoded by the reference too
_BOS_NAMES = ("<s>", "<|begin_of_text|>", "<|startoftext|>", "<bos>")
_MARKERS = {"chatml": ("<|im_start|>", "<|im_end|>"), "qwen": ("<|im_start|>", "<|im_end|>"),
            "qwen3": ("<|im_start|>", "<|im_end|>"), "mistral": ("[INST]", "[/INST]"),
            "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "plain": ()}
Bytes = npt.NDArray[np.int64]


class ChatEncoder:
    """Groups to token ids by a template.

    Args:
        config: Template, lengths and what is learned.
        encoder: The tokenizer.
        path: Its file or folder, beside which a tokenizer_config.json may lie.
        source: Name that ids and tables have.
        counts: What became of the lines is counted here.
    Raises:
        InputError: There is no such template.
    """

    def __init__(self, config: ChatConfig, encoder: Encoder, path: str, source: str, counts: ChatCounts) -> None:
        self.config, self.encoder, self.source, self.counts = config, encoder, source, counts
        self._whole = Tokenizer.from_str(encoder.data.decode())  # knows special tokens, unlike the encoder of texts
        self._whole.no_truncation()
        self._whole.no_padding()
        added = {str(t["content"]): t for t in json.loads(encoder.data).get("added_tokens") or []}
        special = {name: (bool(added[name].get("lstrip")), bool(added[name].get("rstrip")))
                   for name in encoder.special_tokens if name}
        names = {i: name for name, i in encoder.vocabulary.items()}
        chosen = choose_template(config.template, path)
        variables = {"bos_token": next((n for n in _BOS_NAMES if n in special), ""),
                     "eos_token": names[encoder.eot_id], **chosen.variables, **config.template_variables}
        self._template = ChatTemplate(chosen.text, config.template, special, variables)
        self._with_tools = self._template if chosen.with_tools is None else ChatTemplate(
            chosen.with_tools, config.template, special, variables)
        counts.missing_markers = [m for m in _MARKERS.get(config.template, ()) if m not in special]
        self._plain = ChatTemplate(choose_template("plain", path).text, "plain", special, {})

    @property
    def form(self) -> str:
        """What the recipe's digest covers beside the settings: the template, or both."""
        one, other = self._template.text, self._with_tools.text
        return one if other == one else f"{one}\0{other}"

    def read(self, lines: Iterable[bytes], id_column: str) -> Iterator[Group | LeftOut]:
        """The lines of a file."""
        return read_groups(lines, id_column)

    def encode(self, path: str, rows: Iterable[Group | LeftOut]) -> Iterator[EncodedGroup | LeftOut]:
        """Every line of a file in order: encoded, or left out with its reason. path: as ids name it."""
        iterator = iter(rows)
        while block := list(islice(iterator, _BLOCK_GROUPS)):
            self.counts.lines += len(block)
            rendered = [self._rendered(row) if isinstance(row, Group) else row for row in block]
            encoded = self._encode([r for row in rendered if not isinstance(row, LeftOut) for r, _ in row])
            for group, row in zip(block, rendered, strict=True):
                done: list[EncodedGroup] | LeftOut
                if isinstance(row, LeftOut):
                    done = row
                else:
                    assert isinstance(group, Group)
                    done = self._fitted(self._group(path, group, [
                        self._dialogue(turns, *next(encoded)) for _, turns in row]))
                if isinstance(done, LeftOut):
                    self.counts.left_out[done.reason] = self.counts.left_out.get(done.reason, 0) + 1
                    yield done
                    continue
                self.counts.dialogues += len(done[0].dialogues)
                self.counts.learned_tokens += sum(d.n_learned for g in done for d in g.dialogues)
                yield from done

    def _rendered(self, group: Group) -> list[tuple[Rendered, list[SaidTurn]]] | LeftOut:
        done = []
        try:
            for dialogue in group.dialogues:
                for message in dialogue.messages:
                    self.counts.turns[message["role"]] = self.counts.turns.get(message["role"], 0) + 1
                weights = turn_weights(self.config, dialogue, group.label)
                own = self._with_tools if dialogue.tools else self._template
                template = self._plain if dialogue.is_text else own
                asks = group.is_prompt and dialogue.messages[-1]["role"] != ANSWERER
                rendered = template.render(dialogue.messages, dialogue.tools, begin_answer=asks)
                done.append((rendered, said_turns(template, dialogue, rendered, weights)))
        except BadLineError as error:
            if error.reason is ChatReason.REFUSED_BY_TEMPLATE and self.counts.template_error is None:
                said = str(error.__cause__) or type(error.__cause__).__name__
                self.counts.template_error = f"line {group.line}: {said}"
            return LeftOut(group.line, group.identity, error.reason)
        learned = [any(turn.weight for turn in turns) for _, turns in done]
        if not (group.is_prompt or group.label is False or all(learned)):
            return LeftOut(group.line, group.identity, ChatReason.NOTHING_LEARNED)
        return done

    def _encode(self, texts: list[Rendered]) -> Iterator[tuple[Ids, Bytes, Bytes]]:
        """(ids, first byte, end byte of each) of every rendered dialogue, in order."""
        fast = self._encode_fast(texts) if self.encoder.fast and self.encoder.byte_level else None
        if fast is None and texts and self.encoder.fast:
            self.counts.encoder_fallback += 1
        return iter(fast) if fast is not None else map(self._by_reference, texts)

    def _encode_fast(self, texts: list[Rendered]) -> list[tuple[Ids, Bytes, Bytes]] | None:
        """By the fast encoder; None where its bytes are not the texts', or the reference's sample has other ids."""
        runs = [text for rendered in texts for text, is_special in rendered.parts if not is_special]
        ids, offsets = self.encoder.encode(pa.array(runs, pa.large_string()))
        if self.encoder.decode_bytes(ids) != "".join(runs).encode():
            return None
        pieces = (ids[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
        done = []
        for number, rendered in enumerate(texts):
            parts, lengths = [np.empty(0, self.encoder.dtype)], [np.empty(0, np.int64)]
            for text, is_special in rendered.parts:
                if is_special:
                    parts.append(np.array([self._special_id(text)], self.encoder.dtype))
                    lengths.append(np.array([len(text.encode())], np.int64))
                else:
                    parts.append(next(pieces))
                    lengths.append(self.encoder.byte_lengths(parts[-1]))
            joined, ends = np.concatenate(parts), np.cumsum(np.concatenate(lengths))
            if number % _CHECKED == 0 and not np.array_equal(joined, self._by_reference(rendered)[0]):
                return None
            done.append((joined, ends - np.concatenate(lengths), ends))
        return done

    def _special_id(self, text: str) -> int:
        special = self.encoder.special_tokens
        return special[text] if text in special else special[text.strip()]

    def _by_reference(self, rendered: Rendered) -> tuple[Ids, Bytes, Bytes]:
        """Through `tokenizers`: as one text, or run by run where the dialogue spells a special token."""
        if not rendered.has_held:
            encoding = self._whole.encode(rendered.text, add_special_tokens=False)
            return (np.array(encoding.ids, self.encoder.dtype), *_byte_bounds(rendered.text, encoding.offsets, 0))
        ids, starts, ends, at = [], [], [], 0
        for text, is_special in rendered.parts:
            n_bytes = len(text.encode())
            if is_special:
                run, bounds = [self._special_id(text)], (np.array([at]), np.array([at + n_bytes]))
            else:
                encoding = self.encoder.encode_offsets(text)
                run, bounds = encoding.ids, _byte_bounds(text, encoding.offsets, at)
            ids += run
            starts.append(bounds[0])
            ends.append(bounds[1])
            at += n_bytes
        return np.array(ids, self.encoder.dtype), np.concatenate(starts), np.concatenate(ends)

    def _dialogue(self, turns: list[SaidTurn], ids: Ids, starts: Bytes, ends: Bytes) -> EncodedDialogue:
        """Turns as tokens, a token that lies across a turn's border included; and the end-of-text token."""
        spans = []
        for turn in turns:
            first = int(np.searchsorted(ends, turn.start, "right"))
            n_tokens = int(np.searchsorted(starts, turn.end, "left")) - first
            if n_tokens > 0:
                spans.append(TurnSpan(first, n_tokens, turn.role, turn.weight))
        last = spans[-1] if spans else None
        if len(ids) and ids[-1] == self.encoder.eot_id:
            if last is not None and last.start + last.n_tokens == len(ids) and not self.config.learn_eot:
                spans[-1] = last._replace(n_tokens=last.n_tokens - 1)
            return EncodedDialogue(ids, spans)
        if last is not None and last.weight and self.config.learn_eot:
            if last.start + last.n_tokens == len(ids):
                spans[-1] = last._replace(n_tokens=last.n_tokens + 1)
            else:
                spans.append(TurnSpan(len(ids), 1, last.role, last.weight))
        return EncodedDialogue(np.append(ids, self.encoder.eot_id).astype(self.encoder.dtype), spans)

    def _group(self, path: str, group: Group, dialogues: list[EncodedDialogue]) -> EncodedGroup:
        group_id = document_id(self.source, path, group.line)
        doc_ids = [document_id(self.source, path, f"{group.line}/{rank}") for rank in range(len(dialogues))]
        held_out = is_validation(self.config.seed, self.config.validation_fraction,
                                 id_words(pa.array([group_id], pa.binary(16))))[0]
        if group.ranked:
            dialogues = [replace(d, readout=len(d.ids) - 1) for d in dialogues]
        return EncodedGroup(group.line, group.identity, group_id, doc_ids if group.ranked else [group_id], dialogues,
                            group.ranked, bool(held_out), group.label, group.ranks)

    def _fitted(self, group: EncodedGroup) -> list[EncodedGroup] | LeftOut:
        """The group, cut to rows where it is too long and that is asked for."""
        most, n_tokens = self.config.most_tokens, group.n_tokens
        if n_tokens <= most:
            return [group]
        too_long = LeftOut(group.line, group.identity, ChatReason.TOO_LONG, n_tokens)
        if group.ranked or self.config.long == "drop":
            return too_long
        dialogue = group.dialogues[0]
        if not dialogue.n_learned and group.label is None:
            return too_long  # a prompt, which without its end asks for nothing
        if self.config.long == "truncate":
            kept = cut_dialogue(dialogue, 0, most)
            if dialogue.n_learned and not kept.n_learned:
                return too_long
            self.counts.truncated += 1
            return [replace(group, dialogues=[kept])]
        self.counts.split += 1
        return [replace(group, dialogues=[cut_dialogue(dialogue, first, most)]) for first in range(0, n_tokens, most)]


def cut_dialogue(dialogue: EncodedDialogue, first: int, most: int) -> EncodedDialogue:
    """At most so many tokens of a dialogue, from one of them on."""
    end = min(first + most, len(dialogue.ids))
    turns = []
    for turn in dialogue.turns:
        low, high = max(turn.start, first), min(turn.start + turn.n_tokens, end)
        if low < high:
            turns.append(turn._replace(start=low - first, n_tokens=high - low))
    return EncodedDialogue(dialogue.ids[first:end], turns, first, end < len(dialogue.ids))


def _byte_bounds(text: str, offsets: list[tuple[int, int]], at: int) -> tuple[Bytes, Bytes]:
    """Bytes that tokens cover, from offsets in characters. at: bytes before the text."""
    sizes = np.array([0, *(len(c.encode()) for c in text)], np.int64)
    bounds = np.cumsum(sizes)[np.array(offsets, np.int64).reshape(-1, 2)] + at
    return bounds[:, 0], bounds[:, 1]


def roles_found(counts: ChatCounts) -> dict[str, Any]:
    """Messages by role, most frequent first."""
    return dict(sorted(counts.turns.items(), key=lambda item: (-item[1], item[0])))
