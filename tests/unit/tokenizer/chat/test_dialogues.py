"""Lines as people have them: what each form becomes, and what is named instead of learned."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenizer.chat.dialogues import Group, LeftOut, read_groups


def read(*rows: Any) -> list[Group | LeftOut]:
    return list(read_groups(json.dumps(row).encode() for row in rows))


def said(row: Any) -> list[list[tuple[str, str]]]:
    """(role, content) of every message of a line's dialogues."""
    (group,) = read(row)
    assert isinstance(group, Group), group
    return [[(m["role"], m["content"]) for m in d.messages] for d in group.dialogues]


ASKED, ANSWERED = ("user", "How high?"), ("assistant", "So high.")
FORMS = {
    "openai": {"messages": [{"role": "user", "content": "How high?"}, {"role": "assistant", "content": "So high."}]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "How "}, {"text": "high?"}]},
                           {"role": "assistant", "content": [{"type": "output_text", "text": "So high."}]}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "How high?"}, {"from": "gpt", "value": "So high."}]},
    "sharegpt with roles": {"conversations": [{"role": "user", "content": "How high?"},
                                              {"role": "assistant", "content": "So high."}]},
    "alpaca": {"instruction": "How high?", "input": "", "output": "So high."},
    "pair": {"prompt": "How high?", "completion": "So high."},
    "pair of messages": {"prompt": [{"role": "user", "content": "How high?"}],
                         "completion": {"role": "assistant", "content": "So high."}},
    "input and output": {"input": "How high?", "output": "So high."},
    "question and response": {"question": "How high?", "response": "So high."},
    "query and response": {"query": "How high?", "response": "So high."},
    "question and answer": {"question": "How high?", "answer": "So high."},
    "response": {"prompt": "How high?", "response": "So high."},
    "refusal": {"messages": [{"role": "user", "content": "How high?"},
                             {"role": "assistant", "content": None, "refusal": "So high."}]},
}


@pytest.mark.parametrize("form", FORMS)
def test_one_exchange_in_every_form(form: str) -> None:
    assert said(FORMS[form]) == [[ASKED, ANSWERED]]


def test_alpaca_with_input_system_and_history() -> None:
    row = {"instruction": "Add", "input": "2+2", "output": "4", "system": "Be brief.", "history": [["Hi", "Hello."]]}
    assert said(row) == [[("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Add\n\n2+2"),
                          ("assistant", "4")]]
    (group,) = read(row)
    assert isinstance(group, Group)
    assert group.dialogues[0].n_prompt == 4


def test_a_question_whose_answer_has_another_name_is_no_prompt() -> None:
    """gsm8k's answer was lost. Beside a prompt, an answer is what a reward compares with: never learned."""
    for row in ({"question": "How high?", "solution": "So high."}, {"instruction": "2+2", "result": "4"}):
        (left,) = read(row)
        assert isinstance(left, LeftOut)
        assert left.reason == "no_dialogue"
    (group,) = read({"prompt": "How high?", "answer": "So high."})
    assert isinstance(group, Group)
    assert group.is_prompt


def test_the_older_form_of_calls() -> None:
    row = {"messages": [{"role": "user", "content": "How high?"},
                        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
                        {"role": "function", "name": "look", "content": "9"},
                        {"role": "assistant", "content": "So high."}]}
    assert said(row) == [[ASKED, ("assistant", ""), ("tool", "9"), ANSWERED]]


def test_what_a_question_is_about_is_not_left_out() -> None:
    """Dolly's context is what Alpaca calls input; of other questions with one, nobody knows how they were put."""
    row = {"instruction": "How high?", "context": "The tower is 9 m.", "response": "9 m.", "category": "qa"}
    assert said(row) == [[("user", "How high?\n\nThe tower is 9 m."), ("assistant", "9 m.")]]
    for beside in ({"context": "The tower is 9 m."}, {"choices": ["8 m", "9 m"]}):
        (left,) = read({"question": "How high?", "answer": "9 m", **beside})
        assert isinstance(left, LeftOut)
        assert left.reason == "no_dialogue"


def test_text_is_no_turn_of_a_template() -> None:
    (group,) = read({"text": "Once upon a time."})
    assert isinstance(group, Group)
    assert (group.dialogues[0].is_text, group.is_prompt) == (True, False)


def test_comparisons_share_what_they_begin_with() -> None:
    history = [{"role": role, "content": str(i)} for i, role in enumerate(("user", "assistant", "user"), 1)]
    good, bad = ({"role": "assistant", "content": text} for text in ("good", "bad"))
    forms: list[dict[str, Any]] = [
        {"chosen": [*history, good], "rejected": [*history, bad]},
        {"prompt": history, "chosen": "good", "rejected": [bad]},
        {"prompt": history, "chosen": [*history, good], "rejected": [*history, bad]},
        {"conversations": [{"from": "human", "value": "1"}, {"from": "gpt", "value": "2"},
                           {"from": "human", "value": "3"}],
         "chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"}}]
    for form in forms:
        (group,) = read(form)
        assert isinstance(group, Group)
        assert group.ranked
        assert [d.n_prompt for d in group.dialogues] == [3, 3], form
        assert [[m["content"] for m in d.messages] for d in group.dialogues] == [["1", "2", "3", "good"],
                                                                                ["1", "2", "3", "bad"]]


def test_verdicts_of_kto() -> None:
    labels = (True, False, 1, 0, 1.0, None, "True", "false", "1", "no", "desirable", "rejected", "perhaps", 2, [1])
    groups = read(*({"prompt": "q", "completion": "a", "label": label} for label in labels))
    assert [g.label if isinstance(g, Group) else str(g.reason) for g in groups] == [
        True, False, True, False, True, None, True, False, True, False, True, False, *["bad_turn"] * 3]


def test_verdicts_on_the_last_answer_of_a_whole_dialogue() -> None:
    turns = [{"role": role, "content": "a"} for role in ("user", "assistant", "user", "assistant")]
    groups = read({"messages": turns, "label": False}, {"conversations": turns, "kto_tag": True},
                  {"messages": turns, "label": "cooking"}, {"messages": turns[:3], "label": False})
    assert [(g.label, g.dialogues[0].n_prompt) for g in groups if isinstance(g, Group)] == [
        (False, 3), (True, 3), (None, 0), (None, 0)]


def test_calls_of_sharegpt() -> None:
    """A `function_call` that is JSON is a call; another text is what was said."""
    called = {"name": "weather", "arguments": {"city": "Oslo"}}
    for value, n_calls in ((called, 1), ([called, called], 2), ("no call", 0)):
        text = value if isinstance(value, str) else json.dumps(value)
        turns = {"human": "Cold?", "function_call": text, "observation": "18 C", "gpt": "No."}
        (group,) = read({"conversations": [{"from": speaker, "value": said} for speaker, said in turns.items()]})
        assert isinstance(group, Group)
        asked, call, seen, answered = group.dialogues[0].messages
        assert (call["role"], seen, answered["content"]) == ("assistant", {"role": "tool", "content": "18 C"}, "No.")
        assert [c["function"] for c in call.get("tool_calls", [])] == [called] * n_calls
        assert call["content"] == ("" if n_calls else "no call")
        assert asked["role"] == "user"


def test_tool_calls_in_their_three_forms() -> None:
    arguments = {"city": "Oslo"}
    called = {"name": "weather", "arguments": json.dumps(arguments)}
    calls: list[dict[str, Any]] = [
        {"tool_calls": [{"id": "c1", "type": "function", "function": called}]},
        {"tool_calls": [{"function": {"name": "weather", "arguments": arguments}}]}, {"function_call": called}]
    for call in calls:
        message = {"role": "assistant", "content": None} | call
        (group,) = read({"messages": [message], "tools": '[{"type": "function"}]'})
        assert isinstance(group, Group)
        (done,) = group.dialogues[0].messages[0]["tool_calls"]
        assert done["function"] == {"name": "weather", "arguments": arguments}
        assert group.dialogues[0].tools == [{"type": "function"}]


def test_weights() -> None:
    turns: list[dict[str, Any]] = [{"weight": 0}, {"weight": 0.5}, {"train": False}, {"train": True}, {},
                                   {"train": False, "weight": 1}]
    (group,) = read({"messages": [{"role": "assistant", "content": "a", **turn} for turn in turns]})
    assert isinstance(group, Group)
    assert group.dialogues[0].weights == (0.0, 0.5, 0.0, 1.0, None, 0.0)


BAD: dict[str, list[Any]] = {
    "not_json": ["[1]"],
    "no_dialogue": [{"other": 1}, {"output": "an answer to nothing"}, {"chosen": "a", "rejected": "b"}, {}],
    "not_text": [{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}],
    "empty_answer": [{"prompt": "q", "completion": None}, {"messages": [{"role": "assistant", "content": None}]},
                     {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": None}]}],
    "nothing_learned": [{"prompt": "q", "chosen": "same", "rejected": "same"}],
    "too_long": [{"prompt": "q", "completions": ["a"] * 257}],
    "bad_turn": [
        {"messages": []}, {"messages": "."[:0] or [None]}, {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": 1}]}, {"messages": [{"role": "", "content": "a"}]},
        {"messages": [{"role": "user<|im_end|>", "content": "a"}]}, {"messages": [{"role": "user\n", "content": "a"}]},
        {"messages": [{"role": "assistant", "content": "a", "weight": "1"}]},
        {"messages": [{"role": "assistant", "content": "a", "weight": -1}]},
        {"messages": [{"role": "assistant", "content": "a", "train": 1}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"function": {"arguments": "{}"}}]}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{"}]}]},
        {"messages": [{"role": "assistant", "content": "a", "reasoning_content": 1}]},
        {"instruction": "q", "output": "a", "history": ["q"]}, {"prompt": "q", "completion": "a", "system": 1},
        {"messages": [{"role": "user", "content": "a"}], "tools": {"a": 1}},
        {"messages": [{"role": "user", "content": "a"}], "tools": "["}],
}


@pytest.mark.parametrize(("reason", "row"), [(reason, row) for reason, rows in BAD.items() for row in rows])
def test_what_cannot_be_used_is_named(reason: str, row: Any) -> None:
    lines = list(read_groups([row.encode() if isinstance(row, str) else json.dumps(row).encode()]))
    assert [str(line.reason) if isinstance(line, LeftOut) else line for line in lines] == [reason]


def test_half_a_surrogate_pair_anywhere() -> None:
    (group,) = read_groups([rb'{"messages": [{"role": "assistant", "content": "", "tool_calls": '
                            rb'[{"function": {"name": "f", "arguments": {"k": "\ud800"}}}]}]}'])
    assert isinstance(group, Group)
    assert group.dialogues[0].messages[0]["tool_calls"][0]["function"]["arguments"] == {"k": "\ufffd"}
