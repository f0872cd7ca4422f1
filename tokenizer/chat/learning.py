"""Which turns of a dialogue are learned, and where they lie in what the template wrote."""

from __future__ import annotations

from typing import NamedTuple

from tokenizer.chat.chat import PROMPTS, UNDESIRABLE, ChatConfig
from tokenizer.chat.dialogues import Dialogue
from tokenizer.chat.messages import ANSWERER, BadLineError, ChatReason, is_empty
from tokenizer.chat.templates import ChatTemplate, Mark, Rendered


class SaidTurn(NamedTuple):
    """UTF-8 bytes of a rendered dialogue that are one turn, and how much its tokens count in the loss."""

    start: int
    end: int
    role: str
    weight: float


def turn_weights(config: ChatConfig, dialogue: Dialogue, label: bool | None) -> list[float]:
    """How much the tokens of each message count in the loss; 0 for context.

    What the line itself says comes first; then roles decide. An answer within a prompt is context unless prompts are
    asked for, and so is one that KTO calls undesirable.

    Raises BadLineError for an answer that would be learned and is empty."""
    weights = []
    for number, (message, given) in enumerate(zip(dialogue.messages, dialogue.weights, strict=True)):
        role = message["role"]
        if dialogue.is_text:
            learned = True
        elif number < dialogue.n_prompt and role == ANSWERER:
            learned = PROMPTS in config.learned_roles and role in config.learned_roles
        else:
            learned = role in config.learned_roles
        weight = given if given is not None else float(learned)
        if weight and number >= dialogue.n_prompt and is_empty(message):
            raise BadLineError(ChatReason.EMPTY_ANSWER)
        undesired = label is False and UNDESIRABLE not in config.learned_roles
        weights.append(0.0 if undesired else weight)
    return weights


def said_turns(template: ChatTemplate, dialogue: Dialogue, rendered: Rendered, weights: list[float]) -> list[SaidTurn]:
    """Turns of a rendered dialogue, in order: those that the template marks, and those that are learned.

    Answers are where the template marks what a model generates. Where it has no such mark, or not one for each
    answer, a turn is what a prefix of the dialogue with it has more than the one without it.

    Raises BadLineError where prefixes of the dialogue are no prefixes of its text."""
    messages = dialogue.messages
    if dialogue.is_text:
        return [SaidTurn(0, len(rendered.text.encode()), messages[0]["role"], weights[0])]
    turns, known = [], set()
    answers = [i for i, message in enumerate(messages) if message["role"] == ANSWERER]
    generated = [mark for mark in rendered.marks if mark.message is None]
    if len(generated) > len(answers):  # Phi's template marks the end-of-text token behind the last answer too
        generated = _joined(generated)
    if len(generated) == len(answers):
        turns += [SaidTurn(mark.start, mark.end, ANSWERER, weights[i])
                  for i, mark in zip(answers, generated, strict=True)]
        known.update(answers)
    for mark in rendered.marks:
        if mark.message is not None:
            i = mark.message
            role, weight = ("system", 0.0) if i < 0 else (messages[i]["role"], weights[i])
            turns.append(SaidTurn(mark.start, mark.end, role, weight))
            known.add(i)
    turns += [_by_prefix(template, dialogue, rendered, i, weights[i])
              for i in range(len(messages)) if weights[i] and i not in known]
    return sorted(turns)


def _joined(marks: list[Mark]) -> list[Mark]:
    """Marks of which none begins where the one before it ends."""
    done: list[Mark] = []
    for mark in marks:
        if done and done[-1].end == mark.start:
            done[-1] = Mark(done[-1].start, mark.end, None)
        else:
            done.append(mark)
    return done


def _by_prefix(template: ChatTemplate, dialogue: Dialogue, rendered: Rendered, i: int, weight: float) -> SaidTurn:
    messages, role = dialogue.messages, dialogue.messages[i]["role"]
    before = template.render(messages[:i], dialogue.tools, role == ANSWERER).text if i else ""
    after = template.render(messages[: i + 1], dialogue.tools).text if i + 1 < len(messages) else rendered.text
    if not after.startswith(before) or not rendered.text.startswith(after):
        raise BadLineError(ChatReason.NOT_A_PREFIX)
    return SaidTurn(len(before.encode()), len(after.encode()), role, weight)
