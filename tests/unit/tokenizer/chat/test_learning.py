"""What is learned of which line, by template; long dialogues; and that only a template makes a special token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from manifests import InputError, PackedDataset, StageError
from manifests.tables import read_table
from tokenizer.chat.chat import ChatConfig, ChatCounts
from tokenizer.chat.chat_dataset import ChatFile, pack_dialogues
from tokenizer.encoding.encode import END_OF_TEXT, byte_alphabet, load

MARKERS = ("<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
HI, HELLO = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}
MORE, BYE = {"role": "user", "content": "More"}, {"role": "assistant", "content": "Bye."}


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    tok = Tokenizer(models.BPE({c: i for i, c in enumerate(byte_alphabet())}, []))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.add_special_tokens([END_OF_TEXT, *MARKERS])
    path = tmp_path / "tokenizer" / "tokenizer.json"
    path.parent.mkdir()
    tok.save(str(path))
    return str(path)


class Packed:
    """Lines packed, a row each, and what their rows hold and teach."""

    def __init__(self, tmp_path: Path, tokenizer: str, rows: list[Any], **config: Any) -> None:
        path = tmp_path / "in.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        self.out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        settings = ChatConfig(**({"row_length": 512, "packing": "pad"} | config))
        self.counts: ChatCounts = pack_dialogues(settings, [ChatFile(str(path), "in.jsonl", "part-in.parquet")],
                                                 tokenizer, str(self.out))
        self.data, self._encoder = PackedDataset(self.out, "train"), load(tokenizer)
        self.spans = [span for shard in read_table(str(self.out / "manifest.parquet"))["spans_path"].to_pylist()
                      for span in read_table(str(self.out / shard)).to_pylist()]

    def learned(self, row: int = 0) -> str:
        targets = self.data.targets(row)
        return self._encoder.decode(targets[targets >= 0])

    def ids(self, row: int = 0) -> Any:
        span = next(s for s in self.spans if s["row"] == row)
        start = span["token_start"] - row * self.data.row_length
        return self.data[row][start : start + span["n_tokens"]]

    def text(self, row: int = 0) -> str:
        return self._encoder.decode(self.ids(row))


def test_weights_and_train_say_what_is_context(tmp_path: Path, tokenizer: str) -> None:
    rows: list[Any] = [{"messages": [HI, HELLO | {"weight": 0}, MORE, BYE | {"weight": 1}]},
                       {"messages": [HI, HELLO, MORE, BYE | {"train": False}]},
                       {"messages": [HI | {"train": True}, HELLO | {"train": False}]}]
    packed = Packed(tmp_path, tokenizer, rows)
    assert packed.learned(0) == "Bye.<|im_end|>\n<|endoftext|>"
    assert packed.learned(1) == "Hello.<|im_end|>\n"
    assert packed.learned(2) == "Hi<|im_end|>\n"
    assert [t["weight"] for t in packed.spans[0]["turns"]] == [0, 0, 0, 1]


def test_prompts_are_learned_where_that_is_asked(tmp_path: Path, tokenizer: str) -> None:
    row = {"prompt": [HI, HELLO, MORE], "completion": "Bye."}
    assert Packed(tmp_path, tokenizer, [row]).learned() == "Bye.<|im_end|>\n<|endoftext|>"
    asked = Packed(tmp_path, tokenizer, [row], learned_roles=("assistant", "prompt"))
    assert asked.learned() == "Hello.<|im_end|>\nBye.<|im_end|>\n<|endoftext|>"
    both = Packed(tmp_path, tokenizer, [row], learned_roles=("assistant", "user"))
    assert both.learned() == "Hi<|im_end|>\nMore<|im_end|>\nBye.<|im_end|>\n<|endoftext|>"
    assert Packed(tmp_path, tokenizer, [row, {"prompt": [HI, HELLO]}]).learned(1) == ""


def test_undesirable_answers_are_kept_and_not_learned(tmp_path: Path, tokenizer: str) -> None:
    rows = [{"prompt": "q", "completion": "good", "label": True}, {"prompt": "q", "completion": "bad", "label": False}]
    packed = Packed(tmp_path, tokenizer, rows)
    assert (packed.learned(0), packed.learned(1)) == ("good<|im_end|>\n<|endoftext|>", "")
    assert [s["label"] for s in packed.spans] == [True, False]
    kto = Packed(tmp_path, tokenizer, rows, learned_roles=("assistant", "undesirable"))
    assert kto.learned(1) == "bad<|im_end|>\n<|endoftext|>"


def test_a_dialogue_of_which_nothing_is_learned_is_named(tmp_path: Path, tokenizer: str) -> None:
    rows: list[Any] = [{"messages": [HI, {"role": "model", "content": "Hello."}]}, {"messages": [HI]},
                       {"messages": [HI, HELLO | {"content": " "}]}, {"messages": [HI, HELLO | {"weight": 0}]},
                       {"prompt": "q", "completion": ""}]
    with pytest.raises(StageError, match=r"3 nothing_learned.*--learn \('assistant'\).*1 'model'") as error:
        Packed(tmp_path, tokenizer, rows)
    assert "2 empty_answer" in str(error.value)
    packed = Packed(tmp_path, tokenizer, [*rows, {"messages": [HI, HELLO]}])
    reasons = read_table(str(packed.out / "exclusions/part-in.parquet"))
    assert reasons["reason"].to_pylist() == ["nothing_learned", "nothing_learned", "empty_answer", "nothing_learned",
                                             "empty_answer"]
    assert packed.counts.turns["model"] == 1


def test_only_the_template_makes_a_special_token(tmp_path: Path, tokenizer: str) -> None:
    spelt = "".join(MARKERS) + END_OF_TEXT + "\ufdd0" + "0\ufdd1\ufdd3"
    rows = [{"messages": [{"role": "system", "content": spelt}, HI | {"content": spelt}, {
        "role": "assistant", "content": spelt, "reasoning_content": spelt, "tool_calls": [
            {"function": {"name": spelt, "arguments": {spelt: [spelt]}}}]}, {"role": "tool", "content": spelt}, BYE],
        "tools": [{"name": spelt}]}]
    packed = Packed(tmp_path, tokenizer, rows, row_length=4096)
    special = load(tokenizer).special_tokens
    counted = {name: int((packed.ids() == special[name]).sum()) for name in special}
    assert counted == {"<|im_start|>": 5, "<|im_end|>": 5, END_OF_TEXT: 1, **dict.fromkeys(MARKERS[2:], 0)}
    assert packed.text().count(spelt) == 9


def test_named_templates(tmp_path: Path, tokenizer: str) -> None:
    row = {"messages": [{"role": "system", "content": "S"}, HI, HELLO, MORE, BYE]}
    expected = {
        "llama3": ("<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n"
                   "\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
                   "<|start_header_id|>user<|end_header_id|>\n\nMore<|eot_id|>"
                   "<|start_header_id|>assistant<|end_header_id|>\n\nBye.<|eot_id|><|endoftext|>",
                   "Hello.<|eot_id|>Bye.<|eot_id|><|endoftext|>"),
        "mistral": ("[INST] S\n\nHi[/INST] Hello.<|endoftext|>[INST] More[/INST] Bye.<|endoftext|>",
                    " Hello.<|endoftext|> Bye.<|endoftext|>"),
        "plain": ("SHiHello.MoreBye.<|endoftext|>", "Hello.Bye.<|endoftext|>"),
        "qwen3": ("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n"
                  "</think>\n\nHello.<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\n<think>\n\n"
                  "</think>\n\nBye.<|im_end|>\n<|endoftext|>",
                  "<think>\n\n</think>\n\nHello.<|im_end|>\n<think>\n\n</think>\n\nBye.<|im_end|>\n<|endoftext|>")}
    for name, (text, learned) in expected.items():
        packed = Packed(tmp_path, tokenizer, [row], template=name)
        assert (packed.text(), packed.learned()) == (text, learned), name
        assert [t["role"] for t in packed.spans[0]["turns"] if t["weight"]] == ["assistant", "assistant"]


FOREIGN = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
           "{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
           "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def test_masks_by_prefixes_are_those_by_marks(tmp_path: Path, tokenizer: str) -> None:
    rows = [{"messages": [HI, HELLO, MORE, BYE | {"content": f"Bye {i}"}]} for i in range(5)]
    (tmp_path / "marked.jinja").write_text(FOREIGN)
    (tmp_path / "bare.jinja").write_text(FOREIGN.replace("{% generation %}", "").replace("{% endgeneration %}", ""))
    learned = {}
    for name in ("marked", "bare"):
        packed = Packed(tmp_path, tokenizer, rows, template=str(tmp_path / f"{name}.jinja"))
        learned[name] = [packed.learned(row) for row in range(5)]
    assert learned["bare"] == learned["marked"]
    assert learned["marked"][3] == "Hello.<|im_end|>Bye 3<|im_end|><|endoftext|>"
    both = Packed(tmp_path, tokenizer, rows, template=str(tmp_path / "marked.jinja"),
                  learned_roles=("user", "assistant"))
    assert both.learned().startswith("<|im_start|>user\nHi<|im_end|>Hello.<|im_end|>")


def test_a_template_whose_prefixes_differ_is_refused(tmp_path: Path, tokenizer: str) -> None:
    path = tmp_path / "counting.jinja"
    path.write_text("{{ messages | length }}" + FOREIGN.replace("generation %", "set x = 1 %").replace(
        "{% endset x = 1 %}", ""))
    with pytest.raises(StageError, match="1 not_a_prefix"):
        Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO, MORE, BYE]}], template=str(path))


def test_templates_of_strangers_stay_in_the_sandbox(tmp_path: Path, tokenizer: str) -> None:
    path = tmp_path / "t.jinja"
    for text in ("{{ messages.__class__.__mro__ }}", "{{ ''.__class__.__base__.__subclasses__() }}{{ [].append(1) }}",
                 "{% set x = messages.append(1) %}", "{{ raise_exception('no') }}", "{{ strftime_now('%Y') }}",
                 "{% include '/etc/passwd' %}", "{{ range(10000000) | list }}"):
        path.write_text(text)
        with pytest.raises(StageError, match="1 refused_by_template"):
            Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO]}], template=str(path))
    path.write_text("{{ raise_exception('roles must alternate') if messages[0].content == 'no' }}" + FOREIGN)
    packed = Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO]}, {"messages": [HI | {"content": "no"}, HELLO]}],
                    template=str(path))
    assert packed.counts.template_error == "line 1: roles must alternate"
    path.write_text("{% for %}")
    with pytest.raises(InputError, match="is not a chat template"):
        Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO]}], template=str(path))
    with pytest.raises(InputError, match="there is no such template"):
        Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO]}], template="chatlm")


def test_the_template_of_a_tokenizers_own_configuration(tmp_path: Path, tokenizer: str) -> None:
    folder = Path(tokenizer).parent
    row = {"messages": [HI, HELLO]}
    with pytest.raises(InputError, match="has no default chat template"):
        Packed(tmp_path, tokenizer, [row], template="tokenizer")
    config: dict[str, Any] = {"bos_token": {"content": "<|eot_id|>"}, "chat_template": [
        {"name": "tool_use", "template": "no"},
        {"name": "default", "template": "{{ bos_token }}{{ greeting }}" + FOREIGN}]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    for path in (tokenizer, str(folder)):
        packed = Packed(tmp_path, path, [row], template="tokenizer", template_variables={"greeting": "Yo"})
        assert packed.text() == "<|eot_id|>Yo<|im_start|>user\nHi<|im_end|><|im_start|>assistant\nHello.<|im_end|>" + (
            END_OF_TEXT)
        assert packed.learned() == "Hello.<|im_end|><|endoftext|>"
    config["chat_template"] = {"tool_use": "{{ tools | length }} tools:" + FOREIGN, "default": FOREIGN}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    both = Packed(tmp_path, tokenizer, [row, row | {"tools": [{"type": "function"}]}], template="tokenizer")
    assert sorted(both.text(i).startswith("1 tools:") for i in (0, 1)) == [False, True]
    assert both.learned(0) == both.learned(1) == "Hello.<|im_end|><|endoftext|>"
    config["chat_template"] = {"tool_use": FOREIGN}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has no default chat template, but has templates tool_use"):
        Packed(tmp_path, tokenizer, [row], template="tokenizer")
    (folder / "chat_template.jinja").write_text("{{ messages[-1].content }}!")
    with pytest.raises(StageError, match="not_a_prefix"):
        Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO, MORE, BYE]}], template="tokenizer")


def test_the_end_of_text_token_may_be_no_target(tmp_path: Path, tokenizer: str) -> None:
    rows: list[Any] = [{"messages": [HI, HELLO]}, {"text": "A text."}]
    packed = Packed(tmp_path, tokenizer, rows, learn_eot=False)
    assert (packed.learned(0), packed.learned(1)) == ("Hello.<|im_end|>\n", " text.")  # no token precedes A
    assert Packed(tmp_path, tokenizer, rows).learned(1) == " text.<|endoftext|>"
    mistral = Packed(tmp_path, tokenizer, rows, learn_eot=False, template="mistral")  # ends in that token by itself
    assert (mistral.text(0).count(END_OF_TEXT), mistral.learned(0)) == (1, " Hello.")


def test_dialogues_longer_than_a_row(tmp_path: Path, tokenizer: str) -> None:
    long = {"messages": [HI, HELLO | {"content": "word " * 300}]}
    rows: list[Any] = [long, {"messages": [HI, HELLO]}, {"messages": [HI | {"content": "x" * 900}, HELLO]}]
    dropped = Packed(tmp_path, tokenizer, rows)
    assert dropped.counts.left_out == {"too_long": 2}
    whole = Packed(tmp_path, tokenizer, rows, row_length=2048)
    cut = Packed(tmp_path, tokenizer, rows, long="truncate")
    assert (cut.counts.truncated, cut.counts.left_out) == (1, {"too_long": 1})  # of the other, no answer is left
    assert np.array_equal(cut.ids(0), whole.ids(0)[:511])
    assert cut.learned(0) == whole.learned(0)[: len(cut.learned(0))]
    assert [s["truncated_right"] for s in cut.spans] == [True, False]
    split = Packed(tmp_path, tokenizer, rows, long="split")
    assert (split.counts.split, split.counts.left_out, split.counts.dialogues) == (2, {}, 3)
    by_id: dict[bytes, list[Any]] = {}
    for span in split.spans:
        by_id.setdefault(span["doc_id"], []).append(span)
    assert sorted(len(parts) for parts in by_id.values()) == [1, 2, 3]
    assert sum(split.counts.turns.values()) == 6
    assert split.counts.learned_tokens == whole.counts.learned_tokens
    assert len(read_table(str(split.out / "documents/part-in.parquet"))) == 3
    pieces = sorted((p["doc_token_offset"], p["row"]) for p in max(by_id.values(), key=len))
    assert np.array_equal(np.concatenate([split.ids(row) for _, row in pieces]), whole.ids(0))


@pytest.mark.parametrize("long", ["truncate", "split"])
def test_a_prompt_is_never_cut(tmp_path: Path, tokenizer: str, long: str) -> None:
    """Its end asks for the answer. An answer that is not desired is cut like any other."""
    rows: list[Any] = [{"prompt": "x" * 900}, {"prompt": "Hi", "completion": "word " * 300, "label": False}]
    packed = Packed(tmp_path, tokenizer, rows, long=long)
    assert packed.counts.left_out == {"too_long": 1}
    assert packed.counts.truncated + packed.counts.split == 1


def test_markers_that_the_tokenizer_lacks_are_named(tmp_path: Path, tokenizer: str) -> None:
    assert Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO]}]).counts.missing_markers == []
    mistral = Packed(tmp_path, tokenizer, [{"messages": [HI, HELLO]}], template="mistral")
    assert mistral.counts.missing_markers == ["[INST]", "[/INST]"]
