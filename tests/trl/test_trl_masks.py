"""Ids and masks of dialogues beside those of TRL's SFT trainer and axolotl, in an environment of their own.

All are given the same templates: ours, as other programs read them, and those that TRL ships. `make test-trl` runs it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from manifests import PackedDataset
from manifests.tables import read_table
from tokenizer.chat.chat import ChatConfig
from tokenizer.chat.chat_dataset import ChatFile, pack_dialogues
from tokenizer.chat.templates import choose_template, portable
from tokenizer.encoding.encode import END_OF_TEXT, byte_alphabet, load

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build/venv-trl/bin/python"
MARKERS = ("<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")

pytestmark = [pytest.mark.trl, pytest.mark.timeout(900)]


def turns(*texts: str, first: str = "user") -> list[dict[str, Any]]:
    roles = [("system",) if first == "system" else (), ("user", "assistant") * len(texts)]
    return [{"role": role, "content": text} for role, text in zip([*roles[0], *roles[1]], texts, strict=False)]


CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"type": "function", "function": {"name": "weather", "arguments": {"city": "Ålesund", "days": 3}}}]}
LINES: list[dict[str, Any]] = [
    {"messages": turns("Hi", "Hello there.")},
    {"messages": turns("Be brief.", "What is 2+2?", "4", "And 3 + 3?\n", "\n\n6 ", first="system")},
    {"messages": turns("  leading space", "  as well\t", "été ☃ 漢字 🙂", "e\u0301\u00a0 ok")},
    {"messages": turns("def f(x):\n    return x\n", "```python\nf(1)\n```\n\n", "thanks", "you're welcome")},
    {"messages": [*turns("Weather?"), CALL, {"role": "tool", "content": "18 C"}, *turns("", "18 degrees.")[1:]],
     "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"city": "string"}}}]},
    {"messages": [*turns("2+2?"), {"role": "assistant", "content": "4", "reasoning_content": "two and two"}]},
    {"prompt": turns("q1", "earlier answer", "q2"), "completion": turns("", "final")[1:]},
    {"messages": turns("long " * 400, "word, " * 500)},
]
PLAIN: list[dict[str, Any]] = [{"text": "Once upon a time.\n"}, {"prompt": "Q: 1+1\nA:", "completion": " 2"},
                               {"prompt": "No space", "completion": "here"}]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    texts = [json.dumps(line) for line in LINES] + [Path(__file__).read_text(encoding="utf-8")]
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=600, special_tokens=[END_OF_TEXT, *MARKERS], initial_alphabet=byte_alphabet()))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tok.save(str(path))
    return str(path)


def by_trl(folder: Path, tokenizer: str, template: str, lines: list[Any], program: str = "tokenize_by_trl"
           ) -> list[tuple[list[int], list[int]]]:
    (folder / "template.jinja").write_text(template, encoding="utf-8")
    (folder / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = subprocess.run([PYTHON, ROOT / f"tests/trl/{program}.py", tokenizer, folder / "template.jinja",
                           folder / "lines.jsonl"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"ids"')]
    return [(row["ids"], row["labels"]) for row in rows]


def by_us(folder: Path, tokenizer: str, template: str, lines: list[Any]) -> list[tuple[list[int], list[int]]]:
    (folder / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = folder / "packed"
    config = ChatConfig(row_length=4096, packing="pad", template=template, template_variables={
        "bos_token": "<|begin_of_text|>"})
    pack_dialogues(config, [ChatFile(str(folder / "lines.jsonl"), "lines.jsonl", "part.parquet")], tokenizer, str(out))
    data = PackedDataset(out, "train")
    (shard,) = read_table(str(out / "manifest.parquet"))["spans_path"].to_pylist()
    spans = {s["doc_id"]: s for s in read_table(str(out / shard)).to_pylist()}
    done = []
    for doc_id in read_table(str(out / "documents/part.parquet"))["doc_id"].to_pylist():
        span = spans[doc_id]
        first = span["token_start"] - span["row"] * data.row_length
        ids = data[span["row"]][first : first + span["n_tokens"]].tolist()
        labels = [-100] * len(ids)
        for turn in span["turns"]:
            if turn["loss"]:
                at = slice(turn["start"], turn["start"] + turn["n_tokens"])
                labels[at] = ids[at]
        done.append((ids, labels))
    return done


def assert_equal(ours: list[tuple[list[int], list[int]]], theirs: list[tuple[list[int], list[int]]], eot: int) -> None:
    assert len(ours) == len(theirs) > 0
    for number, ((ids, labels), (their_ids, their_labels)) in enumerate(zip(ours, theirs, strict=True)):
        if their_ids[-1] != eot:  # a document of ours ends in the end-of-text token
            assert ids[-1] == eot
            ids, labels = ids[:-1], labels[:-1]
        assert ids == their_ids, number
        assert labels == their_labels, number
        assert any(label >= 0 for label in labels), number


@pytest.mark.parametrize("name", ["chatml", "qwen", "qwen3", "llama3", "mistral"])
def test_our_templates(tmp_path: Path, tokenizer: str, name: str) -> None:
    text = portable(choose_template(name, tokenizer).text)
    # GPT-2's pattern makes one token of the two line feeds that end Llama 3's prompt where no answer follows, and two
    # where one does: TRL then learns them.
    lines = [line for line in LINES if name != "llama3" or "prompt" not in line]
    theirs = by_trl(tmp_path, tokenizer, text, lines)
    assert_equal(by_us(tmp_path, tokenizer, name, lines), theirs,
                 load(tokenizer).eot_id)


@pytest.mark.parametrize("name", ["qwen2_5_training", "qwen3_training", "llama3_training", "phi3_training"])
def test_templates_that_trl_ships(tmp_path: Path, tokenizer: str, name: str) -> None:
    (folder,) = (PYTHON.parents[1] / "lib").glob("python*/site-packages/trl/chat_templates")
    path = folder / f"{name}.jinja"
    lines = [line for line in LINES if name.startswith("qwen") or "tools" not in line]
    # What the prompt of a completion ends with is the template's own here: our mask is that of its marks.
    lines = [line for line in lines if "prompt" not in line]
    theirs = by_trl(tmp_path, tokenizer, path.read_text(encoding="utf-8"), lines)
    assert_equal(by_us(tmp_path, tokenizer, str(path), lines), theirs,
                 load(tokenizer).eot_id)


# What is learned ends with the marker: axolotl does not learn the line feed that ChatML has behind it.
TIGHT = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}"
         "{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}{{ m.content + '<|im_end|>\n' }}"
         "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def test_axolotl(tmp_path: Path, tokenizer: str) -> None:
    """The same masks as axolotl's, messages that are not to be trained on among them, by marks and by prefixes."""
    spoken = [line for line in LINES if "messages" in line and "tools" not in line
              and all("reasoning_content" not in m for m in line["messages"])]
    judged = {"messages": [m | ({"train": i != 1} if m["role"] == "assistant" else {})
                           for i, m in enumerate(turns("a", "bad answer", "b", "good", "c", "better"))]}
    lines = [*spoken, judged]
    unmarked = TIGHT.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    theirs = by_trl(tmp_path, tokenizer, unmarked, lines, "tokenize_by_axolotl")
    (tmp_path / "tight.jinja").write_text(TIGHT)
    assert_equal(by_us(tmp_path, tokenizer, str(tmp_path / "tight.jinja"), lines), theirs, load(tokenizer).eot_id)


def test_texts_and_pairs_without_a_template(tmp_path: Path, tokenizer: str) -> None:
    theirs = by_trl(tmp_path, tokenizer, "{{ messages }}", PLAIN)
    eot = load(tokenizer).eot_id
    assert_equal(by_us(tmp_path, tokenizer, "plain", PLAIN), theirs, eot)
