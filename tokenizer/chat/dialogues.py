"""Dialogues, comparisons, verdicts and prompts from JSON Lines, in the forms that published sets use.

    {"messages": [...]}, {"conversations": [{"from", "value"}, ...]}          supervised: OpenAI, ShareGPT
    {"prompt", "completion"}, {"instruction", "input", "output"}              supervised: pairs, Alpaca
    {"input", "output"}, {"question", "response"}, {"query", "answer"}        the same pairs by other names
    {"text"}                                                                  supervised: a text, learned whole
    {"prompt", "completion", "label": true or false}                          a verdict: KTO, on the last answer of
                                                                              {"messages"} too
    {"prompt", "chosen", "rejected"}, {"chosen": [...], "rejected": [...]}    a comparison: DPO
    {"prompt", "completions": [best, ..., worst]}, and "ranks" with ties      a ranking
    {"prompt"}                                                                a prompt

A prompt and an answer are each a string, a message or a list of messages. `tools` and `system` may stand beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tokenizer.chat.messages import (
    ANSWERER,
    BadLineError,
    ChatReason,
    Message,
    Weighted,
    read_messages,
    read_tools,
    shared_start,
)

MOST_ANSWERS = 256  # ranks are bytes
_ANSWERS = ("completion", "response", "output")
_TO_QUESTIONS = (*_ANSWERS, "answer")  # what stands so beside a prompt is there to be compared with, not learned
_QUESTIONS = ("input", "question", "query")  # where there is neither a prompt nor an instruction
_BESIDE_QUESTIONS = ("context", "passage", "choices", "options")  # without which the answer would make no sense
_LABELS = ("label", "kto_tag")
_VERDICTS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "desirable": True,
             "undesirable": False, "chosen": True, "rejected": False}


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages, the weight of each (None: 1 where its role is learned) and how many of them are the prompt.

    tools: what the dialogue offers. is_text: the one message is a text as it is, which no template surrounds."""

    messages: tuple[Message, ...]
    weights: tuple[float | None, ...]
    n_prompt: int
    tools: list[Any] | None = None
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One line: a dialogue or a prompt by itself, or the answers to one prompt, best first (ranked).

    line: from 0 in its file. identity: the line's own id, else its number. label: KTO's verdict on the answer.
    ranks: of the dialogues, ascending from 0; equal ones are ties."""

    line: int
    identity: str
    dialogues: tuple[Dialogue, ...]
    ranked: bool
    label: bool | None = None
    ranks: tuple[int, ...] = (0,)

    @property
    def is_prompt(self) -> bool:
        """Whether the line is a prompt, of which nothing need be learned."""
        return all(d.n_prompt == len(d.messages) for d in self.dialogues)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A line that is not packed, and why. identity as in Group. n_tokens: where they were counted."""

    line: int
    identity: str
    reason: ChatReason
    n_tokens: int | None = None


def read_groups(lines: Iterable[bytes], id_column: str = "id") -> Iterator[Group | LeftOut]:
    """The groups of a JSON Lines file in order; a line that cannot be used costs that line. Blank lines are skipped."""
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        identity = str(number)
        try:
            row = read_object(line)
            identity = str(row.get(id_column, row.get("doc_id", number)))
            dialogues, ranked, label = _dialogues(row)
            ranks = tuple(range(len(dialogues)))
            if ranked and row.get("ranks") is not None:
                dialogues, ranks = _by_rank(dialogues, row["ranks"])
            yield Group(number, identity, dialogues, ranked, label, ranks)
        except BadLineError as error:
            yield LeftOut(number, identity, error.reason)


def read_object(line: bytes) -> dict[str, Any]:
    """The JSON object on a line. Raises BadLineError where there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLineError(ChatReason.NOT_JSON) from error
    if not isinstance(row, dict):
        raise BadLineError(ChatReason.NOT_JSON)
    # JSON can spell half a surrogate pair, which UTF-8 cannot: U+FFFD stands for it.
    return dict(_utf8(row)) if b"\\ud" in line or b"\\uD" in line else row


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_utf8(item) for item in value]
    return {_utf8(k): _utf8(v) for k, v in value.items()} if isinstance(value, dict) else value


def _dialogues(row: dict[str, Any]) -> tuple[tuple[Dialogue, ...], bool, bool | None]:
    """(dialogues of a line, whether they are ranked, KTO's verdict)."""
    tools = read_tools(row.get("tools", row.get("functions")))
    compared = row.get("chosen") is not None and row.get("rejected") is not None
    talk = row.get("messages")
    if talk is None and not compared:
        talk = row.get("conversations")
    if talk is not None:
        messages = _with_system(row, read_messages(talk, "user"))
        label = _label(row, strict=False) if messages[-1][0]["role"] == ANSWERER else None
        return (_dialogue(messages, 0 if label is None else len(messages) - 1, tools),), False, label
    prompt = _prompt(row)
    if compared:
        return _ranked(prompt, [row["chosen"], row["rejected"]], tools), True, None
    if isinstance(row.get("completions"), list) and row["completions"]:
        return _ranked(prompt, row["completions"], tools), True, None
    names = _ANSWERS if row.get("prompt") is not None else _TO_QUESTIONS
    answer = next((row[name] for name in names if row.get(name) is not None), None)
    if answer is not None and prompt:
        answers = read_messages(answer, ANSWERER)
        return (_dialogue([*prompt, *answers], len(prompt), tools),), False, _label(row)
    if answer is None and any(name in row for name in names):
        raise BadLineError(ChatReason.EMPTY_ANSWER)
    if row.get("prompt") is not None:  # a question alone may have its answer by a name that is not known here
        return (_dialogue(prompt, len(prompt), tools),), False, None
    if isinstance(row.get("text"), str):
        text: Weighted = ({"role": "text", "content": row["text"]}, None)
        return (_dialogue([text], 0, None, is_text=True),), False, None
    raise BadLineError(ChatReason.NO_DIALOGUE)


def _dialogue(messages: list[Weighted], n_prompt: int, tools: list[Any] | None, is_text: bool = False) -> Dialogue:
    return Dialogue(tuple(m for m, _ in messages), tuple(w for _, w in messages), n_prompt, tools, is_text)


def _ranked(prompt: list[Weighted], answers: list[Any], tools: list[Any] | None) -> tuple[Dialogue, ...]:
    """One dialogue for each answer to a prompt. Answers that are whole dialogues have the prompt in them: it is what
    they begin with in common."""
    if len(answers) > MOST_ANSWERS:
        raise BadLineError(ChatReason.TOO_LONG)
    if not prompt and any(isinstance(answer, str) for answer in answers):
        raise BadLineError(ChatReason.NO_DIALOGUE)
    read = [read_messages(answer, ANSWERER) for answer in answers]
    if prompt and all(len(r) > len(prompt) and shared_start([prompt, r]) == len(prompt) for r in read):
        read = [r[len(prompt) :] for r in read]  # UltraFeedback has the prompt in both places
    shared = shared_start(read) if len(read) > 1 else 0
    if len(read) > 1 and shared == min(map(len, read)):
        raise BadLineError(ChatReason.NOTHING_LEARNED)  # the same answer twice compares nothing
    return tuple(_dialogue([*prompt, *r], len(prompt) + shared, tools) for r in read)


def _by_rank(dialogues: tuple[Dialogue, ...], ranks: Any) -> tuple[tuple[Dialogue, ...], tuple[int, ...]]:
    """Dialogues by the ranks that the line gives them, the lowest number best; those of one rank are ties."""
    if not isinstance(ranks, list) or len(ranks) != len(dialogues) or not all(
            isinstance(rank, int) and not isinstance(rank, bool) for rank in ranks):
        raise BadLineError(ChatReason.BAD_TURN)
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    dense = {rank: i for i, rank in enumerate(sorted(set(ranks)))}
    return tuple(dialogues[i] for i in order), tuple(dense[ranks[i]] for i in order)


def _prompt(row: dict[str, Any]) -> list[Weighted]:
    """What comes before the answer: a prompt, Alpaca's instruction and input, or what was said in a comparison."""
    history = [message for pair in row.get("history") or [] for message in _exchange(pair)]
    if row.get("prompt") is not None:
        return _with_system(row, [*history, *read_messages(row["prompt"], "user")])
    if isinstance(row.get("instruction"), str):
        given = row.get("input") or row.get("context")  # Dolly's name of it
        asked = "\n\n".join(part for part in (row["instruction"], given) if isinstance(part, str) and part)
        return _with_system(row, [*history, *read_messages(asked, "user")])
    if row.get("conversations") is not None:
        return _with_system(row, read_messages(row["conversations"], "user"))
    if any(row.get(name) for name in _BESIDE_QUESTIONS):
        raise BadLineError(ChatReason.NO_DIALOGUE)
    question = next((row[name] for name in _QUESTIONS if row.get(name) is not None), None)
    return [] if question is None else _with_system(row, [*history, *read_messages(question, "user")])


def _exchange(pair: Any) -> list[Weighted]:
    """A question and its answer in an earlier turn, as Alpaca's sets with a history have them."""
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
        raise BadLineError(ChatReason.BAD_TURN)
    return [*read_messages(pair[0], "user"), *read_messages(pair[1], ANSWERER)]


def _with_system(row: dict[str, Any], messages: list[Weighted]) -> list[Weighted]:
    """Messages behind the line's `system` text, where there is one and they do not begin with one."""
    system = row.get("system", row.get("system_prompt"))
    if system is None or system == "" or messages[0][0]["role"] == "system":
        return messages
    if not isinstance(system, str):
        raise BadLineError(ChatReason.BAD_TURN)
    return [*read_messages(system, "system"), *messages]


def _label(row: dict[str, Any], strict: bool = True) -> bool | None:
    """KTO's verdict: whether the answer is a desired one; None where the line has none. strict: another value is an
    error; whole dialogues may have labels that say something else."""
    label = next((row[name] for name in _LABELS if row.get(name) is not None), None)
    if label is None:
        return None
    if isinstance(label, str):
        label = _VERDICTS.get(label.strip().lower())
    if not isinstance(label, bool | int | float) or label not in (0, 1):
        if not strict:
            return None
        raise BadLineError(ChatReason.BAD_TURN)
    return bool(label)
