"""GPT-1's four tasks as sequences of one text each, with start, delimiter and extract tokens (Radford et al. 2018,
"Improving Language Understanding by Generative Pre-Training", section 3.3 and figure 1).

    classification   {"text", "label"}                                  start text extract
    entailment       {"premise", "hypothesis", "label"}                 start premise delimiter hypothesis extract
    similarity       {"text1", "text2", "label"}                        both orders of the two texts
    choices          {"context", "question", "choices", "answer"}       start context question delimiter choice extract,
                                                                        for every choice

A head reads the model at the extract token (`readout`) and is trained on `target`: the label, or for choices 1 and 0.
The sequences of one line lie in one row. What they say is learned as an auxiliary objective, with the weight lambda of
section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa

from manifests.errors import InputError
from manifests.hashing import document_id, id_words
from tokenizer.bpe.special_tokens import PRESETS
from tokenizer.chat.chat import ChatConfig, ChatCounts, EncodedDialogue, EncodedGroup, Ids, TurnSpan
from tokenizer.chat.dialogues import LeftOut, read_object
from tokenizer.chat.messages import BadLineError, ChatReason
from tokenizer.encoding.encode import Encoder
from tokenizer.mixture.mixture import is_validation

_BLOCK_LINES: Final = 1024
_CHECKED: Final = 256  # one text in so many is encoded by the reference too
_SAME: Final = {"text1": ("text1", "sentence1", "question1"), "text2": ("text2", "sentence2", "question2"),
                "premise": ("premise", "sentence1"), "hypothesis": ("hypothesis", "sentence2"),
                "text": ("text", "sentence"), "context": ("context", "passage", "story"), "label": ("label", "score")}
Part = tuple[str, str]  # (role, text)


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One line: its sequences, each with what a head is to say of it. line, identity: as in `Group`."""

    line: int
    identity: str
    sequences: tuple[tuple[tuple[Part, ...], str | None], ...]


def read_tasks(lines: Iterable[bytes], task: str, id_column: str = "id") -> Iterator[TaskLine | LeftOut]:
    """The lines of a JSON Lines file of a task, in order; one that cannot be used costs itself. Blank ones are skipped.

    Args:
        lines: As the file has them.
        task: classification, entailment, similarity or choices.
        id_column: Field of a line that holds its id.
    """
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        identity = str(number)
        try:
            row = read_object(line)
            identity = str(row.get(id_column, row.get("doc_id", number)))
            yield TaskLine(number, identity, _READERS[task](row))
        except BadLineError as error:
            yield LeftOut(number, identity, error.reason)


def _classification(row: dict[str, Any]) -> Any:
    return (((("text", _text(row, "text")),), _label(row)),)


def _entailment(row: dict[str, Any]) -> Any:
    return (((("premise", _text(row, "premise")), ("hypothesis", _text(row, "hypothesis"))), _label(row)),)


def _similarity(row: dict[str, Any]) -> Any:
    first, second = ("text1", _text(row, "text1")), ("text2", _text(row, "text2"))
    label = _label(row)
    return ((first, second), label), ((second, first), label)


def _choices(row: dict[str, Any]) -> Any:
    choices = row.get("choices", row.get("endings"))
    asked = [row[name] for name in ("question",) if isinstance(row.get(name), str)]
    given = [_text(row, "context")] if any(row.get(name) is not None for name in _SAME["context"]) else []
    if not isinstance(choices, list) or len(choices) < 2 or not (given or asked):
        raise BadLineError(ChatReason.NO_DIALOGUE)
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise BadLineError(ChatReason.EMPTY_ANSWER)
    if len(choices) > 256:
        raise BadLineError(ChatReason.TOO_LONG)
    right = _right(row.get("answer", row.get("label")), choices)
    context = ("context", "\n".join([*given, *asked]))
    return tuple(((context, ("choice", choice)), None if right is None else str(int(i == right)))
                 for i, choice in enumerate(choices))


def _right(answer: Any, choices: list[str]) -> int | None:
    """Number of the right choice; None where the line does not say."""
    if answer is None:
        return None
    if isinstance(answer, str) and answer in choices:
        return choices.index(answer)
    if isinstance(answer, str) and answer.isdecimal():
        answer = int(answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return answer
    if isinstance(answer, str) and len(answer) == 1 and 0 <= ord(answer) - ord("A") < len(choices):
        return ord(answer) - ord("A")
    raise BadLineError(ChatReason.BAD_TURN)


def _text(row: dict[str, Any], name: str) -> str:
    value = next((row[n] for n in _SAME[name] if row.get(n) is not None), None)
    if not isinstance(value, str):
        raise BadLineError(ChatReason.NO_DIALOGUE)
    if not value.strip():
        raise BadLineError(ChatReason.EMPTY_ANSWER)
    return value


def _label(row: dict[str, Any]) -> str | None:
    """A class or a score, as a text; None where the line has none, as lines of a test set."""
    value = next((row[n] for n in _SAME["label"] if row.get(n) is not None), None)
    if value is not None and (not isinstance(value, str | int | float) or value == ""):
        raise BadLineError(ChatReason.BAD_TURN)
    return None if value is None else str(value)


_READERS: Final = {"classification": _classification, "entailment": _entailment, "similarity": _similarity,
                   "choices": _choices}


class TaskEncoder:
    """Lines of a task to token ids; each text is encoded by itself.

    Args:
        config: Lengths, and the task.
        encoder: The tokenizer.
        path: Its file, for errors.
        source: Name that ids and tables have.
        counts: What became of the lines is counted here.
    Raises:
        InputError: The tokenizer lacks the three tokens.
    """

    def __init__(self, config: ChatConfig, encoder: Encoder, path: str, source: str, counts: ChatCounts) -> None:
        self.config, self.encoder, self.source, self.counts = config, encoder, source, counts
        missing = [name for name in PRESETS["gpt1"] if name not in encoder.special_tokens]
        if missing:
            raise InputError(f"has no special token {', '.join(missing)}", where=path,
                             hint="train it with --special-token gpt1")
        self._start, self._delimiter, self._extract = (
            np.array([encoder.special_tokens[name]], encoder.dtype) for name in PRESETS["gpt1"])

    @property
    def form(self) -> str:
        """What the recipe's digest covers beside the settings."""
        return "gpt1"

    def read(self, lines: Iterable[bytes], id_column: str) -> Iterator[TaskLine | LeftOut]:
        """The lines of a file."""
        return read_tasks(lines, str(self.config.task), id_column)

    def encode(self, path: str, rows: Iterable[TaskLine | LeftOut]) -> Iterator[EncodedGroup | LeftOut]:
        """Every line of a file in order: encoded, or left out with its reason. path: as ids name it."""
        iterator = iter(rows)
        while block := list(islice(iterator, _BLOCK_LINES)):
            self.counts.lines += len(block)
            texts = self._encode_texts([text for row in block if isinstance(row, TaskLine)
                                        for parts, _ in row.sequences for _, text in parts])
            for row in block:
                done = self._group(path, row, texts) if isinstance(row, TaskLine) else row
                if isinstance(done, LeftOut):
                    self.counts.left_out[done.reason] = self.counts.left_out.get(done.reason, 0) + 1
                else:
                    self.counts.dialogues += len(done.dialogues)
                    self.counts.learned_tokens += sum(d.n_learned for d in done.dialogues)
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

    def _group(self, path: str, row: TaskLine, texts: Iterator[Ids]) -> EncodedGroup | LeftOut:
        sequences = [self._sequence(parts, target, texts) for parts, target in row.sequences]
        group_id = document_id(self.source, path, row.line)
        together = len(sequences) > 1
        doc_ids = [document_id(self.source, path, f"{row.line}/{i}") for i in range(len(sequences))]
        held_out = is_validation(self.config.seed, self.config.validation_fraction,
                                 id_words(pa.array([group_id], pa.binary(16))))[0]
        done = EncodedGroup(row.line, row.identity, group_id, doc_ids if together else [group_id], sequences, together,
                            bool(held_out), ranks=tuple(range(len(sequences))))
        if done.n_tokens > self.config.most_tokens:
            return LeftOut(row.line, row.identity, ChatReason.TOO_LONG, done.n_tokens)
        return done

    def _sequence(self, parts: tuple[Part, ...], target: str | None, texts: Iterator[Ids]) -> EncodedDialogue:
        ids, turns, weight = [self._start], [], self.config.auxiliary_weight
        at = 1
        for number, (role, _) in enumerate(parts):
            text = next(texts)
            self.counts.turns[role] = self.counts.turns.get(role, 0) + 1
            ids += [text, self._delimiter if number < len(parts) - 1 else self._extract]
            turns.append(TurnSpan(at, len(text) + 1, role, weight))
            at += len(text) + 1
        joined = np.concatenate([*ids, np.array([self.encoder.eot_id], self.encoder.dtype)]).astype(self.encoder.dtype)
        return EncodedDialogue(joined, turns, readout=at - 1, target=target)
