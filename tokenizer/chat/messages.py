"""One message of a dialogue, in the forms that published sets and services write, brought into one.

A message is a dictionary as chat templates read it: `role`, `content` (a string) and, where they are there,
`reasoning_content`, `tool_calls`, `tool_call_id` and `name`. Beside it stands its weight: how much its tokens count
in the loss, 0 for what is context, None where the line does not say.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

ANSWERER: Final = "assistant"
SPEAKERS: Final = {  # how ShareGPT's `from` calls who speaks
    "human": "user", "user": "user", "gpt": ANSWERER, "assistant": ANSWERER, "chatgpt": ANSWERER, "bing": ANSWERER,
    "bard": ANSWERER, "bot": ANSWERER, "model": ANSWERER, "system": "system", "tool": "tool", "observation": "tool",
    "function_response": "tool", "function_call": ANSWERER}
_ROLES: Final = {"function": "tool"}  # OpenAI's older form, whose `function_call` is read as a call too
_CALLER: Final = "function_call"  # a speaker whose text is a call, or a list of them, as JSON
_ROLE = re.compile(r"[\w.\- ]{1,64}")
_TEXT_PARTS: Final = ("text", "input_text", "output_text")
_REASONING: Final = ("reasoning_content", "reasoning", "thinking")

Message = dict[str, Any]
Weighted = tuple[Message, float | None]


class ChatReason(StrEnum):
    """Why a line was left out."""

    NOT_JSON = "not_json"
    NO_DIALOGUE = "no_dialogue"
    BAD_TURN = "bad_turn"
    NOT_TEXT = "not_text"
    EMPTY_ANSWER = "empty_answer"
    NOTHING_LEARNED = "nothing_learned"
    REFUSED_BY_TEMPLATE = "refused_by_template"
    NOT_A_PREFIX = "not_a_prefix"
    TOO_LONG = "too_long"


class BadLineError(Exception):
    """Carries the ChatReason."""

    @property
    def reason(self) -> ChatReason:
        return ChatReason(self.args[0])


def read_messages(value: Any, role: str) -> list[Weighted]:
    """Messages and their weights. value: a string is one message of the given role; a message; or a list of them.

    Raises BadLineError where one has no role, or content that is no text."""
    if isinstance(value, str):
        return [({"role": role, "content": value}, None)]
    messages = [value] if isinstance(value, dict) else value
    if not isinstance(messages, list) or not messages:
        raise BadLineError(ChatReason.BAD_TURN)
    return [_message(message) for message in messages]


def is_empty(message: Message) -> bool:
    """Whether a message says nothing at all."""
    return not (message["content"].strip() or message.get("tool_calls") or message.get("reasoning_content", "").strip())


def _message(message: Any) -> Weighted:
    if not isinstance(message, dict):
        raise BadLineError(ChatReason.BAD_TURN)
    content = message["content"] if "content" in message else message.get("value")
    calls = _calls(message)
    if not calls and _speaker(message) == _CALLER and isinstance(content, str) and (said := _calls_in(content)):
        calls, content = said, ""
    role, reasoning = _role(message), _reasoning(message)
    if content is None:
        content = message.get("refusal")
        if content is None and role == ANSWERER and not (calls or reasoning):
            raise BadLineError(ChatReason.EMPTY_ANSWER)
    done: Message = {"role": role, "content": _text(content, bool(calls or reasoning))}
    if reasoning:
        done["reasoning_content"] = reasoning
    if calls:
        done["tool_calls"] = calls
    done |= {name: message[name] for name in ("tool_call_id", "name") if isinstance(message.get(name), str)}
    return done, _weight(message)


def _role(message: Message) -> str:
    role = message.get("role")
    if role is None and isinstance(message.get("from"), str):
        role = SPEAKERS.get(_speaker(message), message["from"])
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise BadLineError(ChatReason.BAD_TURN)
    return _ROLES.get(role, role)


def _speaker(message: Message) -> str:
    """ShareGPT's `from`, in lower case; empty where the message has a role."""
    speaker = message.get("from")
    return speaker.lower() if isinstance(speaker, str) and message.get("role") is None else ""


def _text(content: Any, may_be_absent: bool) -> str:
    """Text of a content: a string, parts of type text, joined, or nothing where a call or a thought stands for it."""
    if isinstance(content, str):
        return content
    if content is None and may_be_absent:
        return ""
    if not isinstance(content, list):
        raise BadLineError(ChatReason.BAD_TURN)
    return "".join(map(_part, content))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text") if isinstance(part, dict) else None
    text = part.get("refusal" if kind == "refusal" else "text") if isinstance(part, dict) else None
    if kind not in (*_TEXT_PARTS, "refusal") or not isinstance(text, str):
        raise BadLineError(ChatReason.NOT_TEXT)
    return text


def _reasoning(message: Message) -> str:
    values = [message[name] for name in _REASONING if message.get(name) is not None]
    if any(not isinstance(value, str) for value in values):
        raise BadLineError(ChatReason.BAD_TURN)
    return str(values[0]) if values else ""


def _calls(message: Message) -> list[dict[str, Any]]:
    """Calls of tools; OpenAI writes their arguments as JSON in a string, templates want the object."""
    calls = message.get("tool_calls")
    if calls is None and message.get("function_call") is not None:  # the older form
        calls = [{"function": message["function_call"]}]
    if calls is None:
        return []
    if not isinstance(calls, list):
        raise BadLineError(ChatReason.BAD_TURN)
    return [_call(call) for call in calls]


def _calls_in(text: str) -> list[dict[str, Any]]:
    """Calls that a text spells as JSON, one or a list; none where it is another text."""
    try:
        value = json.loads(text)
        return [_call(call) for call in (value if isinstance(value, list) else [value])]
    except (ValueError, RecursionError, BadLineError):
        return []


def _call(call: Any) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadLineError(ChatReason.BAD_TURN)
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as error:
            raise BadLineError(ChatReason.BAD_TURN) from error
    done = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    return {**done, "id": call["id"]} if isinstance(call.get("id"), str) else done


def _weight(message: Message) -> float | None:
    """`weight` of OpenAI's form, 0 or 1, or any other number from 0; `train`, true or false."""
    train, weight = message.get("train"), message.get("weight")
    if train is not None and not isinstance(train, bool):
        raise BadLineError(ChatReason.BAD_TURN)
    if weight is not None and (not isinstance(weight, int | float) or not 0 <= weight < math.inf):
        raise BadLineError(ChatReason.BAD_TURN)
    if train is False:
        return 0.0
    if train and weight is None:
        return 1.0
    return None if weight is None else float(weight)


def read_tools(value: Any) -> list[Any] | None:
    """Tools that a dialogue offers: a list, or JSON of one in a string. None where there are none."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadLineError(ChatReason.BAD_TURN) from error
    if not value:
        return None
    if not isinstance(value, list):
        raise BadLineError(ChatReason.BAD_TURN)
    return value


def shared_start(dialogues: Sequence[Sequence[Weighted]]) -> int:
    """How many messages at the start all dialogues have in common."""
    n = 0
    for column in zip(*dialogues, strict=False):
        if any(message != column[0][0] for message, _ in column[1:]):
            break
        n += 1
    return n
