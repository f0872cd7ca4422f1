"""The papers' fine-tuning data: GPT-1's four tasks, InstructGPT's comparisons, prompts mixed with pre-training rows."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from typer.testing import CliRunner

from manifests import InputError, PackedDataset
from manifests.comparisons import comparisons, readouts
from manifests.hashing import document_id
from manifests.mixed import MixedLoader
from manifests.objectives import Objective, ObjectiveDataset
from manifests.tables import read_table
from pipelines.cli.main import app
from tests.unit.tokenizer.small_run import SmallRun
from tokenizer.bpe.special_tokens import PRESETS
from tokenizer.chat.chat import ChatConfig, ChatCounts
from tokenizer.chat.chat_dataset import ChatFile, pack_dialogues
from tokenizer.encoding.encode import END_OF_TEXT, byte_alphabet, load
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

START, DELIMITER, EXTRACT = PRESETS["gpt1"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    tok = Tokenizer(models.BPE({c: i for i, c in enumerate(byte_alphabet())}, []))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.add_special_tokens([END_OF_TEXT, *PRESETS["gpt1"], *PRESETS["chatml"]])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tok.save(str(path))
    return str(path)


def pack(folder: Path, tokenizer: str, rows: list[Any], **config: Any) -> tuple[PackedDataset, ChatCounts]:
    path = folder / "in.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    out = folder / f"out-{len(list(folder.iterdir()))}"
    settings = ChatConfig(**({"row_length": 256, "packing": "pad"} | config))
    counts = pack_dialogues(settings, [ChatFile(str(path), "in.jsonl", "p.parquet")], tokenizer, str(out))
    return PackedDataset(out, "train"), counts


def sequences(data: PackedDataset, tokenizer: str) -> list[tuple[str, str | None]]:
    """Text up to the token that is read, and what is read there, of every sequence."""
    found = []
    for row in range(len(data)):
        documents = data.documents(row)
        for start, readout, target in zip(documents.cu_seqlens.tolist(), documents.readouts.tolist(), documents.targets,
                                          strict=False):
            if readout >= 0:
                assert load(tokenizer).decode(data[row][readout : readout + 2]) == EXTRACT + END_OF_TEXT
                found.append((load(tokenizer).decode(data[row][start:readout]), target))
    return found


TASKS: dict[str, tuple[dict[str, Any], list[tuple[str, str | None]]]] = {
    "classification": ({"text": "A fine film.", "label": "positive"}, [(f"{START}A fine film.", "positive")]),
    "entailment": ({"premise": "It rains.", "hypothesis": "It is wet.", "label": 0},
                   [(f"{START}It rains.{DELIMITER}It is wet.", "0")]),
    "similarity": ({"sentence1": "A cat.", "sentence2": "A dog.", "score": 2.5},
                   [(f"{START}A cat.{DELIMITER}A dog.", "2.5"), (f"{START}A dog.{DELIMITER}A cat.", "2.5")]),
    "choices": ({"context": "He fell.", "question": "Why?", "choices": ["Ice.", "Fire."], "answer": "B"},
                [(f"{START}He fell.\nWhy?{DELIMITER}Ice.", "0"), (f"{START}He fell.\nWhy?{DELIMITER}Fire.", "1")])}


@pytest.mark.parametrize("task", TASKS)
def test_the_four_tasks(tmp_path: Path, tokenizer: str, task: str) -> None:
    line, expected = TASKS[task]
    data, counts = pack(tmp_path, tokenizer, [line, line | {"id": "again"}], task=task)
    assert sequences(data, tokenizer) == expected * 2
    assert len(data) == 2  # what belongs together lies in one row
    assert counts.dialogues == 2 * len(expected)
    weighted = ObjectiveDataset(data.folder, "train", Objective())
    rows = np.arange(2)
    targets, weights = weighted.batch(rows)[1], weighted.loss_weights(rows)
    learned = load(tokenizer).decode(targets[0][targets[0] >= 0])
    assert learned == "".join(text.removeprefix(START) + EXTRACT for text, _ in expected)
    assert set(np.unique(weights)) == {np.float32(0), np.float32(0.5)}
    alone, _ = pack(tmp_path, tokenizer, [line], task=task, auxiliary_weight=0)
    assert (alone.targets(0) == -100).all()
    assert len(comparisons(data, rows).row) == 0


def test_special_tokens_in_a_task_are_text(tmp_path: Path, tokenizer: str) -> None:
    data, _ = pack(tmp_path, tokenizer, [{"text": f"{EXTRACT}{START}", "label": EXTRACT}], task="classification")
    ids = load(tokenizer).special_tokens
    assert [int((data[0] == ids[name]).sum()) for name in PRESETS["gpt1"]] == [1, 0, 1]
    assert sequences(data, tokenizer) == [(f"{START}{EXTRACT}{START}", EXTRACT)]


def test_lines_that_are_no_task(tmp_path: Path, tokenizer: str) -> None:
    rows: list[Any] = [TASKS["choices"][0], "[1]", {"text": "a"}, {"context": "a", "choices": ["b"]},
                       {"context": "a", "choices": ["b", ""]}, {"question": "a", "choices": ["b", "c"], "answer": 2},
                       {"question": "a", "choices": ["b", "c"], "answer": "d"}, 
                       {"question": "x" * 300, "choices": ["b", "c"]}, {"question": "a", "choices": ["b", "c"]},
                       {"context": "a", "endings": ["b", "c"], "label": "1"}]
    data, counts = pack(tmp_path, tokenizer, rows, task="choices")
    reasons = read_table(str(data.folder / "exclusions/p.parquet"))["reason"].to_pylist()
    assert reasons == ["not_json", "no_dialogue", "no_dialogue", "empty_answer", "bad_turn", "bad_turn", "too_long"]
    assert sum(counts.left_out.values()) == 7
    assert [target for _, target in sequences(data, tokenizer)] == ["0", "1", None, None, "0", "1"]
    bare = tmp_path / "bare.json"
    bare.write_text(Tokenizer.from_file(tokenizer).to_str().replace(START, "<|other|>"))
    with pytest.raises(InputError, match=r"has no special token <\|start\|> .*--special-token gpt1"):
        pack(tmp_path, str(bare), rows, task="choices")
    with pytest.raises(ValueError, match="are not cut"):
        ChatConfig(task="choices", long="split")


def test_all_pairs_of_a_prompt(tmp_path: Path, tokenizer: str) -> None:
    """K ranked answers give C(K, 2) pairs in one row, each weighted by one over their number; ties give none."""
    rows = [{"prompt": "q", "completions": ["best", "middle", "worst"]},
            {"prompt": "p", "completions": ["low", "tied", "high", "also tied"], "ranks": [9, 4, 1, 4]},
            {"prompt": "r", "chosen": "yes", "rejected": "no"}, {"prompt": "only one", "completion": "answer"}]
    data, _ = pack(tmp_path, tokenizer, rows, packing="best_fit", row_length=512)
    every = np.arange(len(data))
    assert len(data) < 4
    found, read = comparisons(data, every), readouts(data, every)
    assert len(read.token) == 3 + 4 + 2

    def answer(row: int, token: int) -> str:
        assert data[row][token] == data.eot_id  # the dialogue's last
        text = load(tokenizer).decode(data[row][:token])
        return text.rsplit("assistant\n", 1)[1].removesuffix("<|im_end|>\n")

    pairs = {(answer(r, b), answer(r, w)): float(x) for r, b, w, x in zip(
        found.row.tolist(), found.better.tolist(), found.worse.tolist(), found.weights, strict=True)}
    assert pairs == {
        **dict.fromkeys([("best", "middle"), ("best", "worst"), ("middle", "worst")], pytest.approx(1 / 3)),
        **dict.fromkeys([("high", "tied"), ("high", "also tied"), ("high", "low"), ("tied", "low"),
                         ("also tied", "low")], pytest.approx(1 / 5)), ("yes", "no"): 1.0}


def test_prompts_with_rows_of_pre_training_mixed_in(tmp_path: Path, tokenizer: str) -> None:
    """PPO-ptx: every step holds prompts and pre-training rows at the rate asked for."""
    prompts, _ = pack(tmp_path, tokenizer, [{"prompt": f"question {i}"} for i in range(20)])
    first, end = prompts.documents(0).cu_seqlens[1:3].tolist()
    assert load(tokenizer).decode(prompts[0][first:end]).endswith("<|im_end|>\n<|im_start|>assistant\n" + END_OF_TEXT)
    assert (prompts.targets(0) == -100).all()
    run = SmallRun(tmp_path / "run", seed=1)
    run.write_tokens({"a": {"p": [(document_id("a", "p", i), [7] * 255) for i in range(40)]}}, np.uint16)
    run.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0),
             PackConfig(row_length=256, shard_tokens=1024, buckets=2), tokenizer)
    loader = MixedLoader({"pretraining": PackedDataset(run.root, "train"), "prompts": prompts},
                         {"prompts": 1, "pretraining": 8}, 9)
    for batch in itertools.islice(loader, 7):
        assert np.bincount(batch.sources).tolist() == [8, 1]
        assert (batch.targets[batch.sources == 1] == -100).all()
        assert (batch.targets[batch.sources == 0] >= 0).any(axis=1).all()


def test_the_command(tmp_path: Path, tokenizer: str) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps(TASKS["similarity"][0]))
    done = CliRunner().invoke(app, ["tokenizer", "chat", str(tmp_path / "in.jsonl"), "--tokenizer", tokenizer, "--task",
                                    "similarity", "--out", str(tmp_path / "out"), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["dialogues"] == 2
    done = CliRunner().invoke(app, ["export", str(tmp_path / "out"), "--format", "hf", "--out", str(tmp_path / "hf")])
    assert done.exit_code == 0, done.output
    (row,) = read_table(str(tmp_path / "hf/train/part-00000.parquet")).to_pylist()
    assert [t for t in row["targets"] if t is not None] == ["2.5", "2.5"]
