"""Dialogues, comparisons and prompts from JSON Lines, in the forms that published sets use.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}     supervised
    {"prompt": ..., "completion": "..."}                                                           supervised
    {"prompt": ..., "chosen": ..., "rejected": ...}                                                a comparison
    {"prompt": ..., "completions": ["best", ..., "worst"]}                                         a ranking
    {"prompt": ...}                                                                                a prompt

A prompt, an answer and a completion are each a string or a list of messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

_MOST_ANSWERS = 256  # ranks are bytes


class ChatReason(StrEnum):
    """Why a line was left out."""

    NOT_JSON = "not_json"
    NO_DIALOGUE = "no_dialogue"
    BAD_TURN = "bad_turn"
    TOO_LONG = "too_long"


class Turn(NamedTuple):
    """What one side says."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Group:
    """One line: a dialogue or a prompt by itself, or the answers to one prompt, best first (ranked).

    line: from 0 in its file. identity: the line's own id, else its number."""

    line: int
    identity: str
    dialogues: tuple[tuple[Turn, ...], ...]
    ranked: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A line that is not packed, and why. identity as in Group. n_tokens: where they were counted."""

    line: int
    identity: str
    reason: ChatReason
    n_tokens: int | None = None


class _BadLineError(Exception):
    """Carries the ChatReason."""


def read_groups(lines: Iterable[bytes], id_column: str = "id") -> Iterator[Group | LeftOut]:
    """The groups of a JSON Lines file in order; a line that cannot be used costs that line. Blank lines are skipped."""
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        identity = str(number)
        try:
            row = _object(line)
            identity = str(row.get(id_column, row.get("doc_id", number)))
            dialogues, ranked = _dialogues(row)
            yield Group(number, identity, dialogues, ranked)
        except _BadLineError as error:
            yield LeftOut(number, identity, error.args[0])


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _BadLineError(ChatReason.NOT_JSON) from error
    if not isinstance(row, dict):
        raise _BadLineError(ChatReason.NOT_JSON)
    return row


def _dialogues(row: dict[str, Any]) -> tuple[tuple[tuple[Turn, ...], ...], bool]:
    """(dialogues of a line, whether they are ranked)."""
    if "messages" in row:
        return (_turns(row["messages"], "user"),), False
    prompt = _turns(row["prompt"], "user") if row.get("prompt") is not None else ()
    if "chosen" in row and "rejected" in row:
        answers = [row["chosen"], row["rejected"]]
    elif isinstance(row.get("completions"), list) and row["completions"]:
        answers = row["completions"]
    elif "completion" in row:
        return ((*prompt, *_turns(row["completion"], "assistant")),), False
    elif prompt:
        return (prompt,), False
    else:
        raise _BadLineError(ChatReason.NO_DIALOGUE)
    if not prompt and any(isinstance(answer, str) for answer in answers):
        raise _BadLineError(ChatReason.NO_DIALOGUE)
    if len(answers) > _MOST_ANSWERS:
        raise _BadLineError(ChatReason.TOO_LONG)
    return tuple((*prompt, *_turns(answer, "assistant")) for answer in answers), True


def _turns(value: Any, role: str) -> tuple[Turn, ...]:
    """A string is one turn of the given role; a list is messages."""
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        raise _BadLineError(ChatReason.BAD_TURN)
    return tuple(map(_turn, value))


def _turn(message: Any) -> Turn:
    role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
    if not isinstance(role, str) or not role or not isinstance(content, str):
        raise _BadLineError(ChatReason.BAD_TURN)
    # JSON can spell half a surrogate pair, which UTF-8 cannot: U+FFFD stands for it.
    return Turn(role, content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
